//! Which of many streams has the oldest packet.

/// Later than every packet.
pub(super) const NONE: u64 = u64::MAX;

/// The times of the streams' next packets as a tournament: a stream that changes plays again against those on its way to
/// the top, of which there are as many as the number of streams has binary digits.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// By the number of the stream, [`NONE`] where there is no packet.
    times: Vec<u64>,
    /// The stream that won, by the place in the tournament: the top is 1, below place `n` are `2n` and `2n + 1`.
    winners: Vec<usize>,
}

impl Heads {
    /// A further stream, which has no packet.
    pub(super) fn add(&mut self) {
        self.times.push(NONE);
        let leaves = self.times.len().next_power_of_two();
        if self.winners.len() == 2 * leaves {
            return;
        }
        self.winners = vec![0; 2 * leaves];
        for stream in 0..leaves {
            // A place without a stream is one of a stream that never has a packet: any number beyond them.
            self.winners[leaves + stream] = stream;
        }
        for place in (1..leaves).rev() {
            self.play(place);
        }
    }

    /// The time of a stream's next packet.
    pub(super) fn at(&self, stream: usize) -> u64 {
        self.times.get(stream).copied().unwrap_or(NONE)
    }

    /// Sets the time of a stream's next packet.
    pub(super) fn set(&mut self, stream: usize, time: u64) {
        let Some(known) = self.times.get_mut(stream) else { return };
        if *known == time {
            return;
        }
        *known = time;
        let mut place = self.winners.len() / 2 + stream;
        while place > 1 {
            place /= 2;
            self.play(place);
        }
    }

    /// The stream with the oldest packet, the one with the least number among equals, and that packet's time; absent where
    /// no stream has a packet.
    pub(super) fn first(&self) -> Option<(usize, u64)> {
        let stream = *self.winners.get(1)?;
        let time = self.at(stream);
        (time != NONE).then_some((stream, time))
    }

    /// Whether no stream has a packet.
    pub(super) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    fn play(&mut self, place: usize) {
        let (left, right) = (self.winners[2 * place], self.winners[2 * place + 1]);
        self.winners[place] = if self.at(right) < self.at(left) { right } else { left };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_first_however_many_streams_there_are() {
        let mut random = 1_u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut heads = Heads::default();
        assert_eq!(heads.first(), None);
        for streams in 1..=70_usize {
            heads.add();
            assert_eq!(heads.at(streams - 1), NONE);
            for _ in 0..50 {
                let stream = usize::try_from(next(streams as u64)).unwrap();
                heads.set(stream, if next(3) == 0 { NONE } else { next(20) });
                let all = (0..streams).map(|stream| (heads.at(stream), stream));
                let least = all.filter(|(time, _)| *time != NONE).min();
                assert_eq!(heads.first(), least.map(|(time, stream)| (stream, time)), "{streams} streams");
                assert_eq!(heads.is_empty(), least.is_none());
            }
        }
    }
}
