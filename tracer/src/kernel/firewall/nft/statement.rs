//! Expressions that do something.

use tracer_core::evidence::{Action, Match, TranslationTarget};

use super::super::super::netlink::{attribute, text};
use super::super::range::address_of;
use super::super::words;
use super::meta;
use super::number::be32;
use super::register::{Origin, VERDICT, Value};
use super::rule::Reader;
use super::verdict::{self, Verdict};

/// `NF_NAT_RANGE_PROTO_RANDOM` and `NF_NAT_RANGE_PROTO_RANDOM_FULLY`.
const RANDOM: u32 = 4 | 16;

/// Evaluates an expression that acts; absent for one that is not understood.
pub(super) fn statement(reader: &mut Reader<'_>, name: &str, data: &[u8]) -> Option<()> {
    let is_v6 = reader.scope.is_v6.unwrap_or(false);
    let action = match name {
        "immediate" => {
            (attribute(data, 1).and_then(be32)? == VERDICT).then_some(())?;
            match verdict::of_data(attribute(data, 2)?)? {
                Verdict::Action(action) => action,
                Verdict::Continue => return Some(()),
            }
        }
        "meta" => set_meta(reader, data)?,
        "ct" => set_ct(reader, data)?,
        "nat" => nat(reader, data)?,
        "masq" => {
            let flags = attribute(data, 1).and_then(be32).unwrap_or(0);
            Action::Masquerade { is_random: flags & RANDOM != 0 }
        }
        "redir" => Action::Redirect {
            port: attribute(data, 1).and_then(be32).and_then(|register| port(reader, register)),
        },
        "reject" => reject(data, is_v6)?,
        "log" if reader.scope.is_iptables => iptables_log(data),
        "log" => log(data),
        "notrack" => Action::NoTrack,
        "queue" => {
            let number =
                attribute(data, 1).and_then(|number| Some(u16::from_be_bytes(number.try_into().ok()?)));
            Action::Queue { number: number.unwrap_or(0) }
        }
        "limit" | "connlimit" | "quota" => {
            let text = if reader.scope.is_iptables { iptables_limit(name, data) } else { limit(name, data) };
            reader.condition(Match::Other { text });
            return Some(());
        }
        "payload" => written(data),
        "dynset" => return dynset(reader, data),
        "objref" => {
            objref(reader, data);
            return Some(());
        }
        "last" | "dup" | "flow_offload" | "exthdr" => Action::Nothing { text: name.to_owned() },
        "tproxy" | "synproxy" | "fwd" => Action::Other { text: name.to_owned() },
        _ => return None,
    };
    reader.action(action);
    Some(())
}

/// Bytes of a packet that are overwritten: what becomes of it is only told where they are not addresses or ports.
fn written(data: &[u8]) -> Action {
    let number = |kind| attribute(data, kind).and_then(be32);
    let text = format!("payload set at {} of header {}", number(3).unwrap_or(0), number(2).unwrap_or(0));
    match (number(2), number(3)) {
        (Some(0), _) | (Some(1), Some(0..=8)) => Action::Nothing { text },
        _ => Action::Other { text },
    }
}

fn source<'a>(reader: &'a Reader<'_>, register: Option<&[u8]>) -> Option<&'a Value> {
    reader.registers.get(register.and_then(be32)?)
}

/// `meta ... set`.
fn set_meta(reader: &Reader<'_>, data: &[u8]) -> Option<Action> {
    let value = source(reader, attribute(data, 3));
    Some(match attribute(data, 2).and_then(be32)? {
        meta::MARK => match value.map(|value| (&value.origin, number(value))) {
            Some((Origin::Constant(_), Some((value, _)))) => Action::Mark { value, mask: u32::MAX },
            Some((Origin::Meta(meta::MARK), Some((value, kept)))) => Action::Mark { value, mask: !kept },
            Some((Origin::Ct { key: meta::CT_MARK, .. }, Some((0, u32::MAX)))) => {
                Action::RestoreMark { mask: u32::MAX }
            }
            _ => Action::Other { text: "meta mark set".to_owned() },
        },
        key => Action::Nothing { text: format!("{} set", meta::words(key)) },
    })
}

/// `ct ... set`.
fn set_ct(reader: &Reader<'_>, data: &[u8]) -> Option<Action> {
    let value = source(reader, attribute(data, 4));
    Some(match attribute(data, 2).and_then(be32)? {
        meta::CT_MARK => match value.map(|value| (&value.origin, number(value))) {
            Some((Origin::Constant(_), Some((value, _)))) => Action::ConnectionMark { value, mask: u32::MAX },
            Some((Origin::Ct { key: meta::CT_MARK, .. }, Some((value, kept)))) => {
                Action::ConnectionMark { value, mask: !kept }
            }
            Some((Origin::Meta(meta::MARK), Some((0, u32::MAX)))) => Action::SaveMark { mask: u32::MAX },
            _ => Action::Other { text: "ct mark set".to_owned() },
        },
        key => Action::Nothing { text: format!("{} set", meta::ct_words(key, None)) },
    })
}

/// A constant, or what is turned of something and which of its bits are kept.
fn number(value: &Value) -> Option<(u32, u32)> {
    let of = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_ne_bytes);
    if let Origin::Constant(bytes) = &value.origin {
        return value.mask.is_none().then_some((of(bytes)?, 0));
    }
    if value.is_swapped {
        return None;
    }
    match &value.mask {
        None => Some((0, u32::MAX)),
        Some((mask, xor)) => Some((of(xor)?, of(mask)?)),
    }
}

