//! Where packets to an address went next from a point, over all flows.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::headers::HeadersTable;
use crate::point::Point;
use crate::timeline::{Flow, Lane, Place};

/// The next hop by point and destination; the same one for the same flows.
#[derive(Clone, Debug, Default)]
pub(super) struct NextHops {
    next: HashMap<(Point, IpAddr), Place>,
}

impl NextHops {
    pub(super) fn of(flows: &[&Flow], headers: &HeadersTable) -> Self {
        let mut next: HashMap<(Point, IpAddr), Place> = HashMap::new();
        let lanes = flows.iter().flat_map(|flow| [&flow.forward, &flow.reply]);
        for (from, to) in lanes.flat_map(Lane::steps) {
            let destination = headers.flow(from.headers).destination.address;
            next.entry((from.point, destination)).and_modify(|known| *known = to.min(*known)).or_insert(to);
        }
        Self { next }
    }

    /// The hop that packets to the same address reached next from the same point.
    pub(super) fn after(&self, place: Place, headers: &HeadersTable) -> Option<Place> {
        self.next.get(&(place.point, headers.flow(place.headers).destination.address)).copied()
    }
}
