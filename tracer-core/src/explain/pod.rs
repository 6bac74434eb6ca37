//! A pod: how its node reaches it, what rules are for it, who leads to it.

use std::net::IpAddr;

use serde::Serialize;

use super::client::Client;
use super::course::{Course, route_text};
use super::judge::{judge, judge_listener};
use super::world::{World, pod_label};
use super::{Findings, ProblemKind};
use crate::evidence::{
    Action, Chain, Link, Match, Neighbour, Route, RouteKind, Snapshot, SocketState, is_policy_chain,
};
use crate::flow::{Endpoint, Port, Protocol};
use crate::resolve::PodFacts;

/// Sockets of a pod that are told, at most.
const MAX_SOCKETS: usize = 64;

/// A pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodStory {
    /// What the cluster tells.
    pub pod: PodFacts,
    /// Its end on the node; absent where the node's routes do not tell it, or another node was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<PodLink>,
    /// Routes of the node for its addresses, as `ip route` prints them.
    pub routes: Vec<String>,
    /// Chains with rules of network policies that its packets go through.
    pub policies: Vec<PolicyStory>,
    /// Services that lead to it.
    pub services: Vec<PodService>,
    /// What it listens on; absent where its namespace could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listens: Option<Vec<String>>,
    /// Who sends packets to it in thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Client>,
    /// What becomes of them, for the first of its ports; of an ICMP echo where it says none.
    pub courses: Vec<Course>,
}

/// A pod's end on its node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodLink {
    /// Its name.
    pub name: String,
    /// Its kind (`veth`).
    pub kind: String,
    /// Greatest length of a packet without its link layer, in bytes.
    pub mtu: u32,
    /// Whether packets can pass.
    pub is_up: bool,
    /// The bridge that it is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// The pod's hardware address, as the node knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// A chain of a network policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PolicyStory {
    /// Family and table, as `ip filter`.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// Names of the policies in it, and in those that it jumps to.
    pub policies: Vec<String>,
    /// Packets that the rule which leads there counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
}

/// A service that leads to a pod.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PodService {
    /// Namespace and name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its ports, and to which port of the pod each leads.
    pub ports: Vec<String>,
}

/// Tells of a pod.
pub(super) fn tell(world: &World<'_>, pod: &PodFacts, findings: &mut Findings) -> PodStory {
    fitness(world, pod, findings);
    let is_here = pod.node.as_deref() == Some(&world.node.node);
    let place = world.node;
    let own = if is_here && !pod.is_host_network { pod.addresses.as_slice() } else { &[] };
    let link = own.iter().find_map(|address| link_to(place, *address));
    if let (Some(address), None) = (own.first(), &link) {
        unreached(place, *address, findings);
    }
    if let Some(link) = link.as_ref().filter(|link| !link.is_up) {
        findings.problem(
            ProblemKind::InterfaceDown,
            format!("{} of {}, which leads to pod {}, is down", link.name, place.node, pod_label(&pod.name)),
            format!("`ip link set {} up` on {}, and see who took it down", link.name, place.node),
        );
    }
    let (client, courses) = reach(world, pod, findings);
    PodStory {
        pod: pod.clone(),
        routes: pod.addresses.iter().flat_map(|address| routes_for(place, *address)).collect(),
        policies: policies(place, link.as_ref().map(|link| link.name.as_str()), &pod.addresses),
        services: services(world, pod),
        listens: world.of_pod(&pod.name).filter(|_| !pod.is_host_network).and_then(listens),
        link,
        client,
        courses,
    }
}

/// What the cluster itself says is wrong with it.
fn fitness(world: &World<'_>, pod: &PodFacts, findings: &mut Findings) {
    let name = pod_label(&pod.name);
    let has_ended = matches!(pod.phase.as_deref(), Some("Succeeded" | "Failed"));
    let why = pod.trouble.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    let describe = format!("see `kubectl describe pod {name}`");
    if has_ended {
        findings.problem(ProblemKind::PodNotRunning, format!("pod {name} has ended{why}"), describe);
    } else if pod.addresses.is_empty() {
        findings.problem(ProblemKind::PodNotRunning, format!("pod {name} has no address{why}"), describe);
    } else if pod.is_ready == Some(false) {
        let text = format!("pod {name} is not ready{why}: services lead no packets to it");
        findings.problem(ProblemKind::PodNotReady, text, describe);
    }
    if pod.is_host_network {
        findings.note("it is in its node's own network: its addresses and interfaces are those of the node");
    }
    if let Some(node) = pod.node.as_deref().filter(|node| *node != world.node.node) {
        findings.note(format!("it is on {node}; what is told is how {} sees it", world.node.node));
    }
}

