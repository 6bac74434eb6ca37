//! Attaching by a `clsact` qdisc and its filters, for kernels without TCX (before 6.6).
//!
//! A filter stays when its process dies, so each carries the name `kflow-TOKEN` and its process holds the abstract
//! socket of that name in the same network namespace: sockets of that kind belong to the namespace and vanish
//! with the process, whatever ended it and whichever PID namespace it was in. Every start sweeps filters whose
//! socket is gone, and so does a second process when its capture ends ([`super::watchdog`]). The qdisc stays, also our own: removing it would take with it the filters that a CNI adds in
//! that moment, and an empty one does nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracer_core::units::Direction;

use super::interfaces::IfIndex;
use super::netlink::{
    Connection, Message, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NetlinkError, attribute, field,
    put_attribute, text,
};
use super::watchdog::Watchdog;

const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
/// `struct tcmsg`: family, padding, interface index, handle, parent, info.
const TCMSG_LEN: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// `TC_H_MAKE(TC_H_CLSACT, 0)`, and the parents of its two chains.
const CLSACT_HANDLE: u32 = 0xffff_0000;
const CLSACT_PARENT: u32 = 0xffff_fff1;
const INGRESS_PARENT: u32 = 0xffff_fff2;
const EGRESS_PARENT: u32 = 0xffff_fff3;
const ETH_P_ALL: u16 = 3;
const EEXIST: i32 = 17;

pub(super) const PREFIX: &str = "kflow-";

/// Number of a filter's chain position; 1 is the first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Priority(u16);

/// Before any CNI's, unless that also took the first.
const FIRST: Priority = Priority(1);

/// One filter in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Filter {
    index: IfIndex,
    parent: u32,
    priority: Priority,
    handle: u32,
    name: String,
}

/// The name that this process's filters carry, and the proof that it is alive.
pub(super) struct Owner {
    name: String,
    _socket: UnixDatagram,
    _watchdog: Watchdog,
}

impl Owner {
    /// Draws a name in the thread's network namespace.
    pub(super) fn new() -> io::Result<Self> {
        let name = format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let watchdog = Watchdog::start(&name)?;
        Ok(Self { name, _socket: socket, _watchdog: watchdog })
    }
}

/// A program on one chain. Dropping it takes it away.
pub(super) struct ClsactGuard {
    index: IfIndex,
    parent: u32,
    name: String,
}

impl Drop for ClsactGuard {
    fn drop(&mut self) {
        // The interface may be gone, and its filters with it; what stays is swept by the next start.
        let _ = remove_matching(self.index, self.parent, |filter| filter.name == self.name);
    }
}

