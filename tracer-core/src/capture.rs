//! pcapng, the only format in which packets travel between the parts of kflow; pcap and pcapng of other tools.
//!
//! What kflow needs beyond the bytes stands where the format has a place for it (draft-ietf-opsawg-pcapng):
//! the node in the section header, the observation point in the interface description, the direction in the
//! packet flags, losses in the statistics blocks. GSO facts and the mark travel in a custom option.

mod buffer;
mod link;
mod option;
mod read;
mod write;

use std::borrow::Cow;
use std::io;

pub use read::{CaptureFormat, CaptureReader, Expected, Item, RawPacket};
use thiserror::Error;
pub use write::{CaptureWriter, PcapWriter};

use crate::units::{Direction, Gso, SnapLength, Timestamp};

/// Who captured: one machine's kernel with one clock.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Section {
    /// Name of the node (`shb_hardware`); absent in captures of other tools.
    pub node: Option<String>,
    /// Operating system and kernel release (`shb_os`).
    pub os: Option<String>,
    /// Program that wrote the capture (`shb_userappl`).
    pub application: Option<String>,
    /// Identity of the clock: the kernel's boot id. Two sections with the same one share one clock.
    pub boot_id: Option<String>,
    /// Inode of the network namespace that was captured in; absent where it is not told.
    pub netns: Option<u64>,
}

/// Number of an interface within its capture, in order of its description blocks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InterfaceId(pub u32);

/// Link layer of the captured bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LinkLayer {
    /// Frames with the Ethernet header that was on the interface.
    Ethernet,
    /// An Ethernet header with zero addresses was put before each packet: the interface has no link layer, or the
    /// capture one of another kind (RAW, NULL, LOOP, SLL, SLL2).
    SyntheticEthernet,
    /// A link type of another tool's capture that is not decoded (tcpdump.org/linktypes.html).
    Other(u32),
}

/// An observation point less its direction, as an interface description block holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Name of the interface in its network namespace (`if_name`); empty where the capture does not tell.
    pub name: String,
    /// Node; overrides that of the section, since a traced file holds several nodes in one section.
    pub node: Option<String>,
    /// The pod whose network namespace was entered; absent for the node's own namespace.
    pub pod: Option<String>,
    /// Interface index in its namespace; absent in captures of other tools, unless they tell it with each packet.
    pub ifindex: Option<u32>,
    /// Link layer of its packets.
    pub link: LinkLayer,
    /// Hardware address, where the interface has one of 48 bits.
    pub mac: Option<[u8; 6]>,
}

/// One packet as seen once at one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// Where it was seen.
    pub interface: InterfaceId,
    /// When, by the clock of the node.
    pub time: Timestamp,
    /// Into or out of the interface; absent in captures that do not tell.
    pub direction: Option<Direction>,
    /// Bytes that the packet had, its link-layer header included.
    pub original_len: u32,
    /// The first bytes of it, at most the snap length.
    pub data: Cow<'a, [u8]>,
    /// Segmentation facts; absent where the packet is one wire segment or the capture does not tell.
    pub gso: Option<Gso>,
    /// `skb->mark`; 0 where unset or unknown.
    pub mark: u32,
    /// Packets lost on this interface since the packet before (`epb_dropcount`).
    pub lost_before: u64,
    /// Comment (`opt_comment`).
    pub comment: Option<Cow<'a, str>>,
}

impl Frame<'_> {
    /// The same with bytes of its own.
    pub fn into_owned(self) -> Frame<'static> {
        Frame {
            data: Cow::Owned(self.data.into_owned()),
            comment: self.comment.map(|comment| Cow::Owned(comment.into_owned())),
            ..self
        }
    }
}

/// Counters of one interface since the start of its capture (interface statistics block).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Packets that passed the hook (`isb_ifrecv`).
    pub seen: u64,
    /// Packets that matched the filter (`isb_filteraccept`).
    pub matched: u64,
    /// Packets that matched and were lost because the ring buffer was full (`isb_osdrop`).
    pub lost: u64,
    /// Packets written to the capture (`isb_usrdeliv`).
    pub written: u64,
}

/// Why a capture cannot be read or written.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The sink refused bytes.
    #[error("cannot write the capture")]
    Write(#[source] pcap_file::PcapError),
    /// The source failed.
    #[error("cannot read the capture")]
    Read(#[source] io::Error),
    /// The source ended before its first byte.
    #[error("the capture is empty")]
    Empty,
    /// The source begins as no capture does.
    #[error("this is no capture: it begins neither as pcap nor as pcapng")]
    NoCapture,
    /// The source is packed by a program that makes files smaller.
    #[error("the capture is compressed: unpack it first (`{0} -dc FILE | kflow trace -r -`)")]
    Compressed(&'static str),
    /// The source ended in the middle of a packet or block: its writer was killed, or it was copied in part.
    #[error("the capture ends in the middle of a packet or block, which begins at byte {0}")]
    CutShort(u64),
    /// What stands there is no packet or block.
    #[error("the capture is damaged at byte {offset}: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where the packet or block begins.
        offset: u64,
    },
    /// What is written names an interface that was not described before.
    #[error("the capture names interface {0}, which it did not describe")]
    UnknownInterface(u32),
    /// A packet or statistics block that is read does.
    #[error(
        "the capture is damaged at byte {offset}: it names interface {interface}, which it did not describe"
    )]
    Undescribed {
        /// Its number in the section.
        interface: u32,
        /// Where the block begins.
        offset: u64,
    },
    /// More interfaces than a capture may describe.
    #[error("the capture describes more than {most} interfaces, the next one at byte {offset}")]
    TooManyInterfaces {
        /// How many it may describe.
        most: usize,
        /// Where the block begins.
        offset: u64,
    },
    /// A stream of ours has another number of packets than its counters tell: some are missing, or there twice.
    #[error(
        "the capture is damaged before byte {offset}: its counters tell of {told} packets of {interface}, and it has {read}"
    )]
    Miscounted {
        /// Name of the interface.
        interface: String,
        /// Packets by its counters.
        told: u64,
        /// Packets that were there.
        read: u64,
        /// Where the counters begin.
        offset: u64,
    },
    /// A capture of ours lacks its end: it was cut between two blocks.
    #[error("the capture ends at byte {0} without the counters that it ends with: it was cut off")]
    NoEnd(u64),
}

impl CaptureError {
    /// Whether the cause is a pipe that its reader closed: an ordinary end for a command-line program.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(pcap_file::PcapError::IoError(e)) if e.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Snap length that keeps packets whole: the greatest that libpcap accepts (`MAXIMUM_SNAPLEN`).
pub const SNAP_WHOLE: SnapLength = SnapLength(262_144);
