//! Rules of `nf_tables` by netlink (`NFNL_SUBSYS_NFTABLES`), those that `iptables-nft` wrote among them.

mod compare;
mod element;
mod header;
mod load;
mod meta;
mod number;
mod register;
mod rule;
mod scope;
mod sets;
mod statement;
mod verdict;

use std::collections::{BTreeMap, HashMap, HashSet};

use tracer_core::evidence::{Action, Backend, Chain, Hook, Match, Missing, Table};

use self::number::{be32, be64};
use self::scope::{Scope, family_name, is_v6};
use self::sets::{MOST_ELEMENTS, TableSet};
use super::super::netfilter::{Connection, attributes};
use super::super::netlink::{NetlinkError, attribute, put_attribute, text};
use super::ipset::IpSets;

const SUBSYSTEM: u16 = 0x0a00;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const GET_RULE: u16 = SUBSYSTEM | 7;
const GET_SET: u16 = SUBSYSTEM | 0x0a;
const GET_SET_ELEMENTS: u16 = SUBSYSTEM | 0x0d;
const GET_GENERATION: u16 = SUBSYSTEM | 0x10;
/// How often rules are read again that changed meanwhile.
const ATTEMPTS: u32 = 5;
/// Rules that are kept.
const MOST_RULES: usize = 1 << 18;

const TABLE_DORMANT: u32 = 1;

/// All tables, and what could not be read of them.
pub(super) fn read(
    connection: &mut Connection,
    ipsets: &IpSets,
    missing: &mut Vec<Missing>,
) -> Result<Vec<Table>, NetlinkError> {
    let interfaces = interfaces();
    let mut attempt = 1;
    loop {
        let before = generation(connection)?;
        let mut dump = Dump::new(ipsets, &interfaces);
        let result = dump.read(connection);
        let is_of_one_moment = matches!(result, Ok(true)) && generation(connection)? == before;
        if is_of_one_moment || attempt == ATTEMPTS {
            result?;
            if !is_of_one_moment {
                let why = "the rules kept changing while they were read".to_owned();
                missing.push(Missing { what: "nftables".to_owned(), why });
            }
            if dump.left_out > 0 {
                let why = format!("{} rules more than are kept", dump.left_out);
                missing.push(Missing { what: "nftables".to_owned(), why });
            }
            return Ok(dump.finish());
        }
        attempt += 1;
    }
}

/// The number of the ruleset, which every change counts up.
fn generation(connection: &mut Connection) -> Result<Option<u32>, NetlinkError> {
    connection.get("tell the generation of its rules", GET_GENERATION, &[], |message| {
        attribute(message.attributes, 1).and_then(be32)
    })
}

fn interfaces() -> BTreeMap<u32, String> {
    let Ok(all) = nix::net::if_::if_nameindex() else { return BTreeMap::new() };
    all.iter().map(|one| (one.index(), one.name().to_string_lossy().into_owned())).collect()
}

/// A table while it is read.
struct Entry {
    family: u8,
    table: Table,
    sets: BTreeMap<String, TableSet>,
    set_order: Vec<String>,
    chains: HashMap<String, usize>,
    is_dormant: bool,
    is_iptables: bool,
}

impl Entry {
    /// Sets that are written in a rule and were resolved into its conditions.
    fn resolved(&self) -> HashSet<String> {
        let rules = self.table.chains.iter().flat_map(|chain| &chain.rules);
        let used: HashSet<_> = rules
            .flat_map(|rule| &rule.matches)
            .filter_map(|condition| match condition {
                Match::InSet { set, .. } => Some(set),
                _ => None,
            })
            .collect();
        let written =
            self.sets.values().filter(|set| set.is_anonymous && !set.set.is_map).map(|set| &set.set.name);
        written.filter(|name| !used.contains(name)).cloned().collect()
    }
}

struct Dump<'a> {
    entries: Vec<Entry>,
    places: HashMap<(u8, String), usize>,
    ipsets: &'a IpSets,
    interfaces: &'a BTreeMap<u32, String>,
    rules: usize,
    left_out: usize,
}

impl<'a> Dump<'a> {
    fn new(ipsets: &'a IpSets, interfaces: &'a BTreeMap<u32, String>) -> Self {
        Self { entries: Vec::new(), places: HashMap::new(), ipsets, interfaces, rules: 0, left_out: 0 }
    }

    /// Reads everything; says whether it is of one moment.
    fn read(&mut self, connection: &mut Connection) -> Result<bool, NetlinkError> {
        let mut is_whole = connection.dump("list its tables", GET_TABLE, 0, &[], |message| {
            self.table(message.family, message.attributes);
        })?;
        if self.entries.is_empty() {
            return Ok(is_whole);
        }
        is_whole &= connection.dump("list its chains", GET_CHAIN, 0, &[], |message| {
            self.chain(message.family, message.attributes);
        })?;
        for entry in &mut self.entries {
            entry.is_iptables = is_iptables(&entry.table);
        }
        is_whole &= connection.dump("list its sets", GET_SET, 0, &[], |message| {
            self.set(message.family, message.attributes);
        })?;
        is_whole &= self.elements(connection)?;
        is_whole &= connection.dump("list its rules", GET_RULE, 0, &[], |message| {
            self.rule(message.family, message.attributes);
        })?;
        Ok(is_whole)
    }

