//! Filter expressions taken apart into conditions that must all hold, to tell which of them failed.

use std::ops::Range;

use super::words::{Word, words};

/// Words that shift where everything after them looks (pcap-filter(7)): what follows has no meaning alone.
const SHIFTS: [&str; 5] = ["vlan", "mpls", "pppoes", "geneve", "vxlan"];

/// Words that a condition of its own begins with; another takes its meaning from what is before it, as the `443`
/// of `port 80 and 443`.
const BEGINNINGS: &[&str] = &[
    "aarp",
    "action",
    "address1",
    "address2",
    "address3",
    "address4",
    "ah",
    "arp",
    "atalk",
    "broadcast",
    "carp",
    "clnp",
    "connectmsg",
    "csnp",
    "decnet",
    "dir",
    "direction",
    "dst",
    "ecn",
    "es-is",
    "esis",
    "esp",
    "ether",
    "fddi",
    "fr",
    "gateway",
    "geneve",
    "greater",
    "host",
    "icmp",
    "icmp6",
    "ifindex",
    "ifname",
    "igmp",
    "igrp",
    "iih",
    "inbound",
    "ip",
    "ip6",
    "ipx",
    "is-is",
    "isis",
    "iso",
    "l1",
    "l2",
    "lane",
    "lat",
    "len",
    "less",
    "link",
    "llc",
    "lsp",
    "metac",
    "moprc",
    "mpls",
    "multicast",
    "net",
    "netbeui",
    "on",
    "outbound",
    "pim",
    "port",
    "portrange",
    "ppp",
    "pppoed",
    "pppoes",
    "proto",
    "protochain",
    "rarp",
    "sctp",
    "src",
    "stp",
    "tcp",
    "type",
    "udp",
    "vlan",
    "vrrp",
];

/// The conditions of which the expression is the conjunction, in order: parts of its text. One where it is none.
///
/// Conjunction and alternation are of equal precedence and associate to the left (pcap-filter(7)), so the
/// conditions are what is before and between the last `and`s. Where a condition has no meaning of its own, it
/// stays with the one before.
pub fn conjuncts(expression: &str) -> Vec<&str> {
    let words = words(expression);
    let mut found = Vec::new();
    split(&words, 0..words.len(), &mut found);
    let text = |range: Range<usize>| {
        let (first, last) = (words.get(range.start)?, words.get(range.end.checked_sub(1)?)?);
        expression.get(first.start..last.range().end)
    };
    found.into_iter().filter_map(text).collect()
}

/// Finds the conditions of a part of the words.
fn split(words: &[Word<'_>], mut part: Range<usize>, found: &mut Vec<Range<usize>>) {
    while is_wrapped(&words[part.clone()]) {
        part = part.start + 1..part.end - 1;
    }
    let mut conditions: Vec<Range<usize>> = Vec::new();
    let mut is_shifted = false;
    for condition in parts(words, part) {
        let alone = !is_shifted && stands_alone(&words[condition.clone()]);
        is_shifted |= words[condition.clone()].iter().any(|word| SHIFTS.contains(&word.text));
        match conditions.last_mut() {
            Some(last) if !alone => last.end = condition.end,
            _ => conditions.push(condition),
        }
    }
    match conditions.as_slice() {
        [_] => found.append(&mut conditions),
        _ => conditions.into_iter().for_each(|condition| split(words, condition, found)),
    }
}

/// What is before and between the `and`s that no `or` follows, outside of parentheses.
fn parts(words: &[Word<'_>], part: Range<usize>) -> Vec<Range<usize>> {
    let mut depth = 0_usize;
    let mut parts = Vec::new();
    let mut begin = part.start;
    for (at, word) in words.iter().enumerate().take(part.end).skip(part.start) {
        match word.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "and" | "&&" if depth == 0 => {
                parts.push(begin..at);
                begin = at + 1;
            }
            "or" | "||" if depth == 0 => {
                parts.clear();
                begin = part.start;
            }
            _ => {}
        }
    }
    parts.push(begin..part.end);
    parts
}

/// Whether one pair of parentheses is around all of it.
fn is_wrapped(words: &[Word<'_>]) -> bool {
    let [Word { text: "(", .. }, inner @ .., Word { text: ")", .. }] = words else { return false };
    let mut depth = 0_usize;
    inner.iter().all(|word| match word.text {
        "(" => {
            depth += 1;
            true
        }
        ")" if depth == 0 => false,
        ")" => {
            depth -= 1;
            true
        }
        _ => true,
    })
}

/// Whether it begins as a condition of its own: with a keyword, or a number that is reckoned with.
fn stands_alone(words: &[Word<'_>]) -> bool {
    const OPERATORS: [&str; 16] =
        ["+", "-", "*", "%", "&", "|", "^", "<<", ">>", "=", "==", "!=", "<", ">", "<=", ">="];
    let mut words = words.iter().map(|word| word.text).skip_while(|text| ["not", "!", "("].contains(text));
    let Some(first) = words.next() else { return true };
    let is_number = first == "-" || first.chars().all(|c| c.is_ascii_digit()) || first.starts_with("0x");
    BEGINNINGS.contains(&first) || (is_number && words.next().is_some_and(|next| OPERATORS.contains(&next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_what_ands_are_between() {
        for (expression, expected) in [
            ("", &[][..]),
            ("tcp", &["tcp"]),
            ("tcp dst port 8080 and host 10.0.0.1", &["tcp dst port 8080", "host 10.0.0.1"]),
            ("tcp && (udp || icmp) && !arp", &["tcp", "udp || icmp", "!arp"]),
            ("( tcp and (ip[0] = 1 and 6 = ip[9]) )", &["tcp", "ip[0] = 1", "6 = ip[9]"]),
            ("(tcp) and (port 80)", &["tcp", "port 80"]),
            // To the left: (tcp or udp) and port 53; (tcp and udp) or port 53.
            ("tcp or udp and port 53", &["tcp or udp", "port 53"]),
            ("tcp and udp or port 53", &["tcp and udp or port 53"]),
            ("tcp and udp or port 53 and ip and len > 9", &["tcp and udp or port 53", "ip", "len > 9"]),
            ("not (tcp and udp)", &["not (tcp and udp)"]),
            ("(tcp and ip) or (udp and ip6)", &["(tcp and ip) or (udp and ip6)"]),
            // Qualifiers go on.
            ("port 80 and 443", &["port 80 and 443"]),
            ("src host a and not (b or c) and tcp", &["src host a and not (b or c)", "tcp"]),
            ("(port 80) and 443 and ip", &["(port 80) and 443", "ip"]),
            // Offsets go on.
            ("ip and vlan 5 and tcp and port 80", &["ip", "vlan 5 and tcp and port 80"]),
            ("(mpls or ip) and tcp", &["(mpls or ip) and tcp"]),
        ] {
            assert_eq!(conjuncts(expression), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_does_no_harm() {
        for expression in
            ["and", "and and", "(((", ")", "() and ()", "tcp and", "or tcp", "(a) and )(", "[ and ]"]
        {
            for part in conjuncts(expression) {
                assert!(expression.contains(part));
            }
        }
    }
}
