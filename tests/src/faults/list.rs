//! Which faults there are, in the order of the table.

mod dns;
mod firewall;
mod mtu;
mod nodes;
mod policy;
mod ports;
mod routing;
mod services;
mod state;
mod tunnels;
mod ways;
mod wires;

use super::variant::Fault;

/// Every fault with all its variants.
pub fn all() -> Vec<Fault> {
    vec![
        Fault { name: "drop-forward", variants: firewall::drop_forward() },
        Fault { name: "drop-input", variants: firewall::drop_input() },
        Fault { name: "drop-output", variants: firewall::drop_output() },
        Fault { name: "reject", variants: firewall::reject() },
        Fault { name: "network-policy", variants: policy::network_policy() },
        Fault { name: "rp-filter", variants: routing::rp_filter() },
        Fault { name: "ip-forward", variants: routing::ip_forward() },
        Fault { name: "no-route", variants: routing::no_route() },
        Fault { name: "blackhole-route", variants: routing::blackhole() },
        Fault { name: "prohibit-route", variants: routing::prohibit() },
        Fault { name: "neighbour", variants: nodes::neighbour() },
        Fault { name: "tunnel-peer", variants: tunnels::peer() },
        Fault { name: "ipip-filtered", variants: tunnels::ipip_filtered() },
        Fault { name: "vxlan-filtered", variants: tunnels::vxlan_filtered() },
        Fault { name: "wrong-vni", variants: tunnels::wrong_vni() },
        Fault { name: "mtu", variants: mtu::black_hole() },
        Fault { name: "closed-port", variants: ports::closed() },
        Fault { name: "target-port", variants: ports::target() },
        Fault { name: "no-endpoints", variants: services::no_endpoints() },
        Fault { name: "not-ready", variants: services::not_ready() },
        Fault { name: "stale-endpoint", variants: services::stale() },
        Fault { name: "local-policy", variants: services::local_policy() },
        Fault { name: "hairpin", variants: services::hairpin() },
        Fault { name: "asymmetric", variants: ways::asymmetric() },
        Fault { name: "conntrack-full", variants: state::conntrack_full() },
        Fault { name: "conntrack-clash", variants: state::conntrack_clash() },
        Fault { name: "listen-overflow", variants: ports::overflow() },
        Fault { name: "duplicate-address", variants: nodes::duplicate() },
        Fault { name: "loop", variants: ways::circle() },
        Fault { name: "dns-search", variants: dns::search() },
        Fault { name: "dns-unreachable", variants: dns::unreachable() },
        Fault { name: "dns-slow", variants: dns::slow() },
        Fault { name: "wire-loss", variants: wires::loss() },
        Fault { name: "wire-reordering", variants: wires::reordering() },
        Fault { name: "checksum", variants: wires::checksum() },
        Fault { name: "interface-down", variants: nodes::down() },
    ]
}

/// The nodes and pods by short names.
mod names {
    pub(super) const N1: &str = crate::lab::topology::K8S_NODE1.name;
    pub(super) const N2: &str = crate::lab::topology::K8S_NODE2.name;
    pub(super) const MASTER: &str = crate::lab::topology::K8S_MASTER.name;
    pub(super) const SRC: &str = crate::lab::topology::POD_SRC.name;
    pub(super) const DEST: &str = crate::lab::topology::POD_DEST.name;
}
