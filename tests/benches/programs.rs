//! What the eBPF programs cost per packet (`BPF_PROG_TEST_RUN`, which its own harness is part of):
//! `cargo bench -p tests --bench programs`, as root.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its measurement")]
#![expect(dead_code, reason = "the helpers are the tests' own")]

#[path = "../tests/programs/kernel.rs"]
mod kernel;
#[path = "../tests/programs/packet.rs"]
mod packet;
#[path = "../tests/programs/scene.rs"]
mod scene;

use kernel::Kernel;
use packet::{TCP, frame, inside_ip, tcp, vxlan};
use scene::{PORT, SOURCE_PORT, address, between, nodes4, only, pods4, pods6, rule};
use tracer::kernel::filter::{AddressSet, Layers};
use tracer_core::units::Direction;

fn main() {
    const ROUNDS: u32 = 20_000;
    const TIMES: usize = 15;
    let mut kernel = Kernel::load(128, 16_384);
    let plain = frame(&between(&pods4(), &tcp(SOURCE_PORT, PORT)), &[]).1;
    let six = frame(&between(&pods6(), &tcp(SOURCE_PORT, PORT)), &[]).1;
    let inner = frame(&between(&pods4(), &tcp(SOURCE_PORT, PORT)), &[]);
    let tunnel = frame(&between(&nodes4(), &vxlan(&inner, 4789)), &[]).1;
    let ipip = frame(&between(&nodes4(), &inside_ip(&between(&pods4(), &tcp(SOURCE_PORT, PORT)))), &[]).1;
    let miss = only(address("10.0.0.1"), Layers::Any, None);
    let hit = only(pods4().source, Layers::Any, rule(SOURCE_PORT, Some(TCP)));
    let table = [
        ("miss, IPv4 TCP", &plain, miss.clone()),
        ("miss, IPv6 TCP", &six, miss.clone()),
        ("miss, IPIP", &ipip, miss.clone()),
        ("miss, VXLAN", &tunnel, miss),
        ("match, IPv4 TCP, 128 bytes", &plain, hit.clone()),
        ("match, VXLAN, 128 bytes", &tunnel, hit),
        ("everything, 128 bytes", &plain, AddressSet::everything()),
    ];
    for (name, packet, set) in table {
        let mut packet = packet.clone();
        packet.resize(packet.len().max(128), 0);
        kernel.filter(set);
        let mut times: Vec<_> = (0..TIMES)
            .map(|_| {
                let time = kernel.run(Direction::Ingress, &packet, ROUNDS);
                kernel.records();
                time
            })
            .collect();
        times.sort();
        println!("{name}: {:?} (least {:?})", times[TIMES / 2], times[0]);
    }
    let counters = kernel.counters();
    assert_eq!(counters.ring_full, 0, "the ring was drained in time");
}
