//! What counted between two snapshots of one namespace.

use crate::evidence::{ConntrackCpu, Evidence, Link};

impl Evidence {
    /// By how much a counter of the protocols rose (`nstat`'s names); 0 where it is not known, or there is one snapshot.
    pub(super) fn rise(&self, counter: &str) -> u64 {
        let Some(after) = &self.after else { return 0 };
        let Some(last) = after.counters.protocols.get(counter) else { return 0 };
        let first = self.before.counters.protocols.get(counter).copied().unwrap_or(0);
        last.saturating_sub(first)
    }

    /// By how much a counter of connection tracking rose, over all processors.
    pub(super) fn conntrack_rise(&self, counter: impl Fn(&ConntrackCpu) -> u64) -> u64 {
        let sum = |cpus: &[ConntrackCpu]| cpus.iter().map(&counter).sum::<u64>();
        let Some(after) = &self.after else { return 0 };
        sum(&after.conntrack.cpus).saturating_sub(sum(&self.before.conntrack.cpus))
    }

    /// By how much a counter of a link rose; 0 where the link was not there before.
    pub(super) fn link_rise(&self, link: &Link, counter: impl Fn(&Link) -> u64) -> u64 {
        let find = |links: &'_ [Link]| links.iter().find(|other| other.index == link.index).map(&counter);
        let Some(last) = self.after.as_ref().and_then(|after| find(&after.links)) else { return 0 };
        find(&self.before.links).map_or(0, |first| last.saturating_sub(first))
    }

    /// By how much processors dropped received packets because their queue was full.
    pub(super) fn softnet_rise(&self) -> u64 {
        let sum = |snapshot: &crate::evidence::Snapshot| {
            snapshot.counters.softnet.iter().map(|cpu| cpu.dropped).sum::<u64>()
        };
        self.after.as_ref().map_or(0, |after| sum(after).saturating_sub(sum(&self.before)))
    }
}
