//! The conditions under which the tracer has to be right, and what is required under each.

mod workload;

use tracer_core::trace::Budget;
use workload::{NODES, base, faults, plain};

use crate::feed::{self, Feed};
use crate::plan::{Clock, Encapsulation, Family, Kind, MS, Overflow, Plan, Recorder, Reset, SECOND, Traffic};
use crate::random::Chance;
use crate::recorder;
use crate::score::Score;
use crate::table::Requirement;
use crate::world;

/// Enough for every open window of a run: what eviction does is a property of its own.
const BUDGET: Budget = Budget { sightings: 8_000_000, headers: 500_000, flows: 100_000 };

/// How much is simulated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scale {
    /// A few seconds without optimization.
    Small,
    /// A million wire segments for the first condition.
    Full,
}

/// A row of the table.
pub(crate) struct Condition {
    pub(crate) name: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) requirement: Requirement,
    pub(crate) runs: Vec<Plan>,
}

impl Condition {
    /// Simulates and traces all of it.
    pub(crate) fn score(&self) -> Score {
        let mut sum = Score::default();
        for plan in &self.runs {
            sum.add(score(plan, &Feed::Merged, BUDGET));
        }
        sum
    }
}

/// Simulates a plan, traces it and says how that went.
pub(crate) fn score(plan: &Plan, feed: &Feed, budget: Budget) -> Score {
    let history = world::run(plan);
    let recording = recorder::record(plan, &history);
    let told = feed::trace(plan, &history, &recording, feed, budget);
    Score::of(&history, &recording, &told)
}

/// All conditions.
pub(crate) fn all(scale: Scale) -> Vec<Condition> {
    let mut all = located(scale);
    all.extend(without_identification(scale));
    all.extend(overflow(scale));
    all.extend(clocks(scale));
    all.extend(begun_before(scale));
    all
}

/// DNAT, SNAT and tunnels, offloads, loss, reordering and duplicates.
pub(crate) fn located(scale: Scale) -> Vec<Condition> {
    let tcp = |tunnels: &[Encapsulation], segments: u32| {
        let losses = [0, 10, 100, 300, 500];
        let share = segments / u32::try_from(losses.len()).unwrap();
        let run = |loss| base(100 + u64::from(loss), tunnels, faults(loss)).with_tcp(Family::V4, share);
        losses.into_iter().map(run).collect::<Vec<Plan>>()
    };
    let datagrams = |kind: Kind, segments: u32| {
        let losses = [0, 100, 500];
        let run = |loss| {
            base(200 + u64::from(loss), &[Encapsulation::Ipip], faults(loss)).with_datagrams(
                Family::V4,
                kind,
                segments / 3,
            )
        };
        losses.into_iter().map(run).collect::<Vec<Plan>>()
    };
    let (large, small) = match scale {
        Scale::Small => (15_000, 4_000),
        Scale::Full => (600_000, 100_000),
    };
    let name = "NAT, tunnel, offload, 0-5 % loss";
    let row = |protocol, runs| Condition { name, protocol, requirement: Requirement::LOCATED, runs };
    vec![
        row("TCP/IPv4, IPIP", tcp(&[Encapsulation::Ipip], large)),
        row("TCP/IPv4, VXLAN", tcp(&[Encapsulation::Vxlan], large)),
        row("TCP/IPv4, Geneve", tcp(&[Encapsulation::Geneve], small)),
        row("TCP/IPv4, GRE in IPIP", tcp(&[Encapsulation::Gre, Encapsulation::Ipip], small)),
        row("TCP/IPv4, routed", tcp(&[], small)),
        row("UDP/IPv4, numbered", datagrams(Kind::Numbered, small)),
        Condition {
            requirement: Requirement::WAITING,
            ..row("UDP/IPv4, fragments", datagrams(Kind::Fragmented, small))
        },
        row("ICMP echo", datagrams(Kind::Echo, small)),
        row("SCTP", datagrams(Kind::Sctp, small)),
    ]
}

