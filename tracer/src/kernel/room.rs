//! The user's filter, written into the rooms that the object has for it.

use thiserror::Error;
use tracer_common::program::{MARKER_ETHERNET, MARKER_IP, ROOM};
use tracer_core::filter::Translated;

/// Bytes of an eBPF instruction.
const INSTRUCTION: usize = 8;
/// `r0 = IMMEDIATE`: the marker's opcode and registers.
const MOVE_TO_R0: [u8; 4] = [0xb7, 0, 0, 0];
/// `goto +0`.
const NEXT: [u8; INSTRUCTION] = [0x05, 0, 0, 0, 0, 0, 0, 0];

/// Which packets pass, by what they begin with. Absent lets none of them pass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PacketFilter {
    /// For packets that begin with an Ethernet header.
    pub ethernet: Option<Translated>,
    /// For packets that begin with an IP header.
    pub ip: Option<Translated>,
    /// Whether the filter for IP looks at the innermost IP packet of every packet, and nothing else is asked.
    pub innermost: bool,
}

/// Why a filter cannot be put into the object.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RoomError {
    /// The object has not this room.
    #[error("the embedded eBPF object has no room for a filter")]
    Missing,
    /// It is longer than the room.
    #[error("the filter expression is too long: {needed} eBPF instructions of at most {ROOM}")]
    TooLong {
        /// Instructions of the translation.
        needed: usize,
    },
}

impl PacketFilter {
    /// Writes the filters into a copy of the object.
    pub(super) fn write_into(&self, object: &mut [u8]) -> Result<(), RoomError> {
        for (translated, marker) in [(&self.ethernet, MARKER_ETHERNET), (&self.ip, MARKER_IP)] {
            if let Some(translated) = translated {
                fill(room(object, marker)?, translated)?;
            }
        }
        Ok(())
    }
}

/// The bytes of the room with this marker.
fn room(object: &mut [u8], marker: u32) -> Result<&mut [u8], RoomError> {
    let mut first = [0; INSTRUCTION];
    first[..4].copy_from_slice(&MOVE_TO_R0);
    first[4..].copy_from_slice(&marker.to_le_bytes());
    let is_room = |start: &usize| {
        let room = object.get(*start..start + ROOM * INSTRUCTION);
        room.is_some_and(|room| room.chunks_exact(INSTRUCTION).skip(1).all(|instruction| instruction == NEXT))
    };
    // Sections of code are aligned to instructions.
    let instructions = object.chunks_exact(INSTRUCTION).enumerate();
    let starts =
        instructions.filter(|(_, instruction)| **instruction == first).map(|(at, _)| at * INSTRUCTION);
    let start = { starts }.find(is_room).ok_or(RoomError::Missing)?;
    Ok(&mut object[start..start + ROOM * INSTRUCTION])
}

fn fill(room: &mut [u8], translated: &Translated) -> Result<(), RoomError> {
    let needed = translated.len();
    let instructions = translated.in_room(ROOM).ok_or(RoomError::TooLong { needed })?;
    for (place, instruction) in room.chunks_exact_mut(INSTRUCTION).zip(instructions) {
        place.copy_from_slice(&instruction.to_le_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tracer_core::filter::{EbpfInstruction, Program, TagView};

    use super::*;

    fn object(marker: u32) -> Vec<u8> {
        let mut object = vec![7; 24];
        // A number that looks like the marker is no room.
        for rest in [0, ROOM - 1] {
            object.extend(MOVE_TO_R0);
            object.extend(marker.to_le_bytes());
            object.extend(NEXT.repeat(rest));
        }
        object.extend([7; 16]);
        object
    }

    #[test]
    fn filters_take_their_rooms() {
        let translated = "1,6 0 0 1".parse::<Program>().unwrap().translate(TagView::Beside).unwrap();
        let filter = PacketFilter { ethernet: None, ip: Some(translated.clone()), innermost: false };
        let mut patched = object(MARKER_IP);
        let (before, len) = (patched.clone(), patched.len());
        assert_eq!(filter.write_into(&mut patched), Ok(()));
        assert_eq!(patched[..32], before[..32]);
        assert_eq!(patched[len - 16..], before[len - 16..]);
        let instructions = translated.in_room(ROOM).unwrap();
        let expected: Vec<u8> = instructions.into_iter().flat_map(EbpfInstruction::to_le_bytes).collect();
        assert_eq!(patched[32..len - 16], expected);
        assert_eq!(filter.write_into(&mut object(MARKER_ETHERNET)), Err(RoomError::Missing));
    }
}
