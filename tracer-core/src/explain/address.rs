//! An address: who has it, and how a node sends packets to it.

use std::net::IpAddr;

use serde::Serialize;

use super::client::Client;
use super::course::{Course, End};
use super::judge::{judge, judge_listener};
use super::pod::routes_for;
use super::world::{World, pod_label};
use super::{Findings, ProblemKind};
use crate::evidence::{Link, Lookup, NeighbourState, RouteAnswer};
use crate::flow::{Endpoint, Port, Protocol};
use crate::resolve::NodeFacts;

/// An address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddressStory {
    /// Addresses that were asked about: one, or all of a node.
    pub addresses: Vec<AddressFacts>,
    /// Protocol and port, where they were asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<(Protocol, u16)>,
    /// Who sends packets in thought.
    pub client: Client,
    /// What becomes of them: to the port, or of an ICMP echo to the first address.
    pub courses: Vec<Course>,
}

/// What is known of one address.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AddressFacts {
    /// The address.
    pub address: IpAddr,
    /// Who has it by the cluster's word: pods, services, nodes; empty for the outside.
    pub owners: Vec<String>,
    /// The node that it is on, by the cluster's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The interface of the node that was asked which has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Routes of that node that are closer to it than the default, closest first.
    pub routes: Vec<String>,
    /// What that node knows of it as a neighbour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<String>,
}

/// Tells of an address.
pub(super) fn tell(
    world: &World<'_>,
    address: IpAddr,
    port: Option<(Protocol, u16)>,
    findings: &mut Findings,
) -> AddressStory {
    let client = world.inside(address, &[address]);
    let (protocol, number) = port.unwrap_or((echo(address), 0));
    let to = Endpoint { address, port: Port(number) };
    let courses = world.send(&client, protocol, to);
    unserved(world, address, port, &courses, findings);
    let what = format!("{protocol} packets from {} to {to}", pod_label(&client.name));
    for course in &courses {
        judge(world, &what, course, findings);
        judge_listener(world, course, findings);
    }
    if courses.is_empty() {
        findings
            .note(format!("how packets of {} would come to {} is not known", client.name, world.node.node));
    }
    AddressStory { addresses: vec![facts(world, address)], port, client, courses }
}

/// Tells of a node: as another place sees its first address.
pub(super) fn tell_node(world: &World<'_>, node: &NodeFacts, findings: &mut Findings) -> AddressStory {
    let own = node.addresses.iter().chain(&node.tunnel_addresses);
    let addresses: Vec<AddressFacts> = own.map(|address| facts(world, *address)).collect();
    let first = node.addresses.first().copied();
    let client = first.map_or_else(|| world.node_itself(), |address| world.inside(address, &[]));
    let courses = first
        .map(|address| world.send(&client, echo(address), Endpoint { address, port: Port(0) }))
        .unwrap_or_default();
    for course in &courses {
        judge(
            world,
            &format!("packets from {} to node {}", pod_label(&client.name), node.name),
            course,
            findings,
        );
    }
    AddressStory { addresses, port: None, client, courses }
}

fn echo(address: IpAddr) -> Protocol {
    if address.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 }
}

fn facts(world: &World<'_>, address: IpAddr) -> AddressFacts {
    let place = world.node;
    let mut owners: Vec<String> = world
        .state
        .services_with(address)
        .iter()
        .map(|service| format!("svc/{}", pod_label(&service.name)))
        .collect();
    owners.extend(world.state.pods_at(address).iter().map(|pod| format!("pod/{}", pod_label(&pod.name))));
    let is_node = |name: &&str| world.state.node(name).is_some_and(|node| has(&node, address));
    owners.extend(world.state.node_names().filter(is_node).map(|name| format!("node/{name}")));
    let link = place.owner(address).map(|(link, _): (&Link, _)| link.name.clone());
    let mut routes = routes_for(place, address);
    if routes.is_empty() {
        let lookup = Lookup { destination: address, source: None, mark: 0, input: None };
        if let RouteAnswer::Route(route) = place.route_to(lookup) {
            routes.push(super::course::route_text(place, route));
        }
    }
    AddressFacts {
        address,
        owners,
        node: world.state.node_of_address(address).map(str::to_owned),
        link,
        routes,
        neighbour: neighbour(world, address),
    }
}

fn has(node: &NodeFacts, address: IpAddr) -> bool {
    node.addresses.contains(&address) || node.tunnel_addresses.contains(&address)
}

fn neighbour(world: &World<'_>, address: IpAddr) -> Option<String> {
    let known = world.node.neighbours.iter().find(|each| each.address == address && !each.is_proxy)?;
    let link = world.node.link(known.link).map_or("?", |link| &link.name);
    let state = match known.state {
        NeighbourState::Incomplete => "has not answered yet",
        NeighbourState::Failed => "does not answer",
        NeighbourState::Known => "answers",
        NeighbourState::Permanent => "is set by hand or by a program",
    };
    let mac = known.mac.as_deref().unwrap_or("no hardware address");
    Some(format!("{mac} on {link}, {state}"))
}

/// A service's address with a port or a protocol that the service does not have.
fn unserved(
    world: &World<'_>,
    address: IpAddr,
    port: Option<(Protocol, u16)>,
    courses: &[Course],
    findings: &mut Findings,
) {
    let Some((protocol, number)) = port else { return };
    let is_taken = courses.iter().any(|course| {
        let front = Endpoint { address, port: Port(number) };
        course.translated(front).is_some() || matches!(course.end, End::Delivered { .. })
    });
    for service in world.state.services_with(address).iter().filter(|_| !is_taken) {
        let has: Vec<String> = service
            .ports
            .iter()
            .filter_map(|port| Some(format!("{} {}", port.protocol?, port.port)))
            .collect();
        findings.problem(
            ProblemKind::ServiceAddressUnserved,
            format!(
                "service {} has the address {address}, and not {protocol} port {number}: it has {}",
                pod_label(&service.name),
                if has.is_empty() { "no ports".to_owned() } else { has.join(", ") }
            ),
            "use one of its ports, or add this one to the service",
        );
    }
}
