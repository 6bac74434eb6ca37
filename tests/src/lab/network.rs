//! Links, addresses and routes: an underlay bridge, the nodes on it, the pods behind them as Calico wires
//! them (`/32` addresses, a gateway that exists only as proxy ARP).

use std::{fmt::Write as _, fs, net::Ipv4Addr, path::PathBuf};

use super::{
    config::LabConfig,
    topology::{GATEWAY, NODES, Node, PODS, Pod, UNDERLAY_PREFIX},
};
use crate::{LabError, Namespace, run};

/// The gateway that every pod believes in; no interface has it.
const POD_GATEWAY: &str = "169.254.1.1";
/// What Calico gives every host side of a pod's link.
pub(super) const HOST_SIDE_MAC: &str = "ee:ee:ee:ee:ee:ee";

/// What kernel settings a namespace begins with, before it has links.
pub(crate) fn prepare(ns: &Namespace, config: LabConfig) -> Result<(), LabError> {
    ns.run(|| {
        // Lets an ICMP echo be sent without a raw socket.
        sysctl("net/ipv4/ping_group_range", "0 2147483647")?;
        if config.has_ipv6() {
            return Ok(());
        }
        // Without it duplicate address detection and multicast listeners talk on every interface. A kernel
        // without IPv6 has nothing to turn off.
        for scope in ["all", "default"] {
            let setting = format!("net/ipv6/conf/{scope}/disable_ipv6");
            if PathBuf::from("/proc/sys").join(&setting).exists() {
                sysctl(&setting, "1")?;
            }
        }
        Ok(())
    })?
}

/// Every link of the lab, each end in its namespace, from one process.
pub(crate) fn make_links<'a>(
    underlay: &Namespace,
    of: impl Fn(&str) -> &'a Namespace,
    mtu: u16,
) -> Result<(), LabError> {
    let mut batch = format!(
        "link set lo up
link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
addr add {GATEWAY}/{UNDERLAY_PREFIX} dev br0
link set br0 up\n"
    );
    for Node { name, .. } in &NODES {
        let node = of(name).name();
        let _ = writeln!(batch, "link add {name} type veth peer name eth0 netns {node}");
        let _ = writeln!(batch, "link set {name} master br0 up");
    }
    for Pod { name, node, interface, .. } in &PODS {
        let (pod, node) = (of(name).name(), of(node).name());
        let _ = writeln!(
            batch,
            "link add {interface} netns {node} address {HOST_SIDE_MAC} mtu {mtu} type veth \
             peer name eth0 netns {pod} mtu {mtu}"
        );
    }
    ip_batch(underlay, &batch)
}

/// A node's own addresses, its way out and the routes to its pods.
pub(crate) fn configure_node(ns: &Namespace, node: &Node) -> Result<(), LabError> {
    // The default route is what makes proxy ARP answer for the pods' gateway.
    let mut batch = format!(
        "link set lo up
addr add {}/{UNDERLAY_PREFIX} dev eth0
link set eth0 up
route add default via {GATEWAY}
route add blackhole {} proto bird\n",
        node.address,
        node.block()
    );
    for pod in node.pods() {
        batch += &host_side(pod.interface, pod.address);
    }
    ip_batch(ns, &batch)?;
    ns.run(|| {
        sysctl("net/ipv4/ip_forward", "1")?;
        node.pods().try_for_each(|pod| answer_arp(pod.interface))
    })?
}

/// A pod's side on its node, for one that comes later.
pub(super) fn configure_host_side(
    ns: &Namespace,
    interface: &str,
    address: Ipv4Addr,
) -> Result<(), LabError> {
    ip_batch(ns, &host_side(interface, address))?;
    ns.run(|| answer_arp(interface))?
}

fn host_side(interface: &str, address: Ipv4Addr) -> String {
    format!("link set {interface} up\nroute add {address}/32 dev {interface} scope link\n")
}

fn answer_arp(interface: &str) -> Result<(), LabError> {
    sysctl(&format!("net/ipv4/conf/{interface}/proxy_arp"), "1")?;
    // The kernel's default lets an answer wait for up to 0.8 s.
    sysctl(&format!("net/ipv4/neigh/{interface}/proxy_delay"), "0")
}

/// A pod's address and its only way out.
pub(crate) fn configure_pod(ns: &Namespace, pod: &Pod) -> Result<(), LabError> {
    configure_address(ns, pod.address)
}

/// As [`configure_pod`], for a pod that comes later.
pub(super) fn configure_address(ns: &Namespace, address: Ipv4Addr) -> Result<(), LabError> {
    let batch = format!(
        "link set lo up
addr add {address}/32 dev eth0
link set eth0 up
route add {POD_GATEWAY} dev eth0 scope link
route add default via {POD_GATEWAY}\n"
    );
    ip_batch(ns, &batch)
}

/// `ip -batch` with the lines of `batch`.
pub(crate) fn ip_batch(ns: &Namespace, batch: &str) -> Result<(), LabError> {
    run(ns, "ip", &["-batch", "-"], batch)?;
    Ok(())
}

pub(super) fn sysctl(setting: &str, value: &'static str) -> Result<(), LabError> {
    let path = PathBuf::from("/proc/sys").join(setting);
    fs::write(&path, value).map_err(|source| LabError::Sysctl { path, value, source })
}