fn nat(reader: &Reader<'_>, data: &[u8]) -> Option<Action> {
    let register = |kind| attribute(data, kind).and_then(be32);
    let address = match register(3) {
        None => None,
        Some(register) => match &reader.registers.get(register)?.origin {
            Origin::Constant(bytes) => Some(address_of(bytes)?),
            other => {
                let words = Value::of(other.clone()).words();
                return Some(Action::Other { text: format!("nat to {words}") });
            }
        },
    };
    let to = TranslationTarget {
        address,
        port: register(5).and_then(|register| port(reader, register)),
        is_random: register(7).unwrap_or(0) & RANDOM != 0,
    };
    match register(1)? {
        0 => Some(Action::Snat { to }),
        1 => Some(Action::Dnat { to }),
        _ => None,
    }
}

fn port(reader: &Reader<'_>, register: u32) -> Option<u16> {
    match &reader.registers.get(register)?.origin {
        Origin::Constant(bytes) => bytes.first_chunk().copied().map(u16::from_be_bytes),
        _ => None,
    }
}

fn reject(data: &[u8], is_v6: bool) -> Option<Action> {
    let code = attribute(data, 2).and_then(|code| code.first().copied()).unwrap_or(0);
    let with = match attribute(data, 1).and_then(be32)? {
        0 => words::reject_code(code, is_v6),
        1 => "tcp-reset".to_owned(),
        2 => words::reject_any(code, is_v6),
        _ => return None,
    };
    Some(Action::Reject { with })
}

fn log(data: &[u8]) -> Action {
    let group = attribute(data, 1).and_then(|group| Some(u16::from_be_bytes(group.try_into().ok()?)));
    let prefix =
        text(data, 2).filter(|prefix| !prefix.is_empty()).map(|prefix| format!(" prefix \"{prefix}\""));
    let group = group.map(|group| format!(" group {group}"));
    Action::Nothing { text: format!("log{}{}", prefix.unwrap_or_default(), group.unwrap_or_default()) }
}

/// `LOG` and `NFLOG`, which `iptables-nft` writes as `log`.
fn iptables_log(data: &[u8]) -> Action {
    let group = attribute(data, 1).and_then(|group| Some(u16::from_be_bytes(group.try_into().ok()?)));
    let prefix = text(data, 2).filter(|prefix| !prefix.is_empty());
    let option =
        |name: &str| prefix.as_ref().map_or_else(String::new, |prefix| format!(" --{name} \"{prefix}\""));
    let text = match group {
        None => format!("-j LOG{}", option("log-prefix")),
        Some(0) => format!("-j NFLOG{}", option("nflog-prefix")),
        Some(group) => format!("-j NFLOG{} --nflog-group {group}", option("nflog-prefix")),
    };
    Action::Nothing { text }
}

/// `limit` as `iptables-nft` prints it: a burst of 5 is not said.
fn iptables_limit(name: &str, data: &[u8]) -> String {
    const USUAL_BURST: u32 = 5;
    let number = |kind| attribute(data, kind).and_then(super::number::be64);
    let (Some(rate), Some(unit)) = (number(1), number(2)) else { return format!("-m {name}") };
    let unit = match unit {
        1 => "sec",
        60 => "min",
        3600 => "hour",
        _ => "day",
    };
    let burst = attribute(data, 3).and_then(be32).filter(|burst| *burst != USUAL_BURST);
    let burst = burst.map_or_else(String::new, |burst| format!(" --limit-burst {burst}"));
    format!("-m limit --limit {rate}/{unit}{burst}")
}

/// `limit` by its rate and unit in seconds; the others by their names.
fn limit(name: &str, data: &[u8]) -> String {
    let number = |kind| attribute(data, kind).and_then(super::number::be64);
    match (name, number(1), number(2)) {
        ("limit", Some(rate), Some(unit)) => {
            let unit = match unit {
                1 => "second".to_owned(),
                60 => "minute".to_owned(),
                3600 => "hour".to_owned(),
                86400 => "day".to_owned(),
                seconds => format!("{seconds}s"),
            };
            format!("limit rate {rate}/{unit}")
        }
        ("connlimit", ..) => "ct count".to_owned(),
        _ => name.to_owned(),
    }
}

/// Elements that rules put into sets: nothing for the packet, unless the element brings a condition of its own.
fn dynset(reader: &mut Reader<'_>, data: &[u8]) -> Option<()> {
    const EXPR: u16 = 7;
    const EXPRESSIONS: u16 = 10;
    let set = text(data, 1)?;
    let word = match attribute(data, 3).and_then(be32)? {
        0 => "add",
        1 => "update",
        _ => "delete",
    };
    let text = format!("{word} @{set}");
    if attribute(data, EXPR).or_else(|| attribute(data, EXPRESSIONS)).is_some() {
        reader.condition(Match::Other { text });
    } else {
        reader.action(Action::Nothing { text });
    }
    Some(())
}

/// A named object: a counter or a helper changes nothing, a quota or a limit is a condition (`NFT_OBJECT_*`).
fn objref(reader: &mut Reader<'_>, data: &[u8]) {
    let name = text(data, 2).unwrap_or_default();
    match attribute(data, 1).and_then(be32) {
        Some(2 | 4 | 5) => reader.condition(Match::Other { text: format!("limited by {name}") }),
        Some(10) | None => reader.action(Action::Other { text: format!("object {name}") }),
        Some(1) => reader.action(Action::Nothing { text: format!("counter name \"{name}\"") }),
        Some(_) => reader.action(Action::Nothing { text: format!("object {name}") }),
    }
}
