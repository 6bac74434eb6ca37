//! What the eBPF programs cost per packet (`BPF_PROG_TEST_RUN`, which its own harness is part of):
//! `cargo bench -p tests --bench programs`, as root. Each line has a name, the median and the least nanoseconds, between
//! tabs: `cargo xtask bench capture` reads them.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its measurement")]
#![expect(dead_code, reason = "the helpers are the tests' own")]

#[path = "../tests/programs/kernel.rs"]
mod kernel;
#[path = "../tests/programs/packet.rs"]
mod packet;
#[path = "../tests/programs/scene.rs"]
mod scene;

use kernel::{Kernel, settings};
use packet::{TCP, frame, inside_ip, tcp, vxlan};
use scene::{PORT, SOURCE_PORT, address, between, nodes4, only, pods4, pods6, rule};
use tracer::kernel::filter::Layers;
use tracer::kernel::object::Settings;
use tracer::kernel::room::PacketFilter;
use tracer_core::filter::{Program, TagView};
use tracer_core::units::Direction;

/// `tcp dst port 8080 and (tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354)` as libpcap 1.10 compiles it.
const POST: &str = "19,40 0 0 12,21 16 0 34525,21 0 15 2048,48 0 0 23,21 0 13 6,40 0 0 20,69 11 0 8191,177 0 0 14,72 0 0 16,21 0 8 8080,80 0 0 26,84 0 0 240,116 0 0 2,12 0 0 0,7 0 0 0,64 0 0 14,21 0 1 1347375956,6 0 0 262144,6 0 0 0";
/// `udp port 53`, likewise.
const DNS: &str = "20,40 0 0 12,21 0 6 34525,48 0 0 20,21 0 15 17,40 0 0 54,21 12 0 53,40 0 0 56,21 10 11 53,21 0 10 2048,48 0 0 23,21 0 8 17,40 0 0 20,69 6 0 8191,177 0 0 14,72 0 0 14,21 2 0 53,72 0 0 16,21 0 1 53,6 0 0 262144,6 0 0 0";

/// As many as the default buffer holds of the largest packets.
const ROUNDS: u32 = 5_000;
const TIMES: usize = 25;

fn main() {
    let plain = frame(&between(&pods4(), &tcp(SOURCE_PORT, PORT)), &[]).1;
    let six = frame(&between(&pods6(), &tcp(SOURCE_PORT, PORT)), &[]).1;
    let inner = frame(&between(&pods4(), &tcp(SOURCE_PORT, PORT)), &[]);
    let tunnel = frame(&between(&nodes4(), &vxlan(&inner, 4789)), &[]).1;
    let ipip = frame(&between(&nodes4(), &inside_ip(&between(&pods4(), &tcp(SOURCE_PORT, PORT)))), &[]).1;
    let miss = only(address("10.0.0.1"), Layers::Any, None);
    let hit = only(pods4().source, Layers::Any, rule(SOURCE_PORT, Some(TCP)));
    for (name, program) in [("miss, udp port 53", DNS), ("miss, tcp dst port 8080 and POST", POST)] {
        let filter = filter(program);
        let mut kernel = Kernel::with(&Settings { filter: Some(filter), ..settings(128, 16_384) });
        measure(&mut kernel, name, &plain, 128);
    }
    for (length, snap) in [(96, 96), (1500, 96), (1500, 262_144)] {
        let mut kernel = Kernel::with(&settings(snap, 8192));
        measure(&mut kernel, &format!("everything, {length} bytes, snap {snap}"), &plain, length);
    }
    let mut kernel = Kernel::load(128, 16_384);
    let table = [
        ("miss by address, IPv4 TCP", &plain, &miss),
        ("miss by address, IPv6 TCP", &six, &miss),
        ("miss by address, IPIP", &ipip, &miss),
        ("miss by address, VXLAN", &tunnel, &miss),
        ("match by address, IPv4 TCP, 128 bytes", &plain, &hit),
        ("match by address, VXLAN, 128 bytes", &tunnel, &hit),
    ];
    for (name, packet, set) in table {
        kernel.filter(set.clone());
        measure(&mut kernel, name, packet, 128);
    }
}

fn filter(program: &str) -> PacketFilter {
    let program: Program = program.parse().unwrap();
    let ethernet = program.translate(TagView::Beside).unwrap();
    PacketFilter { ethernet: Some(ethernet), ip: None, innermost: false }
}

fn measure(kernel: &mut Kernel, name: &str, packet: &[u8], length: usize) {
    let mut packet = packet.to_vec();
    packet.resize(packet.len().max(length), 0);
    let mut times: Vec<_> = (0..TIMES)
        .map(|_| {
            let time = kernel.run(Direction::Ingress, &packet, ROUNDS);
            kernel.records();
            time
        })
        .collect();
    times.sort();
    println!("{name}\t{}\t{}", times[TIMES / 2].as_nanos(), times[0].as_nanos());
    assert_eq!(kernel.counters().ring_full, 0, "the ring was drained in time");
}
