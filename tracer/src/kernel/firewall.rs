//! Rules for packets, read from the kernel itself: neither iptables nor nft has to be there.

mod ipset;
mod ipvs;
mod legacy;
mod nft;
mod range;
mod words;
mod xt;

use tracer_core::evidence::{Firewall, Match, Missing, Table};

use self::ipset::IpSets;
use super::netfilter::Connection;
use super::netlink::NetlinkError;
use super::probe::refusal;

/// The rules of the network namespace that the thread is in; what cannot be read goes to `missing`.
///
/// Sets of `ipset` are asked for only where rules name some: a kernel that has no sets would load them to answer.
pub fn read(missing: &mut Vec<Missing>) -> Firewall {
    let mut connection = match Connection::open() {
        Ok(connection) => Some(connection),
        Err(error) => {
            missing.extend(lack("nftables", &error));
            None
        }
    };
    let mut found = Vec::new();
    let mut ipsets = IpSets::default();
    let mut tables = tables(connection.as_mut(), &ipsets, &mut found);
    if let Some(connection) = connection.as_mut().filter(|_| tables.iter().any(names_sets)) {
        found.clear();
        match IpSets::read(connection) {
            Ok(sets) => ipsets = sets,
            Err(error) => found.extend(lack("ipset", &error)),
        }
        tables = self::tables(Some(connection), &ipsets, &mut found);
    }
    missing.append(&mut found);
    Firewall { tables, ipvs: ipvs::read(missing), ipsets: ipsets.into_sets() }
}

fn tables(connection: Option<&mut Connection>, ipsets: &IpSets, missing: &mut Vec<Missing>) -> Vec<Table> {
    let mut tables = match connection.map(|connection| nft::read(connection, ipsets, missing)) {
        Some(Ok(tables)) => tables,
        Some(Err(error)) => {
            missing.extend(lack("nftables", &error));
            Vec::new()
        }
        None => Vec::new(),
    };
    tables.extend(legacy::read(ipsets, missing));
    tables
}

/// Whether rules name sets that are not known.
fn names_sets(table: &Table) -> bool {
    let rules = table.chains.iter().flat_map(|chain| &chain.rules);
    rules
        .flat_map(|rule| &rule.matches)
        .any(|one| matches!(one, Match::Other { text } if text == ipset::UNKNOWN))
}

/// What is missing by an error. A kernel that does not know the subsystem has no rules of its kind, and lacks nothing.
fn lack(what: &str, error: &NetlinkError) -> Option<Missing> {
    const ABSENT: [i32; 3] = [nix::libc::EINVAL, nix::libc::EOPNOTSUPP, nix::libc::EPROTONOSUPPORT];
    if error.errno().is_some_and(|number| ABSENT.contains(&number)) {
        return None;
    }
    Some(Missing { what: what.to_owned(), why: refusal(error) })
}