/// Attaches a program at the front of an interface's chain. The flag tells whether another program was there
/// before at the same priority: what that one keeps to itself is not seen.
pub(super) fn attach(
    owner: &Owner,
    program: BorrowedFd<'_>,
    index: IfIndex,
    direction: Direction,
) -> Result<(ClsactGuard, bool), NetlinkError> {
    let mut connection = Connection::open()?;
    add_qdisc(&mut connection, index)?;
    let parent = parent(direction);
    let foreign = filters(&mut connection, index, parent)?
        .iter()
        .any(|filter| filter.priority <= FIRST && !filter.name.starts_with(PREFIX));
    let mut body = tcmsg(index, 0, parent, info(FIRST));
    put_attribute(&mut body, TCA_KIND, b"bpf\0");
    let mut options = Vec::new();
    put_attribute(&mut options, TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
    put_attribute(&mut options, TCA_BPF_NAME, format!("{}\0", owner.name).as_bytes());
    put_attribute(&mut options, TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
    put_attribute(&mut body, TCA_OPTIONS, &options);
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    connection.request("add a filter to the interface", RTM_NEWTFILTER, flags, &body)?;
    Ok((ClsactGuard { index, parent, name: owner.name.clone() }, foreign))
}

/// Removes the filters of kflow processes of this network namespace that are dead. Returns how many.
pub(super) fn sweep() -> Result<usize, NetlinkError> {
    let mut connection = Connection::open()?;
    let mut removed = 0;
    for index in clsact_interfaces(&mut connection)? {
        for parent in [INGRESS_PARENT, EGRESS_PARENT] {
            removed += remove_matching(index, parent, |filter| is_stale(&filter.name))?;
        }
    }
    Ok(removed)
}

/// Whether a name is one of ours and its process is gone. In doubt it is not.
pub(super) fn is_stale(name: &str) -> bool {
    if !name.starts_with(PREFIX) {
        return false;
    }
    let connected = SocketAddr::from_abstract_name(name)
        .and_then(|address| UnixDatagram::unbound()?.connect_addr(&address));
    matches!(connected, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

fn remove_matching(
    index: IfIndex,
    parent: u32,
    condition: impl Fn(&Filter) -> bool,
) -> Result<usize, NetlinkError> {
    let mut connection = Connection::open()?;
    let mut removed = 0;
    for filter in filters(&mut connection, index, parent)?.iter().filter(|filter| condition(filter)) {
        let mut body = tcmsg(index, filter.handle, parent, info(filter.priority));
        put_attribute(&mut body, TCA_KIND, b"bpf\0");
        connection.request("remove a filter from the interface", RTM_DELTFILTER, NLM_F_ACK, &body)?;
        removed += 1;
    }
    Ok(removed)
}

fn add_qdisc(connection: &mut Connection, index: IfIndex) -> Result<(), NetlinkError> {
    let mut body = tcmsg(index, CLSACT_HANDLE, CLSACT_PARENT, 0);
    put_attribute(&mut body, TCA_KIND, b"clsact\0");
    let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    match connection.request("add a clsact qdisc to the interface", RTM_NEWQDISC, flags, &body) {
        Err(error) if error.errno() == Some(EEXIST) => Ok(()),
        result => result.map(drop),
    }
}

fn clsact_interfaces(connection: &mut Connection) -> Result<Vec<IfIndex>, NetlinkError> {
    let body = tcmsg(IfIndex(0), 0, 0, 0);
    let answer = connection.request("list the qdiscs", RTM_GETQDISC, NLM_F_DUMP, &body)?;
    Ok(answer
        .iter()
        .filter(|message| message.kind == RTM_NEWQDISC)
        .filter(|message| {
            message.body.get(TCMSG_LEN..).and_then(|rest| text(rest, TCA_KIND)).as_deref() == Some("clsact")
        })
        .filter_map(|message| field(&message.body, 4).map(u32::from_ne_bytes).map(IfIndex))
        .collect())
}

/// The BPF filters of a chain.
fn filters(connection: &mut Connection, index: IfIndex, parent: u32) -> Result<Vec<Filter>, NetlinkError> {
    let body = tcmsg(index, 0, parent, 0);
    let answer =
        connection.request("list the filters of the interface", RTM_GETTFILTER, NLM_F_DUMP, &body)?;
    Ok(answer.iter().filter_map(|message| parse_filter(message, index, parent)).collect())
}

/// Absent for a chain's head, which comes before its filters, and for filters of other kinds.
fn parse_filter(message: &Message, index: IfIndex, parent: u32) -> Option<Filter> {
    let attributes = message.body.get(TCMSG_LEN..)?;
    let handle = u32::from_ne_bytes(field(&message.body, 8)?);
    let info = u32::from_ne_bytes(field(&message.body, 16)?);
    let is_filter = message.kind == RTM_NEWTFILTER && handle != 0;
    if !is_filter || text(attributes, TCA_KIND).as_deref() != Some("bpf") {
        return None;
    }
    let name = attribute(attributes, TCA_OPTIONS).and_then(|options| text(options, TCA_BPF_NAME));
    let priority = Priority(u16::try_from(info >> 16).unwrap_or(u16::MAX));
    Some(Filter { index, parent, priority, handle, name: name.unwrap_or_default() })
}

const fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => INGRESS_PARENT,
        Direction::Egress => EGRESS_PARENT,
    }
}

/// Priority and protocol (all, in network byte order) of a filter.
fn info(priority: Priority) -> u32 {
    (u32::from(priority.0) << 16) | u32::from(ETH_P_ALL.to_be())
}

fn tcmsg(index: IfIndex, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for word in [index.0, handle, parent, info] {
        body.extend(word.to_ne_bytes());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_alive_until_it_is_dropped() {
        let owner = Owner::new().unwrap();
        let name = owner.name.clone();
        assert!(!is_stale(&name));
        drop(owner);
        assert!(is_stale(&name));
    }

    #[test]
    fn names_of_others_are_never_stale() {
        for name in ["", "calico_from_host", "cil_from_netdev", "kflo"] {
            assert!(!is_stale(name), "{name}");
        }
    }

    #[test]
    fn filter_message_becomes_a_filter() {
        let mut body = tcmsg(IfIndex(5), 1, EGRESS_PARENT, info(FIRST));
        put_attribute(&mut body, TCA_KIND, b"bpf\0");
        let mut options = Vec::new();
        put_attribute(&mut options, TCA_BPF_NAME, b"kflow-1\0");
        put_attribute(&mut body, TCA_OPTIONS, &options);
        let message = Message { kind: RTM_NEWTFILTER, body };
        let filter = parse_filter(&message, IfIndex(5), EGRESS_PARENT).unwrap();
        assert_eq!((filter.priority, filter.handle, filter.name.as_str()), (FIRST, 1, "kflow-1"));
        let head = Message { kind: RTM_NEWTFILTER, body: tcmsg(IfIndex(5), 0, EGRESS_PARENT, 0) };
        assert_eq!(parse_filter(&head, IfIndex(5), EGRESS_PARENT), None);
    }
}
