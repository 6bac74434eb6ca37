//! Times, lengths and directions as types, so that no bare integer crosses a signature.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds since the Unix epoch, as the observing node's clock told it (64 bits last until 2554).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The signed distance `self - earlier` in nanoseconds, saturating.
    pub fn since(self, earlier: Self) -> i64 {
        i64::try_from(i128::from(self.0) - i128::from(earlier.0)).unwrap_or(i64::MAX)
    }

    /// This time moved by a signed number of nanoseconds, saturating at both ends.
    #[must_use]
    pub fn offset(self, nanoseconds: i64) -> Self {
        Self(self.0.saturating_add_signed(nanoseconds))
    }

    /// This time less a duration, saturating at the epoch.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Direction of a packet relative to the interface, never to the pod.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The interface received the packet.
    Ingress,
    /// The interface sends the packet.
    Egress,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// Generic segmentation offload facts of an skb: the super-packet stands for several wire segments.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct Gso {
    /// Payload bytes of each wire segment but the last (`skb_shared_info.gso_size`); never 0.
    pub size: u16,
    /// Number of segments by the kernel's count (`gso_segs`); 0 where the kernel did not fill it in.
    pub segments: u16,
}

/// Greatest number of bytes kept of a packet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SnapLength(pub u32);
