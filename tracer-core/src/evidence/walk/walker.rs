//! The way through tables, chains and rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::condition::{Holds, is_interface, rule_holds};
use super::lookup::{Found, find};
use super::packet::Packet;
use super::{Ending, MOST_WAYS, Probe, Step, Walk};
use crate::evidence::{Action, Chain, Field, Firewall, Hook, Rule, Table, TranslationTarget};

/// Chains that may be jumped through from one base chain; the kernel allows 16 of `nf_tables`.
const DEEPEST: usize = 128;
/// Rules that one walk looks at, however they jump.
const MOST_RULES: usize = 4 << 20;

/// How a chain, or a rule, leaves a packet.
enum Left {
    /// With the next rule.
    Next,
    /// Back to the chain before.
    Return,
    /// Past the base chain.
    Accept,
    /// For good.
    End(Ending),
}

type Ways<'a> = Vec<(Packet<'a>, Left)>;

/// A chain that is walked.
#[derive(Clone, Copy)]
struct Place<'a> {
    table: &'a Table,
    chain: &'a Chain,
    depth: usize,
}

/// A walk in progress.
pub(super) struct Walker<'a> {
    firewall: &'a Firewall,
    hook: Hook,
    ways: usize,
    rules: usize,
    beyond: f64,
}

impl<'a> Walker<'a> {
    pub(super) fn new(firewall: &'a Firewall, hook: Hook) -> Self {
        Self { firewall, hook, ways: 1, rules: 0, beyond: 0.0 }
    }

    pub(super) fn walk(mut self, probe: &'a Probe) -> Vec<Walk> {
        let mut packets = vec![Packet::new(probe, self.hook)];
        let mut walks = Vec::new();
        for (table, chain) in self.base_chains(probe) {
            let mut passed = Vec::new();
            for packet in packets {
                if is_nat(table, chain) && !self.wants_nat(&packet) {
                    passed.push(packet);
                    continue;
                }
                for (packet, left) in self.base_chain(Place { table, chain, depth: 0 }, packet) {
                    match left {
                        Left::End(ending) => walks.push(packet.end(ending)),
                        Left::Next | Left::Return | Left::Accept => passed.push(packet),
                    }
                }
            }
            packets = passed;
        }
        walks.extend(packets.into_iter().map(|packet| packet.end(Ending::Accepted)));
        walks.extend(self.rest(probe));
        walks.sort_by(|one, other| other.probability.total_cmp(&one.probability));
        walks
    }

    /// What is left of the ways that are too many.
    fn rest(&self, probe: &Probe) -> Option<Walk> {
        let mut packet = Packet::new(probe, self.hook);
        packet.probability = self.beyond;
        packet.doubt("there are more ways than are told apart");
        (self.beyond > 0.0).then(|| packet.end(Ending::Unknown))
    }

    /// The base chains that the kernel calls for a packet, in its order.
    fn base_chains(&self, probe: &Probe) -> Vec<(&'a Table, &'a Chain)> {
        let family = if probe.key.destination.address.is_ipv4() { "ip" } else { "ip6" };
        let device = match self.hook {
            Hook::Ingress => Some(&probe.input),
            Hook::Egress => Some(&probe.output),
            _ => None,
        };
        let is_called = |table: &Table, chain: &Chain| match device {
            None => table.family == family || table.family == "inet",
            Some(device) => {
                matches!(table.family.as_str(), "netdev" | "inet")
                    && chain.devices.iter().any(|name| is_interface(name, device.as_deref()))
            }
        };
        let mut all: Vec<_> = self
            .firewall
            .tables
            .iter()
            .flat_map(|table| table.chains.iter().map(move |chain| (table, chain)))
            .filter(|(table, chain)| chain.hook == Some(self.hook) && is_called(table, chain))
            .collect();
        all.sort_by_key(|(table, chain)| (self.priority(table, chain), chain.priority));
        all
    }

    /// Chains of NAT are called by one hook of NAT's own (`nf_nat_inet_fn`), whatever their priority, which orders them among
    /// themselves.
    fn priority(&self, table: &Table, chain: &Chain) -> i32 {
        match (is_nat(table, chain), self.hook) {
            (true, Hook::Prerouting | Hook::Output) => -100,
            (true, Hook::Input | Hook::Postrouting) => 100,
            _ => chain.priority,
        }
    }

    /// Whether chains of NAT see a packet: the first of its connection, until one has translated it.
    fn wants_nat(&self, packet: &Packet<'_>) -> bool {
        let is_translated = match self.hook {
            Hook::Prerouting | Hook::Output => packet.has_dnat,
            _ => packet.has_snat,
        };
        packet.state == "new" && !is_translated
    }

