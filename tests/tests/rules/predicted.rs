//! What the rules say becomes of packets, beside what the counters say became of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tracer_core::evidence::{Action, Ending, Firewall, Hook, Match, Probe, Table};
use tracer_core::flow::{Endpoint, FlowKey, Port, Protocol};

use super::nft::{FIREWALLD, KUBE_PROXY};
use super::router::Router;
use super::scene::{feed, read};

/// Connections that are opened where lots are drawn, and where not.
const MANY: usize = 300;
const FEW: usize = 3;

/// A packet and what becomes of it, as whoever wrote the rules means it.
pub(crate) struct Case {
    protocol: &'static str,
    from: &'static str,
    to: &'static str,
    end: &'static str,
}

pub(crate) const fn case(
    protocol: &'static str,
    from: &'static str,
    to: &'static str,
    end: &'static str,
) -> Case {
    Case { protocol, from, to, end }
}

/// A rule by table, chain and place.
type Place = (String, String, Option<usize>);

/// What a case is predicted to be: packets of each rule, and how it ends with which probability.
struct Prediction {
    rules: BTreeMap<Place, f64>,
    ends: BTreeMap<String, f64>,
    doubts: Vec<String>,
}

const LOCAL: [&str; 2] = ["10.1.0.1", "10.2.0.1"];

fn is_local(address: IpAddr) -> bool {
    LOCAL.iter().any(|local| address == local.parse::<IpAddr>().unwrap())
}

/// Follows a packet through the hooks of the router.
fn predict(firewall: &Firewall, key: FlowKey) -> Prediction {
    let mut prediction = Prediction { rules: BTreeMap::new(), ends: BTreeMap::new(), doubts: Vec::new() };
    let first = Probe { input: Some("c0".to_owned()), original: Some(key), ..Probe::new(key) };
    let mut waiting = vec![(Hook::Ingress, first, 1.0)];
    while let Some((hook, packet, share)) = waiting.pop() {
        for walk in firewall.walk(hook, &packet) {
            let share = share * walk.probability;
            for step in &walk.steps {
                *prediction.rules.entry((step.table.clone(), step.chain.clone(), step.index)).or_default() +=
                    share;
            }
            prediction.doubts.extend(walk.doubts.clone());
            let next = match hook {
                Hook::Ingress => Some(Hook::Prerouting),
                Hook::Prerouting if is_local(key_destination(walk.key)) => Some(Hook::Input),
                Hook::Prerouting => Some(Hook::Forward),
                Hook::Forward => Some(Hook::Postrouting),
                _ => None,
            };
            match (walk.ending.clone(), next) {
                (Ending::Accepted, Some(next)) => {
                    let is_out = matches!(next, Hook::Forward | Hook::Postrouting);
                    let packet = Probe {
                        output: is_out.then(|| "s0".to_owned()),
                        is_local: is_local(key_destination(walk.key)),
                        ..walk.onward(&packet)
                    };
                    waiting.push((next, packet, share));
                }
                (ending, _) => {
                    *prediction.ends.entry(told(&ending, walk.key, walk.is_masqueraded)).or_default() +=
                        share;
                }
            }
        }
    }
    prediction
}

fn key_destination(key: FlowKey) -> IpAddr {
    key.destination.address
}

fn told(ending: &Ending, key: FlowKey, is_masqueraded: bool) -> String {
    match ending {
        Ending::Accepted if is_masqueraded => format!("masqueraded to {}", key.destination),
        Ending::Accepted => format!("{} to {}", key.source.address, key.destination),
        Ending::Dropped => "dropped".to_owned(),
        Ending::Rejected(with) => with.clone(),
        Ending::Unknown => "unknown".to_owned(),
    }
}

/// Sends what a case is about and compares, for every rule that counts and decides, what it counted.
pub(crate) fn check(router: &Router, case: &Case) {
    let before = read(router.inside());
    let from: IpAddr = case.from.parse().unwrap();
    let to: SocketAddr = case.to.parse().unwrap();
    let protocol = Protocol::from_name(case.protocol).unwrap();
    let key = FlowKey {
        protocol,
        source: Endpoint { address: from, port: Port(40000) },
        destination: Endpoint { address: to.ip(), port: Port(to.port()) },
    };
    let prediction = predict(&before, key);
    let name = format!("{} {} -> {}", case.protocol, case.from, case.to);
    let ends = prediction.ends.iter().map(|(end, share)| format!("{end} {:.0}%", share * 100.0));
    let ends: Vec<_> = ends.map(|end| end.replace(" 100%", "")).collect();
    assert_eq!(ends.join(", "), case.end, "{name} {:?}", prediction.doubts);
    let is_certain = prediction.ends.len() == 1;
    let count = if is_certain { FEW } else { MANY };
    router.send(protocol == Protocol::TCP, from, to, count);
    let after = read(router.inside());
    compare(&name, &prediction, (&before, &after), count);
}