/// The pod's own node does not lead to it.
fn unreached(place: &Snapshot, address: IpAddr, findings: &mut Findings) {
    let told = routes_for(place, address);
    let what = told
        .first()
        .map_or_else(|| "it has no route to it".to_owned(), |route| format!("its route is {route}"));
    findings.problem(
        ProblemKind::NoRoute,
        format!("no interface of {} leads to {address}, although the pod is there: {what}", place.node),
        format!(
            "see whether the network plugin on {} set the pod up (its logs, and the kubelet's)",
            place.node
        ),
    );
}

/// The link that leads to an address of a pod: by a route of its own, or as the port of a bridge that heard its hardware
/// address.
pub(super) fn link_to(place: &Snapshot, address: IpAddr) -> Option<PodLink> {
    let route = best(place, address)?;
    let link =
        place.link(route.link?).filter(|_| route.gateway.is_none() && route.kind == RouteKind::Unicast)?;
    let neighbour = place.neighbours.iter().find(|each| each.address == address && each.link == link.index);
    if link.kind.0 == "bridge" {
        let port = port_of(place, link, neighbour?)?;
        return Some(pod_link(port, Some(link), neighbour));
    }
    link.is_peer_elsewhere.then(|| pod_link(link, None, neighbour))
}

fn port_of<'a>(place: &'a Snapshot, bridge: &Link, neighbour: &Neighbour) -> Option<&'a Link> {
    let mac = neighbour.mac.as_deref()?;
    let entry = place.fdb.iter().find(|each| each.mac == mac && each.master == Some(bridge.index))?;
    place.link(entry.link)
}

fn pod_link(link: &Link, bridge: Option<&Link>, neighbour: Option<&Neighbour>) -> PodLink {
    PodLink {
        name: link.name.clone(),
        kind: link.kind.0.clone(),
        mtu: link.mtu,
        is_up: link.is_up && link.has_carrier,
        bridge: bridge.map(|bridge| bridge.name.clone()),
        mac: neighbour.and_then(|neighbour| neighbour.mac.clone()),
    }
}

/// The closest route to an address that is not the way to the world, also one whose link is down.
fn best(place: &Snapshot, address: IpAddr) -> Option<&Route> {
    let fits = |route: &&Route| route.prefix > 0 && covers(route, address);
    place.routes.iter().filter(fits).max_by_key(|route| (route.prefix, std::cmp::Reverse(route.priority)))
}

fn covers(route: &Route, address: IpAddr) -> bool {
    crate::evidence::Prefix { address: route.destination, length: route.prefix }.contains(address)
}

/// Routes that are closer to an address than the default.
pub(super) fn routes_for(place: &Snapshot, address: IpAddr) -> Vec<String> {
    let mut own: Vec<&Route> =
        place.routes.iter().filter(|route| route.prefix > 0 && covers(route, address)).collect();
    own.sort_by_key(|route| (std::cmp::Reverse(route.prefix), route.priority));
    let text = |route: &&Route| {
        let kind = match route.kind {
            RouteKind::Unicast => "",
            RouteKind::Local => "local ",
            RouteKind::Blackhole => "blackhole ",
            RouteKind::Unreachable => "unreachable ",
            RouteKind::Prohibit => "prohibit ",
            RouteKind::Throw => "throw ",
            RouteKind::Group | RouteKind::Other => "other ",
        };
        let dead = if route.is_dead { " (not used: its link is down)" } else { "" };
        format!("{kind}{}{dead}", route_text(place, route))
    };
    own.iter().map(text).collect()
}

