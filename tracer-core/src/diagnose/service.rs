//! Causes at the far end: services and their endpoints, ports that nobody listens on, tables of connections.

mod address;
mod conntrack;
mod endpoints;
mod led;
mod port;
mod sockets;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::case::Case;
use super::finding::Rule;
use super::verdict::{Fact, Source, Spot};
use crate::evidence::{ConntrackEntry, Rule as FirewallRule, Snapshot};
use crate::flow::{Endpoint, FlowKey};
use crate::report::{IcmpError, NamedEndpoint};
use crate::resolve::{Front, Owner, ServiceFacts, ServicePortFacts, short};
use crate::timeline::Orientation;

/// Rules about services first: what a service does wrong explains what its endpoint then answers.
pub(super) const RULES: &[Rule] = &[
    endpoints::unserved,
    endpoints::stale,
    address::unserved,
    address::hairpin,
    port::closed,
    conntrack::full,
    conntrack::clash,
];

/// Where the opener of a flow wanted to go, and where that led.
pub(super) struct Aim {
    /// Where it sent to, before any translation that is known.
    pub(super) front: Endpoint,
    /// What the destination was translated to; absent where no translation is known.
    pub(super) target: Option<Endpoint>,
    /// Services that are entered there.
    pub(super) entries: Vec<Entry>,
}

/// A service that packets enter.
pub(super) struct Entry {
    /// The service.
    pub(super) service: ServiceFacts,
    /// Place of its port.
    port: usize,
    /// By which door.
    pub(super) door: Front,
}

impl Entry {
    /// Its port.
    pub(super) fn port(&self) -> &ServicePortFacts {
        &self.service.ports[self.port]
    }

    /// `default/web`, with the port's name or number: `default/web:http`.
    pub(super) fn name(&self) -> String {
        let port = self.port();
        match &port.name {
            Some(name) => format!("{}:{name}", short(&self.service.name)),
            None => format!("{}:{}", short(&self.service.name), port.port),
        }
    }
}

impl Aim {
    /// By the flow's tuples, by what its drops wore, and by connection tracking.
    pub(super) fn of(case: &Case<'_>) -> Self {
        let first = case.flow.destination.endpoint;
        let seen = case.flow.tuples.iter().rev().map(|tuple| tuple.destination);
        let dropped = case.flow.forward.drops.iter().map(|drop| drop.tuple.destination);
        let target = seen.chain(dropped).find(|endpoint| is_other(*endpoint, first));
        let mut aim = Self { front: first, target, entries: entries(case, first) };
        aim.ask_conntrack(case);
        aim
    }

    /// A packet of a node itself is translated before any hop sees it.
    fn ask_conntrack(&mut self, case: &Case<'_>) {
        let source = case.flow.source.endpoint;
        for entry in tracked(case) {
            if entry.original.protocol != case.flow.protocol {
                continue;
            }
            let (original, reply) = (entry.original, entry.reply);
            let is_original = (original.source, original.source_port) == (source.address, source.port.0);
            let to = Endpoint {
                address: original.destination,
                port: crate::flow::Port(original.destination_port),
            };
            let end = Endpoint { address: reply.source, port: crate::flow::Port(reply.source_port) };
            if !is_other(end, to) {
                continue;
            }
            if self.target.is_none() && is_original && to == self.front {
                self.target = Some(end);
            }
            let is_ours = is_original || reply.destination == source.address;
            if self.entries.is_empty() && is_ours && end == self.front {
                let found = entries(case, to);
                if !found.is_empty() {
                    (self.front, self.target, self.entries) = (to, Some(end), found);
                }
            }
        }
    }

    /// Where packets really go: the target, or where they were sent to.
    pub(super) fn end(&self) -> Endpoint {
        self.target.unwrap_or(self.front)
    }

    /// The first of the services.
    pub(super) fn entry(&self) -> Option<&Entry> {
        self.entries.first()
    }
}

fn is_other(one: Endpoint, other: Endpoint) -> bool {
    // Later fragments have no ports.
    one != other && one.port.0 != 0
}

fn entries(case: &Case<'_>, at: Endpoint) -> Vec<Entry> {
    let Some(state) = case.grounds.state else { return Vec::new() };
    let found = state.services_at(case.flow.protocol, at.address, at.port.0);
    found.into_iter().map(|(service, port, door)| Entry { service, port, door }).collect()
}

