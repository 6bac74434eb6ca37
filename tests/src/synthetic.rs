//! Traffic that nobody sends: what captures would see of TCP connections between the pods of two Calico-like nodes,
//! through DNAT and IPIP, eight hops there and eight back.
//!
//! The bytes come from a generator with a fixed seed: the same arguments make the same frames.

mod bytes;
mod connection;
mod network;
mod random;
mod schedule;

use tracer_core::units::{SnapLength, Timestamp};

pub use network::{Node, PODS, interfaces};
pub use schedule::Schedule;

/// Bytes kept of each frame: all headers, and what payload enters a key.
pub const SNAP: SnapLength = SnapLength(128);

/// Requests of a connection where nothing else is asked for: with eight hops about 500 frames.
pub const REQUESTS: u32 = 19;

/// What is made.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Number of the pair of nodes.
    pub pair: u8,
    /// When so many frames are made, no more packets are sent.
    pub frames: u64,
    /// Frames seen in a second.
    pub rate: u64,
    /// When the first packet is sent, by a true clock.
    pub begin: Timestamp,
    /// Requests of each connection, which are answered.
    pub requests: u32,
    /// Connections that are open at the same time; absent for a share of all.
    pub open: Option<u64>,
}

impl Traffic {
    /// Connections that are open at the same time.
    fn open(&self) -> u64 {
        /// Frames of a handshake and a close, of a request and its answer: three packets each, at eight hops.
        const EACH: u64 = 24;
        const SHARE: u64 = 10;
        const MOST: u64 = 1000;
        let connections = self.frames / (EACH * (2 + u64::from(self.requests)));
        self.open.unwrap_or((connections / SHARE).clamp(1, MOST))
    }
}