/// Chains of network policies that rules for the pod's link or addresses lead to.
fn policies(place: &Snapshot, link: Option<&str>, addresses: &[IpAddr]) -> Vec<PolicyStory> {
    let mut all: Vec<PolicyStory> = Vec::new();
    for table in &place.firewall.tables {
        let label = table.label();
        for rule in table.chains.iter().flat_map(|chain: &Chain| &chain.rules) {
            if !rule.matches.iter().any(|each| names(each, link, addresses)) {
                continue;
            }
            for chain in rule.actions.iter().filter_map(target).filter(|chain| is_policy_chain(chain)) {
                let story = PolicyStory {
                    table: label.clone(),
                    chain: chain.to_owned(),
                    policies: place.firewall.policies(&label, chain),
                    packets: rule.packets,
                };
                if !all.iter().any(|each| each.table == story.table && each.chain == story.chain) {
                    all.push(story);
                }
            }
        }
    }
    all
}

fn target(action: &Action) -> Option<&str> {
    match action {
        Action::Jump { chain } | Action::Goto { chain } => Some(chain),
        _ => None,
    }
}

/// Whether a condition is for a link or an address of the pod alone.
fn names(condition: &Match, link: Option<&str>, addresses: &[IpAddr]) -> bool {
    match condition {
        Match::Input { name, is_negated: false } | Match::Output { name, is_negated: false } => {
            Some(name.as_str()) == link
        }
        Match::Source { networks, is_negated: false }
        | Match::Destination { networks, is_negated: false } => networks.iter().any(|network| {
            let is_host = network.length == if network.address.is_ipv4() { 32 } else { 128 };
            is_host && addresses.contains(&network.address)
        }),
        _ => false,
    }
}

fn services(world: &World<'_>, pod: &PodFacts) -> Vec<PodService> {
    let mut all: Vec<PodService> = Vec::new();
    for address in &pod.addresses {
        for service in world.state.services_to(*address) {
            let to = |port: &crate::resolve::ServicePortFacts| {
                let own = port.endpoints.iter().find(|each| each.address == *address)?;
                let number = own.port.map_or_else(|| "?".to_owned(), |number| number.to_string());
                let ready = match own.readiness {
                    crate::resolve::Readiness::Ready => "",
                    crate::resolve::Readiness::Terminating => " (ending)",
                    crate::resolve::Readiness::NotReady => " (not ready)",
                };
                let protocol = port.protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
                Some(format!("{}{protocol} -> {number}{ready}", port.port))
            };
            let ports: Vec<String> = service.ports.iter().filter_map(to).collect();
            match all.iter_mut().find(|each| each.name == service.name) {
                Some(known) => known
                    .ports
                    .extend(ports.into_iter().filter(|port| !known.ports.contains(port)).collect::<Vec<_>>()),
                None => all.push(PodService { name: service.name, addresses: service.addresses, ports }),
            }
        }
    }
    all
}

/// What listens in a namespace: `TCP 0.0.0.0:8080`; absent where sockets could not be read.
fn listens(place: &Snapshot) -> Option<Vec<String>> {
    if place.missing.iter().any(|missing| missing.what.contains("socket")) {
        return None;
    }
    let is_open = |state| matches!(state, SocketState::Listen | SocketState::Bound);
    let open = place.sockets.iter().filter(|socket| is_open(socket.state) && socket.remote_port == 0);
    let mut all: Vec<String> = open
        .map(|socket| {
            let local = Endpoint { address: socket.local, port: Port(socket.local_port) };
            format!("{} {local}", socket.protocol)
        })
        .collect();
    all.sort();
    all.dedup();
    all.truncate(MAX_SOCKETS);
    Some(all)
}

/// Sends a packet to the pod in thought.
fn reach(world: &World<'_>, pod: &PodFacts, findings: &mut Findings) -> (Option<Client>, Vec<Course>) {
    let Some(address) = pod.addresses.first().copied() else { return (None, vec![]) };
    let client = world.question.client.cloned().unwrap_or_else(|| world.node_itself());
    let echo = if address.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
    let port = pod.ports.iter().find_map(|port| Some((port.protocol?, port.port)));
    let (protocol, port) = port.unwrap_or((echo, 0));
    let to = Endpoint { address, port: Port(port) };
    let courses = world.send(&client, protocol, to);
    let what = format!("{protocol} packets from {} to {to}", pod_label(&client.name));
    for course in &courses {
        judge(world, &what, course, findings);
        judge_listener(world, course, findings);
    }
    (Some(client), courses)
}
