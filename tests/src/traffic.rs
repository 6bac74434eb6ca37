//! Traffic through the lab: bounded, and ended by whoever started it.

mod http;
mod ping;
mod udp;

use std::{io, net::SocketAddr, time::Duration};

use thiserror::Error;

pub use http::{HttpGet, HttpReply, HttpServer};
pub use ping::{Ping, PingReport};
pub use udp::{UdpEcho, UdpReply, UdpSend};

use crate::NamespaceError;

/// What an exchange may wait for, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Traffic that did not go as it should.
#[derive(Debug, Error)]
pub enum TrafficError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The kernel refused, or nobody answered in time.
    #[error("cannot {operation} {peer}")]
    Socket {
        /// What was tried.
        operation: &'static str,
        /// With whom.
        peer: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The answer is not one that the lab's servers give.
    #[error("{peer} answered \"{answer}\"")]
    Answer {
        /// Who.
        peer: SocketAddr,
        /// The beginning of the answer.
        answer: String,
    },
}

/// Makes a [`TrafficError::Socket`] of what the kernel said.
fn socket(operation: &'static str, peer: SocketAddr) -> impl Fn(io::Error) -> TrafficError + Copy {
    move |source| TrafficError::Socket { operation, peer, source }
}
