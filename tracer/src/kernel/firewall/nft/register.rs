//! What the registers of `nf_tables`' machine hold while a rule is evaluated (`struct nft_regs`): known by where it came
//! from, not by value.

use std::fmt::Write as _;

use tracer_core::evidence::Field;

use super::header::{Base, HeaderField};

/// `NFT_REG_VERDICT`.
pub(super) const VERDICT: u32 = 0;
/// 16 registers of 4 bytes; the old four of 16 bytes lie over them.
const SLOTS: usize = 16;

/// What a register holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Origin {
    /// Bytes of a header.
    Header { base: Base, offset: u32, length: u32 },
    /// `meta` by its key (`enum nft_meta_keys`).
    Meta(u32),
    /// `ct` by its key (`enum nft_ct_keys`); the direction where there is one.
    Ct { key: u32, direction: Option<u8> },
    /// `fib`, by what is asked (`enum nft_fib_flags`) and what it gives (`enum nft_fib_result`).
    Fib { flags: u32, result: u32 },
    /// A number drawn by lot.
    Lot { modulus: u32, offset: u32 },
    /// A constant.
    Constant(Vec<u8>),
    /// Something that is not understood, in the words of `nft`.
    Other(String),
}

/// The contents of a register: `(origin & mask) ^ xor`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    /// Where it came from.
    pub(super) origin: Origin,
    /// Bytes that were masked and turned, if any were.
    pub(super) mask: Option<(Vec<u8>, Vec<u8>)>,
    /// Whether a number of the machine was put into the byte order of the network.
    pub(super) is_swapped: bool,
}

impl Value {
    pub(super) fn of(origin: Origin) -> Self {
        Self { origin, mask: None, is_swapped: false }
    }

    /// The field that it is, if it is a whole one.
    pub(super) fn field(&self) -> Field {
        let whole = match (&self.origin, &self.mask) {
            (Origin::Header { base, offset, length }, None) => {
                HeaderField::whole(*base, *offset, *length).field()
            }
            (Origin::Meta(key), None) => super::meta::field(*key),
            (Origin::Ct { key: 0, .. }, None) => Some(Field::ConntrackState),
            (Origin::Lot { modulus, offset }, None) => {
                Some(Field::Lot { modulus: *modulus, offset: *offset })
            }
            _ => None,
        };
        whole.unwrap_or_else(|| Field::Other(self.words()))
    }

    /// The words of `nft` for it, about.
    pub(super) fn words(&self) -> String {
        let name = match &self.origin {
            Origin::Header { base, offset, length } => base.words(*offset, *length),
            Origin::Meta(key) => super::meta::words(*key),
            Origin::Ct { key, direction } => super::meta::ct_words(*key, *direction),
            Origin::Fib { flags, result } => super::meta::fib_words(*flags, *result),
            Origin::Lot { modulus, .. } => format!("numgen random mod {modulus}"),
            Origin::Constant(bytes) => hex(bytes),
            Origin::Other(words) => words.clone(),
        };
        match &self.mask {
            None => name,
            Some((mask, xor)) if xor.iter().all(|byte| *byte == 0) => format!("{name} & {}", hex(mask)),
            Some((mask, xor)) => format!("{name} & {} ^ {}", hex(mask), hex(xor)),
        }
    }

    /// Bytes that it takes; absent where only who reads it knows.
    fn length(&self) -> Option<usize> {
        match &self.origin {
            Origin::Header { length, .. } => usize::try_from(*length).ok(),
            Origin::Constant(bytes) => Some(bytes.len()),
            Origin::Meta(key) => super::meta::length(*key),
            Origin::Lot { .. } | Origin::Fib { .. } | Origin::Ct { key: 0..=3, .. } => Some(4),
            _ => None,
        }
    }
}

/// All registers.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    slots: [Option<Value>; SLOTS],
}

impl Registers {
    /// Puts something into a register.
    pub(super) fn put(&mut self, register: u32, value: Value) {
        if let Some(slot) = slot(register).and_then(|slot| self.slots.get_mut(slot)) {
            *slot = Some(value);
        }
    }

    /// What is in a register.
    pub(super) fn get(&self, register: u32) -> Option<&Value> {
        self.slots.get(slot(register)?)?.as_ref()
    }

    /// What fills a number of bytes from a register on: several values where they were loaded side by side.
    pub(super) fn run(&self, register: u32, length: usize) -> Option<Vec<&Value>> {
        let first = slot(register)?;
        let end = (first + length.div_ceil(4)).min(SLOTS);
        let mut place = first;
        let mut all = Vec::new();
        while place < end {
            let value = self.slots.get(place)?.as_ref()?;
            all.push(value);
            place += value.length().unwrap_or(length).div_ceil(4).max(1);
        }
        Some(all)
    }
}

/// Place of a register among those of 4 bytes (`nft_parse_register`).
fn slot(register: u32) -> Option<usize> {
    match register {
        1..=4 => usize::try_from(register - 1).ok().map(|register| register * 4),
        8..=23 => usize::try_from(register - 8).ok(),
        _ => None,
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut digits = "0x".to_owned();
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
