//! What kernels dropped of one direction of a flow.

use super::{FlowReport, Reporter};
use crate::drops::{DropReport, Nature};
use crate::timeline::{Flow, FlowDrop, Orientation};
use crate::trace::PlaceName;

impl Reporter<'_> {
    /// Drops of one direction, in the order of their times.
    pub(super) fn drops(&self, flow: &Flow, orientation: Orientation) -> Vec<DropReport> {
        let of_direction = flow.drops.iter().filter(|drop| drop.direction == orientation);
        let mut drops: Vec<DropReport> = of_direction.map(|drop| self.drop_report(drop)).collect();
        drops.sort_by_key(|drop| drop.first_ns);
        drops
    }

    fn drop_report(&self, drop: &FlowDrop) -> DropReport {
        let kind = self.drops.kind(drop.kind);
        DropReport {
            node: self.points.node_at(kind.node).name.clone(),
            pod: kind.pod.clone(),
            netns: kind.netns,
            direction: kind.direction,
            interface: kind.interface.clone(),
            function: kind.function.clone(),
            reason: kind.reason.clone(),
            is_benign: kind.nature == Nature::Benign,
            tuple: kind.tuple,
            tunnels: kind.tunnels.clone(),
            after: drop.after.map(|place| PlaceName::of(self.points, place)),
            first_ns: drop.first,
            packets: drop.packets,
        }
    }
}

impl FlowReport {
    /// Wire segments of both directions that were dropped before any hop saw them.
    pub(super) fn dropped_unseen(&self) -> u64 {
        let drops = self.forward.drops.iter().chain(&self.reply.drops);
        drops.filter(|drop| drop.after.is_none() && !drop.is_benign).map(|drop| drop.packets).sum()
    }
}
