//! The entries of a table, one behind the other: chains by where they begin, jumps by where they go.

use std::collections::BTreeMap;

use tracer_core::evidence::{Action, Backend, Chain, Hook, Match, Prefix, Rule, Table, iptables_text};
use tracer_core::flow::Protocol;

use super::socket::Info;
use crate::kernel::firewall::ipset::IpSets;
use crate::kernel::firewall::range::{address_of, prefix_length};
use crate::kernel::firewall::xt::{self, Blob, read_match, read_target};
use crate::kernel::netlink::field;

/// Where things are in an entry (`struct ipt_entry`, `struct ip6t_entry`), in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) is_v6: bool,
    /// Length of an address.
    address: usize,
    /// Names of interfaces, behind source, destination and their masks.
    interfaces: usize,
    protocol: usize,
    flags: usize,
    inverted: usize,
    /// `target_offset`, and `next_offset` behind it.
    offsets: usize,
    counters: usize,
    /// First match.
    matches: usize,
    /// `IPT_F_FRAG`, or nothing.
    fragment: u8,
    /// `IPT_F_GOTO`, `IP6T_F_GOTO`.
    goto: u8,
}

/// IPv4.
pub(super) const V4: Layout = Layout {
    is_v6: false,
    address: 4,
    interfaces: 16,
    protocol: 80,
    flags: 82,
    inverted: 83,
    offsets: 88,
    counters: 96,
    matches: 112,
    fragment: 1,
    goto: 2,
};
/// IPv6.
pub(super) const V6: Layout = Layout {
    is_v6: true,
    address: 16,
    interfaces: 64,
    protocol: 128,
    flags: 131,
    inverted: 132,
    offsets: 140,
    counters: 152,
    matches: 168,
    fragment: 0,
    goto: 4,
};

/// `IFNAMSIZ`.
const NAME: usize = 16;
/// Size, name and revision before the data of a match or a target.
const HEADER: usize = 32;
/// Tables by the priority of their chains (`enum nf_ip_hook_priorities`), which has NAT's at two places.
const PRIORITIES: [(&str, i32); 4] = [("raw", -300), ("mangle", -150), ("filter", 0), ("security", 50)];
const HOOKS: [(Hook, &str); 5] = [
    (Hook::Prerouting, "PREROUTING"),
    (Hook::Input, "INPUT"),
    (Hook::Forward, "FORWARD"),
    (Hook::Output, "OUTPUT"),
    (Hook::Postrouting, "POSTROUTING"),
];

/// An entry.
struct Entry<'a> {
    offset: u32,
    next: u32,
    bytes: &'a [u8],
    target: &'a [u8],
}

/// The table of a name; absent where its entries make no sense.
pub(super) fn table(name: &str, layout: Layout, info: &Info, bytes: &[u8], ipsets: &IpSets) -> Option<Table> {
    let entries = entries(layout, bytes)?;
    let heads = heads(info, &entries);
    let names: BTreeMap<u32, String> = heads.iter().map(|head| (head.first, head.name.clone())).collect();
    let mut chains = Vec::new();
    for head in &heads {
        let begin = entries.partition_point(|entry| entry.offset < head.first);
        let end = entries.partition_point(|entry| entry.offset <= head.last);
        let (last, rules) = entries.get(begin..end)?.split_last()?;
        let rule = |entry: &Entry<'_>| rule(&head.name, layout, entry, &names, ipsets);
        let verdict = action(layout, last, &names);
        chains.push(Chain {
            name: head.name.clone(),
            hook: head.hook,
            kind: head.hook.map(|_| if name == "nat" { "nat" } else { "filter" }.to_owned()),
            priority: priority(name, head.hook),
            policy: head.hook.and(verdict),
            policy_packets: head.hook.and_then(|_| packets(layout, last)),
            devices: Vec::new(),
            rules: rules.iter().map(rule).collect(),
        });
    }
    Some(Table {
        backend: Backend::Legacy,
        family: if layout.is_v6 { "ip6" } else { "ip" }.to_owned(),
        name: name.to_owned(),
        chains,
        sets: Vec::new(),
    })
}

fn priority(table: &str, hook: Option<Hook>) -> i32 {
    match (hook, PRIORITIES.into_iter().find(|(name, _)| *name == table)) {
        (None, _) => 0,
        (_, Some((_, priority))) => priority,
        (Some(Hook::Input | Hook::Postrouting), None) => 100,
        (Some(_), None) => -100,
    }
}

fn entries(layout: Layout, bytes: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut entries = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        let target = usize::from(u16::from_ne_bytes(field(rest, layout.offsets)?));
        let next = usize::from(u16::from_ne_bytes(field(rest, layout.offsets + 2)?));
        if target < layout.matches || target + HEADER > next {
            return None;
        }
        let entry = rest.get(..next)?;
        entries.push(Entry {
            offset: u32::try_from(offset).ok()?,
            next: u32::try_from(offset + next).ok()?,
            bytes: &entry[..target],
            target: &entry[target..],
        });
        offset += next;
    }
    Some(entries)
}

