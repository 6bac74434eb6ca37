//! What we read of rulesets beside what `nft -j` lists of them.

use std::collections::BTreeMap;

use serde_json::Value;
use tests::Namespace;
use tracer_core::evidence::{Action, Firewall, Hook, Match, Rule, SetValue, Table};

use super::router::Router;
use super::scene::{feed, namespace, read, run};

pub(crate) const KUBE_PROXY: &str = include_str!("kube-proxy.nft");
pub(crate) const FIREWALLD: &str = include_str!("firewalld.nft");

/// Of each chain: hook and priority, and of each rule handle, comment, counter and what its last statement is.
type Listed = BTreeMap<
    (String, String, String),
    (Option<(String, i64)>, Vec<(u64, Option<String>, Option<u64>, String)>),
>;

fn theirs(namespace: &Namespace) -> (Listed, BTreeMap<String, usize>) {
    let all: Value = serde_json::from_str(&run(namespace, "nft -j list ruleset")).unwrap();
    let mut chains = Listed::new();
    let mut sets = BTreeMap::new();
    for object in all["nftables"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        if let Some(chain) = object.get("chain") {
            let hook = chain["hook"].as_str().map(|hook| (hook.to_owned(), chain["prio"].as_i64().unwrap()));
            chains.insert(
                (text(&chain["family"]), text(&chain["table"]), text(&chain["name"])),
                (hook, Vec::new()),
            );
        } else if let Some(rule) = object.get("rule") {
            let key = (text(&rule["family"]), text(&rule["table"]), text(&rule["chain"]));
            let statements = rule["expr"].as_array().unwrap();
            let counter = statements.iter().find_map(|one| one["counter"]["packets"].as_u64());
            let last = statements.last().unwrap();
            let comment = rule["comment"].as_str().map(str::to_owned);
            let verdict = verdict(last);
            chains.get_mut(&key).unwrap().1.push((
                rule["handle"].as_u64().unwrap(),
                comment,
                counter,
                verdict,
            ));
        } else if let Some(set) = object.get("set").or_else(|| object.get("map")) {
            sets.insert(text(&set["name"]), set["elem"].as_array().map_or(0, Vec::len));
        }
    }
    (chains, sets)
}

fn verdict(statement: &Value) -> String {
    let (name, value) = statement.as_object().unwrap().iter().next().unwrap();
    match name.as_str() {
        "jump" | "goto" => format!("{name} {}", value["target"].as_str().unwrap()),
        "accept" | "drop" | "return" | "reject" | "dnat" | "snat" | "masquerade" | "redirect" | "vmap"
        | "notrack" | "queue" => name.clone(),
        _ => "-".to_owned(),
    }
}

fn our_verdict(rule: &Rule) -> String {
    match rule.actions.last() {
        Some(Action::Jump { chain }) => format!("jump {chain}"),
        Some(Action::Goto { chain }) => format!("goto {chain}"),
        Some(Action::Accept) => "accept".to_owned(),
        Some(Action::Drop) => "drop".to_owned(),
        Some(Action::Return) => "return".to_owned(),
        Some(Action::Reject { .. }) => "reject".to_owned(),
        Some(Action::Dnat { .. }) => "dnat".to_owned(),
        Some(Action::Snat { .. }) => "snat".to_owned(),
        Some(Action::Masquerade { .. }) => "masquerade".to_owned(),
        Some(Action::Redirect { .. }) => "redirect".to_owned(),
        Some(Action::Lookup { .. }) => "vmap".to_owned(),
        Some(Action::NoTrack) => "notrack".to_owned(),
        Some(Action::Queue { .. }) => "queue".to_owned(),
        _ => "-".to_owned(),
    }
}

fn hook(hook: Hook) -> String {
    format!("{hook:?}").to_lowercase()
}

fn ours(firewall: &Firewall) -> Listed {
    let mut listed = Listed::new();
    for table in &firewall.tables {
        for chain in &table.chains {
            let rules = chain
                .rules
                .iter()
                .map(|rule| (rule.handle.unwrap(), rule.comment.clone(), rule.packets, our_verdict(rule)));
            let base = chain.hook.map(|one| (hook(one), chain.priority.into()));
            listed.insert(
                (table.family.clone(), table.name.clone(), chain.name.clone()),
                (base, rules.collect()),
            );
        }
    }
    listed
}

fn compare(namespace: &Namespace) -> Firewall {
    let firewall = read(namespace);
    let (chains, sets) = theirs(namespace);
    let own = ours(&firewall);
    assert_eq!(chains.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>());
    for (name, chain) in &chains {
        assert_eq!(*chain, own[name], "{name:?}");
    }
    for table in &firewall.tables {
        for set in table.sets.iter().filter(|set| !set.name.starts_with("__")) {
            assert_eq!(sets[&set.name], set.elements.len(), "{}", set.name);
            assert!(!set.is_truncated);
        }
    }
    firewall
}

