//! Damaged streams of agents: the node is named with what is wrong, and the other one goes on.

use std::io::Write as _;

use serde_json::Value;
use tracer_core::capture::Expected;
use zstd::stream::write::Encoder;

use super::{Block, COUNT, Random, blocks, cut, flipped, mixed_up, read, whole};
use crate::nodes::{Cluster, NODES, at_once, record};
use crate::pcapng::PACKET;
use crate::scene::Scene;

/// As agents pack it.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    for part in bytes.chunks(1000) {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

/// Runs a trace and a capture whose second node sends these bytes. What is said of them; absent where all is well.
fn check(what: &str, bytes: Vec<u8>, said: Option<&str>) {
    let scene = Scene::new(0);
    let cluster = Cluster::of(scene.directory(), at_once([record(0, COUNT, |time| time), bytes]));
    let traced = cluster.trace(1).unwrap();
    let told = traced.told().unwrap();
    let broken = told.summary["loss"]["broken_streams"].as_array().unwrap();
    let code = if said.is_some() { 3 } else { 0 };
    assert_eq!(traced.code, Some(code), "{what}: {}{:#}", traced.stderr, told.summary);
    assert_eq!(broken.len(), usize::from(said.is_some()), "{what}: {broken:#?}");
    for stream in broken {
        let reason = stream["reason"].as_str().unwrap();
        let said = said.unwrap_or_default();
        assert!(stream["node"] == NODES[1] && reason.contains(said), "{what}: no \"{said}\": {reason}");
    }
    assert_other_node(what, &told.flows);
    let captured = cluster.capture(1, &scene.path("captured")).unwrap();
    assert_eq!(captured.code, Some(code), "{what}: {}", captured.stderr);
    if let Some(said) = said {
        let lines = captured.stderr.lines().filter(|line| line.contains(NODES[1]) && line.contains(said));
        assert!(lines.count() > 0, "{what}: no \"{said}\": {}", captured.stderr);
    }
}

/// The packets of the node whose stream is whole are all there.
fn assert_other_node(what: &str, flows: &[Value]) {
    let hops = flows.iter().flat_map(|flow| ["forward", "reply"].map(|lane| &flow[lane]["hops"]));
    let hops = hops.flat_map(|hops| hops.as_array().unwrap());
    let own: u64 = hops.filter(|hop| hop["node"] == NODES[0]).filter_map(|hop| hop["packets"].as_u64()).sum();
    assert_eq!(own, 4 * u64::from(COUNT), "{what}: {flows:#?}");
}

#[test]
fn plain_streams() {
    let whole = whole();
    let packets: Vec<Block> = blocks(&whole).into_iter().filter(|block| block.kind == PACKET).collect();
    let middle = packets[packets.len() / 2];
    check("cut between blocks", whole[..middle.end].to_vec(), Some("without the counters that it ends with"));
    let missing = [&whole[..middle.begin], &whole[middle.end..]].concat();
    check("a block missing", missing, Some("its counters tell of"));
}

#[test]
fn packed_streams() {
    let packed = packed(&whole());
    check("cut before its end", packed[..packed.len() - 4].to_vec(), Some("cannot read the capture"));
}

#[test]
#[ignore = "each takes some seconds"]
fn more_streams() {
    let (whole, packed) = (whole(), packed(&whole()));
    check("nothing", whole.clone(), None);
    check(
        "cut in a block",
        whole[..whole.len() / 2 + 2].to_vec(),
        Some("in the middle of a packet or block"),
    );
    check("cut in its beginning", whole[..20].to_vec(), Some("in the middle of a packet or block"));
    check("nothing at all", Vec::new(), Some("the capture is empty"));
    let packets: Vec<Block> = blocks(&whole).into_iter().filter(|block| block.kind == PACKET).collect();
    let middle = packets[packets.len() / 2];
    let doubled = [&whole[..middle.end], &whole[middle.begin..]].concat();
    check("a block doubled", doubled, Some("its counters tell of"));
    let mut damaged = whole.clone();
    damaged[middle.begin + 5] = 0xff;
    check("a length damaged", damaged, Some(&format!("byte {}", middle.begin)));
    check("packed", packed.clone(), None);
    let mut damaged = packed.clone();
    damaged[packed.len() / 2] ^= 0x55;
    check("a byte damaged", damaged, Some("the capture"));
    check("packed and cut", packed[..packed.len() / 2].to_vec(), Some("cannot read the capture"));
}

#[test]
#[ignore = "some hundred traces and captures: some minutes"]
fn streams_damaged_at_random() {
    const CASES: usize = 60;
    let whole = whole();
    let mut random = Random(0x9e37_79b9);
    let mut all = mixed_up(&whole, &mut random);
    for _ in 0..CASES {
        let at = random.below(whole.len());
        all.push(cut(&whole, at));
        all.push(flipped(&whole, at, &mut random));
    }
    for _ in 0..CASES {
        let damaged = all.swap_remove(random.below(all.len()));
        let (_, told) = read(&damaged.bytes, Expected::Stream);
        check(&damaged.what, damaged.bytes, told.as_deref());
    }
}