/// Only rules that decide or change something are steps; those that only pass on are not compared.
fn compare(name: &str, prediction: &Prediction, (before, after): (&Firewall, &Firewall), count: usize) {
    let counted: BTreeMap<Place, u64> = Firewall::counted(before, after)
        .into_iter()
        .map(|one| ((one.table, one.chain.to_owned(), Some(one.index)), one.packets))
        .collect();
    let mut seen = 0;
    for table in &after.tables {
        for chain in &table.chains {
            for (index, rule) in chain.rules.iter().enumerate() {
                let is_passing = |action: &Action| {
                    matches!(
                        action,
                        Action::Jump { .. }
                            | Action::Goto { .. }
                            | Action::Return
                            | Action::Nothing { .. }
                            | Action::Lookup { .. }
                    )
                };
                if rule.packets.is_none() || rule.actions.iter().all(is_passing) {
                    continue;
                }
                let place = (table.label(), chain.name.clone(), Some(index));
                let packets = counted.get(&place).copied().unwrap_or(0);
                seen += usize::from(is_as_predicted(name, prediction, &place, packets, count));
            }
        }
    }
    for (place, packets) in policies(before, after) {
        seen += usize::from(is_as_predicted(name, prediction, &place, packets, count));
    }
    let is_uncounted = |place: &&Place| {
        let rule = |table: &Table| Some(table.chain(&place.1)?.rules.get(place.2?)?.packets.is_none());
        after.table(&place.0).and_then(rule) == Some(true)
    };
    assert!(
        seen > 0
            || prediction.rules.keys().any(|place| is_uncounted(&place))
            || prediction.ends.keys().all(|end| end.contains(" to ")),
        "{name}: no counter was compared"
    );
}

/// Packets that met a policy that drops, by chain; where they are counted.
fn policies(before: &Firewall, after: &Firewall) -> Vec<(Place, u64)> {
    let counts = |firewall: &Firewall| -> BTreeMap<Place, u64> {
        let tables = firewall.tables.iter();
        let chains = tables.flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
        let dropping = chains.filter(|(_, chain)| chain.policy == Some(Action::Drop));
        dropping
            .filter_map(|(table, chain)| {
                Some(((table.label(), chain.name.clone(), None), chain.policy_packets?))
            })
            .collect()
    };
    let old = counts(before);
    counts(after)
        .into_iter()
        .map(|(place, packets)| {
            let before = old[&place];
            (place, packets - before)
        })
        .collect()
}

/// Compares what one rule or policy counted; whether anything was expected of it.
fn is_as_predicted(name: &str, prediction: &Prediction, place: &Place, packets: u64, count: usize) -> bool {
    let share = prediction.rules.get(place).copied().unwrap_or(0.0);
    let n = f64::from(u32::try_from(count).unwrap());
    let packets = f64::from(u32::try_from(packets).unwrap());
    // Five times the standard deviation: one run in a million is beyond.
    let room = 5.0 * (n * share * (1.0 - share)).max(0.0).sqrt();
    assert!(
        (packets - share * n).abs() <= room + 1e-6,
        "{name}: {place:?} counted {packets} of {}",
        share * n
    );
    share > 0.0
}

#[test]
fn kube_proxy_in_nftables_mode() {
    let router = Router::up();
    feed(router.inside(), "nft -f -", KUBE_PROXY);
    for case in [
        case("udp", "10.1.0.2", "10.96.0.10:53", "masqueraded to 10.2.0.53:53"),
        case("udp", "10.244.1.7", "10.96.0.10:53", "10.244.1.7 to 10.2.0.53:53"),
        case("tcp", "10.244.1.7", "10.96.0.1:443", "10.244.1.7 to 10.2.0.2:6443"),
        case("tcp", "10.1.0.2", "10.96.0.1:444", "icmp-port-unreachable"),
        case("tcp", "10.1.0.2", "10.96.0.12:80", "icmp-port-unreachable"),
        case("tcp", "10.1.0.2", "10.96.7.7:80", "dropped"),
        case("udp", "10.1.0.2", "10.2.0.200:80", "10.1.0.2 to 10.2.0.200:80"),
        case(
            "udp",
            "10.244.1.7",
            "10.96.0.11:80",
            "10.244.1.7 to 10.2.0.11:8080 33%, 10.244.1.7 to 10.2.0.12:8080 33%, 10.244.1.7 to 10.2.0.13:8080 33%",
        ),
        case(
            "udp",
            "10.1.0.2",
            "10.1.0.1:31080",
            "masqueraded to 10.2.0.11:8080 33%, masqueraded to 10.2.0.12:8080 33%, masqueraded to 10.2.0.13:8080 33%",
        ),
        case("tcp", "10.1.0.2", "10.1.0.1:31999", "dropped"),
    ] {
        check(&router, &case);
    }
}

