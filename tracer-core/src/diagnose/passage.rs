//! What a namespace would do with packets that ended in it: its rules and its routes walked as the kernel does.

use super::case::Case;
use super::failure::Failure;
use crate::evidence::{Ending, Evidence, Hook, Link, Lookup, Probe, RouteAnswer, RouteKind, Snapshot, Walk};
use crate::flow::{Endpoint, FlowKey, Port, Protocol};
use crate::packet::{Tunnel, TunnelKind};
use crate::timeline::Orientation;

/// ACK of TCP's flags (RFC 9293).
const ACK: u8 = 16;
/// Protocol number of IPv6 in IP (RFC 2473).
const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;
/// Port of VXLAN (RFC 7348) where the link does not tell another.
const VXLAN_PORT: u16 = 4789;
/// Port of Geneve (RFC 8926).
const GENEVE_PORT: u16 = 6081;

/// One packet on its way through one namespace.
#[derive(Clone, Debug)]
pub(super) struct Passage<'a> {
    /// The namespace.
    pub(super) evidence: &'a Evidence,
    /// The interface that it came in by; absent if it was made there.
    pub(super) input: Option<&'a str>,
    /// What it wore.
    pub(super) key: FlowKey,
    /// Whether `key` is that of the encapsulation.
    pub(super) is_outer: bool,
    /// What connection tracking takes it for, the most probable first.
    states: Vec<&'static str>,
    /// What it wears behind the NAT of a known connection.
    translated: FlowKey,
}

/// A way through the rules that ends at one of them.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// The hook.
    pub(super) hook: Hook,
    /// The way.
    pub(super) walk: Walk,
}

/// What the routes make of a packet.
pub(super) struct Routed<'a> {
    /// What it wore when it was routed.
    pub(super) key: FlowKey,
    /// The answer.
    pub(super) answer: RouteAnswer<'a>,
}

impl<'a> Passage<'a> {
    /// The ways of the packets of a failure, the encapsulation's first where they wore one; none where the namespace was
    /// not asked.
    pub(super) fn of(case: &Case<'a>, failure: &Failure<'a>) -> Vec<Self> {
        let Some(evidence) = case.evidence_of(failure) else { return Vec::new() };
        let is_new = failure.direction == Orientation::Forward && !case.is_answered();
        let states = if is_new { vec!["new"] } else { vec!["established", "new"] };
        let translated =
            failure.before.filter(|before| before.tunnels.is_empty()).map_or(failure.tuple, |before| {
                FlowKey {
                    source: before.source.endpoint,
                    destination: before.destination.endpoint,
                    ..failure.tuple
                }
            });
        let inner =
            Self { evidence, input: failure.input, key: failure.tuple, is_outer: false, states, translated };
        let outer = failure.tunnels.first().map(|tunnel| {
            let key = outer_key(tunnel, evidence.last());
            Self { key, translated: key, is_outer: true, states: vec!["new", "established"], ..inner.clone() }
        });
        outer.into_iter().chain([inner]).collect()
    }

