//! One end of a connection: what it sent, and what it expects.

use std::collections::VecDeque;

use crate::emission::Flags;
use crate::plan::Family;
use crate::random::Random;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Closed,
    Opening,
    Open,
    Gone,
}

/// A wire segment that is not acknowledged yet.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) sequence: u32,
    pub(super) len: u32,
    pub(super) flags: Flags,
    pub(super) is_sacked: bool,
    pub(super) is_sent_again: bool,
}

impl Sent {
    /// SYN and FIN take a number each.
    pub(super) fn end(&self) -> u32 {
        let virtual_bytes = u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN));
        self.sequence.wrapping_add(self.len + virtual_bytes)
    }
}

pub(super) struct End {
    pub(super) state: State,
    pub(super) next: u32,
    pub(super) sent: VecDeque<Sent>,
    /// Full segments that the application will still write, and bytes that it wrote.
    pub(super) to_write: u32,
    pub(super) written: u32,
    pub(super) is_finished: bool,
    pub(super) expected: u32,
    /// What came ahead of its turn, the newest first.
    pub(super) ahead: Vec<(u32, u32)>,
    pub(super) unacknowledged: u32,
    pub(super) identification: Option<u32>,
    pub(super) clock: u32,
    pub(super) echo: u32,
    pub(super) timer: u32,
    pub(super) backoff: u32,
    pub(super) timeouts: u32,
    pub(super) received: u32,
}

pub(super) fn is_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl End {
    pub(super) fn new(family: Family, to_write: u32, random: &mut Random) -> Self {
        Self {
            state: State::Closed,
            next: random.word(),
            sent: VecDeque::new(),
            to_write,
            written: 0,
            is_finished: false,
            expected: 0,
            ahead: Vec::new(),
            unacknowledged: 0,
            identification: (family == Family::V4).then(|| u32::from(random.short())),
            clock: random.word(),
            echo: 0,
            timer: 0,
            backoff: 0,
            timeouts: 0,
            received: 0,
        }
    }
}

/// Joins ranges that touch, the first one staying first.
pub(super) fn join(ranges: &mut Vec<(u32, u32)>) {
    let Some(mut newest) = ranges.first().copied() else { return };
    let mut index = 1;
    while index < ranges.len() {
        let (left, right) = ranges[index];
        if is_before(right, newest.0) || is_before(newest.1, left) {
            index += 1;
            continue;
        }
        ranges.remove(index);
        newest.0 = if is_before(left, newest.0) { left } else { newest.0 };
        newest.1 = if is_before(newest.1, right) { right } else { newest.1 };
        index = 1;
    }
    ranges[0] = newest;
}