/// A chain by the places of its first and its last entry: the last is its policy, or the return at its end.
struct Head {
    name: String,
    hook: Option<Hook>,
    first: u32,
    last: u32,
}

/// Base chains are told by the table, others begin behind an entry whose target is `ERROR` and has their name.
fn heads(info: &Info, entries: &[Entry<'_>]) -> Vec<Head> {
    let mut heads = Vec::new();
    for (number, (hook, name)) in HOOKS.into_iter().enumerate() {
        if info.hooks & (1 << number) != 0 {
            let (first, last) = (info.begins[number], info.policies[number]);
            heads.push(Head { name: name.to_owned(), hook: Some(hook), first, last });
        }
    }
    let errors: Vec<_> =
        entries.iter().enumerate().filter(|(_, entry)| target_name(entry) == "ERROR").collect();
    for pair in errors.windows(2) {
        let ((place, begin), (after, _)) = (pair[0], pair[1]);
        if after > place + 1 {
            let name = xt::text(begin.target.get(HEADER..).unwrap_or(&[]));
            heads.push(Head { name, hook: None, first: begin.next, last: entries[after - 1].offset });
        }
    }
    heads
}

fn target_name(entry: &Entry<'_>) -> String {
    xt::text(&entry.target[2..HEADER - 1])
}

fn packets(layout: Layout, entry: &Entry<'_>) -> Option<u64> {
    field(entry.bytes, layout.counters).map(u64::from_ne_bytes)
}

fn rule(
    chain: &str,
    layout: Layout,
    entry: &Entry<'_>,
    names: &BTreeMap<u32, String>,
    ipsets: &IpSets,
) -> Rule {
    let mut matches = conditions(layout, entry.bytes);
    let mut comments = Vec::new();
    let mut rest = entry.bytes.get(layout.matches..).unwrap_or(&[]);
    while let Some(size) =
        field(rest, 0).map(u16::from_ne_bytes).map(usize::from).filter(|size| *size >= HEADER)
    {
        let Some(one) = rest.get(..size) else { break };
        let name = xt::text(&one[2..HEADER - 1]);
        let blob =
            Blob { name: &name, revision: one[HEADER - 1].into(), data: &one[HEADER..], is_v6: layout.is_v6 };
        match name.as_str() {
            "comment" => comments.push(xt::text(blob.data)),
            "set" => matches.extend(ipsets.conditions(&blob)),
            _ => matches.extend(read_match(&blob)),
        }
        rest = &rest[size..];
    }
    let mut rule = Rule {
        matches,
        actions: action(layout, entry, names).into_iter().collect(),
        comment: (!comments.is_empty()).then(|| comments.join(" ")),
        packets: packets(layout, entry),
        text: String::new(),
        handle: None,
    };
    rule.text = iptables_text(chain, &rule);
    rule
}

/// What an entry asks for itself (`struct ipt_ip`, `struct ip6t_ip6`).
fn conditions(layout: Layout, bytes: &[u8]) -> Vec<Match> {
    let byte = |offset: usize| bytes.get(offset).copied().unwrap_or(0);
    let inverted = byte(layout.inverted);
    let is = |bit: u8| inverted & bit != 0;
    let length = layout.address;
    let network = |place: usize| {
        let address = bytes.get(place * length..(place + 1) * length)?;
        let mask = bytes.get((place + 2) * length..(place + 3) * length)?;
        prefix_length(mask).and_then(|length| Some(Prefix { address: address_of(address)?, length }))
    };
    let mut all = Vec::new();
    let mut address = |place, bit, make: fn(Vec<Prefix>, bool) -> Match| match network(place) {
        Some(network) if network.length == 0 && !is(bit) => {}
        Some(network) => all.push(make(vec![network], is(bit))),
        None => all.push(Match::Other { text: "an address under a mask with holes".to_owned() }),
    };
    address(0, 8, |networks, is_negated| Match::Source { networks, is_negated });
    address(1, 16, |networks, is_negated| Match::Destination { networks, is_negated });
    let interface = |place: usize| {
        let at = |number: usize| {
            bytes.get(layout.interfaces + number * NAME..layout.interfaces + (number + 1) * NAME)
        };
        interface(at(place)?, at(place + 2)?)
    };
    all.extend(interface(0).map(|name| Match::Input { name, is_negated: is(1) }));
    all.extend(interface(1).map(|name| Match::Output { name, is_negated: is(2) }));
    if let Some(protocol) =
        field(bytes, layout.protocol).map(u16::from_ne_bytes).filter(|protocol| *protocol != 0)
    {
        let protocol = Protocol(u8::try_from(protocol).unwrap_or(u8::MAX));
        all.push(Match::Protocol { protocol, is_negated: is(0x40) });
    }
    if byte(layout.flags) & layout.fragment != 0 {
        all.push(Match::Other { text: if is(0x20) { "! -f" } else { "-f" }.to_owned() });
    }
    all
}

/// A name whose mask has its end too, or the begin of names.
fn interface(name: &[u8], mask: &[u8]) -> Option<String> {
    let masked = mask.iter().take_while(|byte| **byte != 0).count();
    let whole = xt::text(name);
    match masked {
        0 => None,
        masked if masked > whole.len() => Some(whole),
        // What `+` stands for is not compared; `iptables-legacy` leaves the sign in the name.
        masked => Some(xt::text(&name[..masked]) + "+"),
    }
}

/// What an entry does; absent where it only counts.
fn action(layout: Layout, entry: &Entry<'_>, names: &BTreeMap<u32, String>) -> Option<Action> {
    let name = target_name(entry);
    let data = entry.target.get(HEADER..)?;
    if !name.is_empty() {
        let revision = entry.target[HEADER - 1].into();
        return Some(read_target(&Blob { name: &name, revision, data, is_v6: layout.is_v6 }));
    }
    let verdict = i32::from_ne_bytes(field(data, 0)?);
    let is_goto = entry.bytes.get(layout.flags)? & layout.goto != 0;
    Some(match (verdict, u32::try_from(verdict)) {
        (-1, _) => Action::Drop,
        (-2, _) => Action::Accept,
        (-4, _) => Action::Queue { number: 0 },
        (-5, _) => Action::Return,
        (_, Ok(offset)) if offset == entry.next && !names.contains_key(&offset) => return None,
        (_, Ok(offset)) => match names.get(&offset) {
            Some(chain) if is_goto => Action::Goto { chain: chain.clone() },
            Some(chain) => Action::Jump { chain: chain.clone() },
            None => Action::Other { text: format!("-j #{offset}") },
        },
        (verdict, Err(_)) => Action::Other { text: format!("verdict {verdict}") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry of IPv4 with a standard target.
    fn entry(verdict: i32, name: &str) -> Vec<u8> {
        let mut bytes = vec![0; V4.matches];
        let length = V4.matches + HEADER + 8 + if name.is_empty() { 0 } else { 24 };
        bytes[V4.offsets..V4.offsets + 2].copy_from_slice(&u16::try_from(V4.matches).unwrap().to_ne_bytes());
        bytes[V4.offsets + 2..V4.offsets + 4].copy_from_slice(&u16::try_from(length).unwrap().to_ne_bytes());
        let mut target = vec![0; length - V4.matches];
        if name.is_empty() {
            target[HEADER..HEADER + 4].copy_from_slice(&verdict.to_ne_bytes());
        } else {
            target[2..7].copy_from_slice(b"ERROR");
            target[HEADER..HEADER + name.len()].copy_from_slice(name.as_bytes());
        }
        bytes.extend(target);
        bytes
    }

    fn sample() -> (Info, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut offsets = Vec::new();
        // FORWARD: jump to the chain `own`, policy DROP; own: DROP, end; the end of the table.
        for (verdict, name) in [(0, ""), (-1, ""), (0, "own"), (-1, ""), (-5, ""), (0, "ERROR")] {
            offsets.push(u32::try_from(bytes.len()).unwrap());
            bytes.extend(entry(verdict, name));
        }
        let jump = i32::try_from(offsets[3]).unwrap().to_ne_bytes();
        bytes[V4.matches + HEADER..V4.matches + HEADER + 4].copy_from_slice(&jump);
        let mut info = Info { hooks: 1 << 2, size: u32::try_from(bytes.len()).unwrap(), ..Info::default() };
        info.policies[2] = offsets[1];
        (info, bytes)
    }

    #[test]
    fn chains_are_found_by_their_places() {
        let (info, bytes) = sample();
        let table = table("filter", V4, &info, &bytes, &IpSets::default()).unwrap();
        let told: Vec<_> =
            table.chains.iter().map(|chain| (chain.name.as_str(), chain.policy.clone())).collect();
        assert_eq!(told, [("FORWARD", Some(Action::Drop)), ("own", None)]);
        assert_eq!(table.chains[0].rules[0].actions, [Action::Jump { chain: "own".to_owned() }]);
        assert_eq!(table.chains[1].rules.len(), 1);
        assert_eq!(table.chains[1].rules[0].text, "-A own -j DROP");
    }

    #[test]
    fn damaged_tables_do_not_panic() {
        let (info, bytes) = sample();
        for length in 0..bytes.len() {
            table("filter", V4, &info, &bytes[..length], &IpSets::default());
            table("filter", V6, &info, &bytes[..length], &IpSets::default());
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] = 0xff;
            table("filter", V4, &info, &damaged, &IpSets::default());
        }
        let nowhere = Info { begins: [u32::MAX; 5], policies: [7; 5], hooks: u32::MAX, size: 0 };
        table("nat", V4, &nowhere, &bytes, &IpSets::default());
    }
}
