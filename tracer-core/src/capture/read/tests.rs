mod errors;
mod foreign;
mod ours;

use super::*;

/// A pcapng block in little-endian or big-endian byte order, from type and body.
fn block(is_big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let u32 = |number: u32| if is_big { number.to_be_bytes() } else { number.to_le_bytes() };
    let body = [body, &vec![0; body.len().next_multiple_of(4) - body.len()]].concat();
    let total = u32(u32::try_from(body.len()).unwrap() + 12);
    [&u32(kind), &total, body.as_slice(), &total].concat()
}

/// Fields of 16, 32 and 64 bits and bytes, one after the other.
#[derive(Clone, Copy)]
enum Field<'a> {
    U16(u16),
    U32(u32),
    U64(u64),
    Bytes(&'a [u8]),
}
use Field::{Bytes, U16, U32, U64};

fn body(is_big: bool, fields: &[Field<'_>]) -> Vec<u8> {
    let bytes = |field: &Field<'_>| match (*field, is_big) {
        (U16(number), true) => number.to_be_bytes().to_vec(),
        (U16(number), false) => number.to_le_bytes().to_vec(),
        (U32(number), true) => number.to_be_bytes().to_vec(),
        (U32(number), false) => number.to_le_bytes().to_vec(),
        (U64(number), true) => number.to_be_bytes().to_vec(),
        (U64(number), false) => number.to_le_bytes().to_vec(),
        (Bytes(bytes), _) => bytes.to_vec(),
    };
    fields.iter().flat_map(bytes).collect()
}

const SECTION: u32 = 0x0a0d_0d0a;
const NO_OPTIONS: &[Field<'static>] = &[];

/// A section header with these options.
fn section_block(is_big: bool, options: &[Field<'_>]) -> Vec<u8> {
    let fields = [&[U32(0x1a2b_3c4d), U16(1), U16(0), U64(u64::MAX)], options].concat();
    block(is_big, SECTION, &body(is_big, &fields))
}

/// An interface description with these options.
fn interface_block(is_big: bool, link: u16, snap: u32, options: &[Field<'_>]) -> Vec<u8> {
    let fields = [&[U16(link), U16(0), U32(snap)], options].concat();
    block(is_big, 1, &body(is_big, &fields))
}

/// An enhanced packet of interface 0, whole, at so many ticks.
fn packet_block(is_big: bool, ticks: u64, data: &[u8]) -> Vec<u8> {
    let half = |bits: u64| U32(u32::try_from(bits & u64::from(u32::MAX)).unwrap());
    let (high, low) = (half(ticks >> 32), half(ticks));
    let len = U32(u32::try_from(data.len()).unwrap());
    block(is_big, 6, &body(is_big, &[U32(0), high, low, len, len, Bytes(data)]))
}

/// A pcap header.
pub(super) fn pcap_header(is_big: bool, magic: u32, snap: u32, link: u32) -> Vec<u8> {
    body(is_big, &[U32(magic), U16(2), U16(4), U32(0), U32(0), U32(snap), U32(link)])
}

/// A pcap packet with these seconds and this fraction of the next, that had `original_len` bytes.
pub(super) fn pcap_packet(
    is_big: bool,
    (seconds, fraction): (u32, u32),
    original_len: u32,
    data: &[u8],
) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    body(is_big, &[U32(seconds), U32(fraction), U32(len), U32(original_len), Bytes(data)])
}

fn items(bytes: &[u8]) -> Result<Vec<Item<'static>>, CaptureError> {
    let mut reader = CaptureReader::new(bytes)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item.into_owned());
    }
    Ok(items)
}

fn frames(items: &[Item<'static>]) -> Vec<Frame<'static>> {
    let frame = |item: &Item<'static>| match item {
        Item::Frame(frame) => Some(frame.clone()),
        _ => None,
    };
    items.iter().filter_map(frame).collect()
}

fn interfaces(items: &[Item<'static>]) -> Vec<Interface> {
    let interface = |item: &Item<'static>| match item {
        Item::Interface(_, interface) => Some(interface.clone()),
        _ => None,
    };
    items.iter().filter_map(interface).collect()
}
