//! The ways through the lab: which places a packet passes, and in which order, as the lab is built.

use std::net::{Ipv4Addr, SocketAddr};

use tracer_core::units::Direction::{self, Egress, Ingress};

use super::{content::Tag, seen::Place};
use crate::{
    Lab, Namespace, Overlay,
    lab::topology::{
        K8S_MASTER, K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT,
    },
};

/// How traffic reaches pod-dest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From pod-src by its address: no NAT.
    Pod,
    /// From pod-src by a ClusterIP: DNAT.
    ClusterIp,
    /// From the master by a NodePort of pod-src's node: DNAT and SNAT.
    NodePort,
}

/// A direction of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// To pod-dest.
    Forward,
    /// From it.
    Reply,
}

impl Lane {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Forward, Self::Reply];

    /// The tag of this direction of a connection.
    pub fn tag(self, connection: u8) -> Tag {
        Tag(connection * 2 + u8::from(self == Self::Reply))
    }

    /// The direction that a tag was made for.
    pub fn of(tag: Tag) -> Self {
        if tag.0.is_multiple_of(2) { Self::Forward } else { Self::Reply }
    }
}

impl Way {
    /// Where requests go to.
    pub fn target(self) -> SocketAddr {
        let (address, port): (Ipv4Addr, u16) = match self {
            Self::Pod => (POD_DEST.address, POD_PORT),
            Self::ClusterIp => (SVC_CLUSTERIP.cluster_ip, POD_PORT),
            Self::NodePort => (K8S_NODE2.address, SVC_NODEPORT.node_port.unwrap_or_default()),
        };
        SocketAddr::from((address, port))
    }

    /// The address that requests come from.
    pub fn source(self) -> Ipv4Addr {
        match self {
            Self::Pod | Self::ClusterIp => POD_SRC.address,
            Self::NodePort => K8S_MASTER.address,
        }
    }

    /// The namespace that requests come from.
    pub fn origin(self, lab: &Lab) -> &Namespace {
        match self {
            Self::Pod | Self::ClusterIp => lab.pod(POD_SRC.name),
            Self::NodePort => lab.node(K8S_MASTER.name),
        }
    }

    /// What it is called in the table.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pod => "no NAT",
            Self::ClusterIp => "DNAT",
            Self::NodePort => "DNAT+SNAT",
        }
    }

    /// Every place that a packet of this direction passes, first to last, where it comes in by this device of its
    /// sender's namespace.
    pub fn places_from(self, overlay: Overlay, lane: Lane, inlet: &str) -> Vec<Place> {
        let sender = match (lane, self) {
            (Lane::Reply, _) => POD_DEST.name,
            (Lane::Forward, Self::Pod | Self::ClusterIp) => POD_SRC.name,
            (Lane::Forward, Self::NodePort) => K8S_MASTER.name,
        };
        let first = Place::new(sender, inlet, Some(Ingress));
        [first].into_iter().chain(self.places(overlay, lane)).collect()
    }

    /// Every place that a packet of this direction passes, first to last.
    pub fn places(self, overlay: Overlay, lane: Lane) -> Vec<Place> {
        let device = overlay.device();
        let (near, far) = (K8S_NODE2.name, K8S_NODE1.name);
        let mut hops = match self {
            Self::Pod | Self::ClusterIp => {
                vec![(POD_SRC.name, "eth0", Egress), (near, POD_SRC.interface, Ingress)]
            }
            Self::NodePort => vec![(K8S_MASTER.name, "eth0", Egress), (near, "eth0", Ingress)],
        };
        if overlay != Overlay::None {
            hops.push((near, device, Egress));
        }
        hops.extend([(near, "eth0", Egress), (far, "eth0", Ingress)]);
        if overlay != Overlay::None {
            hops.push((far, device, Ingress));
        }
        hops.extend([(far, POD_DEST.interface, Egress), (POD_DEST.name, "eth0", Ingress)]);
        let place = |(host, interface, direction)| Place::new(host, interface, Some(direction));
        match lane {
            Lane::Forward => hops.into_iter().map(place).collect(),
            Lane::Reply => {
                hops.into_iter().rev().map(|(host, name, way)| place((host, name, reversed(way)))).collect()
            }
        }
    }
}

fn reversed(direction: Direction) -> Direction {
    match direction {
        Ingress => Egress,
        Egress => Ingress,
    }
}
