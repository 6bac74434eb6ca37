//! What we read of rulesets beside what `iptables-save` prints of them.

use std::collections::BTreeMap;

use tracer_core::evidence::{Action, Backend, Firewall, Match};

use super::scene::{feed, namespace, read, run};

/// kube-proxy's, Calico's, Docker's and hand-written rules, with most of the matches and targets that they use.
const RULES: &str = include_str!("rules.v4");
const RULES_V6: &str = include_str!("rules.v6");

/// A line of `iptables-save` as its options, each with its arguments, in any order; names of matches say nothing.
pub(crate) fn options(line: &str) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    let mut comments = Vec::new();
    let mut words = words(line).into_iter().peekable();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-m" => drop(words.next()),
            "--comment" => comments.extend(words.next()),
            word if word.starts_with('-') && word.len() > 1 || word == "!" => options.push(word.to_owned()),
            word => {
                let option = options.last_mut().unwrap();
                *option += " ";
                *option += word;
            }
        }
    }
    // A negation belongs to the option behind it.
    let mut joined: Vec<String> = Vec::new();
    for option in options {
        match joined.last_mut() {
            Some(last) if last == "!" => *last = format!("! {option}"),
            _ => joined.push(option),
        }
    }
    joined.sort();
    joined.push(comments.join(" "));
    joined
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut is_quoted, mut is_word, mut is_escaped) = (false, false, false);
    for letter in line.chars() {
        match letter {
            letter if is_escaped => {
                word.push(letter);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => (is_quoted, is_word) = (!is_quoted, true),
            ' ' if !is_quoted => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            letter => {
                word.push(letter);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

/// Tables, chains with policies, and rules with their counters, as `iptables-save -c` prints them.
type Saved = BTreeMap<String, BTreeMap<String, (String, Vec<(u64, Vec<String>)>)>>;

fn parse(output: &str) -> Saved {
    let mut saved = Saved::new();
    let mut table = String::new();
    for line in output.lines() {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
            saved.entry(table.clone()).or_default();
        } else if let Some(chain) = line.strip_prefix(':') {
            let words: Vec<_> = chain.split(' ').collect();
            let policy = (words[1].to_owned(), Vec::new());
            saved.get_mut(&table).unwrap().insert(words[0].to_owned(), policy);
        } else if let Some((counter, rule)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            let packets = counter.split(':').next().unwrap().parse().unwrap();
            let chain = rule.split(' ').nth(1).unwrap();
            saved.get_mut(&table).unwrap().get_mut(chain).unwrap().1.push((packets, options(rule)));
        }
    }
    saved
}

fn ours(firewall: &Firewall, family: &str, backend: Backend) -> Saved {
    let tables = firewall.tables.iter().filter(|table| table.family == family && table.backend == backend);
    let chains = |table: &tracer_core::evidence::Table| {
        table
            .chains
            .iter()
            .map(|chain| {
                let policy = match &chain.policy {
                    None => "-",
                    Some(Action::Drop) => "DROP",
                    Some(_) => "ACCEPT",
                };
                let rules = chain.rules.iter().map(|rule| (rule.packets.unwrap(), options(&rule.text)));
                (chain.name.clone(), (policy.to_owned(), rules.collect()))
            })
            .collect()
    };
    tables.map(|table| (table.name.clone(), chains(table))).collect()
}

fn compare(theirs: &Saved, ours: &Saved) {
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (table, chains) in theirs {
        let own = &ours[table];
        assert_eq!(chains.keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>(), "{table}");
        for (chain, (policy, rules)) in chains {
            assert_eq!(*policy, own[chain].0, "{table} {chain}");
            assert_eq!(*rules, own[chain].1, "{table} {chain}");
        }
    }
}

#[test]
fn rules_of_iptables_nft_read_as_it_prints_them() {
    let namespace = namespace();
    feed(&namespace, "iptables-nft-restore -c", RULES);
    let theirs = parse(&run(&namespace, "iptables-nft-save -c"));
    let firewall = read(&namespace);
    assert!(theirs["nat"].len() > 10 && theirs["filter"].len() > 10, "{theirs:?}");
    compare(&theirs, &ours(&firewall, "ip", Backend::Nft));
    understood(&firewall);
}

#[test]
fn rules_of_ip6tables_nft_read_as_it_prints_them() {
    let namespace = namespace();
    feed(&namespace, "ip6tables-nft-restore -c", RULES_V6);
    let theirs = parse(&run(&namespace, "ip6tables-nft-save -c"));
    let firewall = read(&namespace);
    compare(&theirs, &ours(&firewall, "ip6", Backend::Nft));
    understood(&firewall);
}

#[test]
fn rules_of_iptables_legacy_read_as_it_prints_them() {
    let namespace = namespace();
    feed(&namespace, "iptables-legacy-restore -c", RULES);
    feed(&namespace, "ip6tables-legacy-restore -c", RULES_V6);
    let firewall = read(&namespace);
    let (v4, v6) = (run(&namespace, "iptables-legacy-save -c"), run(&namespace, "ip6tables-legacy-save -c"));
    compare(&parse(&v4), &ours(&firewall, "ip", Backend::Legacy));
    compare(&parse(&v6), &ours(&firewall, "ip6", Backend::Legacy));
    understood(&firewall);
    let nat = firewall.tables.iter().find(|table| table.label() == "ip nat").unwrap();
    let priority = |name: &str| nat.chain(name).unwrap().priority;
    assert_eq!((priority("PREROUTING"), priority("POSTROUTING")), (-100, 100));
}

#[test]
fn a_namespace_without_rules_has_none() {
    assert_eq!(read(&namespace()), Firewall::default());
}

/// What is said to be not understood is what those who wrote the rules know not to be decidable from outside.
fn understood(firewall: &Firewall) {
    const KNOWN: [&str; 8] = [
        "-m limit",
        "-m physdev",
        "-m rpfilter",
        "-m multiport --ports",
        "-m conntrack",
        "limit",
        "-m owner",
        "-m mac",
    ];
    for rule in firewall.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules) {
        for condition in &rule.matches {
            if let Match::Other { text } = condition {
                assert!(KNOWN.iter().any(|known| text.starts_with(known)), "{text} in {}", rule.text);
            }
        }
        for action in &rule.actions {
            assert!(!matches!(action, Action::Other { text } if !text.contains("TPROXY")), "{}", rule.text);
        }
    }
}
