//! Properties that hold of every network, tried on small ones that proptest makes up and shrinks.
//!
//! Cases are drawn from a fixed seed, so that a run can be repeated.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tracer_core::report::{FlowReport, Hop, LaneReport, Stop};
use tracer_core::trace::Budget;

use crate::feed::{self, Feed, Told};
use crate::plan::{
    Chances, Client, Clock, Datagrams, Encapsulation, Family, Faults, Flow, Kind, MS, Overflow, Plan, Pod,
    Recorder, Reset, SECOND, Target, Tcp, Traffic, US,
};
use crate::random::Chance;
use crate::recorder;
use crate::score::Score;
use crate::world;

/// Cases of each property.
pub(crate) const FEW: u32 = 64;
/// The same where time allows.
pub(crate) const MANY: u32 = 4000;

/// Nothing that is told is wrong: no exact link, no loss, no order, no latency, no count.
pub(crate) fn nothing_told_is_wrong(cases: u32) {
    check(cases, &plan(), |plan| {
        let score = trace(plan, &Feed::Merged, Budget::default()).1;
        let counts = score.counts;
        let describe = || format!("{counts:?}\n{}", score.notes.join("\n"));
        prop_assert_eq!(counts.false_lost, 0, "{}", describe());
        prop_assert_eq!(counts.disordered, 0, "{}", describe());
        prop_assert_eq!(counts.held, counts.bounds, "{}", describe());
        prop_assert_eq!(counts.unrecorded, counts.unrecorded_told, "{}", describe());
        // Of packets without identification that were recorded here and there it cannot be known that they are two.
        if plan.recorder.overflows.is_empty() {
            prop_assert_eq!(counts.mixed_exact, 0, "{}", describe());
        }
        // Nor that two sightings are one packet whose translation took place before its node was recorded.
        if plan.recorder.overflows.is_empty() && plan.recorder.start == 0 {
            prop_assert_eq!(counts.miscounted, 0, "{}", describe());
        }
        Ok(())
    });
}

/// Whatever the captures' streams lag behind, and in whatever order they arrive, the verdicts are the same.
pub(crate) fn feeding_changes_no_verdict(cases: u32) {
    let periods = vec((0..=600u64).prop_map(|period| period * MS), 1..=4);
    check(cases, &(plan(), periods), |(plan, periods)| {
        let plan = live(plan);
        let (late, score) = trace(&plan, &Feed::Live(periods.clone()), Budget::default());
        prop_assert_eq!(score.counts.false_lost, 0, "{}", score.notes.join("\n"));
        prop_assert_eq!(score.counts.disordered, 0, "{}", score.notes.join("\n"));
        let (prompt, _) = trace(&plan, &Feed::Live(vec![0]), Budget::default());
        prop_assert_eq!(verdicts(&prompt), verdicts(&late));
        // Files by clocks that are apart do not tell at their ends who recorded when.
        if plan.nodes.iter().all(Clock::is_true) && plan.recorder.settle == SECOND {
            let (merged, _) = trace(&plan, &Feed::Merged, Budget::default());
            prop_assert_eq!(verdicts(&merged), verdicts(&late));
        }
        Ok(())
    });
}

/// Memory that does not suffice makes verdicts unknown, never wrong.
pub(crate) fn little_memory_tells_nothing_wrong(cases: u32) {
    check(cases, &(plan(), 1..=2000usize), |(plan, sightings)| {
        let budget = Budget { sightings: *sightings, ..Budget::default() };
        let score = trace(plan, &Feed::Merged, budget).1;
        if plan.recorder.overflows.is_empty() {
            prop_assert_eq!(score.counts.mixed_exact, 0, "{}", score.notes.join("\n"));
        }
        prop_assert_eq!(score.counts.false_lost, 0, "{}", score.notes.join("\n"));
        Ok(())
    });
}

