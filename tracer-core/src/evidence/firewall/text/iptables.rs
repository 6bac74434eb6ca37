//! As `iptables-save` prints.

use super::super::{Action, Field, Match, Rule, TranslationTarget};
use super::{networks, ports};
use crate::flow::Protocol;

/// The rule as `iptables-save` prints it: addresses, interfaces and protocol first, then comments and matches.
pub fn iptables_text(chain: &str, rule: &Rule) -> String {
    let mut words = vec![format!("-A {chain}")];
    words.extend(ordered(&rule.matches).filter_map(head));
    words.extend(rule.comment.as_ref().map(|comment| format!("-m comment --comment {}", quoted(comment))));
    let protocol = rule.matches.iter().find_map(|condition| match condition {
        Match::Protocol { protocol, is_negated: false } => Some(*protocol),
        _ => None,
    });
    words.extend(transport(&rule.matches, protocol));
    let is_v6 = protocol == Some(Protocol::ICMPV6) || rule.matches.iter().any(is_of_v6);
    words.extend(rule.matches.iter().filter_map(|condition| extension(condition, is_v6)));
    words.extend(rule.actions.iter().map(action));
    words.join(" ")
}

/// Whether a condition is of an address of IPv6.
fn is_of_v6(condition: &Match) -> bool {
    match condition {
        Match::Source { networks, .. } | Match::Destination { networks, .. } => {
            networks.iter().any(|network| network.address.is_ipv6())
        }
        _ => false,
    }
}

/// Those that stand first in a line, in the order that they have there.
fn ordered(matches: &[Match]) -> impl Iterator<Item = &Match> {
    let place = |condition: &&Match| match condition {
        Match::Source { .. } => 0,
        Match::Destination { .. } => 1,
        Match::Input { .. } => 2,
        Match::Output { .. } => 3,
        _ => 4,
    };
    let mut all: Vec<_> = matches.iter().collect();
    all.sort_by_key(place);
    all.into_iter()
}

fn not(is_negated: bool) -> &'static str {
    if is_negated { "! " } else { "" }
}

fn head(condition: &Match) -> Option<String> {
    Some(match condition {
        Match::Source { networks: all, is_negated } => {
            format!("{}-s {}", not(*is_negated), networks(all, true))
        }
        Match::Destination { networks: all, is_negated } => {
            format!("{}-d {}", not(*is_negated), networks(all, true))
        }
        Match::Input { name, is_negated } => format!("{}-i {name}", not(*is_negated)),
        Match::Output { name, is_negated } => format!("{}-o {name}", not(*is_negated)),
        Match::Protocol { protocol, is_negated } => format!("{}-p {}", not(*is_negated), name(*protocol)),
        _ => return None,
    })
}

/// A protocol as iptables names it.
fn name(protocol: Protocol) -> String {
    match protocol {
        Protocol::ICMPV6 => "ipv6-icmp".to_owned(),
        Protocol(4) => "ipencap".to_owned(),
        Protocol(47) => "gre".to_owned(),
        Protocol(50) => "esp".to_owned(),
        Protocol(112) => "vrrp".to_owned(),
        Protocol(136) => "udplite".to_owned(),
        protocol if protocol.is_icmp() || protocol.has_ports() => protocol.to_string().to_ascii_lowercase(),
        Protocol(number) => number.to_string(),
    }
}

/// The conditions of the protocol's own match, behind one `-m`.
fn transport(matches: &[Match], protocol: Option<Protocol>) -> Option<String> {
    let options: Vec<_> = matches
        .iter()
        .filter_map(|condition| match condition {
            Match::SourcePort { ports: all, is_negated } if all.len() == 1 => {
                Some(format!("{}--sport {}", not(*is_negated), ports(all, ':', ",")))
            }
            Match::DestinationPort { ports: all, is_negated } if all.len() == 1 => {
                Some(format!("{}--dport {}", not(*is_negated), ports(all, ':', ",")))
            }
            Match::TcpFlags { mask, set, is_negated } => {
                Some(format!("{}--tcp-flags {} {}", not(*is_negated), flags(*mask), flags(*set)))
            }
            Match::IcmpType { kind, code, is_negated } => {
                let option = if protocol == Some(Protocol::ICMPV6) { "--icmpv6-type" } else { "--icmp-type" };
                let code = code.map_or_else(String::new, |code| format!("/{code}"));
                Some(format!("{}{option} {kind}{code}", not(*is_negated)))
            }
            _ => None,
        })
        .collect();
    let name = match protocol {
        Some(Protocol::ICMPV6) => "icmp6".to_owned(),
        Some(protocol) => name(protocol),
        None => "tcp".to_owned(),
    };
    (!options.is_empty()).then(|| format!("-m {name} {}", options.join(" ")))
}

fn flags(bits: u8) -> String {
    const FLAGS: [(u8, &str); 6] = [(1, "FIN"), (2, "SYN"), (4, "RST"), (8, "PSH"), (16, "ACK"), (32, "URG")];
    let set: Vec<_> = FLAGS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "NONE".to_owned() } else { set.join(",") }
}

