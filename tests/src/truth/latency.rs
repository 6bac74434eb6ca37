//! Times between nodes as the report states them, against those by the lab's one clock.

use std::collections::BTreeMap;

use tracer_core::{
    clock::Latency,
    report::{Hop, Report},
};

use super::{
    instances::Steps,
    seen::{Place, Seen},
    way::Lane,
};

/// How far the recorders' clocks may be apart, in nanoseconds: each maps the kernel's clock to wall time once.
const CLOCKS: u64 = 1_000;
/// The report's median is that of a sample: it is held against all true values between these shares.
const MEDIAN: (usize, usize) = (45, 55);

/// Statements and how many of them are true.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statements {
    /// Medians and maxima of times between two nodes, each with its bound.
    pub stated: u64,
    /// Those within their bound of the truth.
    pub true_ones: u64,
}

/// Checks every median and maximum that the report states of a step from one node to another.
///
/// Where there is only one connection; of several it is not known here which flow of the report is which.
pub fn check(
    seen: &Seen,
    steps: &Steps,
    paths: &[(Lane, Vec<Place>)],
    pieces: &[Vec<u32>],
    report: &Report,
) -> Statements {
    let delays = delays(seen, steps, pieces);
    let mut statements = Statements::default();
    for (lane, places) in paths {
        for flow in &report.flows {
            let lane_report = if *lane == Lane::Forward { &flow.forward } else { &flow.reply };
            for pair in lane_report.hops.windows(2) {
                let step = places
                    .windows(2)
                    .position(|two| two[0] == Place::of(&pair[0]) && two[1] == Place::of(&pair[1]));
                let step = step.and_then(|step| u8::try_from(step).ok());
                let delays = step.and_then(|step| delays.get(&(*lane, step)));
                if let (true, Some(delays)) = (pair[0].node != pair[1].node, delays) {
                    statements.add(&pair[1], delays);
                }
            }
        }
    }
    statements
}

impl Statements {
    /// A hop, and the true times to it in ascending order.
    fn add(&mut self, hop: &Hop, delays: &[i64]) {
        let at = |share| delays[(delays.len() - 1) * share / 100];
        let Some(latency) = hop.latency else { return };
        // The longest may be that of a packet that does not tell which it is, and that is not among the true times.
        let checks = [(latency.p50, at(MEDIAN.0), at(MEDIAN.1)), (latency.max, at(100), i64::MAX)];
        for (told, least, greatest) in checks {
            self.stated += 1;
            self.true_ones += u64::from(is_true(told, least, greatest));
        }
    }
}

/// Whether some value from `least` to `greatest` is what was told.
fn is_true(told: Latency, least: i64, greatest: i64) -> bool {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let slack = signed(CLOCKS);
    match told {
        Latency::Exact(value) => signed(value) >= least - slack && signed(value) - slack <= greatest,
        Latency::Within(value, bound) => {
            let bound = signed(bound) + slack;
            signed(value) + bound >= least && signed(value) - bound <= greatest
        }
        Latency::Below(value) => least <= signed(value) + slack,
    }
}

/// The true times from each step to the next, in ascending order, of what was seen once at both.
fn delays(seen: &Seen, steps: &Steps, pieces: &[Vec<u32>]) -> BTreeMap<(Lane, u8), Vec<i64>> {
    let mut delays: BTreeMap<(Lane, u8), Vec<i64>> = BTreeMap::new();
    for sights in pieces {
        let mut times: BTreeMap<(Lane, u8), Vec<u64>> = BTreeMap::new();
        for sight in sights.iter().map(|sight| &seen.sights[*sight as usize]) {
            if let Some(at) = steps.at(sight) {
                times.entry(at).or_default().push(sight.time);
            }
        }
        for ((lane, step), begun) in &times {
            if let ([begun], Some([ended])) = (&begun[..], times.get(&(*lane, step + 1)).map(Vec::as_slice)) {
                let delay = i128::from(*ended) - i128::from(*begun);
                delays.entry((*lane, *step)).or_default().push(i64::try_from(delay).unwrap_or_default());
            }
        }
    }
    for delays in delays.values_mut() {
        delays.sort_unstable();
    }
    delays
}
