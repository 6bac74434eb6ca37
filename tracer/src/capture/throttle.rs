//! A cap on the bytes of output per second: a bucket of tokens that holds those of one second.

use std::time::{Duration, Instant};

/// How often it is said that output is limited.
const SAY_EVERY: Duration = Duration::from_mins(1);
/// What a packet takes besides its bytes, at most: its block, options included.
const BLOCK: u32 = 64;

/// Says how many packets may be written now.
pub(super) struct Throttle {
    /// Bytes a second.
    rate: u64,
    /// Bytes of the largest packet, unless the bucket is smaller.
    cost: u64,
    /// Bytes that may go out now; below 0 where the last packets took more than there was.
    tokens: i64,
    /// When tokens were last added.
    last: Instant,
    /// Bytes that had gone out by then.
    sent: u64,
    said: Option<Instant>,
}

impl Throttle {
    /// Packets have at most `snap` bytes.
    pub(super) fn new(rate: u64, snap: u32, now: Instant) -> Self {
        let mut throttle = Self {
            rate: 1,
            cost: u64::from(snap) + u64::from(BLOCK),
            tokens: 0,
            last: now,
            sent: 0,
            said: None,
        };
        throttle.set_rate(rate);
        throttle.tokens = signed(throttle.rate);
        throttle
    }

    /// Another rate from now on.
    pub(super) fn set_rate(&mut self, rate: u64) {
        self.rate = rate.max(1);
        self.tokens = self.tokens.min(signed(self.rate));
    }

    /// How many packets may be written, given how many bytes have gone out so far.
    pub(super) fn packets(&mut self, sent: u64, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.last).min(Duration::from_secs(1));
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let added = u128::from(self.rate) * u128::from(nanoseconds) / 1_000_000_000;
        let added = i64::try_from(added).unwrap_or(i64::MAX);
        // Less than a token is not lost: the time goes on when there is one.
        if added > 0 {
            self.last = now;
        }
        let taken = signed(sent.saturating_sub(self.sent));
        self.sent = sent;
        self.tokens = self.tokens.saturating_sub(taken).saturating_add(added).min(signed(self.rate));
        let tokens = u64::try_from(self.tokens).unwrap_or(0);
        usize::try_from(tokens / self.cost.min(self.rate)).unwrap_or(usize::MAX)
    }

    /// Bytes of one more second than there are: what the end of a capture may take.
    pub(super) fn grant_second(&mut self) {
        self.tokens = self.tokens.saturating_add(signed(self.rate));
        self.last = Instant::now();
    }

    /// Packets for what is left of it.
    pub(super) fn last_packets(&mut self, sent: u64) -> usize {
        let taken = signed(sent.saturating_sub(self.sent));
        self.sent = sent;
        self.tokens = self.tokens.saturating_sub(taken);
        let tokens = u64::try_from(self.tokens).unwrap_or(0);
        usize::try_from(tokens / self.cost.min(self.rate)).unwrap_or(usize::MAX)
    }

    /// What to say about packets that have to wait, unless that was said just now.
    pub(super) fn word(&mut self, now: Instant) -> Option<String> {
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < SAY_EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(format!("output limited to {} bytes/s: packets beyond are counted as lost", self.rate))
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(begin: Instant, milliseconds: u64) -> Instant {
        begin + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_second_at_once_and_then_what_comes_in() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(19_200, 128, begin);
        assert_eq!(throttle.packets(0, begin), 100);
        assert_eq!(throttle.packets(19_200, begin), 0);
        assert_eq!(throttle.packets(19_200, after(begin, 5)), 0);
        assert_eq!(throttle.packets(19_200, after(begin, 50)), 5);
        assert_eq!(throttle.packets(19_200, after(begin, 9000)), 100, "never more than those of a second");
    }

    #[test]
    fn what_was_taken_beyond_is_paid_back() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(1000, 436, begin);
        assert_eq!(throttle.packets(0, begin), 2);
        assert_eq!(throttle.packets(1900, begin), 0);
        assert_eq!(throttle.packets(1900, after(begin, 900)), 0);
        assert_eq!(throttle.packets(1900, after(begin, 1400)), 1);
    }

    #[test]
    fn packet_larger_than_the_bucket_goes_when_it_is_full() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(1000, 262_144, begin);
        assert_eq!(throttle.packets(0, begin), 1);
        assert_eq!(throttle.packets(1, begin), 0);
        assert_eq!(throttle.packets(1, after(begin, 1)), 1);
    }

    #[test]
    fn slow_rate_loses_no_fraction_of_a_token() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(10, 0, begin);
        assert_eq!(throttle.packets(0, begin), 1);
        assert_eq!(throttle.packets(10, begin), 0);
        let packets: usize = (1..=1000).map(|each| throttle.packets(10, after(begin, each))).sum();
        assert_eq!(packets, 1, "the bucket is full after exactly a second");
    }

    #[test]
    fn it_is_said_once_a_minute_and_with_the_rate_of_the_day() {
        let begin = Instant::now();
        let mut throttle = Throttle::new(7, 128, begin);
        assert!(throttle.word(begin).is_some_and(|word| word.contains(" 7 bytes/s")));
        throttle.set_rate(9);
        assert_eq!(throttle.word(after(begin, 59_000)), None);
        assert!(throttle.word(after(begin, 60_000)).is_some_and(|word| word.contains(" 9 bytes/s")));
    }
}
