//! The way of a packet through one network namespace.

use std::net::IpAddr;

use super::super::client::Entry;
use super::super::listen::Listener;
use super::super::world::{World, source_of};
use super::outer::{self, Outer};
use super::{End, Flight, Stage, StageKind};
use crate::evidence::{
    Ending, Hook, Link, Lookup, NeighbourState, Probe, Route, RouteAnswer, RouteKind, Rule, Snapshot, Step,
    Walk,
};

/// A packet, and where it has come to an end here.
type Ended<'a> = (Flight<'a>, End);

/// Every way that a packet may take through the namespace that it is in.
pub(super) fn cross<'a>(world: &World<'a>, flight: Flight<'a>) -> Vec<Ended<'a>> {
    let mut ended = Vec::new();
    let (hook, input) = match &flight.entry {
        Entry::By(link) => (Hook::Prerouting, Some(link.clone())),
        Entry::Local => (Hook::Output, None),
    };
    // What is sent here has a route before it meets rules.
    let output = match hook {
        Hook::Output => match route(&flight, None) {
            RouteAnswer::Route(route) => link_of(flight.place, route).map(|link| link.name.clone()),
            _ => None,
        },
        _ => None,
    };
    for flight in meet(flight, hook, input.as_deref(), output.as_deref(), None, &mut ended) {
        routed(world, flight, input.as_deref(), &mut ended);
    }
    ended
}

/// Rules of one hook. What ends there goes to `ended`.
fn meet<'a>(
    flight: Flight<'a>,
    hook: Hook,
    input: Option<&str>,
    output: Option<&str>,
    masquerade: Option<IpAddr>,
    ended: &mut Vec<Ended<'a>>,
) -> Vec<Flight<'a>> {
    let probe = Probe {
        input: input.map(str::to_owned),
        output: output.map(str::to_owned),
        mark: flight.mark,
        is_local: is_own(flight.place, flight.key.destination.address),
        original: Some(flight.original),
        masquerade,
        connection_mark: flight.connection_mark,
        ..Probe::new(flight.key)
    };
    let state = if flight.is_untracked { "untracked".to_owned() } else { probe.state };
    let probe = Probe { state, ..probe };
    let walks = flight.place.firewall.walk(hook, &probe);
    if walks.is_empty() {
        return vec![flight];
    }
    let mut going = Vec::new();
    for walk in walks {
        let (flight, ending, doubts) = after(&flight, hook, walk);
        let place = flight.place;
        let last = flight.stages.last().and_then(|stage| stage.steps.last());
        let end = match ending {
            Ending::Accepted => {
                going.push(flight);
                continue;
            }
            Ending::Dropped => End::Dropped { rule: rule_text(last), policy: policy(place, last) },
            Ending::Rejected(with) => End::Rejected { rule: rule_text(last), with },
            Ending::Unknown => End::Unknown { why: doubts.join("; ") },
        };
        ended.push((flight, end));
    }
    going
}

/// The packet after one of the ways through a hook's rules.
fn after<'a>(flight: &Flight<'a>, hook: Hook, walk: Walk) -> (Flight<'a>, Ending, Vec<String>) {
    let Walk { probability, steps, key, mark, connection_mark, ending, doubts, .. } = walk;
    let mut flight = Flight {
        key,
        mark,
        connection_mark,
        is_untracked: flight.is_untracked || walk.is_untracked,
        probability: flight.probability * probability,
        is_masqueraded: flight.is_masqueraded
            || walk.is_masqueraded
            || key.source.address != flight.key.source.address,
        ..flight.clone()
    };
    if !steps.is_empty() || !doubts.is_empty() {
        let stage = Stage { steps, doubts: doubts.clone(), ..flight.stage(kind(hook)) };
        flight.stages.push(stage);
    }
    (flight, ending, doubts)
}

fn kind(hook: Hook) -> StageKind {
    match hook {
        Hook::Prerouting | Hook::Ingress => StageKind::Prerouting,
        Hook::Input => StageKind::Input,
        Hook::Forward => StageKind::Forward,
        Hook::Output => StageKind::Output,
        Hook::Postrouting | Hook::Egress => StageKind::Postrouting,
    }
}

/// What the routes make of it.
fn routed<'a>(world: &World<'a>, mut flight: Flight<'a>, input: Option<&str>, ended: &mut Vec<Ended<'a>>) {
    let end = match route(&flight, input) {
        RouteAnswer::Route(route) => match refusal(route.kind) {
            None if route.kind == RouteKind::Local => return arrived(world, flight, route, input, ended),
            None => return leaving(world, flight, route, input, ended),
            Some(how) => End::RouteRefuses { how, route: route_text(flight.place, route) },
        },
        RouteAnswer::Refused(kind) => End::RouteRefuses {
            how: refusal(kind).unwrap_or("unreachable"),
            route: "a routing rule".to_owned(),
        },
        RouteAnswer::None => End::NoRoute,
        RouteAnswer::Unknown => {
            End::Unknown { why: "routes are not understood, or could not be read".to_owned() }
        }
    };
    if let End::RouteRefuses { how, route } = &end {
        flight.tell(StageKind::Routing, format!("{route}: {how}"));
    }
    ended.push((flight, end));
}

