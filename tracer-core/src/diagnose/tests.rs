//! Stories of path causes: a flow, what the nodes say, and the verdict.

mod duplicates;
mod firewall;
mod healthy;
mod links;
mod routes;
mod tunnels;

use super::testing::{World, lane, there, way, way_back};
use super::{Cause, Outcome, Verdict};
use crate::report::{FlowReport, LaneReport, Stop};

/// A flow whose packets all stopped after the hop with this number (from 0), with others going on or not.
fn stops_after(index: usize, packets: u64) -> FlowReport {
    super::testing::flow(there(), stopping(&way(packets), index, packets), lane())
}

/// A direction whose packets stop after a hop.
fn stopping(hops: &[crate::report::Hop], index: usize, packets: u64) -> LaneReport {
    super::testing::stopped(packets, hops[..=index].to_vec(), None)
}

/// A flow that was answered, and some of whose packets were lost between two hops.
fn loses_between(index: usize, lost: u64, of: u64) -> FlowReport {
    let hops = way(of);
    let stop = Stop {
        after: hops[index].clone(),
        before: Some(hops[index + 1].clone()),
        packets: lost,
        uncertain: None,
        extent: None,
    };
    let forward = LaneReport { packets: of, delivered: of - lost, hops, stopped: vec![stop], ..lane() };
    super::testing::flow(there(), forward, super::testing::delivered(of, way_back(of)))
}

#[track_caller]
fn assert_cause(verdict: &Verdict, cause: Cause, outcome: Outcome, node: Option<&str>) {
    assert_eq!(verdict.cause, Some(cause), "{verdict:#?}");
    assert_eq!(verdict.outcome, outcome, "{verdict:#?}");
    let at = verdict.at.as_ref().and_then(|at| at.node.as_deref());
    assert_eq!(at, node, "{verdict:#?}");
    assert!(!verdict.evidence.is_empty(), "{verdict:#?}");
    assert!(verdict.remedy.is_some(), "{verdict:#?}");
}

#[track_caller]
fn assert_no_cause(verdict: &Verdict, outcome: Outcome) {
    assert_eq!((verdict.cause, verdict.outcome), (None, outcome), "{verdict:#?}");
}

fn world() -> World {
    World::new()
}
