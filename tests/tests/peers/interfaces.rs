//! Every kind of interface that this kernel makes.

use std::net::Ipv4Addr;

use tests::expressions::{link, packets::packets};

use tests::lab::topology::{K8S_NODE1, POD_DEST, POD_SRC};
use tests::{Lab, LabConfig, Namespace, run};

use crate::compare::assert_same;
use crate::scene::{FAR, FAR_MAC, NEAR, NEAR_MAC, Pair, Tun, address, conversation, ip, namespace};
use crate::watch::{Ask, Packet, Size, every};
use crate::wire::{self, End};
use crate::{Error, Test, sum};

/// Of packets that have no link layer: as they are, as tcpdump writes them.
const RAW: Ask<'_> = Ask { filter: "", ours: &["--true-link-types", "--pcap"], theirs: &[] };

#[test]
fn veth() -> Test {
    let pair = Pair::new()?;
    same(pair.near_end(), || {
        conversation(&pair.near, &pair.far, FAR)?;
        conversation(&pair.far, &pair.near, NEAR)
    })
}

#[test]
fn veth_with_frames_of_every_kind() -> Test {
    let pair = Pair::silent()?;
    let frames: Vec<_> = packets().iter().filter_map(|packet| packet.frame(link::ETHERNET)).collect();
    same(pair.near_end(), || pair.exchange(&frames))
}

/// As many bytes of each, whether its tag is in the packet or beside it.
#[test]
fn cut_short() -> Test {
    let pair = Pair::silent()?;
    let frames: Vec<_> = packets().iter().filter_map(|packet| packet.frame(link::ETHERNET)).collect();
    for snap in ["40", "96"] {
        let ask = Ask { filter: "", ours: &["-s", snap], theirs: &["-s", snap] };
        let seen = every(pair.near_end(), Size::Frames, ask, || pair.exchange(&frames))?;
        assert_same(snap, &seen.ours, &seen.theirs);
    }
    Ok(())
}

#[test]
fn loopback() -> Test {
    let ns = namespace("lo")?;
    let at = End { ns: &ns, interface: "lo" };
    same(at, || conversation(&ns, &ns, Ipv4Addr::LOCALHOST))
}

#[test]
fn bridge_and_port() -> Test {
    let bridge = Bridge::new()?;
    for interface in ["br0", "port1"] {
        let at = End { ns: &bridge.host, interface };
        same(at, || {
            conversation(&bridge.near, &bridge.far, FAR)?;
            conversation(&bridge.far, &bridge.host, BRIDGE)
        })?;
    }
    Ok(())
}

/// What the bridge sends has its tag beside the packet: there the kernel put it when the packet came in.
#[test]
fn bridge_port_with_tags() -> Test {
    let bridge = Bridge::new()?;
    let frames: Vec<_> = packets().iter().filter_map(|packet| packet.frame(link::ETHERNET)).collect();
    let end = |ns, interface| End { ns, interface };
    let (near, far) = (end(&bridge.near, "eth0"), end(&bridge.far, "eth0"));
    for port in ["port1", "port2", "br0"] {
        let traffic = || {
            wire::carry(near, far, &frames)?;
            wire::carry(far, near, &frames)
        };
        let seen = every(end(&bridge.host, port), Size::Frames, Ask::default(), traffic)?;
        assert_same(port, &seen.ours, &seen.theirs);
        let is_tagged = |packet: &&Packet| packet.data[12..14] == [0x81, 0];
        assert!(seen.ours.iter().filter(is_tagged).count() > 100, "{port}");
    }
    Ok(())
}

#[test]
fn vxlan_and_its_underlay() -> Test {
    let pair = Pair::new()?;
    let (near, far) = (Ipv4Addr::new(10, 8, 0, 1), Ipv4Addr::new(10, 8, 0, 2));
    for (ns, local, remote, own, other, macs) in
        [(&pair.near, NEAR, FAR, near, far, ["11", "12"]), (&pair.far, FAR, NEAR, far, near, ["12", "11"])]
    {
        let [mac, other_mac] = macs.map(|end| format!("02:00:00:00:00:{end}"));
        let device = if ns.name() == pair.near.name() { "near0" } else { "far0" };
        let words = format!("id 42 dev {device} local {local} remote {remote} dstport 4789");
        ip(ns, &format!("link add over0 address {mac} type vxlan {words}\nlink set over0 up"))?;
        address(ns, "over0", own, &[(other, &other_mac)])?;
    }
    for interface in ["over0", "near0"] {
        let at = End { ns: &pair.near, interface };
        same(at, || {
            conversation(&pair.near, &pair.far, far)?;
            conversation(&pair.far, &pair.near, near)
        })?;
    }
    Ok(())
}

#[test]
fn macvlan_and_what_is_below_it() -> Test {
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 5);
    const OWN_MAC: &str = "02:00:00:00:00:05";
    let pair = Pair::silent()?;
    ip(
        &pair.near,
        &format!("link add link near0 name mac0 address {OWN_MAC} type macvlan\nlink set mac0 up"),
    )?;
    address(&pair.near, "mac0", OWN, &[(FAR, FAR_MAC)])?;
    address(&pair.far, "far0", FAR, &[(OWN, OWN_MAC)])?;
    for interface in ["mac0", "near0"] {
        let at = End { ns: &pair.near, interface };
        same(at, || conversation(&pair.near, &pair.far, FAR))?;
    }
    Ok(())
}

