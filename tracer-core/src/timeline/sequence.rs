//! One direction of a TCP connection in its sequence space: what was sent again, and why.
//!
//! A segment whose bytes were seen before is a retransmission. Bytes that come late for the first time (the path
//! before the first observation point reordered them, or the trace did not see them) fill a hole.

use std::collections::{BTreeMap, VecDeque};

use crate::identity::Segment;
use crate::packet::TcpFlags;
use crate::units::Timestamp;

/// Holes remembered at most; the oldest are forgotten.
const MAX_HOLES: usize = 64;
/// Transmissions remembered at most of those whose end is not the usual one.
const MAX_UNFINISHED: usize = 512;

/// Number of a path within its lane.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PathId(pub u32);

/// What became of the transmission before a retransmission.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Earlier {
    /// It took this path, which may end early.
    Took(PathId),
    /// It is not among those that ended early: it went all the way.
    Arrived,
}

/// A change of the receive window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Window {
    /// It was closed.
    Closed,
    /// It was opened again.
    Opened {
        /// Nanoseconds after it had been closed.
        after: u64,
    },
}

/// Progress of one direction.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// Sequence number after the highest byte that was seen.
    next: Option<u32>,
    /// Bytes below it that were not seen yet.
    holes: VecDeque<(u32, u32)>,
    unfinished: VecDeque<Sent>,
    retransmitted: BTreeMap<Earlier, u64>,
    /// Payload bytes of what was sent again.
    bytes_again: u64,
    /// Of what was sent again, segments that were sent while the receiver's window was closed.
    probes: u64,
    /// Segments that were sent again lately, by their first sequence number, and how often.
    again: VecDeque<(u32, u64)>,
    most_repeated: Option<(u32, u64)>,
    zero_windows: u64,
    closed_since: Option<Timestamp>,
    closed_for: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    begin: u32,
    end: u32,
    path: PathId,
}