/// Protocols whose packets do not carry a number of their own.
pub(crate) fn without_identification(scale: Scale) -> Vec<Condition> {
    let segments = match scale {
        Scale::Small => 5_000,
        Scale::Full => 200_000,
    };
    let losses = [0, 100, 500];
    let share = segments / 3;
    let name = "no identification, 0-5 % loss";
    let row = |protocol, runs| Condition { name, protocol, requirement: Requirement::COUNTED, runs };
    let tcp = |tunnels: &[Encapsulation]| {
        let run = |loss| base(300 + u64::from(loss), tunnels, plain(loss)).with_tcp(Family::V6, share);
        losses.into_iter().map(run).collect::<Vec<Plan>>()
    };
    let resets = || {
        let run = |loss| {
            let plan = base(350 + u64::from(loss), &[Encapsulation::Ipip], plain(loss));
            plan.with_connections(Family::V4, share, Reset::Busy)
        };
        losses.into_iter().map(run).collect::<Vec<Plan>>()
    };
    let udp = |kind: Kind, family: Family| {
        let run = |loss| {
            base(400 + u64::from(loss), &[Encapsulation::Ipip], plain(loss))
                .with_datagrams(family, kind, share)
        };
        losses.into_iter().map(run).collect::<Vec<Plan>>()
    };
    vec![
        row("TCP/IPv6, IPIP", tcp(&[Encapsulation::Ipip])),
        row("TCP/IPv6, VXLAN", tcp(&[Encapsulation::Vxlan])),
        row("TCP/IPv6, routed", tcp(&[])),
        row("TCP/IPv4, resets", resets()),
        row("UDP/IPv4, QUIC-like", udp(Kind::Quic, Family::V4)),
        row("UDP/IPv6, QUIC-like", udp(Kind::Quic, Family::V6)),
        row("UDP/IPv4, DNS-like", udp(Kind::Dns, Family::V4)),
        row("UDP/IPv4, all alike", udp(Kind::Alike, Family::V4)),
    ]
}

/// Recorders that cannot keep up.
pub(crate) fn overflow(scale: Scale) -> Vec<Condition> {
    let segments = match scale {
        Scale::Small => 8_000,
        Scale::Full => 150_000,
    };
    let name = "recorder overflow";
    let row = |protocol, runs| Condition { name, protocol, requirement: Requirement::UNKNOWN, runs };
    let tunnels = [Encapsulation::Vxlan];
    let overflowing = |plan: Plan| {
        let at = |node: usize, from: u64, share: u32| Overflow {
            node,
            from: from * MS,
            until: (from + 150) * MS,
            share: Chance::hundredths(share),
        };
        let overflows = (0..100).map(|n| at(n % NODES, n as u64 * 700 + 300, [10_000, 3_000, 200][n % 3]));
        Plan { recorder: Recorder { overflows: overflows.collect(), ..Recorder::default() }, ..plan }
    };
    let tcp = |loss, family| {
        overflowing(base(500 + u64::from(loss), &tunnels, faults(loss)).with_tcp(family, segments / 2))
    };
    let udp = |loss| {
        overflowing(base(510 + u64::from(loss), &tunnels, faults(loss)).with_datagrams(
            Family::V4,
            Kind::Quic,
            segments / 2,
        ))
    };
    vec![
        row("TCP/IPv4", vec![tcp(0, Family::V4), tcp(100, Family::V4)]),
        row("UDP/IPv4, QUIC-like", vec![udp(0), udp(100)]),
    ]
}

/// Clocks that are off, run away and are set.
pub(crate) fn clocks(scale: Scale) -> Vec<Condition> {
    let segments = match scale {
        Scale::Small => 6_000,
        Scale::Full => 80_000,
    };
    let name = "clocks +-10 s, 100 ppm, steps";
    let row = |protocol, runs| Condition { name, protocol, requirement: Requirement::CLOCKS, runs };
    let steps: [&[(u64, i64)]; 5] = [
        &[],
        &[(2 * SECOND, 5_000_000)],
        &[(2 * SECOND, -5_000_000)],
        &[(2 * SECOND, 10_000_000_000)],
        &[(1500 * MS, -10_000_000_000), (3 * SECOND, 300_000_000)],
    ];
    let plan = |number: usize| {
        let mut plan = base(600 + number as u64, &[Encapsulation::Ipip], faults(100));
        let drifting = |offset: i64, skew_ppm: i64| Clock { offset, skew_ppm, steps: Vec::new() };
        plan.nodes =
            vec![drifting(-10_000_000_000, 100), drifting(10_000_000_000, -100), drifting(123_456_789, 37)];
        plan.nodes[number % NODES].steps = steps[number].to_vec();
        plan
    };
    let share = segments / 5;
    let runs = |family| (0..steps.len()).map(|n| plan(n).with_tcp(family, share)).collect::<Vec<Plan>>();
    let quic = || (0..steps.len()).map(|n| plan(n).with_datagrams(Family::V4, Kind::Quic, share)).collect();
    vec![
        row("TCP/IPv4", runs(Family::V4)),
        row("TCP/IPv6", runs(Family::V6)),
        row("UDP/IPv4, QUIC-like", quic()),
    ]
}

/// Flows that were open before anything was recorded.
pub(crate) fn begun_before(scale: Scale) -> Vec<Condition> {
    let segments = match scale {
        Scale::Small => 6_000,
        Scale::Full => 100_000,
    };
    let mut plan = base(700, &[Encapsulation::Ipip], faults(100)).with_tcp(Family::V4, segments);
    for flow in &mut plan.flows {
        flow.start /= 4;
        if let Traffic::Tcp(tcp) = &mut flow.traffic {
            tcp.is_open = true;
        }
    }
    plan.recorder.start = 500 * MS;
    vec![Condition {
        name: "flows began before the capture",
        protocol: "TCP/IPv4",
        requirement: Requirement::LOCATED,
        runs: vec![plan],
    }]
}