/// The place itself has the destination: a virtual server takes it, or somebody who listens.
fn arrived<'a>(
    world: &World<'a>,
    mut flight: Flight<'a>,
    route: &Route,
    input: Option<&str>,
    ended: &mut Vec<Ended<'a>>,
) {
    let owner = flight.place.links.iter().find(|link| has(link, flight.key.destination.address));
    let link = owner.or_else(|| link_of(flight.place, route)).map_or("lo", |link| &link.name);
    let text =
        format!("{} is an address of this {} ({link})", flight.key.destination.address, whose(flight.place));
    flight.tell(StageKind::Routing, text);
    let going = match input {
        Some(_) => meet(flight, Hook::Input, input, None, None, ended),
        None => vec![flight],
    };
    for flight in going {
        let target = flight.key.destination;
        if let Some(servers) = virtual_servers(&flight) {
            balance(world, &flight, servers, ended);
            continue;
        }
        let listener = Listener::at(flight.place, flight.key.protocol, target.address, target.port.0);
        ended.push((flight, End::Delivered { listener }));
    }
}

fn whose(place: &Snapshot) -> &'static str {
    if place.pod.is_some() { "pod" } else { "node" }
}

/// Servers of the virtual server that a packet is for, with their shares; absent where there is no virtual server.
fn virtual_servers(flight: &Flight<'_>) -> Option<Vec<(crate::flow::Endpoint, f64, String)>> {
    let to = flight.key.destination;
    let service = flight.place.firewall.ipvs.iter().find(|each| {
        each.protocol == flight.key.protocol && each.address == to.address && each.port == to.port.0
    })?;
    let open = || service.servers.iter().filter(|server| server.weight > 0);
    let all: u64 = open().map(|server| u64::from(server.weight)).sum();
    #[expect(clippy::cast_precision_loss, reason = "weights are at most 65535 (IPVS_SVC_F, linux/ip_vs.h)")]
    let share = |weight: u32| f64::from(weight) / all as f64;
    let named = open().map(|server| {
        let address = crate::flow::Endpoint { address: server.address, port: crate::flow::Port(server.port) };
        let text = format!(
            "virtual server {} {to} ({}): {address}, {}, weight {}, {} connections",
            service.protocol, service.scheduler, server.forward, server.weight, server.active
        );
        (address, share(server.weight), text)
    });
    Some(named.collect())
}

/// IPVS sends on what it takes, around the rules for what is sent here.
fn balance<'a>(
    world: &World<'a>,
    flight: &Flight<'a>,
    servers: Vec<(crate::flow::Endpoint, f64, String)>,
    ended: &mut Vec<Ended<'a>>,
) {
    if servers.is_empty() {
        let (rule, with) =
            ("a virtual server without servers".to_owned(), "icmp-port-unreachable".to_owned());
        ended.push((flight.clone(), End::Rejected { rule, with }));
    }
    for (server, share, text) in servers {
        let mut flight = flight.clone();
        flight.probability *= share;
        flight.key.destination = server;
        flight.tell(StageKind::Ipvs, text);
        match route(&flight, None) {
            RouteAnswer::Route(route) if route.kind == RouteKind::Local => {
                let listener = Listener::at(flight.place, flight.key.protocol, server.address, server.port.0);
                ended.push((flight, End::Delivered { listener }));
            }
            RouteAnswer::Route(route) if refusal(route.kind).is_none() => {
                leaving(world, flight, route, None, ended);
            }
            _ => ended.push((flight, End::NoRoute)),
        }
    }
}

/// It goes on by a link.
fn leaving<'a>(
    world: &World<'a>,
    mut flight: Flight<'a>,
    route: &Route,
    input: Option<&str>,
    ended: &mut Vec<Ended<'a>>,
) {
    let place = flight.place;
    flight.tell(StageKind::Routing, route_text(place, route));
    let Some(link) = link_of(place, route) else {
        return ended.push((flight, End::Unknown { why: "the route names no interface".to_owned() }));
    };
    let is_ipv6 = flight.key.destination.address.is_ipv6();
    if let Some(interface) = input.filter(|name| place.forwards(name, is_ipv6) == Some(false)) {
        let interface = interface.to_owned();
        return ended.push((flight, End::NotForwarded { interface }));
    }
    let going = match input {
        Some(_) => meet(flight, Hook::Forward, input, Some(&link.name), None, ended),
        None => vec![flight],
    };
    for flight in going {
        let own = source_of(place, route, flight.key.destination.address);
        for mut flight in meet(flight, Hook::Postrouting, None, Some(&link.name), own, ended) {
            let end = out(world, &mut flight, link, route);
            ended.push((flight, end));
        }
    }
}

