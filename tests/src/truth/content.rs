//! Bytes that tell where they belong: any 15 of them in a row tell the flow and the position in it.
//!
//! A flow's bytes are blocks of eight, each of which holds the flow's number, a check and its own index. So a
//! captured payload tells which bytes of which flow it carries, whatever sequence numbers, identifications or
//! addresses it wears. A packet that has a number of its own carries the bytes at [`numbered`] of its number.

/// Bytes of a block: flow (8 bits), check (24 bits), index (32 bits), all in network byte order.
const BLOCK: usize = 8;
/// Bytes that a numbered packet may carry, as a power of two.
const NUMBER_BITS: u32 = 16;
/// Numbers of packets in one flow stay below: the index of a block has 32 bits.
pub const MAX_NUMBERS: u64 = 1 << 19;
/// Bytes that are the same in every packet with a disguise, before and behind those that tell.
pub const DISGUISE: usize = 64;
const DISGUISE_BYTE: u8 = 0xd1;

/// One direction of one connection, or one series of numbered packets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(pub u8);

/// Bytes of a flow that follow each other: what one wire segment carries.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Piece {
    /// The flow.
    pub tag: Tag,
    /// Position of the first byte.
    pub start: u64,
    /// Bytes.
    pub len: u32,
}

impl Piece {
    /// Whether all of `other` is in this one.
    pub fn holds(&self, other: &Self) -> bool {
        let end = |piece: &Self| piece.start + u64::from(piece.len);
        self.tag == other.tag && self.start <= other.start && end(other) <= end(self)
    }
}

/// The position of the bytes that the packet with this number carries.
pub fn numbered(number: u64) -> u64 {
    number << NUMBER_BITS
}

/// The number of the packet that carries this position.
pub fn number_at(position: u64) -> u64 {
    position >> NUMBER_BITS
}

/// Fills `bytes` with what the flow has at `start`.
pub fn fill(tag: Tag, start: u64, bytes: &mut [u8]) {
    let mut position = start;
    let mut rest = bytes;
    while !rest.is_empty() {
        let within = offset_in_block(position);
        let count = rest.len().min(BLOCK - within);
        let (now, later) = rest.split_at_mut(count);
        now.copy_from_slice(&block(tag, position / BLOCK as u64)[within..within + count]);
        position += count as u64;
        rest = later;
    }
}

/// The payload of the packet with this number.
pub fn payload(tag: Tag, number: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill(tag, numbered(number), &mut bytes);
    bytes
}

/// As [`payload`], with the same [`DISGUISE`] bytes before and behind: packets of one length differ in the middle
/// only.
pub fn disguised(tag: Tag, number: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![DISGUISE_BYTE; len];
    let middle = DISGUISE..len.saturating_sub(DISGUISE);
    if let Some(middle) = bytes.get_mut(middle) {
        fill(tag, numbered(number), middle);
    }
    bytes
}

/// The number of a packet without payload, for a place in its header.
pub fn number(tag: Tag, number: u64) -> [u8; BLOCK] {
    block(tag, numbered(number) / BLOCK as u64)
}

/// What [`number`] was made of, as a piece of no bytes.
pub fn number_of(bytes: [u8; BLOCK]) -> Option<Piece> {
    let (tag, index) = parse(&bytes)?;
    Some(Piece { tag, start: index * BLOCK as u64, len: 0 })
}

/// What a wire segment carries; absent where it has too few bytes to tell, or carries something else.
pub fn read(payload: &[u8]) -> Option<Piece> {
    let bytes = undisguised(payload);
    let piece = begin(bytes)?;
    let is_whole = matching(piece, bytes) == bytes.len();
    is_whole.then(|| Piece { len: u32::try_from(bytes.len()).unwrap_or(u32::MAX), ..piece })
}