/// Entries of connection tracking that were there at one of the two times, or came and went in between.
fn tracked<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a ConntrackEntry> + use<'a> {
    let snapshots = case.grounds.evidence.iter().flat_map(|each| [Some(&each.before), each.after.as_ref()]);
    snapshots.flatten().flat_map(|snapshot| {
        let events = snapshot.conntrack.events.iter().map(|event| &event.entry);
        snapshot.conntrack.entries.iter().chain(events)
    })
}

/// What there is of one end: its namespace, by name and by evidence.
pub(super) struct Far<'a> {
    /// Its node.
    pub(super) node: Option<&'a str>,
    /// Its pod, where it has a namespace of its own.
    pub(super) pod: Option<&'a str>,
    /// What its namespace says at the end of the trace; absent where it was not asked.
    pub(super) snapshot: Option<&'a Snapshot>,
}

impl<'a> Far<'a> {
    /// Who has an address.
    pub(super) fn of(case: &Case<'a>, address: IpAddr) -> Self {
        let mut far = Self { node: None, pod: None, snapshot: None };
        for owner in case.grounds.names.owners(address) {
            match owner {
                Owner::Pod { name, node } => {
                    (far.node, far.pod) = (node.as_deref(), Some(name.as_str()));
                }
                Owner::Node { name } if far.node.is_none() => far.node = Some(name),
                Owner::Node { .. } | Owner::Service { .. } => {}
            }
        }
        let named =
            far.node.and_then(|node| case.evidence(node, far.pod)).map(crate::evidence::Evidence::last);
        // Of captures without a cluster's state the namespace tells itself.
        let own = || case.snapshots().find(|snapshot| snapshot.owns(address));
        far.snapshot = named.or_else(|| far.node.is_none().then(own).flatten());
        if let (None, Some(snapshot)) = (far.node, far.snapshot) {
            (far.node, far.pod) = (Some(snapshot.node.as_str()), snapshot.pod.as_deref());
        }
        far
    }

    /// Its place.
    pub(super) fn spot(&self) -> Option<Spot> {
        let node = self.node?.to_owned();
        Some(Spot { node: Some(node), pod: self.pod.map(str::to_owned), after: None, before: None })
    }

    /// `pod web-1`, `node1`, or the address.
    pub(super) fn name(&self, address: IpAddr) -> String {
        match (self.pod, self.node) {
            (Some(pod), _) => format!("pod {}", short(pod)),
            (None, Some(node)) => node.to_owned(),
            (None, None) => address.to_string(),
        }
    }
}

/// The ICMP error that says that packets of the opener were refused.
pub(super) fn refusal<'a>(case: &Case<'a>) -> Option<&'a IcmpError> {
    case.flow.icmp_errors.iter().find(|error| error.quotes == Orientation::Forward)
}

/// Where an ICMP error was seen first.
pub(super) fn spot_of(error: &IcmpError) -> Spot {
    Spot {
        node: Some(error.seen_at.node.clone()),
        pod: error.seen_at.pod.clone(),
        after: Some(error.seen_at.clone()),
        before: None,
    }
}

/// `ICMP port unreachable by 10.1.2.3`.
pub(super) fn refusal_fact(error: &IcmpError) -> Fact {
    let NamedEndpoint { endpoint, name } = &error.sender;
    let by = name
        .as_ref()
        .map_or_else(|| endpoint.address.to_string(), |name| format!("{name} ({})", endpoint.address));
    Fact {
        source: Source::Packets,
        node: Some(error.seen_at.node.clone()),
        pod: error.seen_at.pod.clone(),
        text: format!("{} says \"{}\", {} times", by, error.meaning, error.packets),
    }
}

/// Every rule of a namespace with the name of its table and its chain.
pub(super) fn rules(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &str, &FirewallRule)> {
    snapshot.firewall.tables.iter().flat_map(|table| {
        let chains = table.chains.iter();
        chains
            .flat_map(|chain| chain.rules.iter().map(|rule| (table.name.as_str(), chain.name.as_str(), rule)))
    })
}

/// A rule as evidence: its table, itself, and what it counted.
pub(super) fn rule_fact(snapshot: &Snapshot, table: &str, chain: &str, rule: &FirewallRule) -> Fact {
    let counted = rule.packets.map(|packets| format!(" (counted {packets})")).unwrap_or_default();
    Fact::of(Source::Rules, snapshot, format!("table {table}, chain {chain}: `{}`{counted}", rule.text))
}

/// Whether some packet of the flow wore this.
pub(super) fn wore(case: &Case<'_>, is_it: impl Fn(&FlowKey) -> bool) -> bool {
    let dropped = case.flow.forward.drops.iter().map(|drop| &drop.tuple);
    case.flow.tuples.iter().chain(dropped).any(is_it)
}
