//! A packet that the kernel dropped, as a record in the ring buffer: what `skb:kfree_skb` says of it, and its first bytes.

use crate::counters::Counters;
use crate::record::{NotARecord, RecordHeader};

/// Bytes that are kept of a dropped packet, from its IP header on: any headers, and the first bytes of what they carry.
pub const DROP_BYTES: usize = 256;
/// Room for the name of an interface (`IFNAMSIZ`).
pub const NAME_LEN: usize = 16;
/// Room for the name of a function, its offset and its length.
pub const FUNCTION_LEN: usize = 64;
/// How many runs of the program one processor may be in at once: a task's, interrupted by a soft interrupt's, that by a
/// hard one's, and one more.
pub const LEVELS: u32 = 4;

/// Bit of [`DropFacts::flags`]: others have the packet as well, by clones of the socket buffer.
pub const CLONE: u32 = 1;

/// What stands between the header of a record of kind [`crate::record::DROP`] and the packet's bytes.
///
/// The header's length counts these facts as well; its interface is that of the packet when it was dropped, its direction
/// is ingress where the packet had come into the namespace by an interface, and egress where it was made there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DropFacts {
    /// Address of the instruction after the call that dropped it.
    pub location: u64,
    /// Value of `enum skb_drop_reason`; 0 where the kernel does not tell (before Linux 5.17).
    pub reason: u32,
    /// Inode of the network namespace; 0 where it is not known.
    pub netns: u32,
    /// [`CLONE`] or 0.
    pub flags: u32,
    /// Zero.
    pub padding: u32,
    /// Name of the interface, ended by a zero byte, behind which anything may be; empty where it is not known.
    pub name: [u8; NAME_LEN],
    /// The location as the kernel prints it (`nf_hook_slow+0xc6/0x100`), ended by a zero byte; empty where the program
    /// does not tell.
    pub function: [u8; FUNCTION_LEN],
}

impl DropFacts {
    /// Bytes of it.
    pub const LEN: usize = size_of::<Self>();

    /// Splits what follows the header of a record into the facts and the packet's bytes.
    pub fn split(data: &[u8]) -> Result<(Self, &[u8]), NotARecord> {
        let (facts, packet) = data.split_first_chunk::<{ Self::LEN }>().ok_or(NotARecord)?;
        let mut rest = facts.as_slice();
        let facts = Self {
            location: u64::from_ne_bytes(take(&mut rest)?),
            reason: u32::from_ne_bytes(take(&mut rest)?),
            netns: u32::from_ne_bytes(take(&mut rest)?),
            flags: u32::from_ne_bytes(take(&mut rest)?),
            padding: u32::from_ne_bytes(take(&mut rest)?),
            name: take(&mut rest)?,
            function: take(&mut rest)?,
        };
        Ok((facts, packet))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], NotARecord> {
    let (field, rest) = bytes.split_first_chunk().ok_or(NotARecord)?;
    *bytes = rest;
    Ok(*field)
}

/// A reservation in the ring buffer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DropSlot {
    /// Facts that every record has.
    pub header: RecordHeader,
    /// Facts of the drop.
    pub facts: DropFacts,
    /// The packet from its IP header on; only what the header's length covers is initialised.
    pub data: [u8; DROP_BYTES],
}

/// What one processor counts of drops. `filtered` are those that are of no interest here, `unreadable` those that are lost
/// because they could not be looked at.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DropState {
    /// Counters.
    pub counters: Counters,
    /// Bytes that this processor put into the ring buffer since it last woke user space.
    pub unannounced: u64,
    /// How many runs of the program this processor is in.
    pub depth: u32,
    /// Zero.
    pub padding: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_apart() {
        let mut data = vec![0; DropFacts::LEN + 3];
        data[0] = 7;
        data[8] = 12;
        data[12..16].copy_from_slice(&4_026_531_840_u32.to_ne_bytes());
        data[16] = 1;
        data[24..28].copy_from_slice(b"eth0");
        data[40..44].copy_from_slice(b"func");
        data[DropFacts::LEN] = 0x45;
        let (facts, packet) = DropFacts::split(&data).unwrap();
        assert_eq!((facts.location, facts.reason, facts.netns), (7, 12, 4_026_531_840));
        assert_eq!(
            (facts.flags, &facts.name[..5], &facts.function[..5]),
            (CLONE, &b"eth0\0"[..], &b"func\0"[..])
        );
        assert_eq!(packet, [0x45, 0, 0]);
        assert_eq!(DropFacts::split(&data[..DropFacts::LEN - 1]), Err(NotARecord));
    }
}
