//! One snapshot, from everything that the kernel can be asked.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, BorrowedFd};

use jiff::Timestamp as Clock;
use tracer_core::evidence::{ConntrackEvent, Missing, Snapshot};
use tracer_core::units::Timestamp;

use crate::kernel::conntrack::{self, Events};
use crate::kernel::node::{self, NodeOptions};
use crate::kernel::{drops, firewall};

/// Changes of connections that are kept between two snapshots.
const MOST_EVENTS: usize = 20_000;

/// What a namespace is called.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The node that it is on.
    pub node: String,
    /// The pod whose it is, as `namespace/name`; absent for the node's own.
    pub pod: Option<String>,
}

/// Connections of some addresses, and what became of them.
pub(super) struct Connections {
    addresses: Vec<IpAddr>,
    events: Option<Events>,
    heard: Vec<ConntrackEvent>,
    /// Events beyond those that are kept.
    forgotten: u64,
    /// Why there are no events.
    missing: Option<Missing>,
}

impl Connections {
    /// As they are now.
    pub(super) fn now(addresses: &[IpAddr]) -> Self {
        Self { addresses: addresses.to_vec(), events: None, heard: Vec::new(), forgotten: 0, missing: None }
    }

    /// As they are and as they change.
    pub(super) fn watched(addresses: &[IpAddr]) -> Self {
        if addresses.is_empty() {
            return Self::now(addresses);
        }
        match Events::open(addresses) {
            Ok(events) => Self { events: Some(events), ..Self::now(addresses) },
            Err(error) => {
                let missing =
                    Missing { what: "conntrack events".to_owned(), why: crate::error::chain(&error) };
                Self { missing: Some(missing), ..Self::now(addresses) }
            }
        }
    }

    /// Becomes readable when there is something to hear.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(|events| events.as_fd())
    }

    /// Hears what there is, without waiting.
    pub(super) fn hear(&mut self) {
        let Some(events) = &mut self.events else { return };
        let news = events.drain();
        let room = MOST_EVENTS - self.heard.len().min(MOST_EVENTS);
        self.forgotten += news.len().saturating_sub(room) as u64;
        self.heard.extend(news.into_iter().take(room));
    }
}

/// What the thread's network namespace says now. Connections that changed since the last snapshot are told once.
pub(super) fn snapshot(place: &Place, connections: &mut Connections) -> Snapshot {
    connections.hear();
    let options = NodeOptions { addresses: connections.addresses.iter().copied().collect(), peers: true };
    let mut snapshot = node::read(&options);
    snapshot.node.clone_from(&place.node);
    snapshot.pod.clone_from(&place.pod);
    snapshot.taken_ns = now();
    snapshot.firewall = firewall::read(&mut snapshot.missing);
    snapshot.conntrack = conntrack::read(&connections.addresses, &mut snapshot.missing);
    snapshot.conntrack.events = std::mem::take(&mut connections.heard);
    snapshot.conntrack.events_lost =
        std::mem::take(&mut connections.forgotten) + connections.events.as_ref().map_or(0, Events::lost);
    snapshot.missing.extend(connections.missing.clone());
    snapshot.missing.extend(drops::missing());
    snapshot
}

fn now() -> Timestamp {
    Timestamp(u64::try_from(Clock::now().as_nanosecond()).unwrap_or_default())
}
