//! Expressions that put something into a register.

use super::super::super::netlink::attribute;
use super::number::{be32, data_value};
use super::register::{Origin, VERDICT, Value};
use super::rule::Reader;

/// What a code of ICMP that is compared on its own is written as, until its type is found beside it.
pub(super) const ICMP_CODE: &str = "icmp code ";

/// Evaluates an expression that loads; absent for one that does not, or is not understood.
pub(super) fn load(reader: &mut Reader<'_>, name: &str, data: &[u8]) -> Option<()> {
    match name {
        "payload" => payload(reader, data),
        "meta" => {
            let key = attribute(data, 2).and_then(be32)?;
            put(reader, attribute(data, 1)?, Value::of(Origin::Meta(key)))
        }
        "ct" => {
            let key = attribute(data, 2).and_then(be32)?;
            let direction = attribute(data, 3).and_then(|direction| direction.first().copied());
            put(reader, attribute(data, 1)?, Value::of(Origin::Ct { key, direction }))
        }
        "fib" => {
            let (result, flags) = (attribute(data, 2).and_then(be32)?, attribute(data, 3).and_then(be32)?);
            put(reader, attribute(data, 1)?, Value::of(Origin::Fib { flags, result }))
        }
        "numgen" => {
            let modulus = attribute(data, 2).and_then(be32)?;
            let offset = attribute(data, 4).and_then(be32).unwrap_or(0);
            put(reader, attribute(data, 1)?, Value::of(Origin::Lot { modulus, offset }))
        }
        "hash" => {
            // Which of its values a flow gets cannot be told from outside: a lot, drawn once for a flow.
            let modulus = attribute(data, 4).and_then(be32)?;
            let offset = attribute(data, 6).and_then(be32).unwrap_or(0);
            put(reader, attribute(data, 2)?, Value::of(Origin::Lot { modulus, offset }))
        }
        "immediate" => immediate(reader, data),
        "bitwise" => bitwise(reader, data),
        "byteorder" => byteorder(reader, data),
        "exthdr" | "rt" | "socket" | "osf" | "tunnel" | "xfrm" => other(reader, name, data),
        _ => None,
    }
}

fn put(reader: &mut Reader<'_>, register: &[u8], value: Value) -> Option<()> {
    reader.registers.put(be32(register)?, value);
    Some(())
}

fn payload(reader: &mut Reader<'_>, data: &[u8]) -> Option<()> {
    let base = reader.scope.base(attribute(data, 2).and_then(be32)?);
    let (offset, length) = (attribute(data, 3).and_then(be32)?, attribute(data, 4).and_then(be32)?);
    put(reader, attribute(data, 1)?, Value::of(Origin::Header { base, offset, length }))
}

/// A constant; one for the verdict is a statement.
fn immediate(reader: &mut Reader<'_>, data: &[u8]) -> Option<()> {
    let register = attribute(data, 1)?;
    if be32(register)? == VERDICT {
        return None;
    }
    let value = data_value(attribute(data, 2)?)?.to_vec();
    put(reader, register, Value::of(Origin::Constant(value)))
}

fn bitwise(reader: &mut Reader<'_>, data: &[u8]) -> Option<()> {
    let source = reader.registers.get(attribute(data, 1).and_then(be32)?)?.clone();
    let is_mask = attribute(data, 6).and_then(be32).unwrap_or(0) == 0;
    let masks =
        || Some((data_value(attribute(data, 4)?)?.to_vec(), data_value(attribute(data, 5)?)?.to_vec()));
    let value = match masks().filter(|_| is_mask) {
        Some((mask, xor)) => combined(source, mask, xor),
        None => Value::of(Origin::Other(format!("{} (shifted)", source.words()))),
    };
    put(reader, attribute(data, 2)?, value)
}

/// `((x & a) ^ b) & c ^ d` is `(x & (a & c)) ^ ((b & c) ^ d)`.
fn combined(source: Value, mask: Vec<u8>, xor: Vec<u8>) -> Value {
    let masks = match source.mask {
        None => (mask, xor),
        Some((before, turned)) => {
            let both = before.iter().zip(&mask).map(|(one, other)| one & other).collect();
            let turned =
                turned.iter().zip(&mask).zip(&xor).map(|((turned, mask), xor)| (turned & mask) ^ xor);
            (both, turned.collect())
        }
    };
    Value { mask: Some(masks), ..source }
}

fn byteorder(reader: &mut Reader<'_>, data: &[u8]) -> Option<()> {
    let source = reader.registers.get(attribute(data, 1).and_then(be32)?)?.clone();
    let value = match source.mask {
        None => Value { is_swapped: !source.is_swapped, ..source },
        Some(_) => Value::of(Origin::Other(source.words())),
    };
    put(reader, attribute(data, 2)?, value)
}

/// What is loaded but not understood. The register's attribute differs: the first for all but `socket`.
fn other(reader: &mut Reader<'_>, name: &str, data: &[u8]) -> Option<()> {
    let register = attribute(data, if name == "socket" { 2 } else { 1 })?;
    put(reader, register, Value::of(Origin::Other(name.to_owned())))
}
