//! As `nft list ruleset` prints.

use super::super::{Action, Field, Match, Rule, TranslationTarget};
use super::{networks, ports};
use crate::flow::Protocol;

/// The rule as `nft list ruleset` prints it, handle and counter's bytes left out.
pub fn nft_text(rule: &Rule) -> String {
    let protocol = rule.matches.iter().find_map(|condition| match condition {
        Match::Protocol { protocol, is_negated: false } => Some(*protocol),
        _ => None,
    });
    let is_said = rule.matches.iter().any(|condition| names_protocol(condition, protocol));
    let needed =
        |condition: &&Match| !(is_said && matches!(condition, Match::Protocol { is_negated: false, .. }));
    let mut words: Vec<_> =
        rule.matches.iter().filter(needed).map(|condition| self::condition(condition, protocol)).collect();
    words.extend(rule.actions.iter().map(action));
    words.extend(rule.comment.as_ref().map(|comment| format!("comment \"{comment}\"")));
    words.join(" ")
}

/// Whether a condition's words say the protocol already (`tcp dport`).
fn names_protocol(condition: &Match, protocol: Option<Protocol>) -> bool {
    match condition {
        Match::SourcePort { .. } | Match::DestinationPort { .. } => protocol.is_some_and(Protocol::has_ports),
        Match::TcpFlags { .. } => protocol == Some(Protocol::TCP),
        Match::IcmpType { .. } => protocol.is_some_and(Protocol::is_icmp),
        _ => false,
    }
}

fn not(is_negated: bool) -> &'static str {
    if is_negated { "!= " } else { "" }
}

/// The header that ports are of.
fn transport(protocol: Option<Protocol>) -> String {
    match protocol {
        Some(protocol) if protocol.has_ports() => protocol.to_string().to_ascii_lowercase(),
        _ => "th".to_owned(),
    }
}

fn set(words: String, count: usize) -> String {
    if count == 1 { words } else { format!("{{ {words} }}") }
}

fn condition(condition: &Match, protocol: Option<Protocol>) -> String {
    match condition {
        Match::Protocol { protocol, is_negated } => {
            format!("meta l4proto {}{}", not(*is_negated), name(*protocol))
        }
        Match::Source { networks: all, is_negated: false } if all.len() == 1 && all[0].length == 0 => {
            format!("meta nfproto {}", if all[0].address.is_ipv4() { "ipv4" } else { "ipv6" })
        }
        Match::Source { networks: all, is_negated } => address("saddr", all, *is_negated),
        Match::Destination { networks: all, is_negated } => address("daddr", all, *is_negated),
        Match::SourcePort { ports: all, is_negated } => {
            format!(
                "{} sport {}{}",
                transport(protocol),
                not(*is_negated),
                set(ports(all, '-', ", "), all.len())
            )
        }
        Match::DestinationPort { ports: all, is_negated } => {
            format!(
                "{} dport {}{}",
                transport(protocol),
                not(*is_negated),
                set(ports(all, '-', ", "), all.len())
            )
        }
        Match::Input { name, is_negated } => format!("iifname {}\"{name}\"", not(*is_negated)),
        Match::Output { name, is_negated } => format!("oifname {}\"{name}\"", not(*is_negated)),
        Match::Mark { value, mask, is_negated } => masked("meta mark", *value, *mask, *is_negated),
        Match::ConnectionMark { value, mask, is_negated } => masked("ct mark", *value, *mask, *is_negated),
        Match::ConntrackState { states, is_negated } => state(states, *is_negated),
        Match::DestinationType { kind, is_negated } => {
            format!("fib daddr type {}{}", not(*is_negated), kind.to_ascii_lowercase())
        }
        Match::SourceType { kind, is_negated } => {
            format!("fib saddr type {}{}", not(*is_negated), kind.to_ascii_lowercase())
        }
        Match::Probability { probability } => format!("numgen random probability {probability:.6}"),
        Match::TcpFlags { mask, set, is_negated } => tcp_flags(*mask, *set, *is_negated),
        Match::IcmpType { kind, code, is_negated } => {
            let icmp = if protocol == Some(Protocol::ICMPV6) { "icmpv6" } else { "icmp" };
            let code = code.map_or_else(String::new, |code| format!(" {icmp} code {code}"));
            format!("{icmp} type {}{kind}{code}", not(*is_negated))
        }
        Match::Ttl { op, value } if op == "==" => format!("ip ttl {value}"),
        Match::Ttl { op, value } => format!("ip ttl {op} {value}"),
        Match::Length { first, last, is_negated } => {
            format!("meta length {}{first}-{last}", not(*is_negated))
        }
        Match::InSet { fields: all, set, is_negated } => {
            format!("{} {}@{set}", fields(all, protocol), not(*is_negated))
        }
        Match::Other { text } => text.clone(),
    }
}

fn name(protocol: Protocol) -> String {
    match protocol {
        Protocol::ICMPV6 => "ipv6-icmp".to_owned(),
        protocol if protocol.is_icmp() || protocol.has_ports() => protocol.to_string().to_ascii_lowercase(),
        Protocol(number) => number.to_string(),
    }
}

