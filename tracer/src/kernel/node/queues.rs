//! What queueing disciplines dropped (tc(8), `linux/rtnetlink.h`, `linux/gen_stats.h`).

use std::collections::{BTreeMap, BTreeSet};

use tracer_core::evidence::Link;
use tracer_core::way::LinkIndex;

use super::dump;
use crate::kernel::netlink::{Connection, NetlinkError, attribute, field, text};

const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
/// `struct tcmsg`: family, padding, index, handle, parent, info.
pub(super) const TCMSG_LEN: usize = 20;
const PARENT: usize = 12;
const TCA_KIND: u16 = 1;
const TCA_STATS2: u16 = 7;
const TCA_STATS_QUEUE: u16 = 3;
/// `struct gnet_stats_queue`: length, backlog, drops, requeues, overlimits.
const DROPS: usize = 8;
const TC_H_ROOT: u32 = 0xffff_ffff;

/// Packets dropped at each link, and the links that have a place for filters.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Queues {
    /// By the root, which counts what those below it dropped as well.
    root: BTreeMap<LinkIndex, u64>,
    clsact: BTreeMap<LinkIndex, u64>,
    pub(super) with_filters: BTreeSet<LinkIndex>,
}

pub(super) fn read(connection: &mut Connection) -> Result<Queues, NetlinkError> {
    let messages =
        dump(connection, "list the queueing disciplines", (RTM_GETQDISC, RTM_NEWQDISC), &[0; TCMSG_LEN])?;
    let mut queues = Queues::default();
    for message in messages {
        let _ = queues.take(&message.body);
    }
    Ok(queues)
}

impl Queues {
    fn take(&mut self, body: &[u8]) -> Option<()> {
        let attributes = body.get(TCMSG_LEN..)?;
        let link = LinkIndex(u32::from_ne_bytes(field(body, 4)?));
        let drops = attribute(attributes, TCA_STATS2)
            .and_then(|stats| attribute(stats, TCA_STATS_QUEUE))
            .and_then(|queue| field(queue, DROPS))
            .map_or(0, u32::from_ne_bytes);
        let is_for_filters = matches!(text(attributes, TCA_KIND).as_deref(), Some("clsact" | "ingress"));
        if is_for_filters {
            self.with_filters.insert(link);
            self.clsact.insert(link, drops.into());
        } else if u32::from_ne_bytes(field(body, PARENT)?) == TC_H_ROOT {
            self.root.insert(link, drops.into());
        }
        Some(())
    }

    /// Writes down what each link's queues dropped.
    pub(super) fn add_to(&self, links: &mut [Link]) {
        for link in links {
            link.qdisc_drops = self.root.get(&link.index).copied().unwrap_or(0);
            link.clsact_drops = self.clsact.get(&link.index).copied().unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{build, mistreat};
    use super::*;

    fn message(kind: &[u8], parent: u32, drops: u32) -> Vec<u8> {
        let queue: Vec<u8> =
            [0, 0, drops, 0, 0].iter().flat_map(|number: &u32| number.to_ne_bytes()).collect();
        let stats = build(&[], &[(TCA_STATS_QUEUE, &queue)]);
        let mut header = vec![0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0];
        header.extend(parent.to_ne_bytes());
        header.extend([0; 4]);
        build(&header, &[(TCA_KIND, kind), (TCA_STATS2, &stats)])
    }

    #[test]
    fn root_counts_for_all_below_it() {
        let mut queues = Queues::default();
        for body in [
            message(b"mq\0", TC_H_ROOT, 7),
            message(b"fq_codel\0", 0x0001_0001, 7),
            message(b"clsact\0", 0xffff_fff1, 3),
        ] {
            queues.take(&body).unwrap();
            mistreat(&body, |body| Queues::default().take(body));
        }
        let link = LinkIndex(5);
        assert_eq!((queues.root.get(&link), queues.clsact.get(&link)), (Some(&7), Some(&3)));
        assert_eq!(queues.with_filters, BTreeSet::from([link]));
    }
}