/// The pieces of a payload that several wire segments may be joined in.
pub fn pieces(payload: &[u8]) -> Vec<Piece> {
    let mut rest = undisguised(payload);
    let mut pieces = Vec::new();
    while let Some(piece) = begin(rest) {
        let count = matching(piece, rest);
        pieces.push(Piece { len: u32::try_from(count).unwrap_or(u32::MAX), ..piece });
        rest = &rest[count..];
    }
    pieces
}

fn undisguised(payload: &[u8]) -> &[u8] {
    let is_disguised =
        payload.len() > 2 * DISGUISE && payload[..DISGUISE].iter().all(|byte| *byte == DISGUISE_BYTE);
    if is_disguised { &payload[DISGUISE..payload.len() - DISGUISE] } else { payload }
}

/// The piece that begins here, of length 0 as yet.
fn begin(bytes: &[u8]) -> Option<Piece> {
    (0..BLOCK).find_map(|skipped| {
        let (tag, index) = parse(bytes.get(skipped..skipped + BLOCK)?)?;
        let start = (index * BLOCK as u64).checked_sub(skipped as u64)?;
        let piece = Piece { tag, start, len: 0 };
        (matching(piece, &bytes[..skipped]) == skipped).then_some(piece)
    })
}

/// How many bytes are those of the flow from the piece's start on.
fn matching(piece: Piece, bytes: &[u8]) -> usize {
    let mut position = piece.start;
    let mut done = 0;
    while done < bytes.len() {
        let within = offset_in_block(position);
        let count = (bytes.len() - done).min(BLOCK - within);
        let expected = &block(piece.tag, position / BLOCK as u64)[within..within + count];
        let same = bytes[done..done + count].iter().zip(expected).take_while(|(a, b)| a == b).count();
        done += same;
        if same < count {
            break;
        }
        position += count as u64;
    }
    done
}

fn offset_in_block(position: u64) -> usize {
    usize::try_from(position % BLOCK as u64).unwrap_or_default()
}

fn block(tag: Tag, index: u64) -> [u8; BLOCK] {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let check = check(tag, index).to_be_bytes();
    let index = index.to_be_bytes();
    [tag.0, check[1], check[2], check[3], index[0], index[1], index[2], index[3]]
}

fn parse(bytes: &[u8]) -> Option<(Tag, u64)> {
    let bytes: &[u8; BLOCK] = bytes.try_into().ok()?;
    let tag = Tag(bytes[0]);
    let index = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    (block(tag, index.into()) == *bytes).then_some((tag, index.into()))
}

/// 24 bits that bytes of another origin have by chance once in 16 million times.
fn check(tag: Tag, index: u32) -> u32 {
    let mixed =
        (u64::from(index) << 8 | u64::from(tag.0)).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from((mixed ^ mixed >> 29) >> 40).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_fifteen_bytes_tell_where_they_belong() {
        let mut bytes = vec![0; 4000];
        fill(Tag(7), 123, &mut bytes);
        for start in 0..200 {
            let part = &bytes[start..start + 15];
            assert_eq!(read(part), Some(Piece { tag: Tag(7), start: 123 + start as u64, len: 15 }));
        }
        assert_eq!(read(&bytes[1..8]), None);
        bytes[30] ^= 1;
        assert_eq!(read(&bytes), None);
    }

    #[test]
    fn joined_packets_are_told_apart() {
        let joined = [payload(Tag(1), 5, 100), payload(Tag(1), 9, 33)].concat();
        let piece = |number, len| Piece { tag: Tag(1), start: numbered(number), len };
        assert_eq!(pieces(&joined), [piece(5, 100), piece(9, 33)]);
        assert_eq!(read(&joined), None);
    }

    #[test]
    fn a_disguise_is_seen_through() {
        let [one, other] = [1, 2].map(|number| disguised(Tag(3), number, 300));
        assert_eq!(one[..DISGUISE], other[..DISGUISE]);
        assert_eq!(one[300 - DISGUISE..], other[300 - DISGUISE..]);
        assert_eq!(read(&other).map(|piece| piece.start), Some(numbered(2)));
    }
}
