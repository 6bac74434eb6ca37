//! The clock of one node is set forth by an hour, and back: what became of packets stays, and so does what took time on one
//! node.

use std::fs;
use std::sync::Arc;

use serde_json::Value;
use tests::Kflow;
use tests::cluster::{Fate, Play};
use tests::kflow::{self, Told};

use crate::nodes::{Cluster, NODES, PERIOD, paced, record};
use crate::scene::Scene;

/// Datagrams each way.
const COUNT: u16 = 60;
const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;

/// What a clock shows at a time.
type Clock = fn(u64) -> u64;

/// It is set forth by so much in the middle, and back later.
fn stepped<const BY: u64>(time: u64) -> u64 {
    let is_ahead = (20 * PERIOD..40 * PERIOD).contains(&time);
    time + if is_ahead { BY } else { 0 }
}

/// It is set back by an hour first, and forth later.
fn stepped_back(time: u64) -> u64 {
    HOUR + time - if (20 * PERIOD..40 * PERIOD).contains(&time) { HOUR } else { 0 }
}

/// Both captures as files.
fn offline(scene: &Scene, clock: Clock) -> (Told, Option<i32>) {
    let streams = [record(0, COUNT, |time| time), record(1, COUNT, clock)];
    for (name, stream) in NODES.into_iter().zip(streams) {
        fs::write(scene.path(name), stream).unwrap();
    }
    let files = NODES.map(|name| scene.path(name).display().to_string());
    let words = ["trace", "-o", "json", "-r", &files[0], "-r", &files[1]];
    let outcome = Kflow::run(&kflow::program(), words).unwrap();
    (outcome.told().unwrap(), outcome.code)
}

/// Both captures as streams of agents.
fn live(clock: Clock) -> (Told, Option<i32>) {
    let scene = Scene::new(0);
    let streams = [paced(0, COUNT, |time| time), paced(1, COUNT, clock)];
    let cluster =
        Cluster::of(scene.directory(), streams.map(|parts| Fate::Plays(Arc::new(Play::since_asked(parts)))));
    let outcome = cluster.trace(5).unwrap();
    (outcome.told().unwrap(), outcome.code)
}

/// The verdict, the packets of each direction, and per hop its place, its packets and, on the node itself, its latency.
fn story(told: &Told) -> Value {
    let [flow] = told.flows.as_slice() else { panic!("{:#?}", told.flows) };
    let lanes = ["forward", "reply"].map(|lane| {
        let lane = &flow[lane];
        let mut before = Value::Null;
        let hops: Vec<Value> = lane["hops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hop| {
                let is_same = before == hop["node"];
                before = hop["node"].clone();
                let latency = if is_same { hop["latency"].clone() } else { Value::Null };
                serde_json::json!([hop["node"], hop["interface"], hop["direction"], hop["packets"], latency])
            })
            .collect();
        serde_json::json!([lane["packets"], lane["delivered"], lane["unknown"], lane["stopped"], hops])
    });
    let verdict = &flow["verdict"];
    serde_json::json!([verdict["outcome"], verdict["cause"], verdict["summary"], lanes])
}

fn steps(told: &Told) -> Vec<Value> {
    told.summary["clock_steps"].as_array().unwrap().clone()
}

#[test]
fn files_of_a_node_whose_clock_was_set() {
    let scene = Scene::new(0);
    let (straight, code) = offline(&scene, |time| time);
    assert_eq!((steps(&straight).len(), code), (0, Some(0)), "{straight:#?}");
    let (told, code) = offline(&scene, stepped::<{ 5 * SECOND }>);
    assert_eq!(story(&told), story(&straight));
    let [step] = steps(&told).try_into().unwrap();
    assert_eq!(step["times"], 2, "{step:#}");
    assert_eq!(code, Some(0));
}

fn check_live(clock: Clock) {
    let (straight, code) = live(|time| time);
    assert_eq!((steps(&straight).len(), code), (0, Some(0)), "{straight:#?}");
    let (told, code) = live(clock);
    assert_eq!(story(&told), story(&straight));
    let [step] = steps(&told).try_into().unwrap();
    assert_eq!(step["times"], 2, "{step:#}");
    assert_eq!(code, Some(0));
}

#[test]
#[ignore = "streams take their time: ten seconds"]
fn a_stream_whose_clock_was_set_by_seconds() {
    check_live(stepped::<{ 5 * SECOND }>);
}

#[test]
fn a_stream_whose_clock_was_set_forth_by_an_hour() {
    check_live(stepped::<HOUR>);
}

#[test]
#[ignore = "streams take their time: ten seconds"]
fn a_stream_whose_clock_was_set_back_by_an_hour() {
    check_live(stepped_back);
}