/// Whether `a` comes before `b` in the sequence space (RFC 9293, section 3.4).
pub(super) fn is_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl Sequence {
    /// Notes a transmission that took `path`; `is_short` if the path may have ended early. Tells what became of the
    /// transmission before, if this one is a retransmission.
    pub fn note(&mut self, segment: &Segment, path: PathId, is_short: bool) -> Option<Earlier> {
        self.note_while(segment, path, is_short, false)
    }

    /// As [`Sequence::note`]; `is_closed` while the receiver's window is.
    pub fn note_while(
        &mut self,
        segment: &Segment,
        path: PathId,
        is_short: bool,
        is_closed: bool,
    ) -> Option<Earlier> {
        let begin = segment.sequence;
        // SYN and FIN take one sequence number each.
        let virtual_bytes =
            u32::from(segment.flags.any(TcpFlags::SYN)) + u32::from(segment.flags.any(TcpFlags::FIN));
        let len = segment.payload_len.saturating_add(virtual_bytes);
        if len == 0 || segment.flags.any(TcpFlags::RST) {
            return None;
        }
        let end = begin.wrapping_add(len);
        let earlier = if self.is_new(begin, end) { None } else { Some(self.earlier(begin, end)) };
        if let Some(earlier) = earlier {
            *self.retransmitted.entry(earlier).or_default() += 1;
            self.bytes_again += u64::from(segment.payload_len);
            self.probes += u64::from(is_closed);
            self.note_again(begin);
        }
        if is_short {
            if self.unfinished.len() == MAX_UNFINISHED {
                self.unfinished.pop_front();
            }
            self.unfinished.push_back(Sent { begin, end, path });
        }
        earlier
    }

    /// Notes a receive window that was told at `time`; tells when it was closed or opened again.
    pub fn note_window(&mut self, segment: &Segment, time: Timestamp) -> Option<Window> {
        if segment.flags.any(TcpFlags::RST | TcpFlags::SYN) {
            return None;
        }
        match (segment.is_window_zero, self.closed_since) {
            (true, None) => {
                self.closed_since = Some(time);
                self.zero_windows += 1;
                Some(Window::Closed)
            }
            (false, Some(since)) => {
                self.closed_since = None;
                let after = u64::try_from(time.since(since)).unwrap_or_default();
                self.closed_for = self.closed_for.saturating_add(after);
                Some(Window::Opened { after })
            }
            _ => None,
        }
    }

    /// Retransmitted segments by what became of the transmission before.
    pub fn retransmitted(&self) -> impl Iterator<Item = (Earlier, u64)> {
        self.retransmitted.iter().map(|(earlier, count)| (*earlier, *count))
    }

    /// Payload bytes of retransmitted segments.
    pub fn bytes_again(&self) -> u64 {
        self.bytes_again
    }

    /// Retransmitted segments that were sent while the receiver's window was closed.
    pub fn probes(&self) -> u64 {
        self.probes
    }

    /// The first sequence number of the segment that was sent again most often, and how often.
    pub fn most_repeated(&self) -> Option<(u32, u64)> {
        self.most_repeated
    }

    /// Since when the receive window is closed; absent where it is open.
    pub fn closed_since(&self) -> Option<Timestamp> {
        self.closed_since
    }

    /// How often the receive window was closed.
    pub fn zero_windows(&self) -> u64 {
        self.zero_windows
    }

    /// Nanoseconds for which the receive window was closed, until it was opened again.
    pub fn closed_for(&self) -> u64 {
        self.closed_for
    }

    /// Takes over what another one noted, its paths renumbered.
    pub fn absorb(&mut self, other: Self, renumber: impl Fn(PathId) -> PathId) {
        self.bytes_again += other.bytes_again;
        self.probes += other.probes;
        if other.most_repeated.map(|most| most.1) > self.most_repeated.map(|most| most.1) {
            self.most_repeated = other.most_repeated;
        }
        self.zero_windows += other.zero_windows;
        self.closed_for = self.closed_for.saturating_add(other.closed_for);
        for (earlier, count) in other.retransmitted {
            let earlier = match earlier {
                Earlier::Took(path) => Earlier::Took(renumber(path)),
                Earlier::Arrived => Earlier::Arrived,
            };
            *self.retransmitted.entry(earlier).or_default() += count;
        }
        let sent = other.unfinished.into_iter().map(|sent| Sent { path: renumber(sent.path), ..sent });
        self.unfinished.extend(sent);
        while self.unfinished.len() > MAX_UNFINISHED {
            self.unfinished.pop_front();
        }
        let is_ahead = match (self.next, other.next) {
            (Some(mine), Some(theirs)) => is_before(mine, theirs),
            (mine, _) => mine.is_none(),
        };
        if is_ahead {
            self.next = other.next;
            self.holes = other.holes;
            self.closed_since = other.closed_since;
        }
    }

    /// Counts how often the segment that begins here was sent again.
    fn note_again(&mut self, begin: u32) {
        let known = self.again.iter_mut().find(|(sequence, _)| *sequence == begin);
        let times = if let Some((_, times)) = known {
            *times += 1;
            *times
        } else {
            if self.again.len() == MAX_HOLES {
                self.again.pop_front();
            }
            self.again.push_back((begin, 1));
            1
        };
        if self.most_repeated.is_none_or(|(_, most)| times > most) {
            self.most_repeated = Some((begin, times));
        }
    }

    /// Whether some of the bytes were not seen before; they are then.
    fn is_new(&mut self, begin: u32, end: u32) -> bool {
        let Some(next) = self.next else {
            self.next = Some(end);
            return true;
        };
        if is_before(next, end) {
            if is_before(next, begin) {
                if self.holes.len() == MAX_HOLES {
                    self.holes.pop_front();
                }
                self.holes.push_back((next, begin));
            }
            self.next = Some(end);
            return true;
        }
        let Some(index) =
            self.holes.iter().position(|hole| is_before(begin, hole.1) && is_before(hole.0, end))
        else {
            return false;
        };
        let (from, to) = self.holes[index];
        self.holes.remove(index);
        if is_before(from, begin) {
            self.holes.push_back((from, begin));
        }
        if is_before(end, to) {
            self.holes.push_back((end, to));
        }
        true
    }

    /// The newest transmission of some of the bytes that may have ended early.
    fn earlier(&mut self, begin: u32, end: u32) -> Earlier {
        let overlaps = |sent: &Sent| is_before(begin, sent.end) && is_before(sent.begin, end);
        match self.unfinished.iter().rposition(overlaps) {
            Some(index) => {
                let sent = self.unfinished[index];
                self.unfinished.remove(index);
                // What is left of it may be sent again by itself.
                if is_before(sent.begin, begin) {
                    self.unfinished.push_back(Sent { end: begin, ..sent });
                }
                if is_before(end, sent.end) {
                    self.unfinished.push_back(Sent { begin: end, ..sent });
                }
                Earlier::Took(sent.path)
            }
            None => Earlier::Arrived,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SegmentKey;

    fn segment(sequence: u32, payload_len: u32) -> Segment {
        let flags = TcpFlags(TcpFlags::ACK);
        Segment {
            key: SegmentKey(0),
            sequence,
            acknowledgement: 0,
            payload_len,
            flags,
            is_window_zero: false,
            may_vanish: false,
        }
    }

    #[test]
    fn bytes_seen_before_are_a_retransmission_and_its_cause_is_told() {
        let mut sequence = Sequence::default();
        let start = u32::MAX - 100;
        assert_eq!(sequence.note(&segment(start, 100), PathId(0), false), None);
        assert_eq!(sequence.note(&segment(start.wrapping_add(100), 100), PathId(1), true), None);
        assert_eq!(sequence.note(&segment(start.wrapping_add(200), 100), PathId(0), false), None);
        let again = segment(start.wrapping_add(100), 100);
        assert_eq!(sequence.note(&again, PathId(0), false), Some(Earlier::Took(PathId(1))));
        assert_eq!(sequence.note(&again, PathId(0), false), Some(Earlier::Arrived));
    }

    #[test]
    fn late_bytes_are_no_retransmission() {
        let mut sequence = Sequence::default();
        sequence.note(&segment(0, 100), PathId(0), false);
        sequence.note(&segment(300, 100), PathId(0), false);
        assert_eq!(sequence.note(&segment(200, 100), PathId(0), false), None);
        assert_eq!(sequence.note(&segment(100, 100), PathId(0), false), None);
        assert_eq!(sequence.note(&segment(100, 100), PathId(0), false), Some(Earlier::Arrived));
    }

    #[test]
    fn acknowledgements_are_nothing_sent_again() {
        let mut sequence = Sequence::default();
        sequence.note(&segment(0, 100), PathId(0), false);
        assert_eq!(sequence.note(&segment(100, 0), PathId(0), false), None);
        assert_eq!(sequence.note(&segment(100, 0), PathId(0), false), None);
    }
}
