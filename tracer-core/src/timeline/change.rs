//! What happened to a packet's headers between two hops.

use serde::Serialize;

use super::flow::Orientation;
use crate::flow::Endpoint;
use crate::headers::Headers;
use crate::packet::Tunnel;

/// One change between two hops.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// The destination was translated.
    Dnat {
        /// Destination before.
        from: Endpoint,
        /// Destination after.
        to: Endpoint,
    },
    /// The source was translated.
    Snat {
        /// Source before.
        from: Endpoint,
        /// Source after.
        to: Endpoint,
    },
    /// A reply's source was translated back (the reverse of a DNAT).
    UnDnat {
        /// Source before.
        from: Endpoint,
        /// Source after.
        to: Endpoint,
    },
    /// A reply's destination was translated back (the reverse of a SNAT).
    UnSnat {
        /// Destination before.
        from: Endpoint,
        /// Destination after.
        to: Endpoint,
    },
    /// An outer header was put around it.
    Encapsulated(Tunnel),
    /// An outer header was taken off.
    Decapsulated(Tunnel),
}

/// The changes from one hop's headers to the next one's, tunnels taken off first.
pub fn changes(before: &Headers, after: &Headers, orientation: Orientation) -> Vec<Change> {
    let common =
        before.tunnels.iter().rev().zip(after.tunnels.iter().rev()).take_while(|(b, a)| b == a).count();
    let gone = &before.tunnels[..before.tunnels.len() - common];
    let new = &after.tunnels[..after.tunnels.len() - common];
    let mut changes: Vec<Change> = gone.iter().map(|tunnel| Change::Decapsulated(*tunnel)).collect();
    let (source, destination) =
        ((before.flow.source, after.flow.source), (before.flow.destination, after.flow.destination));
    if destination.0 != destination.1 {
        let (from, to) = destination;
        changes.push(match orientation {
            Orientation::Forward => Change::Dnat { from, to },
            Orientation::Reply => Change::UnSnat { from, to },
        });
    }
    if source.0 != source.1 {
        let (from, to) = source;
        changes.push(match orientation {
            Orientation::Forward => Change::Snat { from, to },
            Orientation::Reply => Change::UnDnat { from, to },
        });
    }
    changes.extend(new.iter().rev().map(|tunnel| Change::Encapsulated(*tunnel)));
    changes
}