/// Where a device cannot segment and sum, the kernel does it between TC's hook and tcpdump's tap. `--segment` makes the
/// same segments; the checksum of a packet that is one segment is still what the kernel begins with.
#[test]
fn veth_without_offloads() -> Test {
    let pair = Pair::new()?;
    let words = ["-K", "near0", "tso", "off", "gso", "off", "tx", "off"];
    run(&pair.near, "ethtool", &words, "")?;
    let ask = Ask { filter: "", ours: &["--segment", "-Q", "out"], theirs: &["-Q", "out"] };
    let mut seen = every(pair.near_end(), Size::Super, ask, || conversation(&pair.near, &pair.far, FAR))?;
    let begun = seen.ours.iter_mut().zip(&seen.theirs).filter_map(|(ours, theirs)| sum::finish(ours, theirs));
    let begun = begun.count();
    assert!((1..50).contains(&begun), "{begun}");
    assert_same("near0", &seen.ours, &seen.theirs);
    Ok(())
}

/// Asserts that both see the same of all that passes.
fn same(at: End<'_>, traffic: impl FnOnce() -> Result<(), Error>) -> Test {
    let seen = every(at, Size::Super, Ask::default(), traffic)?;
    assert_same(at.interface, &seen.ours, &seen.theirs);
    Ok(())
}

const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 3);
const BRIDGE_MAC: &str = "02:00:00:00:00:03";

/// A bridge with a namespace behind each of its ports.
struct Bridge {
    host: Namespace,
    near: Namespace,
    far: Namespace,
}

impl Bridge {
    fn new() -> Result<Self, Error> {
        let bridge = Self { host: namespace("host")?, near: namespace("near")?, far: namespace("far")? };
        let Self { host, near, far } = &bridge;
        ip(
            host,
            &format!(
                "link add br0 address {BRIDGE_MAC} type bridge stp_state 0 forward_delay 0 mcast_snooping 0
                 link set br0 up
                 link add port1 type veth peer name eth0 address {NEAR_MAC} netns {}
                 link add port2 type veth peer name eth0 address {FAR_MAC} netns {}
                 link set port1 master br0 up
                 link set port2 master br0 up",
                near.name(),
                far.name()
            ),
        )?;
        for ns in [near, far] {
            ip(ns, "link set eth0 up")?;
        }
        address(host, "br0", BRIDGE, &[(NEAR, NEAR_MAC), (FAR, FAR_MAC)])?;
        address(near, "eth0", NEAR, &[(FAR, FAR_MAC), (BRIDGE, BRIDGE_MAC)])?;
        address(far, "eth0", FAR, &[(NEAR, NEAR_MAC), (BRIDGE, BRIDGE_MAC)])?;
        Ok(bridge)
    }
}

#[test]
fn tunnel_without_link_layer() -> Test {
    let mut tun = Tun::new()?;
    let [raw, framed] = tun.during(&[RAW, Ask::default()])?.try_into().map_err(|_| "two were asked for")?;
    assert_same("tun0", &raw.ours, &raw.theirs);
    assert_eq!(raw.ours.len(), tun.count());
    assert_same("tun0", &behind_ethernet(&framed.ours), &framed.theirs);
    Ok(())
}

/// `tunl0` of the lab, and `eth0` below it.
#[test]
fn ipip() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let node = lab.node(K8S_NODE1.name);
    let traffic = || conversation(lab.pod(POD_SRC.name), lab.pod(POD_DEST.name), POD_DEST.address);
    // Where the lab has no ipip device, a program takes what leaves by `tunl0` from TC's hook to `eth0`, before
    // tcpdump's tap.
    let received = Ask { ours: &["-Q", "in"], theirs: &["-Q", "in"], ..Ask::default() };
    let at = End { ns: node, interface: "tunl0" };
    let seen = every(at, Size::Super, received, traffic)?;
    assert_same("tunl0", &behind_ethernet(&seen.ours), &seen.theirs);
    let raw = [RAW.ours, received.ours].concat();
    let seen = every(at, Size::Super, Ask { ours: &raw, ..received }, traffic)?;
    assert_same("tunl0", &seen.ours, &seen.theirs);
    same(End { ns: node, interface: "eth0" }, traffic)
}

/// The packets behind the Ethernet header that kflow puts before packets that have none.
fn behind_ethernet(packets: &[Packet]) -> Vec<Packet> {
    packets.iter().map(behind_header).collect()
}

fn behind_header(packet: &Packet) -> Packet {
    let (header, data) = packet.data.split_at(14);
    let ethertype: &[u8] = if data[0] >> 4 == 6 { &[0x86, 0xdd] } else { &[8, 0] };
    assert_eq!(header, [&[0; 12], ethertype].concat(), "no synthetic header");
    Packet { link_type: link::RAW, original_len: packet.original_len - 14, data: data.to_vec(), ..*packet }
}
