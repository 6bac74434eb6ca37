//! Numbers that a seed determines: `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators").

/// A generator; two of one seed tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// How likely something is, in parts of a million.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Chance(pub(crate) u32);

impl Chance {
    /// So many per cent, in hundredths: `percent(150)` is 1.5 %.
    pub(crate) const fn hundredths(percent: u32) -> Self {
        Self(percent * 100)
    }
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `0` to `limit - 1`; 0 for a limit of 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.next() % limit }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub(crate) fn word(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    pub(crate) fn short(&mut self) -> u16 {
        (self.next() >> 48) as u16
    }

    pub(crate) fn happens(&mut self, chance: Chance) -> bool {
        chance.0 > 0 && self.below(1_000_000) < u64::from(chance.0)
    }
}