    /// The later snapshot of the namespace.
    pub(super) fn snapshot(&self) -> &'a Snapshot {
        self.evidence.last()
    }

    /// The ways at whose ends rules drop or refuse the packet, for the first state for which there are any.
    pub(super) fn ends(&self) -> Vec<End> {
        self.states.iter().map(|state| self.ends_as(state)).find(|ends| !ends.is_empty()).unwrap_or_default()
    }

    /// The same for a packet that belongs to no connection that is known.
    pub(super) fn ends_if_invalid(&self) -> Vec<End> {
        self.ends_as("invalid")
    }

    /// What is routed, and where to; several where rules draw lots for the destination.
    pub(super) fn routed(&self) -> Vec<Routed<'a>> {
        let state = self.states.first().copied().unwrap_or("new");
        let first = if self.input.is_some() { Hook::Prerouting } else { Hook::Output };
        let mut all: Vec<Routed<'a>> = Vec::new();
        for walk in self.passing(first, state) {
            if all.iter().all(|known| known.key.destination != walk.key.destination) {
                all.push(Routed { key: walk.key, answer: self.lookup(&walk) });
            }
        }
        all
    }

    /// The interface that a route leads to.
    pub(super) fn output(&self, answer: &RouteAnswer<'a>) -> Option<&'a Link> {
        match answer {
            RouteAnswer::Route(route) => self.snapshot().link(route.link?),
            _ => None,
        }
    }

    fn probe(&self, key: FlowKey, state: &str) -> Probe {
        let is_new_tcp = state == "new" && key.protocol == Protocol::TCP;
        let flags = if key.protocol == Protocol::TCP { ACK } else { 0 };
        let mut probe = Probe::new(key);
        probe.input = self.input.map(str::to_owned);
        state.clone_into(&mut probe.state);
        if !is_new_tcp {
            probe.tcp_flags = flags;
        }
        probe.is_local = self.snapshot().owns(key.destination.address);
        probe
    }

    /// The ways through a first hook that do not end there.
    fn passing(&self, hook: Hook, state: &str) -> Vec<Walk> {
        let key = if state == "new" { self.key } else { self.translated };
        let probe = self.probe(key, state);
        let mut walks = self.snapshot().firewall.walk(hook, &probe);
        if walks.is_empty() {
            return vec![untouched(&probe)];
        }
        walks.retain(|walk| matches!(walk.ending, Ending::Accepted | Ending::Unknown));
        walks
    }

    fn lookup(&self, walk: &Walk) -> RouteAnswer<'a> {
        let lookup = Lookup {
            destination: walk.key.destination.address,
            source: Some(walk.key.source.address),
            mark: walk.mark,
            input: self.input,
        };
        route(self.snapshot(), lookup)
    }

    fn ends_as(&self, state: &str) -> Vec<End> {
        let first = if self.input.is_some() { Hook::Prerouting } else { Hook::Output };
        let probe = self.probe(self.key, state);
        let mut ends = if self.input.is_some() { self.ending(Hook::Ingress, &probe) } else { Vec::new() };
        ends.extend(self.ending(first, &probe));
        for walk in self.passing(first, state) {
            let answer = self.lookup(&walk);
            let is_local = matches!(&answer, RouteAnswer::Route(route) if route.kind == RouteKind::Local);
            let mut probe = self.probe(walk.key, state);
            probe.mark = walk.mark;
            probe.connection_mark = walk.connection_mark;
            if walk.is_untracked {
                "untracked".clone_into(&mut probe.state);
            }
            probe.original = Some(self.key);
            probe.is_local = is_local;
            if !is_local {
                probe.output = self.output(&answer).map(|link| link.name.clone());
            }
            match (self.input, is_local) {
                (Some(_), true) => ends.extend(self.ending(Hook::Input, &probe)),
                (Some(_), false) => ends.extend(self.ending(Hook::Forward, &probe)),
                (None, _) => {}
            }
            if !is_local {
                ends.extend(self.ending(Hook::Postrouting, &probe));
                ends.extend(self.ending(Hook::Egress, &probe));
            }
        }
        ends
    }

    fn ending(&self, hook: Hook, probe: &Probe) -> Vec<End> {
        let walks = self.snapshot().firewall.walk(hook, probe).into_iter();
        let fatal = walks.filter(|walk| matches!(walk.ending, Ending::Dropped | Ending::Rejected(_)));
        fatal.map(|walk| End { hook, walk }).collect()
    }
}

/// What the routes say; unknown where none were read: every kernel has a rule for its own addresses.
pub(super) fn route<'a>(snapshot: &'a Snapshot, lookup: Lookup<'_>) -> RouteAnswer<'a> {
    if snapshot.rules.is_empty() {
        return RouteAnswer::Unknown;
    }
    snapshot.route_to(lookup)
}

fn untouched(probe: &Probe) -> Walk {
    Walk {
        probability: 1.0,
        steps: Vec::new(),
        key: probe.key,
        mark: probe.mark,
        ending: Ending::Accepted,
        doubts: Vec::new(),
        suspects: Vec::new(),
        is_masqueraded: false,
        connection_mark: probe.connection_mark,
        is_untracked: false,
    }
}

/// The five-tuple of an encapsulation; its source port is not known.
pub(super) fn outer_key(tunnel: &Tunnel, snapshot: &Snapshot) -> FlowKey {
    let port_of = |vni: u32| {
        let tunnels = snapshot.links.iter().filter_map(|link| link.tunnel.as_ref());
        tunnels.filter(|tunnel| tunnel.vni == Some(vni)).find_map(|tunnel| tunnel.port)
    };
    let (protocol, port) = match tunnel.kind {
        TunnelKind::Ipip => (Protocol(IP_IN_IP), 0),
        TunnelKind::Ip6 => (Protocol(IPV6_IN_IP), 0),
        TunnelKind::Gre => (Protocol(GRE), 0),
        TunnelKind::Vxlan { vni } => (Protocol::UDP, port_of(vni).unwrap_or(VXLAN_PORT)),
        TunnelKind::Geneve { vni } => (Protocol::UDP, port_of(vni).unwrap_or(GENEVE_PORT)),
    };
    FlowKey {
        protocol,
        source: Endpoint { address: tunnel.source, port: Port(0) },
        destination: Endpoint { address: tunnel.destination, port: Port(port) },
    }
}