    /// A base chain and, for what comes to its end, its policy.
    fn base_chain(&mut self, place: Place<'a>, packet: Packet<'a>) -> Ways<'a> {
        let mut ways = self.chain(place, packet);
        for (packet, left) in &mut ways {
            let is_at_end = matches!(left, Left::Next | Left::Return);
            if is_at_end && place.chain.policy == Some(Action::Drop) {
                packet.steps.push(policy_step(place));
                *left = Left::End(Ending::Dropped);
            }
        }
        ways
    }

    /// All rules of a chain; `Next` and `Return` are what comes to its end.
    fn chain(&mut self, place: Place<'a>, packet: Packet<'a>) -> Ways<'a> {
        let mut done = Vec::new();
        let mut waiting = vec![(0, packet)];
        while let Some((start, packet)) = waiting.pop() {
            self.rules_from(place, start, packet, &mut waiting, &mut done);
        }
        done
    }

    /// The rules of a chain from one on, until one takes the packet; what goes on behind it waits.
    fn rules_from(
        &mut self,
        place: Place<'a>,
        start: usize,
        mut packet: Packet<'a>,
        waiting: &mut Vec<(usize, Packet<'a>)>,
        done: &mut Ways<'a>,
    ) {
        for (index, rule) in place.chain.rules.iter().enumerate().skip(start) {
            self.rules += 1;
            if self.rules > MOST_RULES {
                packet.doubt("there are more rules than are walked");
                return done.push((packet, Left::End(Ending::Unknown)));
            }
            let probability = match rule_holds(rule, &packet, place.table, self.firewall) {
                Holds::No => continue,
                Holds::Unknown => {
                    if decides(rule) {
                        packet.suspect(step(place, index, rule, 1.0));
                    }
                    continue;
                }
                Holds::With(probability) => probability,
            };
            let taken = if probability < 1.0 {
                let Some(taken) = self.part(&mut packet, probability) else { continue };
                waiting.push((index + 1, packet));
                taken
            } else {
                packet
            };
            for (packet, left) in self.take(place, index, rule, taken, probability) {
                match left {
                    Left::Next => waiting.push((index + 1, packet)),
                    left => done.push((packet, left)),
                }
            }
            return;
        }
        done.push((packet, Left::Next));
    }

    /// Parts a packet in two ways; the one that is given goes with this probability, the other is left. Absent where there
    /// are too many ways already.
    fn part(&mut self, packet: &mut Packet<'a>, probability: f64) -> Option<Packet<'a>> {
        let share = packet.probability * probability;
        packet.probability -= share;
        if self.ways >= MOST_WAYS {
            self.beyond += share;
            return None;
        }
        self.ways += 1;
        Some(Packet { probability: share, ..packet.clone() })
    }

    /// A rule that holds.
    fn take(
        &mut self,
        place: Place<'a>,
        index: usize,
        rule: &'a Rule,
        mut packet: Packet<'a>,
        probability: f64,
    ) -> Ways<'a> {
        let acts = |action: &&Action| !matches!(action, Action::Nothing { .. } | Action::Return);
        let acting = rule.actions.iter().filter(acts).count();
        if acting > 0 {
            packet.steps.push(step(place, index, rule, probability));
        }
        let mut ways = vec![(packet, Left::Next)];
        for action in &rule.actions {
            let mut after = Vec::new();
            for (packet, left) in ways {
                match left {
                    Left::Next => after.extend(self.perform(place, action, packet, acting == 1)),
                    left => after.push((packet, left)),
                }
            }
            ways = after;
        }
        ways
    }

    /// An action; `is_sole` is whether the rule does nothing else.
    fn perform(
        &mut self,
        place: Place<'a>,
        action: &'a Action,
        mut packet: Packet<'a>,
        is_sole: bool,
    ) -> Ways<'a> {
        let left = match action {
            Action::Accept => Left::Accept,
            Action::Drop => Left::End(Ending::Dropped),
            Action::Reject { with } => Left::End(Ending::Rejected(with.clone())),
            Action::Return => Left::Return,
            Action::Queue { .. } | Action::Other { .. } => Left::End(Ending::Unknown),
            Action::Jump { chain } => return self.call(place, chain, packet, is_sole),
            Action::Goto { chain } => {
                let mut ways = self.call(place, chain, packet, is_sole);
                for (_, left) in ways.iter_mut().filter(|(_, left)| matches!(left, Left::Next)) {
                    *left = Left::Return;
                }
                return ways;
            }
            Action::Lookup { fields, map } => return self.look_up(place, fields, map, packet, is_sole),
            Action::Dnat { .. }
            | Action::Snat { .. }
            | Action::Masquerade { .. }
            | Action::Redirect { .. } => {
                self.translate(action, &mut packet);
                Left::Accept
            }
            _ => {
                change(action, &mut packet);
                Left::Next
            }
        };
        vec![(packet, left)]
    }

    /// Another chain, and back. A jump beyond which nothing happened is no step.
    fn call(&mut self, place: Place<'a>, name: &str, mut packet: Packet<'a>, is_sole: bool) -> Ways<'a> {
        let Some(chain) = place.table.chain(name).filter(|_| place.depth < DEEPEST) else {
            packet.doubt(&format!("there is no chain {name}"));
            return vec![(packet, Left::End(Ending::Unknown))];
        };
        let steps = packet.steps.len();
        let mut ways = self.chain(Place { chain, depth: place.depth + 1, ..place }, packet);
        for (packet, left) in &mut ways {
            if matches!(left, Left::Next | Left::Return) {
                *left = Left::Next;
                if is_sole && packet.steps.len() == steps {
                    packet.steps.pop();
                }
            }
        }
        ways
    }

    /// A verdict map: each element that may be the one is a way.
    fn look_up(
        &mut self,
        place: Place<'a>,
        fields: &[Field],
        map: &str,
        mut packet: Packet<'a>,
        is_sole: bool,
    ) -> Ways<'a> {
        let found = place.table.set(map).map(|map| find(map, fields, &packet));
        let Some(Found::Elements(elements)) = found else {
            packet.doubt(&format!("what is in @{map} for it cannot be told"));
            return vec![(packet, Left::End(Ending::Unknown))];
        };
        let mut ways = Vec::new();
        let mut left = 1.0;
        for (element, share) in elements {
            let part = if left - share > f64::EPSILON { self.part(&mut packet, share / left) } else { None };
            left -= share;
            let mut taken = match part {
                Some(part) => part,
                // All that is left goes this way.
                None if left <= f64::EPSILON => {
                    Packet { probability: std::mem::take(&mut packet.probability), ..packet.clone() }
                }
                None => continue,
            };
            let Some(verdict) = &element.verdict else { continue };
            if let Some(step) = taken.steps.last_mut() {
                step.probability *= share;
                step.text = [step.text.as_str(), ": ", &super::words(verdict)].concat();
            }
            ways.extend(self.perform(place, verdict, taken, is_sole));
        }
        if left > f64::EPSILON {
            if is_sole {
                packet.steps.pop();
            }
            ways.push((packet, Left::Next));
        }
        ways
    }

    fn translate(&self, action: &Action, packet: &mut Packet<'_>) {
        match action {
            Action::Dnat { to } => packet.set_destination(*to),
            Action::Snat { to } => packet.set_source(*to),
            Action::Masquerade { .. } => packet.masquerade(),
            Action::Redirect { port } => {
                // Before routing it becomes an address of the interface that it came in by, which is not told here.
                let loopback = match packet.key.destination.address {
                    IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
                };
                let address = (self.hook == Hook::Output).then_some(loopback);
                packet.set_destination(TranslationTarget {
                    address,
                    port: *port,
                    ..TranslationTarget::default()
                });
                packet.is_local = Some(true);
            }
            _ => {}
        }
    }
}

