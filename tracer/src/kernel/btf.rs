//! Type information of the running kernel (BTF, Documentation/bpf/btf.rst): where its structures have their fields, what
//! its enumerations name, how many arguments its tracepoints have.

use std::fs;
use std::io;

use thiserror::Error;

/// Where the kernel shows its own.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const RECORD_LEN: usize = 12;
/// Structures within structures that are followed.
const MAX_DEPTH: usize = 16;

const PTR: u32 = 2;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const FUNC_PROTO: u32 = 13;

/// Why there is no type information.
#[derive(Debug, Error)]
pub enum BtfError {
    /// The kernel shows none, or not to this process.
    #[error("cannot read {VMLINUX}, the kernel's type information (CONFIG_DEBUG_INFO_BTF)")]
    Read(#[source] io::Error),
    /// It is in another format.
    #[error("the kernel's type information is in a format that is not known")]
    Format,
}

/// Where a structure has a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Field {
    /// Bits before it.
    pub bit_offset: u32,
}

impl Field {
    /// Bytes before it, or before the byte that it begins in.
    pub const fn offset(self) -> u32 {
        self.bit_offset / 8
    }

    /// Bits before it in that byte.
    pub const fn shift(self) -> u32 {
        self.bit_offset % 8
    }
}

/// All types of a kernel.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where the strings begin.
    strings: usize,
    /// Where each type's record is, by its number less one.
    records: Vec<u32>,
}

/// One type.
#[derive(Clone, Copy)]
struct Record {
    at: usize,
    name: u32,
    kind: u32,
    /// Members, enumerators or parameters.
    count: usize,
    has_bitfields: bool,
    /// Size, or the number of another type.
    size_or_type: u32,
}

impl Btf {
    /// Of the running kernel.
    pub fn vmlinux() -> Result<Self, BtfError> {
        Self::parse(fs::read(VMLINUX).map_err(BtfError::Read)?)
    }

