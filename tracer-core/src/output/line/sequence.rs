//! Where the sequence numbers of each TCP connection began, so that they can be printed from 0 on.

use std::mem;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use super::address::Address;

/// Connections of one generation. The last two generations are kept: a connection whose segments are printed
/// stays.
const PER_GENERATION: usize = 1 << 15;

/// A connection, both directions in one: addresses and ports of the end with the lesser port first.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Ends {
    is_ip6: bool,
    addresses: [u128; 2],
    ports: [u16; 2],
}

/// The first sequence number that each end was seen to use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Begin {
    lesser: u32,
    greater: u32,
}

/// The connections whose beginning is known, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    recent: HashMap<Ends, Begin, RandomState>,
    older: HashMap<Ends, Begin, RandomState>,
}

/// A segment with an acknowledgement.
pub(super) struct Segment {
    pub(super) source: (Address, u16),
    pub(super) destination: (Address, u16),
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    /// It opens a connection, whatever was known of those ports.
    pub(super) is_syn: bool,
}

/// How the numbers of a segment are printed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Relative {
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    /// What the numbers of selective acknowledgements are counted from.
    pub(super) sack_base: u32,
}

impl Conversations {
    /// The numbers from the beginning of the connection; those of its first segment stay as they are.
    ///
    /// The first segment seen of a connection says where both ends began: as if it were the SYN-ACK.
    pub(super) fn relative(&mut self, segment: &Segment) -> Relative {
        let ((source, from), (destination, to)) = (segment.source, segment.destination);
        let is_greater = from > to || (from == to && source.number() > destination.number());
        let mut ends = Ends {
            is_ip6: matches!(source, Address::V6(_)),
            addresses: [source.number(), destination.number()],
            ports: [from, to],
        };
        if is_greater {
            ends.addresses.reverse();
            ends.ports.reverse();
        }
        let known = self.get(&ends).filter(|_| !segment.is_syn);
        let begin = known.unwrap_or_else(|| {
            let begin = segment.begin(is_greater);
            self.insert(ends, begin);
            begin
        });
        let (own, other) =
            if is_greater { (begin.greater, begin.lesser) } else { (begin.lesser, begin.greater) };
        let (sequence, acknowledgement) = match known {
            Some(_) => (segment.sequence.wrapping_sub(own), segment.acknowledgement.wrapping_sub(other)),
            None => (segment.sequence, segment.acknowledgement),
        };
        Relative { sequence, acknowledgement, sack_base: other }
    }

    fn get(&mut self, ends: &Ends) -> Option<Begin> {
        if let Some(begin) = self.recent.get(ends) {
            return Some(*begin);
        }
        let begin = self.older.remove(ends)?;
        self.insert(*ends, begin);
        Some(begin)
    }

    fn insert(&mut self, ends: Ends, begin: Begin) {
        if self.recent.len() >= PER_GENERATION {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.insert(ends, begin);
    }
}

impl Segment {
    fn begin(&self, is_greater: bool) -> Begin {
        let other = self.acknowledgement.wrapping_sub(1);
        if is_greater {
            Begin { greater: self.sequence, lesser: other }
        } else {
            Begin { lesser: self.sequence, greater: other }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Address, Conversations, PER_GENERATION, Relative, Segment};

    const A: Address = Address::V4(Ipv4Addr::new(10, 0, 0, 1));
    const B: Address = Address::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn segment(reply: bool, sequence: u32, acknowledgement: u32, is_syn: bool) -> Segment {
        let (source, destination) = if reply { ((B, 80), (A, 40_000)) } else { ((A, 40_000), (B, 80)) };
        Segment { source, destination, sequence, acknowledgement, is_syn }
    }

    fn numbers(conversations: &mut Conversations, segment: &Segment) -> (u32, u32) {
        let Relative { sequence, acknowledgement, .. } = conversations.relative(segment);
        (sequence, acknowledgement)
    }

    #[test]
    fn numbers_count_from_the_first_segment_with_an_acknowledgement() {
        let mut seen = Conversations::default();
        assert_eq!(numbers(&mut seen, &segment(true, 500, 101, true)), (500, 101));
        assert_eq!(numbers(&mut seen, &segment(false, 101, 501, false)), (1, 1));
        assert_eq!(numbers(&mut seen, &segment(true, 501, 111, false)), (1, 11));
        assert_eq!(numbers(&mut seen, &segment(true, 99, 100, false)), (u32::MAX - 400, 0));
        let again = segment(true, 7_000, 9_001, true);
        assert_eq!(numbers(&mut seen, &again), (7_000, 9_001), "a SYN begins a new connection");
        assert_eq!(numbers(&mut seen, &segment(false, 9_001, 7_001, false)), (1, 1));
    }

    #[test]
    fn memory_is_bounded_and_the_connections_in_use_stay() {
        let mut seen = Conversations::default();
        numbers(&mut seen, &segment(true, 500, 101, true));
        for number in 0..3 * u32::try_from(PER_GENERATION).unwrap() {
            let source = (Address::V4(Ipv4Addr::from(number)), 5_000);
            let other = Segment { source, ..segment(false, 1, 1, false) };
            seen.relative(&other);
            if number % 1_000 == 0 {
                assert_eq!(numbers(&mut seen, &segment(false, 101, 501, false)), (1, 1), "{number}");
            }
        }
        assert!(seen.recent.len() <= PER_GENERATION && seen.older.len() <= PER_GENERATION);
        assert!(seen.recent.len() + seen.older.len() > PER_GENERATION, "the test reached the bound");
    }
}
