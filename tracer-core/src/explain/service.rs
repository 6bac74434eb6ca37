//! A service: what the cluster says, what the node does, and where the two differ.

mod compare;
mod ping;

use std::net::IpAddr;

use serde::Serialize;

use super::client::{Client, ClientKind};
use super::course::{Course, End};
use super::judge::{judge, judge_listener};
use super::listen::Listener;
use super::proxy::Proxy;
use super::world::{World, pod_label};
use super::{Findings, ProblemKind};
use crate::flow::{Endpoint, Port, Protocol};
use crate::resolve::{EndpointFacts, Front, Readiness, ServiceFacts, ServicePortFacts, TargetPort};

pub use ping::PingStory;

/// Pods of the node that are tried as clients of themselves, at most.
const MAX_HAIRPINS: usize = 4;

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceStory {
    /// What the cluster tells; its ports are in `ports`.
    pub service: ServiceFacts,
    /// The ports that were asked about.
    pub ports: Vec<PortStory>,
    /// What becomes of an ICMP echo to its addresses.
    pub pings: Vec<PingStory>,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PortStory {
    /// Its name; absent where the service has only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IP protocol; absent for a name that Kubernetes does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// At the service's addresses.
    pub port: u16,
    /// At every node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
    /// At the pods; absent where the state does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetPort>,
    /// Its endpoints, and what rules lead to besides.
    pub endpoints: Vec<EndpointStory>,
    /// The doors, and what becomes of packets at each.
    pub fronts: Vec<FrontStory>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointStory {
    /// What the cluster tells.
    #[serde(flatten)]
    pub facts: EndpointFacts,
    /// Whether somebody listens.
    pub listener: Listener,
}

/// A door of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrontStory {
    /// What kind of door.
    pub front: Front,
    /// Where packets are sent to.
    pub to: Endpoint,
    /// Who sends them.
    pub client: Client,
    /// Every way of a packet, the likeliest first; empty where the client has no address of this family, or no way to the
    /// node is known.
    pub courses: Vec<Course>,
}

/// Tells of a service.
pub(super) fn tell(
    world: &World<'_>,
    facts: &ServiceFacts,
    ports: &[usize],
    findings: &mut Findings,
) -> ServiceStory {
    let mut service = facts.clone();
    let all = std::mem::take(&mut service.ports);
    let own: Vec<&ServicePortFacts> = ports.iter().filter_map(|port| all.get(*port)).collect();
    remarks(world, facts, findings);
    let stories = own.iter().map(|port| tell_port(world, facts, port, findings)).collect();
    let pings = facts.addresses.iter().filter_map(|address| ping::tell(world, facts, *address)).collect();
    ServiceStory { service, ports: stories, pings }
}

/// What is so for all ports.
fn remarks(world: &World<'_>, service: &ServiceFacts, findings: &mut Findings) {
    if let Some(host) = &service.alias {
        findings.note(format!(
            "it is another name of the host {host}: DNS answers with that name, and no rule is involved"
        ));
    }
    if service.is_headless {
        findings
            .note("it is headless: DNS answers with the addresses of its endpoints, and no rule is involved");
    }
    if let Some(seconds) = service.affinity {
        findings.note(format!(
            "session affinity: a client that came before stays with its endpoint for {seconds} s; the shares are those of new clients"
        ));
    }
    if service.is_local_outside {
        findings.note("externalTrafficPolicy Local: packets from outside go to endpoints of the node that they come to only, and keep their source");
    }
    if service.is_local_inside {
        findings.note(
            "internalTrafficPolicy Local: packets of a node and its pods go to endpoints of that node only",
        );
    }
    let proxy = Proxy::of(world.node);
    let needs_rules = !service.addresses.is_empty() && service.alias.is_none();
    if needs_rules && proxy.is_absent() {
        findings.problem(
            ProblemKind::NoServiceProxy,
            format!("nothing on {} carries services: no rules of kube-proxy, no virtual servers, no programs", world.node.node),
            format!("see whether kube-proxy runs on {} (`kubectl -n kube-system get pods -o wide`) and what it logs", world.node.node),
        );
    }
    if proxy.modes.len() > 1 {
        findings.problem(
            ProblemKind::TwoServiceProxies,
            format!("services are carried on {} by {proxy} at once: one of them was left behind", world.node.node),
            "see which mode kube-proxy is in, and let it clean up the other (`kube-proxy --cleanup`, then restart it)",
        );
    }
}

fn tell_port(
    world: &World<'_>,
    service: &ServiceFacts,
    port: &ServicePortFacts,
    findings: &mut Findings,
) -> PortStory {
    unserved(service, port, findings);
    let endpoints: Vec<EndpointStory> =
        port.endpoints.iter().map(|each| tell_endpoint(world, port, each)).collect();
    let mut fronts = Vec::new();
    for (front, to) in doors(world, service, port) {
        let Some(protocol) = port.protocol else { continue };
        let client = client(world, front, to.address, port);
        let courses = world.send(&client, protocol, to);
        let story = FrontStory { front, to, client, courses };
        compare::compare(world, service, port, &story, findings);
        fronts.push(story);
    }
    listeners(world, port, findings);
    hairpins(world, service, port, findings);
    PortStory {
        name: port.name.clone(),
        protocol: port.protocol,
        port: port.port,
        node_port: port.node_port,
        target: port.target.clone(),
        endpoints,
        fronts,
    }
}

/// Says why nobody answers, where the cluster itself says that nobody does.
fn unserved(service: &ServiceFacts, port: &ServicePortFacts, findings: &mut Findings) {
    let what = format!("{} port {}", pod_label(&service.name), port.port);
    if service.alias.is_some() {
        return;
    }
    for endpoint in port.endpoints.iter().filter(|each| each.port.is_none()) {
        let name = match &port.target {
            Some(TargetPort::Name(name)) => {
                format!("no container port of {} is named {name:?}", whom(endpoint))
            }
            _ => format!("its slice names no port for {}", endpoint.address),
        };
        findings.problem(
            ProblemKind::TargetPortUnnamed,
            format!("{what} leads to no port at {}: {name}", whom(endpoint)),
            "give the container's port that name, or write its number as targetPort",
        );
    }
    if !port.used().is_empty() {
        return;
    }
    if port.endpoints.is_empty() {
        let why = service.trouble.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let remedy = match &service.selector {
            Some(selector) => {
                format!("see which pods have the labels {selector}: `kubectl get pods -l {selector}`")
            }
            None => {
                "see which pods the service selects: `kubectl describe service` shows selector and endpoints"
                    .to_owned()
            }
        };
        findings.problem(ProblemKind::NoEndpoints, format!("{what} has no endpoints{why}"), remedy);
        return;
    }
    let whom: Vec<String> = port.endpoints.iter().map(whom).collect();
    findings.problem(
        ProblemKind::EndpointNotReady,
        format!("none of the endpoints of {what} is ready: {}", whom.join(", ")),
        "see why their readiness probes fail: `kubectl describe pod` tells",
    );
}

/// An endpoint for a person: its pod, else its address.
fn whom(endpoint: &EndpointFacts) -> String {
    endpoint
        .pod
        .as_deref()
        .map_or_else(|| endpoint.address.to_string(), |pod| format!("pod {}", pod_label(pod)))
}

fn tell_endpoint(world: &World<'_>, port: &ServicePortFacts, endpoint: &EndpointFacts) -> EndpointStory {
    let place = endpoint.pod.as_deref().and_then(|pod| world.of_pod(pod));
    let listener = match (place, port.protocol, endpoint.port) {
        (Some(place), Some(protocol), Some(number)) => {
            Listener::at(place, protocol, endpoint.address, number)
        }
        _ => Listener::Unknown,
    };
    EndpointStory { facts: endpoint.clone(), listener }
}

/// Where a port of a service can be entered at this node.
fn doors(world: &World<'_>, service: &ServiceFacts, port: &ServicePortFacts) -> Vec<(Front, Endpoint)> {
    let at = |front, address: IpAddr, port| (front, Endpoint { address, port: Port(port) });
    let own = service.addresses.iter().map(|address| at(Front::ClusterIp, *address, port.port));
    let external = service.external.iter().map(|address| at(Front::External, *address, port.port));
    let addresses = world.state.node(&world.node.node).map(|node| node.addresses).unwrap_or_default();
    // The node has its NodePorts in the families that the service has.
    let fits = |address: &IpAddr| service.addresses.iter().any(|own| own.is_ipv4() == address.is_ipv4());
    let node_ports = port.node_port.into_iter().flat_map(|number| {
        let first =
            |is_ipv4: bool| addresses.iter().copied().filter(&fits).find(|each| each.is_ipv4() == is_ipv4);
        first(true)
            .into_iter()
            .chain(first(false))
            .map(move |address| at(Front::NodePort, address, number))
            .collect::<Vec<_>>()
    });
    own.chain(external).chain(node_ports).collect()
}

fn client(world: &World<'_>, front: Front, to: IpAddr, port: &ServicePortFacts) -> Client {
    let behind: Vec<IpAddr> = port.endpoints.iter().map(|each| each.address).collect();
    match front {
        Front::ClusterIp => world.inside(to, &behind),
        Front::External | Front::NodePort => world.outside(),
    }
}

/// What is wrong with who listens behind a port, by the rules of the pods themselves: some send packets on to a proxy
/// beside the container.
fn listeners(world: &World<'_>, port: &ServicePortFacts, findings: &mut Findings) {
    let Some(protocol) = port.protocol else { return };
    for endpoint in port.endpoints.iter().filter(|each| each.readiness == Readiness::Ready) {
        let (Some(number), Some(pod)) = (endpoint.port, endpoint.pod.as_deref()) else { continue };
        let to = Endpoint { address: endpoint.address, port: Port(number) };
        for course in world.send_into(pod, protocol, to) {
            judge_listener(world, &course, findings);
        }
    }
}

/// Whether pods of this node reach themselves by the service.
fn hairpins(world: &World<'_>, service: &ServiceFacts, port: &ServicePortFacts, findings: &mut Findings) {
    let Some(protocol) = port.protocol else { return };
    let here = |each: &&EndpointFacts| each.node.as_deref() == Some(&world.node.node) && each.pod.is_some();
    for endpoint in port.used().into_iter().filter(here).take(MAX_HAIRPINS) {
        let own = |address: &&IpAddr| address.is_ipv4() == endpoint.address.is_ipv4();
        let Some(front) = service.addresses.iter().find(own) else { continue };
        let Some(pod) = endpoint.pod.as_deref().and_then(|pod| world.state.pod(pod)) else { continue };
        let client = Client::pod(&pod);
        if client.kind != ClientKind::Pod {
            continue;
        }
        let to = Endpoint { address: *front, port: Port(port.port) };
        let courses = world.send(&client, protocol, to);
        let own = courses.iter().find(|course| {
            course.translated(to).is_some_and(|target| target.address == endpoint.address)
                && !course.is_doubtful()
        });
        let Some(course) = own else { continue };
        let is_through = matches!(course.end, End::Handed { .. } | End::Delivered { .. });
        if is_through && !course.is_masqueraded && course.packet.source.address == endpoint.address {
            findings.problem(
                ProblemKind::HairpinWithoutMasquerade,
                format!(
                    "pod {} that reaches itself by {to} gets packets with its own address as source: nothing on {} masquerades them",
                    pod_label(&pod.name),
                    world.node.node
                ),
                "let kube-proxy mark packets of an endpoint to itself for masquerading (its own rules do); where the pod's bridge drops them, set hairpin mode on its port",
            );
        }
    }
}

/// A front's packets, for a person.
fn packets(front: &FrontStory, protocol: Protocol) -> String {
    format!("{protocol} packets from {} to {}", pod_label(&front.client.name), front.to)
}

/// What stops packets on the ways of a front, each course once.
fn judge_courses(world: &World<'_>, front: &FrontStory, protocol: Protocol, findings: &mut Findings) {
    for course in &front.courses {
        let what = match course.translated(front.to) {
            Some(to) => format!("{} by {to}", packets(front, protocol)),
            None => packets(front, protocol),
        };
        judge(world, &what, course, findings);
    }
}