    /// From the bytes of such a file.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        Self::index(bytes).ok_or(BtfError::Format)
    }

    fn index(bytes: Vec<u8>) -> Option<Self> {
        let magic: [u8; 2] = bytes.get(..2)?.try_into().ok()?;
        let version = *bytes.get(2)?;
        if u16::from_le_bytes(magic) != MAGIC || version != 1 {
            return None;
        }
        let header = word(&bytes, 4)?;
        let begin = header.checked_add(word(&bytes, 8)?)?;
        let end = begin.checked_add(word(&bytes, 12)?)?;
        let strings = header.checked_add(word(&bytes, 16)?)?;
        if end > bytes.len() || strings > bytes.len() {
            return None;
        }
        let mut btf = Self { bytes, strings, records: Vec::new() };
        let mut at = begin;
        while at < end {
            let record = btf.record_at(at)?;
            btf.records.push(u32::try_from(at).ok()?);
            at = at.checked_add(RECORD_LEN)?.checked_add(record.tail_len()?)?;
        }
        Some(btf)
    }

    /// A field of a structure, by the names that lead to it; members of structures without a name count as those of the
    /// structure around them. Absent where this kernel has none.
    pub fn field(&self, structure: &str, path: &[&str]) -> Option<Field> {
        let mut record = self.find(structure, |record| record.kind == STRUCT && record.count > 0)?;
        let mut bits = 0_u32;
        for (index, name) in path.iter().enumerate() {
            let (offset, member) = self.member(record, name, 0)?;
            bits = bits.checked_add(offset)?;
            if index + 1 < path.len() {
                record = self.resolved(member)?;
            }
        }
        Some(Field { bit_offset: bits })
    }

    /// Bytes of a structure.
    pub fn size(&self, structure: &str) -> Option<u32> {
        self.find(structure, |record| record.kind == STRUCT && record.count > 0)
            .map(|found| found.size_or_type)
    }

    /// The enumerators of every enumeration whose name passes.
    pub fn enumerators(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<(&str, u32)> {
        let mut found = Vec::new();
        for record in self.records.iter().filter_map(|at| self.record_at(*at as usize)) {
            if record.kind != ENUM || !is_wanted(self.text(record.name)) {
                continue;
            }
            for index in 0..record.count {
                let at = record.at + RECORD_LEN + 8 * index;
                let (Some(name), Some(value)) = (word(&self.bytes, at), word(&self.bytes, at + 4)) else {
                    break;
                };
                found.push((self.text(low(name)), low(value)));
            }
        }
        found
    }

    /// How many arguments a tracepoint hands to a raw program (`btf_trace_NAME`, `include/trace/bpf_probe.h`).
    pub fn tracepoint_arguments(&self, name: &str) -> Option<usize> {
        let typedef = self.find(&format!("btf_trace_{name}"), |record| record.kind == TYPEDEF)?;
        let pointer = self.record(typedef.size_or_type).filter(|record| record.kind == PTR)?;
        let prototype = self.record(pointer.size_or_type).filter(|record| record.kind == FUNC_PROTO)?;
        // The first one is the program's own data.
        prototype.count.checked_sub(1)
    }

    /// The offset in bits and the type of a member.
    fn member(&self, structure: Record, name: &str, depth: usize) -> Option<(u32, u32)> {
        for index in 0..structure.count {
            let at = structure.at + RECORD_LEN + 12 * index;
            let (own_name, kind) = (low(word(&self.bytes, at)?), low(word(&self.bytes, at + 4)?));
            let offset = low(word(&self.bytes, at + 8)?);
            let offset = if structure.has_bitfields { offset & 0x00ff_ffff } else { offset };
            if own_name != 0 {
                if self.is_named(own_name, name) {
                    return Some((offset, kind));
                }
            } else if depth < MAX_DEPTH
                && let Some(inner) = self.resolved(kind)
                && let Some((within, kind)) = self.member(inner, name, depth + 1)
            {
                return Some((offset.checked_add(within)?, kind));
            }
        }
        None
    }

    /// The structure or union that a type is, qualifiers and other names passed over.
    fn resolved(&self, number: u32) -> Option<Record> {
        const TYPEDEF_TO_RESTRICT: std::ops::RangeInclusive<u32> = 8..=11;
        const TYPE_TAG: u32 = 18;
        let mut record = self.record(number)?;
        for _ in 0..MAX_DEPTH {
            match record.kind {
                STRUCT | UNION => return Some(record),
                kind if TYPEDEF_TO_RESTRICT.contains(&kind) || kind == TYPE_TAG => {
                    record = self.record(record.size_or_type)?;
                }
                _ => return None,
            }
        }
        None
    }

    fn find(&self, name: &str, is_wanted: impl Fn(Record) -> bool) -> Option<Record> {
        let records = self.records.iter().filter_map(|at| self.record_at(*at as usize));
        records.into_iter().find(|record| self.is_named(record.name, name) && is_wanted(*record))
    }

    fn record(&self, number: u32) -> Option<Record> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.record_at(*self.records.get(index)? as usize)
    }

    fn record_at(&self, at: usize) -> Option<Record> {
        let info = low(word(&self.bytes, at.checked_add(4)?)?);
        Some(Record {
            at,
            name: low(word(&self.bytes, at)?),
            kind: (info >> 24) & 0x1f,
            count: (info & 0xffff) as usize,
            has_bitfields: info >> 31 != 0,
            size_or_type: low(word(&self.bytes, at.checked_add(8)?)?),
        })
    }

    fn is_named(&self, offset: u32, name: &str) -> bool {
        let from = self.strings.saturating_add(offset as usize);
        let to = from.saturating_add(name.len());
        self.bytes.get(from..to) == Some(name.as_bytes()) && self.bytes.get(to) == Some(&0)
    }

    fn text(&self, offset: u32) -> &str {
        let bytes = self.bytes.get(self.strings.saturating_add(offset as usize)..).unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        std::str::from_utf8(&bytes[..end]).unwrap_or_default()
    }
}

