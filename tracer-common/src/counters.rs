//! What the hooks count, per interface and processor.

use crate::filter::Address;

/// Packets at one direction of one interface, on one processor. Every packet is counted in `seen` and in exactly
/// one of `filtered`, `written`, `ring_full` and `unreadable`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets that passed the hook.
    pub seen: u64,
    /// Packets that did not match the filter.
    pub filtered: u64,
    /// Packets put into the ring buffer.
    pub written: u64,
    /// Packets that matched and found the ring buffer full.
    pub ring_full: u64,
    /// Packets that matched and could not be copied: shorter than any link-layer header, or refused by the kernel.
    pub unreadable: u64,
    /// Of the packets lost (`ring_full`, `unreadable`), those since the last record.
    pub lost_since_record: u64,
}

impl Counters {
    /// Packets that matched the filter.
    pub const fn matched(&self) -> u64 {
        self.written + self.ring_full + self.unreadable
    }

    /// Packets that matched and are in no record.
    pub const fn lost(&self) -> u64 {
        self.ring_full + self.unreadable
    }

    /// The sum of two processors' or two directions' counters.
    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            seen: self.seen + other.seen,
            filtered: self.filtered + other.filtered,
            written: self.written + other.written,
            ring_full: self.ring_full + other.ring_full,
            unreadable: self.unreadable + other.unreadable,
            lost_since_record: self.lost_since_record + other.lost_since_record,
        }
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            seen: self.seen - earlier.seen,
            filtered: self.filtered - earlier.filtered,
            written: self.written - earlier.written,
            ring_full: self.ring_full - earlier.ring_full,
            unreadable: self.unreadable - earlier.unreadable,
            lost_since_record: self.lost_since_record,
        }
    }
}

/// Packets begin with an Ethernet header.
pub const LINK_ETHERNET: u32 = 0;
/// Packets begin with an IP header.
pub const LINK_NONE: u32 = 1;

/// Where the kernel side is within the packet at hand, and what else a processor keeps; of no use to user space.
///
/// It is in a map, not on the stack, for the verifier's sake: of what comes from a map it remembers nothing, so that
/// it checks the way from one header to the next once and not for every sequence of headers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Walk {
    /// Bytes from the start of the packet to the next header.
    pub offset: u32,
    /// What the next header is.
    pub kind: u32,
    /// Which addresses of the last IP header may be in the set.
    pub likely: u32,
    /// Whether the last IP header matches if no other follows.
    pub if_innermost: u32,
    /// Source address of the last IP header, where it may be in the set.
    pub source: Address,
    /// Destination address, likewise.
    pub destination: Address,
    /// Bytes that this processor put into the ring buffer since it last woke user space.
    pub unannounced: u64,
}

/// Slots after its own that an interface may be in, its own included, in the table of interfaces.
pub const PROBES: u32 = 16;
/// [`InterfaceState::ifindex`] of a slot that never held an interface: none behind it does either.
pub const SLOT_FREE: u32 = 0;
/// [`InterfaceState::ifindex`] of a slot whose interface is gone.
pub const SLOT_LEFT: u32 = u32::MAX;

/// The slot of an interface, or the `probe`-th after it, in a table of a power of two of slots.
#[inline]
pub const fn slot(ifindex: u32, probe: u32, slots: u32) -> u32 {
    ifindex.wrapping_add(probe) & slots.wrapping_sub(1)
}

/// Value of the table of interfaces: how to read an interface's packets, and its counters.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct InterfaceState {
    /// The interface in this slot, or [`SLOT_FREE`], or [`SLOT_LEFT`].
    pub ifindex: u32,
    /// [`LINK_ETHERNET`] or [`LINK_NONE`].
    pub link: u32,
    /// Indexed by [`crate::record::INGRESS`] and [`crate::record::EGRESS`].
    pub directions: [Counters; 2],
}