fn check<T: std::fmt::Debug>(
    cases: u32,
    strategy: &impl Strategy<Value = T>,
    property: impl Fn(&T) -> Result<(), TestCaseError>,
) {
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(0x6b66_6c6f_7721),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(strategy, |value| property(&value));
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

fn trace(plan: &Plan, feed: &Feed, budget: Budget) -> (Told, Score) {
    let history = world::run(plan);
    let recording = recorder::record(plan, &history);
    let told = feed::trace(plan, &history, &recording, feed, budget);
    let score = Score::of(&history, &recording, &told);
    (told, score)
}

/// As a live trace sees it: stamped by the time since boot, which nobody sets; and without fragments, since a later
/// one gets its ports from the first, which another capture may have seen.
fn live(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for clock in &mut plan.nodes {
        clock.steps.clear();
    }
    for flow in &mut plan.flows {
        if let Traffic::Datagrams(Datagrams { kind: kind @ Kind::Fragmented, .. }) = &mut flow.traffic {
            *kind = Kind::Numbered;
        }
    }
    plan
}

/// Everything that is told of packets and losses, without numbers of flows, times, and who opened what: that is not
/// known of a flow that began before the captures.
fn verdicts(told: &Told) -> Vec<String> {
    let mut verdicts: Vec<String> = told.report.flows.iter().map(verdict).collect();
    verdicts.sort_unstable();
    verdicts
}

fn verdict(flow: &FlowReport) -> String {
    let mut tuples: Vec<String> =
        flow.tuples.iter().map(|tuple| tuple.min(&tuple.reversed()).to_string()).collect();
    let mut lanes = [lane(&flow.forward), lane(&flow.reply)];
    tuples.sort_unstable();
    lanes.sort_unstable();
    format!("{} {tuples:?} {lanes:?}", flow.protocol)
}

/// What is uncertain and what is unknown is one here: at the beginning of files it is the one, live the other.
fn lane(lane: &LaneReport) -> String {
    let LaneReport { packets, delivered, .. } = lane;
    let (certain, uncertain): (Vec<&Stop>, Vec<&Stop>) =
        lane.stopped.iter().partition(|stop| stop.uncertain.is_none());
    let unknown = lane.unknown + uncertain.iter().map(|stop| stop.packets).sum::<u64>();
    let stop = |stop: &&Stop| {
        format!("{} from {} to {:?}", stop.packets, name(&stop.after), stop.before.as_ref().map(name))
    };
    let mut stops: Vec<String> = certain.iter().map(stop).collect();
    stops.sort_unstable();
    format!("{packets} packets, {delivered} delivered, {unknown} unknown {stops:?}")
}

fn name(hop: &Hop) -> String {
    format!("{} {:?} {} {:?}", hop.node, hop.pod, hop.interface, hop.direction)
}

/// A small network with some flows.
fn plan() -> impl Strategy<Value = Plan> {
    let nodes = vec(clock(), 1..=3);
    let pods = vec((0..3usize, any::<bool>()), 1..=4);
    let flows = vec(flow(), 1..=5);
    (any::<u64>(), nodes, pods, (family(), tunnels()), flows, faults(), recorder()).prop_map(
        |(seed, nodes, pods, (underlay, tunnels), mut flows, faults, mut recorder)| {
            let count = nodes.len();
            let pods: Vec<Pod> =
                pods.into_iter().map(|(node, is_entered)| Pod { node: node % count, is_entered }).collect();
            for flow in &mut flows {
                place(flow, count, &pods);
            }
            for overflow in &mut recorder.overflows {
                overflow.node %= count;
            }
            Plan { seed, nodes, pods, underlay, tunnels, flows, faults, recorder }
        },
    )
}

/// Puts the ends of a flow where there is something.
fn place(flow: &mut Flow, nodes: usize, pods: &[Pod]) {
    let pod = |pod: usize| pod % pods.len();
    if let Client::Pod(client) = &mut flow.client {
        *client = pod(*client);
    }
    flow.target = match (flow.client, flow.target) {
        (Client::Outside, target) => Target::NodePort { node: target.pod() % nodes, pod: pod(target.pod()) },
        // A pod reaches itself by its service only.
        (Client::Pod(client), Target::Pod(server)) if client == pod(server) => Target::Service(client),
        (_, Target::Pod(server)) => Target::Pod(pod(server)),
        (_, Target::Service(server)) => Target::Service(pod(server)),
        // The node of the client takes what goes to any node's port.
        (Client::Pod(client), Target::NodePort { pod: server, .. }) => {
            Target::NodePort { node: pods[client].node, pod: pod(server) }
        }
    };
}

fn clock() -> impl Strategy<Value = Clock> {
    let wrong =
        (-10_000_000_000..=10_000_000_000i64, -100..=100i64, option::of((0..2000u64, -10_000..=10_000i64)));
    option::of(wrong).prop_map(|wrong| match wrong {
        None => Clock::default(),
        Some((offset, skew_ppm, step)) => Clock {
            offset,
            skew_ppm,
            steps: step.into_iter().map(|(at, by)| (at * MS, by * 1_000_000)).collect(),
        },
    })
}

fn tunnels() -> impl Strategy<Value = Vec<Encapsulation>> {
    prop_oneof![
        Just(vec![]),
        Just(vec![Encapsulation::Ipip]),
        Just(vec![Encapsulation::Vxlan]),
        Just(vec![Encapsulation::Geneve]),
        Just(vec![Encapsulation::Gre]),
        Just(vec![Encapsulation::Gre, Encapsulation::Ipip]),
        Just(vec![Encapsulation::Ipip, Encapsulation::Vxlan]),
    ]
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn flow() -> impl Strategy<Value = Flow> {
    let client = prop_oneof![4 => (0..4usize).prop_map(Client::Pod), 1 => Just(Client::Outside)];
    let target = prop_oneof![
        (0..4usize).prop_map(Target::Pod),
        (0..4usize).prop_map(Target::Service),
        (0..4usize).prop_map(|pod| Target::NodePort { node: 0, pod }),
    ];
    (family(), client, target, any::<bool>(), traffic(), 0..1000u64).prop_map(
        |(family, client, target, is_masqueraded, traffic, start)| {
            let start = 20 * MS + start * MS;
            Flow { family, client, target, is_masqueraded, traffic, start }
        },
    )
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let reset = prop_oneof![3 => Just(Reset::Never), 1 => Just(Reset::Idle), 1 => Just(Reset::Busy)];
    let tcp = (0..40u32, 0..40u32, 1..=44u32, any::<bool>(), reset, 50..20_000u64).prop_map(
        |(there, back, gso, is_open, reset, pause)| {
            Traffic::Tcp(Tcp { segments: [there, back], gso, is_open, reset, pause: pause * US })
        },
    );
    let kind = prop_oneof![
        Just(Kind::Quic),
        Just(Kind::Batched),
        Just(Kind::Dns),
        Just(Kind::Alike),
        Just(Kind::Numbered),
        Just(Kind::Fragmented),
        Just(Kind::Echo),
        Just(Kind::Sctp),
    ];
    let datagrams = (kind, 1..30u32, 10..50_000u64)
        .prop_map(|(kind, count, pause)| Traffic::Datagrams(Datagrams { kind, count, pause: pause * US }));
    prop_oneof![tcp, datagrams]
}

fn faults() -> impl Strategy<Value = Faults> {
    let chances = |loss: u32, others: u32| {
        (0..=loss, 0..=others, 0..=others).prop_map(|(loss, duplicate, reorder)| Chances {
            loss: Chance::hundredths(loss),
            duplicate: Chance::hundredths(duplicate),
            reorder: Chance::hundredths(reorder),
        })
    };
    (chances(500, 200), chances(100, 0)).prop_map(|(wire, local)| Faults { wire, local })
}

fn recorder() -> impl Strategy<Value = Recorder> {
    let overflow = (0..3usize, 0..1500u64, 1..400u64, 1..=10_000u32).prop_map(|(node, from, len, share)| {
        Overflow { node, from: from * MS, until: (from + len) * MS, share: Chance::hundredths(share) }
    });
    let overflows = prop_oneof![2 => Just(Vec::new()), 1 => vec(overflow, 1..=2)];
    let snap = prop_oneof![3 => Just(192usize), 1 => Just(128usize), 1 => 60..160usize];
    let start = prop_oneof![2 => Just(0u64), 1 => 0..1000 * MS];
    let settle = prop_oneof![2 => Just(SECOND), 1 => 0..SECOND];
    (overflows, snap, start, settle).prop_map(|(overflows, snap, start, settle)| Recorder {
        snap,
        start,
        settle,
        overflows,
    })
}