/// kube-proxy in iptables mode, a policy of Calico behind it, and rules of a node.
const IPTABLES: &str = "\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SVC-WEB - [0:0]
:KUBE-SEP-1 - [0:0]
:KUBE-SEP-2 - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
-A POSTROUTING -s 10.1.0.3/32 -o s0 -j SNAT --to-source 10.2.0.1
-A KUBE-SERVICES -d 10.96.0.11/32 -p udp -m comment --comment \"default/web cluster IP\" -m udp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p udp -m udp --dport 31080 -j KUBE-MARK-MASQ
-A KUBE-NODEPORTS -p udp -m udp --dport 31080 -j KUBE-SVC-WEB
-A KUBE-SVC-WEB ! -s 10.244.0.0/16 -d 10.96.0.11/32 -p udp -m udp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.25 -j KUBE-SEP-1
-A KUBE-SVC-WEB -j KUBE-SEP-2
-A KUBE-SEP-1 -s 10.2.0.11/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-1 -p udp -m udp -j DNAT --to-destination 10.2.0.11:8080
-A KUBE-SEP-2 -s 10.2.0.12/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-2 -p udp -m udp -j DNAT --to-destination 10.2.0.12:8080
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
COMMIT
*raw
-A PREROUTING -p udp -m udp --dport 4789 -j CT --notrack
COMMIT
*mangle
-A PREROUTING -p udp -m udp --dport 7100 -j MARK --set-mark 0x7
-A PREROUTING -m mark --mark 0x7 -j CONNMARK --save-mark
COMMIT
*filter
:FORWARD DROP [0:0]
:cali-FORWARD - [0:0]
:cali-tw-s0 - [0:0]
:cali-pi-_web - [0:0]
:KUBE-FORWARD - [0:0]
-A FORWARD -j cali-FORWARD
-A FORWARD -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT
-A FORWARD -m connmark --mark 0x7 -j ACCEPT
-A FORWARD -p tcp -m multiport --dports 21,22,8000:8010 -j ACCEPT
-A FORWARD -p tcp -m tcp --dport 9000 -j REJECT --reject-with tcp-reset
-A FORWARD -p udp -m udp ! --dport 6000:7000 -s 10.1.0.4/32 -m conntrack --ctstate NEW -j REJECT --reject-with icmp-admin-prohibited
-A FORWARD -i c+ -o s0 -s 10.1.0.3/32 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate DNAT -d 10.2.0.13/32 -j DROP
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-FORWARD -o s+ -d 10.2.0.12/32 -j cali-tw-s0
-A cali-tw-s0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-tw-s0 -j MARK --set-xmark 0x0/0x10000
-A cali-tw-s0 -j cali-pi-_web
-A cali-tw-s0 -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-tw-s0 -m comment --comment \"Drop if no policies passed packet\" -j DROP
-A cali-pi-_web -s 10.1.0.0/24 -p udp -m comment --comment \"Policy default/web ingress\" -m udp --dport 8080 -j MARK --set-xmark 0x10000/0x10000
-A cali-pi-_web -m mark --mark 0x10000/0x10000 -j RETURN
-A INPUT -p udp -m udp --dport 500 -j DROP
-A INPUT -m iprange --src-range 10.1.0.2-10.1.0.3 --dst-range 10.1.0.0-10.1.0.9 -p udp --dport 501 -j DROP
-A INPUT -p tcp -m tcp --syn --dport 600 -j REJECT
COMMIT
";

