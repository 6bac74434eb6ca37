//! Ports that nobody listens on, and listeners that have no room.

use std::net::IpAddr;

use super::names::{DEST, MASTER, N1, SRC};
use crate::{
    Overlay::{Ipip, None, Vxlan},
    faults::{
        run::FaultError,
        site::Site,
        variant::{
            Family::{V4, V6},
            Place::{Node, Pod},
            Scene, Step, Traffic,
            Transport::{Tcp, Udp},
            Variant, Way, with_outsides,
        },
    },
    lab::topology::{K8S_NODE1, POD_DEST, SVC_CLUSTERIP},
};

const CLOSED: u16 = 8099;
/// A port with a listener that takes nobody.
const SLOW: u16 = 8090;

pub(super) fn closed() -> Vec<Variant> {
    let (dest, dest6): (IpAddr, IpAddr) = (POD_DEST.address.into(), POD_DEST.address6().into());
    let (node, node6): (IpAddr, IpAddr) = (K8S_NODE1.address.into(), K8S_NODE1.address6().into());
    let rows = [
        (Ipip, V4, Tcp, SRC, dest, "pod-dest"),
        (Vxlan, V4, Udp, SRC, dest, "pod-dest"),
        (None, V6, Tcp, SRC, dest6, "pod-dest"),
        (Ipip, V4, Tcp, MASTER, dest, "pod-dest"),
        (Vxlan, V6, Udp, SRC, dest6, "pod-dest"),
        (None, V4, Tcp, SRC, dest, "pod-dest"),
        (Ipip, V4, Udp, SRC, dest, "pod-dest"),
        (Vxlan, V4, Tcp, SRC, node, "node/k8s-node1"),
        (None, V4, Udp, SRC, node, "node/k8s-node1"),
        (None, V6, Tcp, SRC, node6, "node/k8s-node1"),
        (Vxlan, V4, Tcp, SRC, dest, "pod-dest"),
        (None, V4, Tcp, MASTER, node, "node/k8s-node1"),
    ];
    let scenes = rows.map(|(overlay, family, transport, from, address, word)| {
        let way = Way::To { from, address, port: CLOSED, word };
        Scene { is_warm: false, ..Scene::new(overlay, family, transport, way) }
    });
    let pairs = rows.into_iter().zip(with_outsides(scenes));
    pairs
        .map(|((.., word), scene)| {
            let place = if word == "pod-dest" { Pod(DEST) } else { Node(N1) };
            let variant = Variant::new("nobody listens", scene, "closed-port", place);
            // Every second one with a listener that is for this machine only.
            if word == "pod-dest" { variant } else { variant.step(Step::Do(loopback_only)) }
        })
        .collect()
}

/// Somebody listens, on the loopback address alone.
fn loopback_only(site: &Site) -> Result<(), FaultError> {
    let listener = site.namespace(N1).run(|| std::net::TcpListener::bind(("127.0.0.1", CLOSED)));
    site.hold(listener.map_err(crate::LabError::from)?);
    Ok(())
}

pub(super) fn target() -> Vec<Variant> {
    (0..11).map(super::services::with_target_port).collect()
}

pub(super) fn overflow() -> Vec<Variant> {
    let (dest, dest6): (IpAddr, IpAddr) = (POD_DEST.address.into(), POD_DEST.address6().into());
    let rows = [
        (Ipip, V4, SRC, dest, "pod-dest"),
        (Vxlan, V4, SRC, dest, "pod-dest"),
        (None, V6, SRC, dest6, "pod-dest"),
        (Ipip, V4, MASTER, dest, "pod-dest"),
        (Vxlan, V6, SRC, dest6, "pod-dest"),
        (None, V4, SRC, dest, "pod-dest"),
        (Vxlan, V4, MASTER, dest, "pod-dest"),
        (None, V4, SRC, K8S_NODE1.address.into(), "node/k8s-node1"),
        (None, V4, MASTER, dest, "pod-dest"),
        (Ipip, V4, SRC, K8S_NODE1.address.into(), "node/k8s-node1"),
    ];
    let scenes = rows.map(|(overlay, family, from, address, word)| {
        let way = Way::To { from, address, port: SLOW, word };
        Scene { is_warm: false, ..Scene::new(overlay, family, Tcp, way) }
    });
    let pairs = rows.into_iter().zip(with_outsides(scenes));
    let mut variants: Vec<Variant> = pairs
        .map(|((.., word), scene)| {
            let (place, step) = if word == "pod-dest" {
                (Pod(DEST), full_pod as fn(&Site) -> Result<(), FaultError>)
            } else {
                (Node(N1), full_node as fn(&Site) -> Result<(), FaultError>)
            };
            Variant::new("nobody accepts", scene, "listen-overflow", place).step(Step::Do(step))
        })
        .collect();
    let way = Way::To {
        from: SRC,
        address: SVC_CLUSTERIP.cluster_ip.into(),
        port: 8080,
        word: "svc/svc-clusterip",
    };
    let scene = Scene { is_warm: false, ..Scene::new(Ipip, V4, Tcp, way) };
    let variant = Variant::new("nobody accepts, by a service", scene, "listen-overflow", Pod(DEST));
    let to_slow = "iptables -w -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 8090";
    variants.push(variant.step(Step::Do(full_pod)).run(DEST, to_slow));
    variants.into_iter().map(|variant| variant.send(Traffic::Connections(6))).collect()
}

fn full_pod(site: &Site) -> Result<(), FaultError> {
    full(site, DEST)
}

fn full_node(site: &Site) -> Result<(), FaultError> {
    full(site, N1)
}

/// A listener with room for one, who nobody accepts.
fn full(site: &Site, at: &str) -> Result<(), FaultError> {
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, listen, socket,
    };
    let is_ipv6 = site.scene.family == V6;
    let family = if is_ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let listener = site.namespace(at).run(|| -> nix::Result<_> {
        let listener = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, Option::None)?;
        let raw = std::os::fd::AsRawFd::as_raw_fd(&listener);
        if is_ipv6 {
            bind(
                raw,
                &SockaddrIn6::from(std::net::SocketAddrV6::new(std::net::Ipv6Addr::UNSPECIFIED, SLOW, 0, 0)),
            )?;
        } else {
            bind(raw, &SockaddrIn::new(0, 0, 0, 0, SLOW))?;
        }
        listen(&listener, Backlog::new(1)?)?;
        Ok(listener)
    });
    let listener = listener.map_err(crate::LabError::from)?;
    site.hold(listener.map_err(std::io::Error::from).map_err(crate::faults::exchange::NamespaceOrIo::from)?);
    Ok(())
}