fn extension(condition: &Match, is_v6: bool) -> Option<String> {
    Some(match condition {
        Match::SourcePort { ports: all, is_negated } if all.len() != 1 => {
            format!("-m multiport {}--sports {}", not(*is_negated), ports(all, ':', ","))
        }
        Match::DestinationPort { ports: all, is_negated } if all.len() != 1 => {
            format!("-m multiport {}--dports {}", not(*is_negated), ports(all, ':', ","))
        }
        Match::Mark { value, mask, is_negated } => {
            format!("-m mark {}--mark {}", not(*is_negated), masked(*value, *mask))
        }
        Match::ConnectionMark { value, mask, is_negated } => {
            format!("-m connmark {}--mark {}", not(*is_negated), masked(*value, *mask))
        }
        Match::ConntrackState { states, is_negated } => {
            format!("-m conntrack {}--ctstate {}", not(*is_negated), states.join(",").to_ascii_uppercase())
        }
        Match::DestinationType { kind, is_negated } => {
            format!("-m addrtype {}--dst-type {kind}", not(*is_negated))
        }
        Match::SourceType { kind, is_negated } => {
            format!("-m addrtype {}--src-type {kind}", not(*is_negated))
        }
        Match::Probability { probability } => {
            format!("-m statistic --mode random --probability {probability:.11}")
        }
        Match::Ttl { op, value } => ttl(op, *value, is_v6),
        Match::Length { first, last, is_negated } if first == last => {
            format!("-m length {}--length {first}", not(*is_negated))
        }
        Match::Length { first, last, is_negated } => {
            format!("-m length {}--length {first}:{last}", not(*is_negated))
        }
        Match::InSet { fields, set, is_negated } => {
            format!("-m set {}--match-set {set} {}", not(*is_negated), directions(fields))
        }
        Match::Other { text } => text.clone(),
        _ => return None,
    })
}

fn ttl(op: &str, value: u8, is_v6: bool) -> String {
    let name = if is_v6 { "hl" } else { "ttl" };
    match op {
        "<" => format!("-m {name} --{name}-lt {value}"),
        ">" => format!("-m {name} --{name}-gt {value}"),
        _ => format!("-m {name} --{name}-eq {value}"),
    }
}

/// `src` or `dst` for each dimension; a port's protocol is no dimension of its own.
fn directions(fields: &[Field]) -> String {
    let each = fields.iter().filter_map(|field| match field {
        Field::Source | Field::SourcePort | Field::Input => Some("src"),
        Field::Protocol => None,
        _ => Some("dst"),
    });
    each.collect::<Vec<_>>().join(",")
}

fn masked(value: u32, mask: u32) -> String {
    if mask == u32::MAX { format!("0x{value:x}") } else { format!("0x{value:x}/0x{mask:x}") }
}

fn action(action: &Action) -> String {
    match action {
        Action::Accept => "-j ACCEPT".to_owned(),
        Action::Drop => "-j DROP".to_owned(),
        Action::Return => "-j RETURN".to_owned(),
        Action::Reject { with } => format!("-j REJECT --reject-with {with}"),
        Action::Jump { chain } => format!("-j {chain}"),
        Action::Goto { chain } => format!("-g {chain}"),
        Action::Dnat { to } => format!("-j DNAT --to-destination {}", target(to)),
        Action::Snat { to } => format!("-j SNAT --to-source {}", target(to)),
        Action::Masquerade { is_random: false } => "-j MASQUERADE".to_owned(),
        Action::Masquerade { is_random: true } => "-j MASQUERADE --random-fully".to_owned(),
        Action::Redirect { port: None } => "-j REDIRECT".to_owned(),
        Action::Redirect { port: Some(port) } => format!("-j REDIRECT --to-ports {port}"),
        Action::Mark { value, mask } => format!("-j MARK --set-xmark 0x{value:x}/0x{mask:x}"),
        Action::ConnectionMark { value, mask } => format!("-j CONNMARK --set-xmark 0x{value:x}/0x{mask:x}"),
        Action::SaveMark { mask } => {
            format!("-j CONNMARK --save-mark --nfmask 0x{mask:x} --ctmask 0x{mask:x}")
        }
        Action::RestoreMark { mask } => {
            format!("-j CONNMARK --restore-mark --nfmask 0x{mask:x} --ctmask 0x{mask:x}")
        }
        Action::Lookup { map, .. } => format!("vmap @{map}"),
        Action::NoTrack => "-j CT --notrack".to_owned(),
        Action::Queue { number } => format!("-j NFQUEUE --queue-num {number}"),
        Action::Nothing { text } | Action::Other { text } => text.clone(),
    }
}

/// Address and port of a translation, as `10.0.0.1:80` or `[fd00::1]:80`.
fn target(to: &TranslationTarget) -> String {
    let random = if to.is_random { " --random" } else { "" };
    let address = match (to.address, to.port) {
        (Some(address), Some(_)) if address.is_ipv6() => format!("[{address}]"),
        (Some(address), _) => address.to_string(),
        (None, _) => String::new(),
    };
    let port = to.port.map_or_else(String::new, |port| format!(":{port}"));
    format!("{address}{port}{random}")
}

/// Quoted where iptables quotes: unless it is one plain word.
fn quoted(comment: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:+=,@".contains(letter);
    if !comment.is_empty() && comment.chars().all(is_plain) {
        return comment.to_owned();
    }
    format!("\"{}\"", comment.replace('\\', "\\\\").replace('"', "\\\""))
}
