//! Numbers that look random and are the same in every run (`SplitMix64`, Steele, Lea and Flood 2014).

/// A generator with its state.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from `from` to below `to`.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        let count = (to - from).max(1) as u64;
        from + usize::try_from(self.number() % count).unwrap_or_default()
    }
}
