//! Clocks of nodes that are off, though in truth all namespaces of the lab share one.
//!
//! The times in the recordings are changed on their way to the engine; what is so is told by the times as recorded.

use std::{fs::File, io::BufReader};

use tracer_core::{
    capture::{CaptureReader, Item},
    units::Timestamp,
};

use super::{TruthError, recorder::Recording};
use crate::lab::topology::{K8S_MASTER, K8S_NODE1, K8S_NODE2};

const SECOND: i64 = 1_000_000_000;

/// How the clocks of the nodes differ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Clocks {
    /// Not at all; the engine is not told so.
    #[default]
    Equal,
    /// By ten seconds to either side of the master's.
    Apart,
    /// By some milliseconds, and one is faster than the others by 100 ppm.
    Drifting,
    /// Two of them are stepped, one forward and one back, at one third and two thirds of the traffic.
    Stepping,
}

/// One node's clock against that of the lab.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    offset: i64,
    /// Nanoseconds gained in a million.
    drift: i64,
    /// When it is stepped, and how far.
    step: Option<(u64, i64)>,
    begin: u64,
}

impl Clocks {
    /// What it is called in the table; empty for equal clocks.
    pub fn label(self) -> &'static str {
        match self {
            Self::Equal => "",
            Self::Apart => ", clocks +-10 s",
            Self::Drifting => ", clocks 100 ppm",
            Self::Stepping => ", clocks stepped",
        }
    }

    /// The clock of a node while packets went from the one time to the other.
    pub(super) fn of(self, node: &str, (begin, end): (u64, u64)) -> Clock {
        let by_node = |master, far, near| match node {
            _ if node == K8S_MASTER.name => master,
            _ if node == K8S_NODE1.name => far,
            _ if node == K8S_NODE2.name => near,
            _ => 0,
        };
        let millisecond = SECOND / 1000;
        let at = |thirds| begin + (end - begin) / 3 * thirds;
        match self {
            Self::Equal => Clock::default(),
            Self::Apart => Clock { offset: by_node(0, 10 * SECOND, -10 * SECOND), ..Clock::default() },
            Self::Drifting => {
                let offset = by_node(0, 7 * millisecond, -3 * millisecond);
                Clock { offset, drift: by_node(0, 0, 100), begin, step: None }
            }
            Self::Stepping => {
                let step = match by_node(0, 1, 2) {
                    1 => Some((at(1), 2 * SECOND)),
                    2 => Some((at(2), -3 * SECOND)),
                    _ => None,
                };
                Clock { step, ..Clock::default() }
            }
        }
    }
}

impl Clock {
    /// What it shows at a time of the lab.
    pub(super) fn shows(self, time: Timestamp) -> Timestamp {
        let drifted = time.since(Timestamp(self.begin)) / 1_000_000 * self.drift;
        let stepped = self.step.filter(|(at, _)| time.0 >= *at).map_or(0, |(_, by)| by);
        let drifted = if self.drift == 0 { 0 } else { drifted };
        time.offset(self.offset + drifted + stepped)
    }
}

/// When the first packet and the last one were recorded; a recording without packets says nothing.
pub(super) fn span(recordings: &[Recording]) -> Result<(u64, u64), TruthError> {
    let mut span = (u64::MAX, 0);
    for recording in recordings {
        let file = File::open(&recording.path).map_err(TruthError::Recorder)?;
        let mut reader = CaptureReader::new(BufReader::new(file)).map_err(TruthError::Unread)?;
        while let Some(item) = reader.next_item().map_err(TruthError::Unread)? {
            if let Item::Frame(frame) = item {
                span = (span.0.min(frame.time.0), span.1.max(frame.time.0));
            }
        }
    }
    Ok((span.0.min(span.1), span.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_off_as_they_say() {
        let span = (1_000 * 1_000_000_000, 1_003 * 1_000_000_000);
        let shows = |clocks: Clocks, node: &str, seconds: u64| {
            let time = Timestamp(seconds * 1_000_000_000);
            clocks.of(node, span).shows(time).since(time)
        };
        assert_eq!(shows(Clocks::Equal, "k8s-node1", 1_001), 0);
        assert_eq!(shows(Clocks::Apart, "k8s-node2", 1_001), -10 * SECOND);
        assert_eq!(shows(Clocks::Drifting, "k8s-node2", 1_002), 200_000 - 3_000_000);
        assert_eq!(shows(Clocks::Stepping, "k8s-node1", 1_000), 0);
        assert_eq!(shows(Clocks::Stepping, "k8s-node1", 1_002), 2 * SECOND);
        assert_eq!(shows(Clocks::Stepping, "k8s-node2", 1_003), -3 * SECOND);
    }
}
