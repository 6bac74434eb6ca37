//! Super-packets of the kernel's own, cut by us and by the kernel: the segments are the same, byte for byte.
//!
//! A program at the egress hook sees a packet before the kernel cuts it for an interface without offloads; at the other
//! end of the link the segments come in. Nothing changes them between: no router, no offload.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod compare;
mod overlay;
mod scene;
mod traffic;
mod watch;
mod wrap;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use compare::Comparison;
use scene::{Scene, Underlay};

/// Addresses inside a tunnel, at the far end.
const INNER4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 8, 0, 2));
const INNER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd08, 0, 0, 0, 0, 0, 0, 2));
/// Addresses on the link itself, at the far end.
const OUTER4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2));
const OUTER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2));

fn tcp(scene: &Scene, to: IpAddr) -> Comparison {
    scene.watch(|| traffic::tcp(scene, to, 600_000))
}

fn udp(scene: &Scene, to: IpAddr) -> Comparison {
    scene.watch(|| traffic::udp(scene, to))
}

#[test]
fn tcp_and_udp_on_the_link() {
    let scene = Scene::new();
    for to in [OUTER4, OUTER6] {
        let tcp = tcp(&scene, to);
        tcp.check("TCP", 300);
        wrap::check(&tcp);
        let udp = udp(&scene, to);
        udp.check("UDP", 60);
        wrap::check(&udp);
    }
}

#[test]
fn in_vxlan() {
    for (underlay, words) in [
        (Underlay::Ipv4, "dstport 4789 noudpcsum"),
        (Underlay::Ipv4, "dstport 8472 udpcsum"),
        (Underlay::Ipv4, "dstport 5555 udpcsum"),
        (Underlay::Ipv6, "dstport 4789 udp6zerocsumtx udp6zerocsumrx"),
        (Underlay::Ipv6, "dstport 4789 noudp6zerocsumtx"),
    ] {
        let scene = Scene::new();
        scene.vxlan(underlay, words);
        for to in [INNER4, INNER6] {
            tcp(&scene, to).check(words, 300);
            udp(&scene, to).check(words, 60);
        }
    }
}

#[test]
fn beyond_64_kilobytes() {
    let scene = Scene::new();
    scene.allow_big();
    let comparison = scene.watch(|| traffic::tcp(&scene, OUTER6, 3_000_000));
    assert!(comparison.longest() > 70_000, "no packet beyond 64 KiB");
    comparison.check("BIG TCP", 1500);
}

#[test]
fn in_ipip() -> overlay::Test {
    overlay::ipip()
}