const IPTABLES_CASES: [Case; 14] = [
    case(
        "udp",
        "10.1.0.2",
        "10.96.0.11:80",
        "masqueraded to 10.2.0.11:8080 25%, masqueraded to 10.2.0.12:8080 75%",
    ),
    case("udp", "10.244.1.7", "10.96.0.11:80", "dropped"),
    case(
        "udp",
        "10.1.0.2",
        "10.1.0.1:31080",
        "masqueraded to 10.2.0.11:8080 25%, masqueraded to 10.2.0.12:8080 75%",
    ),
    case("udp", "10.1.0.3", "10.2.0.2:5000", "10.2.0.1 to 10.2.0.2:5000"),
    case("udp", "10.1.0.4", "10.2.0.2:5000", "icmp-admin-prohibited"),
    case("udp", "10.1.0.4", "10.2.0.2:6500", "dropped"),
    case("udp", "10.1.0.2", "10.2.0.2:4789", "10.1.0.2 to 10.2.0.2:4789"),
    case("udp", "10.1.0.2", "10.2.0.2:7100", "10.1.0.2 to 10.2.0.2:7100"),
    case("tcp", "10.1.0.2", "10.2.0.2:8005", "10.1.0.2 to 10.2.0.2:8005"),
    case("tcp", "10.1.0.2", "10.2.0.2:9000", "tcp-reset"),
    case("udp", "10.1.0.2", "10.1.0.1:500", "dropped"),
    case("udp", "10.1.0.3", "10.1.0.1:501", "dropped"),
    case("udp", "10.1.0.4", "10.1.0.1:501", "10.1.0.4 to 10.1.0.1:501"),
    case("tcp", "10.1.0.2", "10.1.0.1:600", "icmp-port-unreachable"),
];

#[test]
fn kube_proxy_and_policies_in_iptables_mode() {
    for program in ["iptables-nft-restore", "iptables-legacy-restore"] {
        let router = Router::up();
        feed(router.inside(), program, IPTABLES);
        for case in &IPTABLES_CASES {
            check(&router, case);
        }
    }
}

#[test]
fn hand_written_rules() {
    let router = Router::up();
    feed(router.inside(), "nft -f -", FIREWALLD);
    for case in [
        case("udp", "10.1.0.66", "10.2.0.2:53", "dropped"),
        case("udp", "10.1.0.99", "10.2.0.2:53", "dropped"),
        case("udp", "10.1.0.2", "10.2.0.2:53", "10.1.0.2 to 10.2.0.2:53"),
        case("udp", "10.1.0.2", "10.2.0.2:5005", "10.1.0.2 to 10.2.0.2:5005"),
        case("udp", "10.1.0.3", "10.2.0.2:6005", "masqueraded to 10.2.0.2:6005"),
        case("udp", "10.1.0.4", "10.2.0.2:6005", "10.2.0.1 to 10.2.0.2:6005"),
        case("tcp", "10.1.0.2", "10.2.0.2:8005", "10.1.0.2 to 10.2.0.2:8005"),
        case("tcp", "10.1.0.2", "10.2.0.2:9001", "tcp-reset"),
        case("udp", "10.1.0.2", "10.2.0.2:7000", "10.1.0.2 to 10.2.0.2:7000"),
        case("udp", "10.1.0.2", "10.2.0.4:7001", "icmp-host-prohibited"),
        case("udp", "10.1.0.2", "203.0.113.5:53", "10.1.0.2 to 10.2.0.53:53"),
        case("tcp", "10.1.0.2", "10.1.0.1:22", "10.1.0.2 to 10.1.0.1:22"),
        case("udp", "10.1.0.2", "10.1.0.1:1000", "dropped"),
        // Whoever goes and does not jump does not come back: the policy of the base chain is what is left.
        case("tcp", "10.1.0.2", "10.1.0.1:23", "10.1.0.2 to 10.1.0.1:23"),
        case("tcp", "10.1.0.2", "10.1.0.1:8443", "10.1.0.2 to 10.1.0.1:443"),
    ] {
        check(&router, &case);
    }
}

#[test]
fn a_condition_that_is_not_understood_is_a_doubt() {
    let router = Router::up();
    let rules = "*filter\n-A FORWARD -p udp -m time --timestart 00:00 --timestop 12:00 -j DROP\n-A FORWARD -p tcp -m time --timestart 00:00 --timestop 12:00 -j LOG\nCOMMIT\n";
    feed(router.inside(), "iptables-nft-restore", rules);
    let firewall = read(router.inside());
    let table = firewall.table("ip filter").unwrap();
    let rule = &table.chain("FORWARD").unwrap().rules[0];
    assert!(
        rule.matches.iter().any(|one| matches!(one, Match::Other { text } if text == "-m time")),
        "{rule:?}"
    );
    let end = |port| Endpoint { address: "10.2.0.2".parse().unwrap(), port: Port(port) };
    for (protocol, doubts) in [(Protocol::UDP, 1), (Protocol::TCP, 0)] {
        let walks = firewall
            .walk(Hook::Forward, &Probe::new(FlowKey { protocol, source: end(1), destination: end(2) }));
        assert_eq!(walks.len(), 1);
        assert_eq!((walks[0].doubts.len(), &walks[0].ending), (doubts, &Ending::Accepted));
    }
}
