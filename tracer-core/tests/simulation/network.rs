//! The network of a plan: addresses, interfaces and the way that each direction of a flow takes.

mod address;
mod cluster;
mod nat;
mod way;

use std::collections::HashMap;
use std::net::IpAddr;

pub(crate) use cluster::cluster;
use tracer_core::capture::LinkLayer;
use tracer_core::flow::FlowKey;
use tracer_core::packet::TunnelKind;
use tracer_core::units::Direction;

use crate::plan::Plan;

const VNI: u32 = 4096;
const SERVICE_PORT: u16 = 80;
const POD_PORT: u16 = 8080;
const NODE_PORT: u16 = 30_000;

/// An interface in a network namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Interface {
    pub(crate) node: usize,
    /// The pod whose namespace it is in.
    pub(crate) pod: Option<usize>,
    pub(crate) name: String,
    pub(crate) link: LinkLayer,
    /// Whether its packets are recorded.
    pub(crate) is_recorded: bool,
}

/// Where a packet is, and what it wears there.
#[derive(Clone, Debug)]
pub(crate) struct Station {
    pub(crate) interface: usize,
    pub(crate) direction: Direction,
    pub(crate) tuple: FlowKey,
    pub(crate) tunnels: Vec<Tunnel>,
    pub(crate) ttl: u8,
    pub(crate) before: Passage,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tunnel {
    pub(crate) kind: TunnelKind,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// What lies between the station before and this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passage {
    /// Functions of one kernel.
    Local,
    /// A wire: super-packets are cut before it, and put together again behind it.
    Wire,
    /// A device that decapsulates, and coalesces what comes out.
    Decapsulation,
}

/// The stations of one direction of a flow, in their order.
pub(crate) type Way = Vec<Station>;

/// Everything that is fixed.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) interfaces: Vec<Interface>,
    index: HashMap<(usize, Option<usize>, String), usize>,
    /// Two for each flow: from the client, and to it.
    pub(crate) ways: Vec<Way>,
}

impl Network {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut network = Self { interfaces: Vec::new(), index: HashMap::new(), ways: Vec::new() };
        for (number, flow) in plan.flows.iter().enumerate() {
            let forward = network.forward(plan, number, flow);
            let back = way::backward(&forward);
            network.ways.extend([forward, back]);
        }
        network
    }

    /// Stations that are recorded, of a direction of a flow.
    pub(crate) fn is_recorded(&self, station: &Station) -> bool {
        self.interfaces[station.interface].is_recorded
    }

    fn interface(&mut self, plan: &Plan, node: usize, pod: Option<usize>, name: String) -> usize {
        let key = (node, pod, name);
        if let Some(known) = self.index.get(&key) {
            return *known;
        }
        let (_, _, name) = key.clone();
        let is_bare = name.starts_with("tunl") || name.starts_with("gre");
        let link = if is_bare { LinkLayer::SyntheticEthernet } else { LinkLayer::Ethernet };
        let is_recorded = pod.is_none_or(|pod| plan.pods[pod].is_entered);
        self.interfaces.push(Interface { node, pod, name, link, is_recorded });
        self.index.insert(key, self.interfaces.len() - 1);
        self.interfaces.len() - 1
    }
}

pub(crate) fn node_name(node: usize) -> String {
    format!("node{node}")
}

pub(crate) fn pod_name(pod: usize) -> String {
    format!("default/pod{pod}")
}
