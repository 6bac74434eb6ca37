//! Connections as netfilter tracks them, by netlink (`NFNL_SUBSYS_CTNETLINK`).

mod entry;
mod events;
mod filter;
mod statistics;

use std::collections::HashSet;
use std::net::IpAddr;

use tracer_core::evidence::{Conntrack, ConntrackEntry, Missing};

pub use events::Events;

use self::entry::{addresses_of, entry};
use super::netfilter::Connection;
use super::netlink::NetlinkError;
use super::probe::refusal;

/// `NFNL_SUBSYS_CTNETLINK`.
const SUBSYSTEM: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_GET`.
const GET: u16 = SUBSYSTEM | 1;
/// Entries that are kept.
const MOST_ENTRIES: usize = 1 << 16;
/// Addresses for which the kernel is asked one by one; it goes through its whole table each time.
const FEW_ADDRESSES: usize = 4;

/// What connection tracking says in the network namespace that the thread is in: the entries that have one of the addresses,
/// in either direction, and statistics. What cannot be read goes to `missing`.
pub fn read(addresses: &[IpAddr], missing: &mut Vec<Missing>) -> Conntrack {
    let (count, max) = statistics::fill();
    if count.is_none() {
        // No connection is tracked by a kernel that has no tracking.
        return Conntrack::default();
    }
    let mut conntrack = Conntrack { count, max, ..Conntrack::default() };
    match Connection::open().and_then(|mut connection| {
        conntrack.cpus = statistics::cpus(&mut connection)?;
        Entries::read(&mut connection, addresses)
    }) {
        Ok(entries) => {
            if entries.left_out > 0 {
                let why = format!("{} entries more than are kept", entries.left_out);
                missing.push(Missing { what: "conntrack".to_owned(), why });
            }
            conntrack.entries = entries.kept;
        }
        Err(error) => missing.push(lack(&error)),
    }
    if conntrack.cpus.is_empty() {
        conntrack.cpus = statistics::cpus_of_proc();
    }
    conntrack
}

fn lack(error: &NetlinkError) -> Missing {
    Missing { what: "conntrack".to_owned(), why: refusal(error) }
}

/// Entries while they are read.
#[derive(Default)]
struct Entries {
    kept: Vec<ConntrackEntry>,
    left_out: usize,
    seen: HashSet<(tracer_core::evidence::ConntrackTuple, u16)>,
    strangers: usize,
}

impl Entries {
    /// The entries that have one of the addresses.
    ///
    /// The kernel restricts the dump where it can (5.8 and later) and the addresses are few; whether it did is seen by what
    /// it gives, and one dump without restriction has everything.
    fn read(connection: &mut Connection, addresses: &[IpAddr]) -> Result<Self, NetlinkError> {
        let mut entries = Self::default();
        if addresses.is_empty() {
            return Ok(entries);
        }
        if addresses.len() > FEW_ADDRESSES {
            entries.dump(connection, &[], addresses)?;
            return Ok(entries);
        }
        for address in addresses {
            for filter in filter::of(*address) {
                match entries.dump(connection, &filter, addresses) {
                    Ok(()) if entries.strangers == 0 => {}
                    Ok(()) => return Ok(entries),
                    // It knows of filters, and not of this one.
                    Err(error) if is_refusal_of_filter(&error) => {
                        entries.dump(connection, &[], addresses)?;
                        return Ok(entries);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(entries)
    }

    fn dump(
        &mut self,
        connection: &mut Connection,
        filter: &[u8],
        addresses: &[IpAddr],
    ) -> Result<(), NetlinkError> {
        connection.dump("list connections", GET, 0, filter, |message| {
            self.take(message.attributes, addresses);
        })?;
        Ok(())
    }

    fn take(&mut self, message: &[u8], addresses: &[IpAddr]) -> Option<()> {
        if !addresses_of(message).is_some_and(|all| all.iter().any(|address| addresses.contains(address))) {
            self.strangers += 1;
            return None;
        }
        let entry = entry(message)?;
        if !self.seen.insert((entry.original, entry.zone)) {
            return None;
        }
        if self.kept.len() < MOST_ENTRIES {
            self.kept.push(entry);
        } else {
            self.left_out += 1;
        }
        Some(())
    }
}

fn is_refusal_of_filter(error: &NetlinkError) -> bool {
    const REFUSALS: [i32; 3] = [nix::libc::EINVAL, nix::libc::EOPNOTSUPP, nix::libc::ENOENT];
    error.errno().is_some_and(|number| REFUSALS.contains(&number))
}
