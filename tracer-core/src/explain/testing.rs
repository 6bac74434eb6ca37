//! Synthetic nodes for tests: links and routes as Calico makes them, rules from `iptables-save`.

use std::net::IpAddr;

pub(super) use crate::evidence::testing::link;
use crate::evidence::testing::{self, network};
use crate::evidence::{
    Action, Backend, Chain, Firewall, Hook, Link, Match, PortRange, Route, RouteKind, RoutingRule, Rule,
    Snapshot, Socket, SocketState, Table, TranslationTarget,
};
use crate::flow::Protocol;

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A socket that waits.
pub(super) fn listener(protocol: Protocol, local: &str, port: u16) -> Socket {
    Socket {
        protocol,
        local: ip(local),
        local_port: port,
        remote: ip(if local.contains(':') { "::" } else { "0.0.0.0" }),
        remote_port: 0,
        state: if protocol == Protocol::TCP { SocketState::Listen } else { SocketState::Bound },
        receive_queue: 0,
        send_queue: 128,
        drops: 0,
        is_dual: false,
        receive_buffer: None,
    }
}

/// A route of the main table: `10.0.0.0/8 via 10.1.1.1 dev 2`, `blackhole 10.0.0.0/8`, `local 10.0.0.1 dev 2`.
pub(super) fn route(text: &str) -> Route {
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |word: &str| words.iter().position(|each| *each == word).map(|place| words[place + 1]);
    let (kind, network) = match words[0] {
        "blackhole" => (RouteKind::Blackhole, words[1]),
        "prohibit" => (RouteKind::Prohibit, words[1]),
        "local" => (RouteKind::Local, words[1]),
        "default" => (RouteKind::Unicast, "0.0.0.0/0"),
        network => (RouteKind::Unicast, network),
    };
    let link = after("dev").map(|index| index.parse().unwrap());
    let table = if kind == RouteKind::Local { 255 } else { 254 };
    Route { table, ..testing::route(network, kind, link, after("via")) }
}

fn table_rule(priority: u32, table: u32) -> RoutingRule {
    RoutingRule {
        priority,
        is_ipv6: false,
        source: None,
        destination: None,
        mark: None,
        input: None,
        output: None,
        table: Some(table),
        kind: RouteKind::Unicast,
        is_inverted: false,
        suppress_prefix: None,
        others: vec![],
    }
}

/// A namespace that forwards, with the local routes of its links' addresses.
pub(super) fn place(node: &str, links: Vec<Link>, routes: &[&str], firewall: Firewall) -> Snapshot {
    let own = links.iter().flat_map(|link| {
        link.addresses.iter().map(|each| route(&format!("local {} dev {}", each.address, link.index.0)))
    });
    let routes = own.chain(routes.iter().map(|text| route(text))).collect();
    let forwarding =
        links.iter().map(|link| (format!("net/ipv4/conf/{}/forwarding", link.name), "1".to_owned()));
    Snapshot {
        node: node.to_owned(),
        sysctls: forwarding.collect(),
        routes,
        rules: vec![table_rule(0, 255), table_rule(32766, 254)],
        links,
        firewall,
        ..Snapshot::default()
    }
}

/// The rules of an `iptables-save`, of the conditions and actions that kube-proxy and network policies use.
pub(super) fn iptables(save: &str) -> Firewall {
    let mut tables: Vec<Table> = Vec::new();
    for line in save.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table {
                backend: Backend::Nft,
                family: "ip".to_owned(),
                name: name.to_owned(),
                chains: vec![],
                sets: vec![],
            });
        } else if let Some(rest) = line.strip_prefix(':') {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let table = tables.last_mut().unwrap();
            let chain = chain(&table.name, words[0], words[1]);
            table.chains.push(chain);
        } else if let Some(rest) = line.strip_prefix("-A ") {
            let (chain, words) = rest.split_once(' ').unwrap();
            let table = tables.last_mut().unwrap();
            let own = table.chains.iter_mut().find(|each| each.name == chain);
            let own = own.unwrap_or_else(|| panic!("no chain {chain}"));
            own.rules.push(rule(line, words));
        }
    }
    Firewall { tables, ..Firewall::default() }
}

