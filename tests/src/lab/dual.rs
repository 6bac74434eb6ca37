//! The second family: what a node and a pod have of IPv6 in a lab with both.
//!
//! As Calico does it: addresses of /128, the link-local address of the node's side as the pod's gateway, a VXLAN device of
//! its own over IPv6, and no tunnel at all where IPv4 has IPIP.

use std::fmt::Write as _;

use super::{
    config::{LabConfig, Overlay},
    kube_proxy,
    network::{ip_batch, sysctl},
    overlay::{VNI, VXLAN_PORT},
    topology::{GATEWAY6, Node, Pod, UNDERLAY6_PREFIX},
};
use crate::{LabError, Namespace, run};

/// The link-local address that belongs to the hardware address which Calico gives every node's side (RFC 4291).
const POD_GATEWAY6: &str = "fe80::ecee:eeff:feee:eeee";

/// Settings before there are links: no duplicate address detection, which takes a second, and no autoconfiguration.
pub(super) fn prepare(ns: &Namespace) -> Result<(), LabError> {
    ns.run(|| {
        for scope in ["all", "default"] {
            for setting in ["accept_dad", "accept_ra", "autoconf", "router_solicitations"] {
                sysctl(&format!("net/ipv6/conf/{scope}/{setting}"), "0")?;
            }
        }
        Ok(())
    })?
}

/// The bridge's address.
pub(super) fn configure_underlay(ns: &Namespace) -> Result<(), LabError> {
    ip_batch(ns, &format!("addr add {GATEWAY6}/{UNDERLAY6_PREFIX} dev br0 nodad\n"))
}

/// A node's address, overlay and routes.
pub(super) fn configure_node(ns: &Namespace, node: &Node, config: LabConfig) -> Result<(), LabError> {
    ns.run(|| sysctl("net/ipv6/conf/all/forwarding", "1"))??;
    let mut batch = format!(
        "addr add {}/{UNDERLAY6_PREFIX} dev eth0 nodad
route add ::/0 via {GATEWAY6}
route add blackhole {} proto bird\n",
        node.address6(),
        node.block6()
    );
    for pod in node.pods() {
        let _ = writeln!(batch, "route add {}/128 dev {}", pod.address6(), pod.interface);
    }
    ip_batch(ns, &batch)?;
    match config.overlay {
        Overlay::Vxlan => configure_vxlan(ns, node, VNI)?,
        Overlay::Ipip | Overlay::None => ip_batch(ns, &plain(node))?,
    }
    run(ns, "ip6tables-restore", &["-w", "--noflush"], &kube_proxy::frame())?;
    Ok(())
}

/// A pod's address and its only way out.
pub(super) fn configure_pod(ns: &Namespace, pod: &Pod) -> Result<(), LabError> {
    let address = pod.address6();
    ip_batch(
        ns,
        &format!("addr add {address}/128 dev eth0 nodad\nroute add ::/0 via {POD_GATEWAY6} dev eth0\n"),
    )
}

fn plain(node: &Node) -> String {
    node.others().fold(String::new(), |batch, other| {
        format!("{batch}route add {} via {} dev eth0 proto bird\n", other.block6(), other.address6())
    })
}

/// As Calico does it, with this network identifier.
pub(super) fn configure_vxlan(ns: &Namespace, node: &Node, vni: u32) -> Result<(), LabError> {
    let device = Overlay::Vxlan.device6();
    // 1,500 less the outer headers: 40 of IPv6, 8 of UDP, 8 of VXLAN, 14 of Ethernet.
    let mut batch = format!(
        "link add {device} address {} type vxlan id {vni} local {} dev eth0 dstport {VXLAN_PORT} nolearning
link set {device} mtu 1430 up
addr add {}/128 dev {device} nodad\n",
        node.vxlan6_mac(),
        node.address6(),
        node.tunnel6()
    );
    let mut forwarding = String::new();
    for other in node.others() {
        let (tunnel, mac, address) = (other.tunnel6(), other.vxlan6_mac(), other.address6());
        let _ = writeln!(batch, "neigh add {tunnel} lladdr {mac} dev {device} nud permanent");
        let _ = writeln!(batch, "route add {tunnel}/128 dev {device}");
        let _ = writeln!(batch, "route add {} via {tunnel} dev {device}", other.block6());
        let _ = writeln!(forwarding, "fdb add {mac} dev {device} dst {address} self permanent");
    }
    ip_batch(ns, &batch)?;
    run(ns, "bridge", &["-batch", "-"], &forwarding)?;
    Ok(())
}