/// What it leaves into: a pod, a tunnel, a network.
fn out(world: &World<'_>, flight: &mut Flight<'_>, link: &Link, route: &Route) -> End {
    let place = flight.place;
    let to = flight.key.destination.address;
    let name = link.name.clone();
    if !link.is_up || (!link.has_carrier && link.kind.0 != "dummy") {
        return End::LinkDown { link: name };
    }
    if let Some(outer) = outer::of(place, link, route, to) {
        let Outer { remote, text } = outer;
        let node = remote.and_then(|remote| world.state.node_of_address(remote)).map(str::to_owned);
        let towards = remote.map(|remote| world.named(remote));
        flight.tell(
            StageKind::Tunnel,
            towards.map_or_else(|| text.clone(), |towards| format!("{text} to {towards}")),
        );
        return End::Sent { link: name, next_hop: remote, to: node };
    }
    let next_hop = route.gateway.unwrap_or(to);
    let failed = place.neighbours.iter().any(|each| {
        each.address == next_hop && each.link == link.index && each.state == NeighbourState::Failed
    });
    if failed {
        return End::NeighbourFailed { link: name, next_hop };
    }
    let pod =
        world.state.pods_at(to).into_iter().find(|pod| pod.node.as_deref() == Some(place.node.as_str()));
    if route.gateway.is_none() && place.pod.is_none() && (pod.is_some() || link.is_peer_elsewhere) {
        return End::Handed { link: name, pod: pod.map(|pod| pod.name) };
    }
    let node = world.state.node_of_address(next_hop).map(str::to_owned);
    End::Sent { link: name, next_hop: Some(next_hop), to: node }
}

/// The interface by which packets for an address come into a namespace: the one that has it.
pub(in crate::explain) fn front_door(place: &Snapshot, address: IpAddr) -> Option<Entry> {
    let link = place.links.iter().find(|link| has(link, address))?;
    Some(Entry::By(link.name.clone()))
}

fn route<'a>(flight: &Flight<'a>, input: Option<&str>) -> RouteAnswer<'a> {
    let (source, destination) = flight.key.addresses();
    flight.place.route_to(Lookup { destination, source: Some(source), mark: flight.mark, input })
}

/// Whether an address is this namespace's own: also those that routes alone make its own.
fn is_own(place: &Snapshot, address: IpAddr) -> bool {
    let lookup = Lookup { destination: address, source: None, mark: 0, input: None };
    place.owns(address)
        || matches!(place.route_to(lookup), RouteAnswer::Route(route) if route.kind == RouteKind::Local)
}

fn has(link: &Link, address: IpAddr) -> bool {
    link.addresses.iter().any(|each| each.address == address)
}

fn link_of<'a>(place: &'a Snapshot, route: &Route) -> Option<&'a Link> {
    place.link(route.link?)
}

/// How a route refuses; absent for one that sends or delivers.
fn refusal(kind: RouteKind) -> Option<&'static str> {
    match kind {
        RouteKind::Blackhole => Some("blackhole"),
        RouteKind::Unreachable => Some("unreachable"),
        RouteKind::Prohibit => Some("prohibit"),
        RouteKind::Unicast | RouteKind::Local | RouteKind::Group | RouteKind::Throw | RouteKind::Other => {
            None
        }
    }
}

/// A route as `ip route` prints it, about.
pub(in crate::explain) fn route_text(place: &Snapshot, route: &Route) -> String {
    let is_host = route.prefix == if route.destination.is_ipv4() { 32 } else { 128 };
    let mut text = match (route.prefix, is_host) {
        (0, _) => "default".to_owned(),
        (_, true) => route.destination.to_string(),
        (prefix, false) => format!("{}/{prefix}", route.destination),
    };
    if let Some(gateway) = route.gateway {
        text = format!("{text} via {gateway}");
    }
    if let Some(link) = link_of(place, route) {
        text = format!("{text} dev {}", link.name);
    }
    if route.table != MAIN_TABLE {
        text = format!("{text} table {}", route.table);
    }
    text
}

/// `RT_TABLE_MAIN` (linux/rtnetlink.h).
const MAIN_TABLE: u32 = 254;

fn rule_text(step: Option<&Step>) -> String {
    let Some(step) = step else { return "a rule that is not told".to_owned() };
    let counted = step.packets.map(|packets| format!(", counted {packets}")).unwrap_or_default();
    format!("`{}` ({}, chain {}{counted})", step.text, step.table, step.chain)
}

/// The network policy that a rule is of, by its own comment or by those of the chain that it ends.
fn policy(place: &Snapshot, step: Option<&Step>) -> Option<String> {
    let step = step?;
    let chain = place.firewall.table(&step.table).and_then(|table| table.chain(&step.chain));
    let rule = step.index.and_then(|index| chain?.rules.get(index));
    let own = rule.and_then(Rule::policy);
    let of_chain = || {
        let names = crate::evidence::is_policy_chain(&step.chain)
            .then(|| place.firewall.policies(&step.table, &step.chain));
        names.filter(|names| !names.is_empty()).map(|names| names.join(", "))
    };
    own.or_else(of_chain)
}
