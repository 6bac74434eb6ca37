//! What the kernel tells of the thread's network namespace: links, routes, neighbours, sockets, programs, counters.
//!
//! Everything is read by netlink and from `/proc/thread-self` and `/proc/sys/net`, which are those of the thread's
//! namespace: no other program is called. Nothing here fails: what cannot be read is told as [`Missing`].

mod attributes;
mod counters;
mod fdb;
mod filters;
mod links;
mod neighbours;
mod peers;
mod programs;
mod queues;
mod routes;
mod rules;
mod sockets;
mod sysctls;
mod tunnels;

pub use programs::UNNAMED;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;

use tracer_core::evidence::{Missing, Snapshot};

use super::namespaces::{self, Namespace};
use super::netlink::{Connection, Message, NLM_F_DUMP, NetlinkError};
use super::probe::refusal;

/// What is wanted besides what is always read.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// Addresses of the flow: TCP connections of these are read too, besides listeners and bound sockets.
    pub addresses: BTreeSet<IpAddr>,
    /// Look for the namespaces that far ends of pairs are in, among the named ones and those of all processes.
    pub peers: bool,
}

/// Reads all about the thread's network namespace, rules for packets and connections aside.
///
/// `taken_ns`, `node`, `pod`, `firewall` and `conntrack` are left to the caller.
pub fn read(options: &NodeOptions) -> Snapshot {
    let mut snapshot = with_identity();
    snapshot.counters = counters::read(&mut snapshot.missing);
    snapshot.sockets = sockets::read(&options.addresses, &mut snapshot.missing);
    by_rtnetlink(&mut snapshot, |connection, snapshot| {
        let candidates = options.peers.then(namespaces::in_sight).into_iter().flatten();
        links_and_neighbours(connection, snapshot, candidates);
        snapshot.rules = or_missing(rules::read(connection), "routing rules", &mut snapshot.missing);
    });
    sysctls::read(&snapshot.links, &mut snapshot.sysctls, &mut snapshot.missing);
    snapshot
}

/// Reads links, programs, routes and neighbours only; the far ends of pairs are looked for in these namespaces.
pub fn read_links(candidates: &[Namespace]) -> Snapshot {
    let mut snapshot = with_identity();
    by_rtnetlink(&mut snapshot, |connection, snapshot| {
        let candidates = candidates.iter().filter_map(|one| Some((one.inode, one.open().ok()?)));
        links_and_neighbours(connection, snapshot, candidates);
    });
    snapshot
}

fn with_identity() -> Snapshot {
    Snapshot {
        netns: netns().unwrap_or(0),
        kernel: line("/proc/sys/kernel/osrelease"),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
        ..Snapshot::default()
    }
}

fn by_rtnetlink(snapshot: &mut Snapshot, read: impl FnOnce(&mut Connection, &mut Snapshot)) {
    match Connection::open() {
        Ok(mut connection) => read(&mut connection, snapshot),
        Err(error) => note(&mut snapshot.missing, "links", &error),
    }
}

fn links_and_neighbours(
    connection: &mut Connection,
    snapshot: &mut Snapshot,
    candidates: impl Iterator<Item = (u64, File)>,
) {
    let missing = &mut snapshot.missing;
    let mut links = or_missing(links::read(connection), "links", missing);
    if let Some(queues) = kept(queues::read(connection), "queueing disciplines", missing) {
        queues.add_to(&mut links.all);
        snapshot.programs.extend(filters::read(connection, &queues.with_filters, missing));
    }
    peers::find(connection, &mut links, candidates);
    snapshot.programs.extend(links.xdp);
    snapshot.programs.extend(programs::tcx(&links.all, missing));
    programs::name(&mut snapshot.programs);
    (snapshot.links, snapshot.sysctls) = (links.all, links.settings);
    let routes = or_missing(routes::read(connection), "routes", missing);
    (snapshot.routes, snapshot.exceptions) = (routes.routes, routes.exceptions);
    snapshot.neighbours = or_missing(neighbours::read(connection), "neighbours", missing);
    snapshot.fdb = or_missing(fdb::read(connection), "forwarding entries", missing);
}

/// The messages of one kind that a dump answers with, without their headers.
fn dump(
    connection: &mut Connection,
    action: &'static str,
    (get, new): (u16, u16),
    header: &[u8],
) -> Result<impl Iterator<Item = Message> + use<>, NetlinkError> {
    let answer = connection.request(action, get, NLM_F_DUMP, header)?;
    Ok(answer.into_iter().filter(move |message| message.kind == new))
}

fn or_missing<T: Default>(read: Result<T, NetlinkError>, what: &str, missing: &mut Vec<Missing>) -> T {
    kept(read, what, missing).unwrap_or_default()
}

fn kept<T>(read: Result<T, NetlinkError>, what: &str, missing: &mut Vec<Missing>) -> Option<T> {
    read.inspect_err(|error| note(missing, what, error)).ok()
}

fn note(missing: &mut Vec<Missing>, what: &str, error: &(dyn Error + 'static)) {
    missing.push(Missing { what: what.to_owned(), why: refusal(error) });
}

/// Inode of the thread's network namespace; absent where `/proc` is not there.
pub fn netns() -> Option<u64> {
    fs::metadata("/proc/thread-self/ns/net").ok().map(|metadata| metadata.ino())
}

/// The text of a file of one line; empty where it cannot be read.
fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_of_itself() {
        let snapshot = read(&NodeOptions::default());
        assert!(snapshot.links.iter().any(|link| link.name == "lo" && link.kind.0 == "loopback"));
        assert!(snapshot.netns > 0 && !snapshot.kernel.is_empty() && !snapshot.boot_id.is_empty());
        assert!(snapshot.routes.iter().any(|route| route.table == 255), "a route of loopback");
        assert!(snapshot.rules.iter().any(|rule| rule.priority == 0 && rule.table == Some(255)));
        assert!(snapshot.counters.protocols.contains_key("IpInReceives"));
        assert!(snapshot.sysctls.contains_key("net/ipv4/ip_forward"));
        assert!(!snapshot.counters.softnet.is_empty());
    }
}