fn chain(table: &str, name: &str, policy: &str) -> Chain {
    let hook = match name {
        "PREROUTING" => Some(Hook::Prerouting),
        "INPUT" => Some(Hook::Input),
        "FORWARD" => Some(Hook::Forward),
        "OUTPUT" => Some(Hook::Output),
        "POSTROUTING" => Some(Hook::Postrouting),
        _ => None,
    };
    let priority = match (table, hook) {
        ("nat", Some(Hook::Prerouting | Hook::Output)) => -100,
        ("nat", _) => 100,
        _ => 0,
    };
    Chain {
        name: name.to_owned(),
        hook,
        kind: hook.map(|_| if table == "nat" { "nat" } else { "filter" }.to_owned()),
        priority,
        policy: hook.map(|_| if policy == "DROP" { Action::Drop } else { Action::Accept }),
        policy_packets: None,
        devices: vec![],
        rules: vec![],
    }
}

fn rule(line: &str, words: &str) -> Rule {
    let mut parsed = Parsed { words: split(words), ..Parsed::default() };
    while let Some(word) = parsed.next() {
        parsed.word(&word);
    }
    Rule {
        matches: parsed.matches,
        actions: parsed.actions,
        comment: parsed.comment,
        packets: Some(0),
        text: line.to_owned(),
        handle: None,
    }
}

#[derive(Default)]
struct Parsed {
    words: std::collections::VecDeque<String>,
    is_negated: bool,
    matches: Vec<Match>,
    actions: Vec<Action>,
    comment: Option<String>,
}

impl Parsed {
    fn next(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    fn value(&mut self) -> String {
        self.next().unwrap()
    }

    fn word(&mut self, word: &str) {
        if word == "!" {
            self.is_negated = true;
            return;
        }
        let is_negated = std::mem::take(&mut self.is_negated);
        let value = self.value();
        let networks = || vec![network(&value)];
        let ports = || {
            let port = value.parse().unwrap();
            vec![PortRange { first: port, last: port }]
        };
        let found = match word {
            "-m" | "--mode" => None,
            "-s" => Some(Match::Source { networks: networks(), is_negated }),
            "-d" => Some(Match::Destination { networks: networks(), is_negated }),
            "-p" => Some(Match::Protocol { protocol: Protocol::from_name(&value).unwrap(), is_negated }),
            "--dport" => Some(Match::DestinationPort { ports: ports(), is_negated }),
            "-i" => Some(Match::Input { name: value, is_negated }),
            "-o" => Some(Match::Output { name: value, is_negated }),
            "--probability" => Some(Match::Probability { probability: value.parse().unwrap() }),
            "--dst-type" => Some(Match::DestinationType { kind: value, is_negated }),
            "--mark" => {
                let (value, mask) = masked(&value);
                Some(Match::Mark { value, mask, is_negated })
            }
            "--ctstate" => {
                let states = value.to_lowercase().split(',').map(str::to_owned).collect();
                Some(Match::ConntrackState { states, is_negated })
            }
            "--comment" => {
                self.comment = Some(value);
                None
            }
            "-j" | "-g" => {
                let action = self.action(&value, word == "-g");
                self.actions.push(action);
                None
            }
            other => panic!("{other} {value}"),
        };
        self.matches.extend(found);
    }

    fn action(&mut self, target: &str, is_goto: bool) -> Action {
        match target {
            "ACCEPT" => Action::Accept,
            "DROP" => Action::Drop,
            "RETURN" => Action::Return,
            "REJECT" => {
                self.next();
                Action::Reject { with: self.value() }
            }
            "MASQUERADE" => {
                self.words.clear();
                Action::Masquerade { is_random: true }
            }
            "DNAT" => {
                self.next();
                let to: std::net::SocketAddr = self.value().parse().unwrap();
                let to =
                    TranslationTarget { address: Some(to.ip()), port: Some(to.port()), is_random: false };
                Action::Dnat { to }
            }
            "MARK" => {
                let how = self.value();
                let (value, mask) = masked(&self.value());
                let mask = if how == "--or-mark" {
                    value
                } else if how == "--xor-mark" {
                    0
                } else {
                    mask
                };
                Action::Mark { value, mask }
            }
            chain if is_goto => Action::Goto { chain: chain.to_owned() },
            chain => Action::Jump { chain: chain.to_owned() },
        }
    }
}

fn masked(text: &str) -> (u32, u32) {
    let number = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    match text.split_once('/') {
        Some((value, mask)) => (number(value), number(mask)),
        None => (number(text), u32::MAX),
    }
}

/// Words, with what is in quotes as one.
fn split(text: &str) -> std::collections::VecDeque<String> {
    let mut words = std::collections::VecDeque::new();
    for (index, part) in text.split('"').enumerate() {
        if index % 2 == 1 {
            words.push_back(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}
