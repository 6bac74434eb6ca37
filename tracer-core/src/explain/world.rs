//! All that is known, for sending packets through it in thought.

use std::net::IpAddr;

use super::Question;
use super::client::{Client, ClientKind, Entry};
use super::course::{self, Course, Flight};
use crate::evidence::{Link, Lookup, Missing, Route, RouteAnswer, Snapshot};
use crate::flow::{Endpoint, FlowKey, Port, Protocol};
use crate::resolve::{ClusterState, Names, short};

/// The source port of packets in thought: rules that ask for it are rare, and none of it is ephemeral to a service.
const SOURCE_PORT: Port = Port(40_000);

/// Shorter than this no address of a link stands for a node as source.
const LINK_LOCAL_V6: u16 = 0xfe80;

/// All that is known.
pub(super) struct World<'a> {
    pub(super) question: &'a Question<'a>,
    /// The node that was asked first.
    pub(super) node: &'a Snapshot,
    pub(super) state: &'a ClusterState,
    names: Names,
}

impl<'a> World<'a> {
    pub(super) fn of(question: &'a Question<'a>) -> Option<Self> {
        let node = question.nodes.first()?;
        Some(Self { question, node, state: question.state, names: Names::of(question.state) })
    }

    /// What could not be read in any of the namespaces, with whose it is where it is not the node's that was asked first.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let all = self.question.nodes.iter().chain(self.question.pods);
        let named = all.enumerate().flat_map(|(index, place)| {
            let own = place.missing.iter().filter(|missing| matters(&missing.what));
            own.map(move |missing| match (index, &place.pod) {
                (0, _) => missing.clone(),
                (_, Some(pod)) => Missing { what: format!("{} of {pod}", missing.what), ..missing.clone() },
                (_, None) => {
                    Missing { what: format!("{} of {}", missing.what, place.node), ..missing.clone() }
                }
            })
        });
        named.collect()
    }

    /// Who has an address, for a person: `pod-dest`, `node/n1`; absent where nobody is known.
    pub(super) fn label(&self, address: IpAddr) -> Option<String> {
        let endpoint = Endpoint { address, port: Port(0) };
        self.names.label(Protocol::TCP, endpoint)
    }

    /// An address with who has it.
    pub(super) fn named(&self, address: IpAddr) -> String {
        match self.label(address) {
            Some(label) => format!("{address} ({label})"),
            None => address.to_string(),
        }
    }

    /// The namespace of a node, as far as it could be asked.
    pub(super) fn of_node(&self, name: &str) -> Option<&'a Snapshot> {
        self.question.nodes.iter().find(|place| place.node == name)
    }

    /// The namespace of a pod, as far as it could be entered; that of its node for one of the host's network.
    pub(super) fn of_pod(&self, name: &str) -> Option<&'a Snapshot> {
        let own = self.question.pods.iter().find(|place| place.pod.as_deref() == Some(name));
        own.or_else(|| {
            let pod = self.state.pod(name).filter(|pod| pod.is_host_network)?;
            self.of_node(pod.node.as_deref()?)
        })
    }

    /// Who asks from inside: whom the user named; else a pod of the node, of those that are not behind the service
    /// themselves; else the node.
    pub(super) fn inside(&self, destination: IpAddr, behind: &[IpAddr]) -> Client {
        if let Some(client) = self.question.client {
            return client.clone();
        }
        let pods = self.state.pods_on(&self.node.node);
        let usual = pods.iter().filter(|pod| !pod.is_host_network).map(Client::pod).find(|client| {
            client.address_to(destination).is_some_and(|own| !behind.contains(&own) && self.is_here(own))
        });
        usual.unwrap_or_else(|| self.node_itself())
    }

    /// Who asks from outside: whom the user named, if that is outside.
    pub(super) fn outside(&self) -> Client {
        let named = self.question.client.filter(|client| client.kind == ClientKind::Outside);
        named.cloned().unwrap_or_else(Client::outside)
    }

    /// The node that was asked first, as client.
    pub(super) fn node_itself(&self) -> Client {
        let told = self.state.node(&self.node.node).map(|node| node.addresses).unwrap_or_default();
        Client::node(&self.node.node, told)
    }

    /// Whether an address is behind an interface of the node that was asked first.
    fn is_here(&self, address: IpAddr) -> bool {
        let lookup = Lookup { destination: address, source: None, mark: 0, input: None };
        match self.node.route_to(lookup) {
            RouteAnswer::Route(route) => route.gateway.is_none() && route.link.is_some(),
            _ => false,
        }
    }

    /// Every way of the first packet of a connection: from the client's own namespace on where that is known, else from
    /// where it comes to the node. Empty where the client has no address of the family.
    pub(super) fn send(&self, client: &Client, protocol: Protocol, to: Endpoint) -> Vec<Course> {
        let Some((place, entry, source)) = self.origin(client, to.address) else { return vec![] };
        let port = if protocol.has_ports() { SOURCE_PORT } else { Port(0) };
        let key = FlowKey { protocol, source: Endpoint { address: source, port }, destination: to };
        course::run(self, Flight::new(place, entry, key))
    }

    /// Every way of such a packet within a pod's namespace, from wherever it comes; empty where that is not known.
    pub(super) fn send_into(&self, pod: &str, protocol: Protocol, to: Endpoint) -> Vec<Course> {
        let anybody = Client::outside().address_to(to.address);
        let (Some(place), Some(source)) = (self.of_pod(pod), anybody) else { return vec![] };
        let Some(entry) = course::front_door(place, to.address) else { return vec![] };
        let key =
            FlowKey { protocol, source: Endpoint { address: source, port: SOURCE_PORT }, destination: to };
        course::run(self, Flight::new(place, entry, key))
    }

    fn origin(&self, client: &Client, to: IpAddr) -> Option<(&'a Snapshot, Entry, IpAddr)> {
        match client.kind {
            ClientKind::Node => {
                let place = client.node.as_deref().and_then(|node| self.of_node(node)).unwrap_or(self.node);
                let chosen = source_at(place, to).or_else(|| client.address_to(to));
                Some((place, Entry::Local, chosen?))
            }
            ClientKind::Pod => {
                let source = client.address_to(to)?;
                if let Some(own) = self.of_pod(&client.name) {
                    return Some((own, Entry::Local, source));
                }
                let place = client.node.as_deref().and_then(|node| self.of_node(node)).unwrap_or(self.node);
                Some((place, way_in(place, source)?, source))
            }
            ClientKind::Outside => {
                let source = client.address_to(to)?;
                Some((self.node, way_in(self.node, source)?, source))
            }
        }
    }
}

