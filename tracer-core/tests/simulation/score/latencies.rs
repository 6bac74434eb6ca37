//! Order and latencies of the paths that are told.

use tracer_core::clock::Latency;
use tracer_core::flow::Protocol;
use tracer_core::report::{LaneReport, Report};

use super::Score;
use crate::truth::{Truth, tuple};

/// Samples from which on the median of most of them is near that of all.
const ENOUGH: usize = 30;

impl Score {
    pub(super) fn latencies(&mut self, truth: &Truth<'_>, report: &Report) {
        for flow in &report.flows {
            for lane in [&flow.forward, &flow.reply] {
                self.path(truth, lane, flow.protocol);
            }
        }
    }

    /// Order and latencies of the main path of one direction.
    fn path(&mut self, truth: &Truth<'_>, lane: &LaneReport, protocol: Protocol) {
        let stations: Vec<_> = lane.hops.iter().map(|hop| truth.station(hop, protocol)).collect();
        let is_ordered = stations.windows(2).all(|pair| match (pair[0], pair[1]) {
            (Some((a, from)), Some((b, to))) => a != b || from < to,
            _ => true,
        });
        if !is_ordered {
            self.counts.disordered += 1;
            self.note(|| format!("main path in the order {stations:?}"));
        }
        for (pair, hop) in stations.windows(2).zip(lane.hops.iter().skip(1)) {
            let (Some((a, from)), Some((b, to)), Some(latency)) = (pair[0], pair[1], hop.latency) else {
                continue;
            };
            if a != b || from >= to || truth.is_fragmented(tuple(hop, protocol)) {
                continue;
            }
            let all = truth.latencies(a, from, to);
            if let Some(median) = all.get(all.len().div_ceil(2).saturating_sub(1)) {
                self.latency(latency.p50, *median, &all);
            }
        }
    }

    fn latency(&mut self, told: Latency, median: u64, all: &[u64]) {
        let is_true = match told {
            Latency::Within(value, bound) => value.abs_diff(median) <= bound,
            Latency::Below(limit) => median <= limit,
            Latency::Exact(value) => return self.exact_latency(value, all),
        };
        self.counts.bounds += 1;
        self.counts.held += u64::from(is_true);
        if !is_true {
            self.note(|| format!("latency {told:?}, but {median} ns"));
        }
    }

    /// A latency by one clock: it may have been measured by some of the packets only, and the clock's rate is off.
    fn exact_latency(&mut self, value: u64, all: &[u64]) {
        let share = |tenths: usize| all[(all.len() * tenths / 10).min(all.len() - 1)];
        let (low, high) = if all.len() < ENOUGH { (share(0), share(10)) } else { (share(3), share(7)) };
        let is_true = (low - low / 1000..=high + high / 1000).contains(&value);
        self.counts.medians += 1;
        self.counts.true_medians += u64::from(is_true);
        if !is_true {
            self.note(|| format!("median {value} ns, but {low} to {high} ns of {} packets", all.len()));
        }
    }
}