fn address(field: &str, all: &[super::Prefix], is_negated: bool) -> String {
    let header = if all.first().is_some_and(|network| network.address.is_ipv6()) { "ip6" } else { "ip" };
    format!("{header} {field} {}{}", not(is_negated), set(networks(all, false), all.len()))
}

fn masked(name: &str, value: u32, mask: u32, is_negated: bool) -> String {
    let number = format!("0x{value:08x}");
    match (mask, is_negated) {
        (u32::MAX, _) => format!("{name} {}{number}", not(is_negated)),
        (mask, false) => format!("{name} & 0x{mask:08x} == {number}"),
        (mask, true) => format!("{name} & 0x{mask:08x} != {number}"),
    }
}

/// States of the connection, or what NAT did to it.
fn state(states: &[String], is_negated: bool) -> String {
    let is_status = states.iter().any(|state| state == "dnat" || state == "snat");
    format!("ct {} {}{}", if is_status { "status" } else { "state" }, not(is_negated), states.join(","))
}

fn tcp_flags(mask: u8, set: u8, is_negated: bool) -> String {
    const FLAGS: [(u8, &str); 8] =
        [(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")];
    let words = |bits: u8| -> String {
        let set: Vec<_> = FLAGS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
        if set.is_empty() { "0x0".to_owned() } else { set.join(" | ") }
    };
    format!("tcp flags & ({}) {} {}", words(mask), if is_negated { "!=" } else { "==" }, words(set))
}

/// What is looked up, as a concatenation.
fn fields(fields: &[Field], protocol: Option<Protocol>) -> String {
    let word = |field: &Field| match field {
        Field::Source => "ip saddr".to_owned(),
        Field::Destination => "ip daddr".to_owned(),
        Field::Protocol => "meta l4proto".to_owned(),
        Field::SourcePort => format!("{} sport", transport(protocol)),
        Field::DestinationPort => format!("{} dport", transport(protocol)),
        Field::Input => "iifname".to_owned(),
        Field::Output => "oifname".to_owned(),
        Field::Mark => "meta mark".to_owned(),
        Field::ConntrackState => "ct state".to_owned(),
        Field::Lot { modulus, offset: 0 } => format!("numgen random mod {modulus}"),
        Field::Lot { modulus, offset } => format!("numgen random mod {modulus} offset {offset}"),
        Field::Other(words) => words.clone(),
    };
    fields.iter().map(word).collect::<Vec<_>>().join(" . ")
}

fn action(action: &Action) -> String {
    match action {
        Action::Accept => "accept".to_owned(),
        Action::Drop => "drop".to_owned(),
        Action::Return => "return".to_owned(),
        Action::Reject { with } if with == "tcp-reset" => "reject with tcp reset".to_owned(),
        Action::Reject { with } => format!("reject with {with}"),
        Action::Jump { chain } => format!("jump {chain}"),
        Action::Goto { chain } => format!("goto {chain}"),
        Action::Dnat { to } => format!("dnat to {}", target(to)),
        Action::Snat { to } => format!("snat to {}", target(to)),
        Action::Masquerade { is_random: false } => "masquerade".to_owned(),
        Action::Masquerade { is_random: true } => "masquerade fully-random".to_owned(),
        Action::Redirect { port: None } => "redirect".to_owned(),
        Action::Redirect { port: Some(port) } => format!("redirect to :{port}"),
        Action::Mark { value, mask } => turned("meta mark", *value, *mask),
        Action::ConnectionMark { value, mask } => turned("ct mark", *value, *mask),
        Action::SaveMark { mask: u32::MAX } => "ct mark set meta mark".to_owned(),
        Action::SaveMark { mask } => format!("ct mark set meta mark & 0x{mask:08x}"),
        Action::RestoreMark { mask: u32::MAX } => "meta mark set ct mark".to_owned(),
        Action::RestoreMark { mask } => format!("meta mark set ct mark & 0x{mask:08x}"),
        Action::Lookup { fields: all, map } => format!("{} vmap @{map}", fields(all, None)),
        Action::NoTrack => "notrack".to_owned(),
        Action::Queue { number } => format!("queue to {number}"),
        Action::Nothing { text } | Action::Other { text } => text.clone(),
    }
}

/// `(mark & !mask) ^ value`.
fn turned(name: &str, value: u32, mask: u32) -> String {
    match mask {
        u32::MAX => format!("{name} set 0x{value:08x}"),
        0 => format!("{name} set {name} ^ 0x{value:08x}"),
        mask if mask == value => format!("{name} set {name} | 0x{value:08x}"),
        mask => format!("{name} set {name} & 0x{:08x} ^ 0x{value:08x}", !mask),
    }
}

fn target(to: &TranslationTarget) -> String {
    let random = if to.is_random { " random" } else { "" };
    let address = match (to.address, to.port) {
        (Some(address), Some(_)) if address.is_ipv6() => format!("[{address}]"),
        (Some(address), _) => address.to_string(),
        (None, _) => String::new(),
    };
    let port = to.port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{address}{port}{random}")
}