impl Record {
    /// Bytes that follow the record; absent for a kind that is not known.
    const fn tail_len(self) -> Option<usize> {
        Some(match self.kind {
            // INT, VAR, DECL_TAG.
            1 | 14 | 17 => 4,
            // ARRAY.
            3 => 12,
            // STRUCT, UNION, DATASEC, ENUM64.
            STRUCT | UNION | 15 | 19 => 12 * self.count,
            // ENUM, FUNC_PROTO.
            ENUM | FUNC_PROTO => 8 * self.count,
            // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG.
            PTR | 7..=12 | 16 | 18 => 0,
            _ => return None,
        })
    }
}

/// A number of 32 bits in little-endian order, which all machines that kflow runs on have.
fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// Back to what [`word`] read.
fn low(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(bytes: &mut Vec<u8>, words: &[u32]) {
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// `struct a { int x; struct { u8 y:3; u8 z:2; }; struct b in; }; struct b { ...; int last; }`, an enumeration, and
    /// a tracepoint with two arguments.
    fn example() -> Vec<u8> {
        let strings = b"\0a\0x\0y\0z\0in\0b\0last\0reasons\0NO\0YES\0btf_trace_t\0";
        let at = |text: &str| {
            let text: Vec<u8> = [&[0], text.as_bytes(), &[0]].concat();
            u32::try_from(strings.windows(text.len()).position(|window| window == text).unwrap() + 1).unwrap()
        };
        let mut types = Vec::new();
        put(&mut types, &[0, 1 << 24, 4, 32]);
        put(&mut types, &[at("a"), (4 << 24) | 3, 24]);
        put(&mut types, &[at("x"), 1, 0, 0, 3, 32, at("in"), 4, 64]);
        put(&mut types, &[0, (4 << 24) | (1 << 31) | 2, 4]);
        put(&mut types, &[at("y"), 1, 3 << 24, at("z"), 1, (2 << 24) | 3]);
        put(&mut types, &[at("b"), (4 << 24) | 1, 8, at("last"), 1, 32]);
        put(&mut types, &[at("reasons"), (6 << 24) | 2, 4, at("NO"), 0, at("YES"), 7]);
        put(&mut types, &[at("btf_trace_t"), 8 << 24, 7]);
        put(&mut types, &[0, 2 << 24, 8]);
        put(&mut types, &[0, (13 << 24) | 3, 0, 0, 1, 0, 1, 0, 1]);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let (types_len, strings_len) =
            (u32::try_from(types.len()).unwrap(), u32::try_from(strings.len()).unwrap());
        put(&mut bytes, &[24, 0, types_len, types_len, strings_len]);
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn fields_enumerators_and_arguments() {
        let btf = Btf::parse(example()).unwrap();
        let bits = |structure, path: &[&str]| btf.field(structure, path).map(|field| field.bit_offset);
        assert_eq!(bits("a", &["x"]), Some(0));
        assert_eq!(bits("a", &["z"]), Some(35));
        assert_eq!(bits("a", &["in", "last"]), Some(96));
        assert_eq!((bits("a", &["last"]), bits("c", &["x"]), bits("a", &["x", "last"])), (None, None, None));
        let z = btf.field("a", &["z"]).unwrap();
        assert_eq!((z.offset(), z.shift()), (4, 3));
        assert_eq!(btf.enumerators(|name| name == "reasons"), [("NO", 0), ("YES", 7)]);
        assert_eq!(btf.tracepoint_arguments("t"), Some(2));
        assert_eq!(btf.tracepoint_arguments("u"), None);
        assert_eq!((btf.size("a"), btf.size("reasons")), (Some(24), None));
    }

    #[test]
    fn damaged_bytes_are_refused_or_say_nothing() {
        let whole = example();
        for len in 0..whole.len() {
            if let Ok(btf) = Btf::parse(whole[..len].to_vec()) {
                let _ = (btf.field("a", &["in", "last"]), btf.enumerators(|_| true));
            }
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            if let Ok(btf) = Btf::parse(bytes) {
                let _ = (btf.field("a", &["in", "last"]), btf.enumerators(|_| true));
                let _ = btf.tracepoint_arguments("t");
            }
        }
    }
}