/// Changes of marks and of tracking.
fn change(action: &Action, packet: &mut Packet<'_>) {
    match action {
        Action::Mark { value, mask } => packet.mark = packet.mark.turned(*value, *mask),
        Action::ConnectionMark { value, mask } => {
            packet.connection_mark = packet.connection_mark.turned(*value, *mask);
        }
        Action::SaveMark { mask } => packet.connection_mark = packet.connection_mark.with(packet.mark, *mask),
        Action::RestoreMark { mask } => packet.mark = packet.mark.with(packet.connection_mark, *mask),
        Action::NoTrack => packet.state = "untracked",
        _ => {}
    }
}

/// Whether it matters that a rule holds.
fn decides(rule: &Rule) -> bool {
    rule.actions.iter().any(|action| !matches!(action, Action::Nothing { .. }))
}

fn is_nat(table: &Table, chain: &Chain) -> bool {
    chain.kind.as_deref().map_or(table.name == "nat", |kind| kind == "nat")
}

fn step(place: Place<'_>, index: usize, rule: &Rule, probability: f64) -> Step {
    Step {
        table: place.table.label(),
        chain: place.chain.name.clone(),
        index: Some(index),
        text: rule.text.clone(),
        comment: rule.comment.clone(),
        packets: rule.packets,
        probability,
    }
}

fn policy_step(place: Place<'_>) -> Step {
    let name = &place.chain.name;
    let is_iptables = name.chars().all(|letter| letter.is_ascii_uppercase());
    Step {
        table: place.table.label(),
        chain: name.clone(),
        index: None,
        text: if is_iptables { format!("-P {name} DROP") } else { "policy drop".to_owned() },
        comment: None,
        packets: place.chain.policy_packets,
        probability: 1.0,
    }
}