fn rule<'a>(table: &'a Table, chain: &str, index: usize) -> &'a Rule {
    &table.chain(chain).unwrap().rules[index]
}

#[test]
fn kube_proxy_in_nftables_mode_reads_as_nft_lists_it() {
    let namespace = namespace();
    feed(&namespace, "nft -f -", KUBE_PROXY);
    let firewall = compare(&namespace);
    let table = firewall.table("ip kube-proxy").unwrap();
    for rule in table.chains.iter().flat_map(|chain| &chain.rules) {
        assert!(!rule.matches.iter().any(|one| matches!(one, Match::Other { .. })), "{rule:?}");
        assert!(!rule.actions.iter().any(|one| matches!(one, Action::Other { .. })), "{rule:?}");
    }
    let services = table.set("service-ips").unwrap();
    let web = services.elements.iter().find(|one| one.comment.as_deref() == Some("default/web")).unwrap();
    assert_eq!(web.verdict, Some(Action::Goto { chain: "service-WEB".to_owned() }));
    assert_eq!(web.key[2], SetValue::Numbers { first: 80, last: 80 });
    assert_eq!(
        rule(table, "endpoint-WEB1", 1).text,
        "meta l4proto udp dnat to 10.2.0.11:8080",
        "{:?}",
        rule(table, "endpoint-WEB1", 1)
    );
    assert_eq!(rule(table, "mark-for-masquerade", 0).actions, [Action::Mark { value: 0x4000, mask: 0x4000 }]);
    assert_eq!(rule(table, "masquerading", 1).actions, [Action::Mark { value: 0x4000, mask: 0 }]);
    assert_eq!(
        rule(table, "service-DNS", 0).text,
        "ip daddr 10.96.0.10 udp dport 53 ip saddr != 10.244.0.0/16 jump mark-for-masquerade"
    );
}

#[test]
fn hand_written_rules_read_as_nft_lists_them() {
    let router = Router::up();
    feed(router.inside(), "nft -f -", FIREWALLD);
    let firewall = compare(router.inside());
    let table = firewall.table("inet firewalld").unwrap();
    let text = |chain: &str, index: usize| rule(table, chain, index).text.clone();
    assert_eq!(text("input", 0), "ct state established,related accept");
    assert_eq!(text("input", 1), "ct status dnat accept");
    assert_eq!(text("input", 3), "ct state invalid drop");
    assert_eq!(text("forward", 3), "iifname @members udp dport { 53, 123, 6000-6010 } accept");
    assert_eq!(text("forward", 4), "tcp flags & (fin | syn | rst | ack) == syn tcp dport 8000-8010 accept");
    assert_eq!(text("forward", 5), "ip6 saddr fd00::/8 accept");
    assert_eq!(text("forward", 6), "meta mark & 0x000000ff == 0x00000010 accept");
    assert_eq!(text("forward", 7), "ip daddr 10.2.0.0/24 udp dport 7000 meta mark set 0x00000010");
    assert_eq!(text("forward", 9), "ip daddr 10.2.0.4 ip saddr 10.1.0.2 reject with icmp-host-prohibited");
    assert_eq!(text("forward", 10), "udp sport 1-1023 limit rate 5/second accept");
    assert_eq!(text("forward", 14), "tcp dport 9001 reject with tcp reset");
    assert_eq!(text("zone_public", 1), "udp dport != 1-1000 accept");
    assert_eq!(text("zone_deny", 1), "fib daddr type local udp dport 1000 drop");
    assert_eq!(text("post", 0), "oifname != \"lo\" ip saddr 10.1.0.3 masquerade");
    assert_eq!(text("pre", 1), "ip daddr 203.0.113.0/24 udp dport 53 dnat to 10.2.0.53");
    assert_eq!(rule(table, "forward", 13).matches.last(), Some(&Match::Probability { probability: 0.25 }));
    let blocked = table.set("blocked").unwrap();
    let network =
        SetValue::Addresses { first: "192.0.2.0".parse().unwrap(), last: "192.0.2.255".parse().unwrap() };
    assert!(blocked.elements.iter().any(|one| one.key == [network.clone()]), "{blocked:?}");
    let names: Vec<_> = table.set("members").unwrap().elements.iter().flat_map(|one| &one.key).collect();
    assert!(names.contains(&&SetValue::Name { name: "wg*".to_owned() }), "{names:?}");
    assert!(names.contains(&&SetValue::Name { name: "c0".to_owned() }), "{names:?}");
    assert_eq!(firewall.table("netdev edge").unwrap().chains[0].devices, ["c0"]);
}

#[test]
fn the_chains_of_a_dormant_table_are_called_by_nobody() {
    let namespace = namespace();
    let rules =
        "table ip asleep { flags dormant\n chain in { type filter hook input priority 0; policy drop; }; }\n";
    feed(&namespace, "nft -f -", rules);
    let firewall = read(&namespace);
    assert_eq!(firewall.table("ip asleep").unwrap().chain("in").unwrap().hook, None);
}