    fn table(&mut self, family: u8, message: &[u8]) -> Option<()> {
        let name = text(message, 1)?;
        let flags = attribute(message, 2).and_then(be32).unwrap_or(0);
        let table = Table {
            backend: Backend::Nft,
            family: family_name(family)?.to_owned(),
            name: name.clone(),
            chains: Vec::new(),
            sets: Vec::new(),
        };
        self.places.insert((family, name), self.entries.len());
        self.entries.push(Entry {
            family,
            table,
            sets: BTreeMap::new(),
            set_order: Vec::new(),
            chains: HashMap::new(),
            is_dormant: flags & TABLE_DORMANT != 0,
            is_iptables: false,
        });
        Some(())
    }

    fn entry(&mut self, family: u8, table: String) -> Option<&mut Entry> {
        let place = *self.places.get(&(family, table))?;
        self.entries.get_mut(place)
    }

    fn chain(&mut self, family: u8, message: &[u8]) -> Option<()> {
        let entry = self.entry(family, text(message, 1)?)?;
        let name = text(message, 3)?;
        let base = attribute(message, 4);
        let priority = base.and_then(|base| attribute(base, 2)).and_then(be32).unwrap_or(0).cast_signed();
        let number = base.and_then(|base| attribute(base, 1)).and_then(be32);
        let policy = attribute(message, 5).and_then(be32).filter(|_| base.is_some());
        entry.chains.insert(name.clone(), entry.table.chains.len());
        entry.table.chains.push(Chain {
            name,
            // The chains of a dormant table are called by nobody.
            hook: number.filter(|_| !entry.is_dormant).and_then(|number| hook(family, number)),
            kind: text(message, 7),
            priority,
            policy: policy.map(|policy| if policy == 0 { Action::Drop } else { Action::Accept }),
            policy_packets: attribute(message, 8).and_then(|counter| attribute(counter, 2)).and_then(be64),
            devices: base.map(devices).unwrap_or_default(),
            rules: Vec::new(),
        });
        Some(())
    }

    fn set(&mut self, family: u8, message: &[u8]) -> Option<()> {
        let entry = self.entry(family, text(message, 1)?)?;
        let set = TableSet::of(message)?;
        entry.set_order.push(set.set.name.clone());
        entry.sets.insert(set.set.name.clone(), set);
        Some(())
    }

    fn elements(&mut self, connection: &mut Connection) -> Result<bool, NetlinkError> {
        let mut is_whole = true;
        let mut room = MOST_ELEMENTS;
        for entry in &mut self.entries {
            for set in entry.sets.values_mut() {
                let mut request = Vec::new();
                put_attribute(&mut request, 1, &terminated(&entry.table.name));
                put_attribute(&mut request, 2, &terminated(&set.set.name));
                let read =
                    connection.dump("list a set", GET_SET_ELEMENTS, entry.family, &request, |message| {
                        room -= set.take(message.attributes, room);
                    });
                match read {
                    Ok(is_of_one_moment) => is_whole &= is_of_one_moment,
                    // It went away meanwhile.
                    Err(error) if error.errno() == Some(nix::libc::ENOENT) => is_whole = false,
                    Err(error) => return Err(error),
                }
                set.finish(self.interfaces);
            }
        }
        Ok(is_whole)
    }

    fn rule(&mut self, family: u8, message: &[u8]) -> Option<()> {
        if self.rules >= MOST_RULES {
            self.left_out += 1;
            return None;
        }
        let (ipsets, interfaces) = (self.ipsets, self.interfaces);
        let entry = self.entry(family, text(message, 1)?)?;
        let name = text(message, 2)?;
        let place = *entry.chains.get(&name)?;
        let scope = Scope {
            family,
            is_iptables: entry.is_iptables,
            sets: &entry.sets,
            ipsets,
            interfaces,
            is_v6: is_v6(family),
            protocol: None,
        };
        let rule = rule::rule(&name, message, scope);
        entry.table.chains.get_mut(place)?.rules.push(rule);
        self.rules += 1;
        Some(())
    }

    fn finish(self) -> Vec<Table> {
        let table = |mut entry: Entry| {
            let resolved = entry.resolved();
            let sets = entry.set_order.iter().filter_map(|name| entry.sets.remove(name));
            entry.table.sets = sets.map(|set| set.set).filter(|set| !resolved.contains(&set.name)).collect();
            entry.table
        };
        self.entries.into_iter().map(table).collect()
    }
}

fn terminated(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// Whether `iptables-nft` or `ip6tables-nft` wrote a table: it names base chains as iptables does.
fn is_iptables(table: &Table) -> bool {
    const TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];
    const CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
    matches!(table.family.as_str(), "ip" | "ip6")
        && TABLES.contains(&table.name.as_str())
        && table.chains.iter().any(|chain| chain.policy.is_some() && CHAINS.contains(&chain.name.as_str()))
}

/// Hooks by family and number (`enum nf_inet_hooks`, `enum nf_dev_hooks`, `NF_ARP_*`).
fn hook(family: u8, number: u32) -> Option<Hook> {
    const ARP: u8 = 3;
    const NETDEV: u8 = 5;
    Some(match (family, number) {
        (NETDEV, 0) | (1, 5) => Hook::Ingress,
        (NETDEV, 1) => Hook::Egress,
        (NETDEV, _) => return None,
        (ARP, 1) | (_, 3) => Hook::Output,
        (ARP, 0) | (_, 1) => Hook::Input,
        (_, 0) => Hook::Prerouting,
        (_, 2) => Hook::Forward,
        (_, 4) => Hook::Postrouting,
        _ => return None,
    })
}

/// Devices of a base chain: a list, of which the kernel names the first alone where it is the only one.
fn devices(base: &[u8]) -> Vec<String> {
    let listed = attributes(attribute(base, 4).unwrap_or(&[])).map(|(_, name)| super::xt::text(name));
    let listed: Vec<_> = listed.collect();
    if listed.is_empty() { text(base, 3).into_iter().collect() } else { listed }
}
