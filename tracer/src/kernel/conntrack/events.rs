//! What happens to connections while somebody listens.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::time::{ClockId, clock_gettime};
use tracer_core::evidence::{ConntrackEvent, ConntrackEventKind};
use tracer_core::units::Timestamp;

use super::super::netfilter::{Connection, Message};
use super::super::netlink::NetlinkError;
use super::SUBSYSTEM;
use super::entry::{addresses_of, entry};

/// `NFNLGRP_CONNTRACK_NEW` and `NFNLGRP_CONNTRACK_DESTROY`.
const GROUPS: [u32; 2] = [1, 3];
/// `IPCTNL_MSG_CT_NEW`.
const NEW: u16 = SUBSYSTEM;
/// `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = SUBSYSTEM | 2;
/// Bytes that may wait in the kernel: some thousands of events.
const QUEUE: usize = 4 << 20;
/// Events that one call gives.
const MOST_EVENTS: usize = 1 << 14;

/// New connections and ends of connections, from now on.
///
/// A kernel whose `net.netfilter.nf_conntrack_events` is 0 tells of none.
pub struct Events {
    connection: Connection,
    addresses: Vec<IpAddr>,
    lost: u64,
}

impl Events {
    /// Listens for events of connections that have one of the addresses.
    pub fn open(addresses: &[IpAddr]) -> Result<Self, NetlinkError> {
        let mut connection = Connection::open()?;
        connection.subscribe(&GROUPS, QUEUE)?;
        Ok(Self { connection, addresses: addresses.to_vec(), lost: 0 })
    }

    /// What has happened since the last call, at most some thousands; never waits.
    pub fn drain(&mut self) -> Vec<ConntrackEvent> {
        let time_ns = now();
        let mut events = Vec::new();
        let Self { connection, addresses, lost } = self;
        while events.len() < MOST_EVENTS {
            match connection.pending(|message| events.extend(event(message, addresses, time_ns))) {
                Ok(true) => {}
                Ok(false) => break,
                // The queue ran over, or a message made no sense.
                Err(error) => {
                    *lost += 1;
                    if error.errno() != Some(nix::libc::ENOBUFS) {
                        break;
                    }
                }
            }
        }
        events
    }

    /// How often events were lost: each time at least one, of any address.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

fn event(message: Message<'_>, addresses: &[IpAddr], time_ns: Timestamp) -> Option<ConntrackEvent> {
    let kind = match message.kind {
        NEW => ConntrackEventKind::New,
        DELETE => ConntrackEventKind::Destroy,
        _ => return None,
    };
    let is_wanted = addresses_of(message.attributes)?.iter().any(|address| addresses.contains(address));
    let entry = is_wanted.then(|| entry(message.attributes)).flatten()?;
    Some(ConntrackEvent { time_ns, kind, entry })
}

fn now() -> Timestamp {
    let nanoseconds = clock_gettime(ClockId::CLOCK_REALTIME)
        .map_or(0, |time| i128::from(time.tv_sec()) * 1_000_000_000 + i128::from(time.tv_nsec()));
    Timestamp(u64::try_from(nanoseconds).unwrap_or(0))
}
