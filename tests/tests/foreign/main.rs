//! What tcpdump and dumpcap captured gives the same trace as what kflow captured at the same time.
//!
//! Once with a file for each interface (tcpdump), once with a file for each namespace that holds all of its interfaces
//! as `any` (tcpdump, SLL2), once with a pcapng for each namespace (dumpcap). None of them tells whether a packet is a
//! super-packet, and a file of a single interface does not tell directions either.

mod compare;
mod scene;
mod sniffers;

use scene::{Scene, Test};
use tests::Overlay;

#[test]
fn ipip_with_offloads() -> Test {
    Scene::run(Overlay::Ipip, true)?.compare()
}

#[test]
fn ipip_without_offloads() -> Test {
    Scene::run(Overlay::Ipip, false)?.compare()
}

#[test]
fn vxlan_with_offloads() -> Test {
    Scene::run(Overlay::Vxlan, true)?.compare()
}

#[test]
fn vxlan_without_offloads() -> Test {
    Scene::run(Overlay::Vxlan, false)?.compare()
}