/// Whether an explanation lacks something without it: what a trace alone needs does not matter.
fn matters(what: &str) -> bool {
    const OF_TRACES: [&str; 5] = ["drop", "conntrack", "counters", "queueing", "sockets (connections)"];
    !OF_TRACES.iter().any(|begin| what.starts_with(begin))
}

/// The interface by which packets of an address come in: the one by which packets to it leave.
pub(super) fn way_in(place: &Snapshot, source: IpAddr) -> Option<Entry> {
    let lookup = Lookup { destination: source, source: None, mark: 0, input: None };
    let RouteAnswer::Route(route) = place.route_to(lookup) else { return None };
    Some(Entry::By(place.link(route.link?)?.name.clone()))
}

/// The source that the kernel chooses for packets to an address: what the route says, else an address of its link.
pub(super) fn source_at(place: &Snapshot, to: IpAddr) -> Option<IpAddr> {
    let lookup = Lookup { destination: to, source: None, mark: 0, input: None };
    match place.route_to(lookup) {
        RouteAnswer::Route(route) => source_of(place, route, to),
        _ => None,
    }
}

/// As [`source_at`], by a route that is known.
pub(super) fn source_of(place: &Snapshot, route: &Route, to: IpAddr) -> Option<IpAddr> {
    let of = |link: &Link| {
        let own = link.addresses.iter().map(|each| each.address);
        own.filter(|own| own.is_ipv4() == to.is_ipv4()).find(|own| !is_link_local(*own))
    };
    let by_link = || route.link.and_then(|link| place.link(link)).and_then(of);
    // A link without an address borrows one of another (`inet_select_addr`, net/ipv4/devinet.c).
    let by_any = || place.links.iter().filter(|link| link.kind.0 != "loopback").find_map(of);
    route.source.or_else(by_link).or_else(by_any)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == LINK_LOCAL_V6,
    }
}

/// The name of a pod without the namespace `default`.
pub(super) fn pod_label(name: &str) -> &str {
    short(name)
}
