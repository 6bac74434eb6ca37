//! How a node reaches the pods of the others: Calico's tunnel devices and routes.

use std::{fmt::Write as _, net::Ipv4Addr};

use super::{config::Overlay, ipip, network::ip_batch, topology::Node, tun::Tun};
use crate::{LabError, Namespace, run};

/// Calico's VXLAN network identifier.
pub(super) const VNI: u32 = 4096;
/// The UDP port of VXLAN (RFC 7348).
pub(super) const VXLAN_PORT: u16 = 4789;

/// What stands in for the kernel's ipip device, where it has none; the device goes when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct StandIn {
    _tun: Option<Tun>,
    peers: Option<ipip::Peers>,
}

impl StandIn {
    /// Lets packets to a network go to this node: what a route says of itself where there is an ipip device.
    pub(super) fn send(&mut self, network: Ipv4Addr, prefix: u8, peer: Ipv4Addr) -> Result<(), LabError> {
        self.peers.as_mut().map_or(Ok(()), |peers| peers.set(network, prefix, peer))
    }
}

/// Gives a node its tunnel device and routes.
pub(crate) fn configure(ns: &Namespace, node: &Node, overlay: Overlay) -> Result<StandIn, LabError> {
    match overlay {
        Overlay::Ipip => configure_ipip(ns, node),
        Overlay::Vxlan => configure_vxlan(ns, node, VNI).map(|()| StandIn::default()),
        Overlay::None => ip_batch(ns, &plain(node)).map(|()| StandIn::default()),
    }
}

fn configure_ipip(ns: &Namespace, node: &Node) -> Result<StandIn, LabError> {
    let tun = ipip::make_device(ns)?;
    let device = Overlay::Ipip.device();
    let mut batch = tunnel_device(node, Overlay::Ipip);
    for other in node.others() {
        let (block, address) = (other.block(), other.address);
        let _ = writeln!(batch, "route add {block} via {address} dev {device} proto bird onlink");
    }
    ip_batch(ns, &batch)?;
    let peers = tun.is_some().then(|| ipip::attach_stand_in(ns, node)).transpose()?;
    Ok(StandIn { _tun: tun, peers })
}

/// As Calico does it, with this network identifier.
pub(super) fn configure_vxlan(ns: &Namespace, node: &Node, vni: u32) -> Result<(), LabError> {
    let device = Overlay::Vxlan.device();
    let Node { address, vxlan_mac, .. } = node;
    let mut batch = format!(
        "link add {device} address {vxlan_mac} type vxlan id {vni} local {address} dev eth0 \
         dstport {VXLAN_PORT} nolearning\n"
    );
    batch += &tunnel_device(node, Overlay::Vxlan);
    let mut forwarding = String::new();
    for other in node.others() {
        let Node { tunnel, vxlan_mac, address, .. } = other;
        let _ = writeln!(batch, "neigh add {tunnel} lladdr {vxlan_mac} dev {device} nud permanent");
        let _ = writeln!(batch, "route add {} via {tunnel} dev {device} onlink", other.block());
        let _ = writeln!(forwarding, "fdb add {vxlan_mac} dev {device} dst {address} self permanent");
    }
    ip_batch(ns, &batch)?;
    run(ns, "bridge", &["-batch", "-"], &forwarding)?;
    Ok(())
}

fn plain(node: &Node) -> String {
    node.others().fold(String::new(), |batch, other| {
        format!("{batch}route add {} via {} dev eth0 proto bird\n", other.block(), other.address)
    })
}

fn tunnel_device(node: &Node, overlay: Overlay) -> String {
    let (device, mtu) = (overlay.device(), overlay.mtu());
    format!("link set {device} mtu {mtu} up\naddr add {}/32 dev {device}\n", node.tunnel)
}
