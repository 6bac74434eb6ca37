//! Packets that the kernel drops: the raw tracepoint `skb:kfree_skb` (net/core/skbuff.c, `__sk_skb_reason_drop`).
//!
//! It runs for each socket buffer that is dropped on this machine, whatever the namespace, in any context. What is of no
//! interest is told by a few reads; only then the facts are gathered.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_snprintf};
use tracer_common::counters::{LINK_NONE, Walk};
use tracer_common::drops::{
    CLONE, DROP_BYTES, DropFacts, DropSlot, DropState, FUNCTION_LEN, LEVELS, NAME_LEN,
};
use tracer_common::filter::{Address, EVERYTHING};
use tracer_common::program::BY_ADDRESS;
use tracer_common::record::{DROP, EGRESS, INGRESS, RecordHeader};

use crate::emit::{RING_HEADER, opaque};
use crate::filter;
use crate::glance::carries_no_packet;
use crate::maps::{DEMANDS, DROP_STATES, DROP_WALKS, FILTER, RECORDS, WAKE_BYTES};
use crate::offsets as at;
use crate::parse::{self, Bytes};
use crate::place::{Place, field, joined_to, read};

/// An IPv4 header and four bytes of what it carries: with less there is nothing to be told.
const LEAST: u64 = 24;
/// No socket buffer is longer (`GSO_MAX_SIZE`).
const MOST: u64 = 1 << 20;
/// `SKB_FCLONE_CLONE` (`include/linux/skbuff.h`), the clone that TCP sends while it keeps the original to send it again, at
/// the lowest bits.
const SENT_CLONE: u32 = 2;
/// How the kernel is to print an address: name of the function, offset, length.
static SYMBOL: [u8; 4] = *b"%pS\0";

/// What the tracepoint hands over.
pub(crate) struct Event {
    /// `struct sk_buff *`.
    pub(crate) skb: u64,
    /// Where it was dropped.
    pub(crate) location: u64,
    /// Value of `enum skb_drop_reason`; 0 where there is none.
    pub(crate) reason: u32,
    /// `struct sock *` that it was for; 0 where the kernel does not tell.
    pub(crate) socket: u64,
}

/// What becomes of an event.
enum Fate {
    /// Of no interest.
    Filtered,
    /// Recorded.
    Written,
    /// No room for the reservation.
    RingFull,
    /// Of interest, and the memory could not be read.
    Unreadable,
}

/// Counts a drop, and records it where it is of interest.
#[inline(always)]
pub(crate) fn observe(event: &Event) {
    let Some(state) = DROP_STATES.get_ptr_mut(0) else { return };
    // SAFETY: the map's value of this processor. Runs that interrupt one another end before the ones that they
    // interrupted go on, and leave the depth as they found it.
    let state = unsafe { &mut *state };
    state.counters.seen += 1;
    let level = state.depth;
    let walk = if level < LEVELS { DROP_WALKS.get_ptr_mut(level) } else { None };
    let fate = if let Some(walk) = walk {
        set_depth(state, level + 1);
        let fate = look(event, walk, state);
        set_depth(state, level);
        fate
    } else {
        Fate::Unreadable
    };
    let counters = &mut state.counters;
    match fate {
        Fate::Filtered => counters.filtered += 1,
        Fate::Written => {
            counters.written += 1;
            counters.lost_since_record = 0;
        }
        Fate::RingFull => {
            counters.ring_full += 1;
            counters.lost_since_record += 1;
        }
        Fate::Unreadable => {
            counters.unreadable += 1;
            counters.lost_since_record += 1;
        }
    }
}

/// Not to be moved: another run may read it in between.
#[inline(always)]
fn set_depth(state: &mut DropState, depth: u32) {
    // SAFETY: a field of a value that is borrowed.
    unsafe { (&raw mut state.depth).write_volatile(depth) }
}

/// Of interest are packets with an IP header and an address of the set, in the namespace that is observed.
#[inline(always)]
fn look(event: &Event, walk: *mut Walk, state: &mut DropState) -> Fate {
    let Some(packet) = Dropped::of(event.skb) else { return Fate::Filtered };
    let Some(start) = packet.load::<Start>(0) else { return Fate::Filtered };
    let [version, ..] = start[0].to_ne_bytes();
    if version >> 4 != 4 && version >> 4 != 6 {
        return Fate::Filtered;
    }
    if DEMANDS.load() & BY_ADDRESS != 0 && version == 0x45 && surely_misses(&start) {
        return Fate::Filtered;
    }
    if DEMANDS.load() & BY_ADDRESS != 0 && !filter::matches_from(packet, parse::start(LINK_NONE, 0), walk) {
        return Fate::Filtered;
    }
    let place = Place::of(event);
    let wanted = at::DROP_NETNS.load();
    if place.netns != wanted && (at::DROP_JOINED.load() == 0 || joined_to(place.device) != wanted) {
        return Fate::Filtered;
    }
    emit(event, packet, &place, state)
}

/// An IPv4 header and the ports behind it.
type Start = [u32; 6];

/// Whether a packet of IPv4 surely has no address of the set: TCP, or UDP that is no tunnel, directly in IP.
#[inline(always)]
fn surely_misses(start: &Start) -> bool {
    let Some(filter) = FILTER.get_ptr(0) else { return true };
    // SAFETY: an array map's value stays; user space changes it word by word.
    let filter = unsafe { &*filter };
    let [_, number, ..] = start[2].to_ne_bytes();
    let [_, _, high, low] = start[5].to_ne_bytes();
    filter.flags & EVERYTHING == 0
        && carries_no_packet(number, u16::from_ne_bytes([high, low]))
        && filter.may_contain(&Address::v4(start[3])) | filter.may_contain(&Address::v4(start[4])) == 0
}

/// The linear part of a socket buffer, from its IP header on.
#[derive(Clone, Copy)]
struct Dropped {
    base: u64,
    len: u64,
}

impl Dropped {
    #[inline(always)]
    fn of(skb: u64) -> Option<Self> {
        let head = read::<u64>(skb + u64::from(at::SKB_HEAD.load()))?;
        let network = read::<u16>(skb + u64::from(at::SKB_NETWORK_HEADER.load()))?;
        let tail = read::<u32>(skb + u64::from(at::SKB_TAIL.load()))?;
        let len = u64::from(tail).checked_sub(u64::from(network))?;
        (len >= LEAST).then_some(Self { base: head + u64::from(network), len })
    }
}

impl Bytes for Dropped {
    #[inline(always)]
    fn load<T: Copy>(self, offset: u32) -> Option<T> {
        if u64::from(offset) + size_of::<T>() as u64 > self.len {
            None
        } else {
            read(self.base + u64::from(offset))
        }
    }
}

#[inline(always)]
fn emit(event: &Event, packet: Dropped, place: &Place, state: &mut DropState) -> Fate {
    let Some(mut slot) = RECORDS.reserve::<DropSlot>(0) else { return Fate::RingFull };
    let pointer = slot.as_mut_ptr();
    let captured = packet.len.min(DROP_BYTES as u64);
    // SAFETY: the reservation is as large as the slot, and aligned to 8.
    let is_read = unsafe {
        (&raw mut (*pointer).header).write(header(event.skb, packet, captured, place, state));
        write_facts(&raw mut (*pointer).facts, event, place);
        copy(packet.base, captured, (&raw mut (*pointer).data).cast())
    };
    if is_read {
        slot.submit(wakeup(&mut state.unannounced));
        Fate::Written
    } else {
        slot.discard(u64::from(BPF_RB_NO_WAKEUP));
        Fate::Unreadable
    }
}

#[inline(always)]
fn header(skb: u64, packet: Dropped, captured: u64, place: &Place, state: &DropState) -> RecordHeader {
    // The length counts from `data`, which is at the link layer's, this or the next header.
    let data = field::<u64>(skb, at::SKB_DATA.load());
    let len = u64::from(field::<u32>(skb, at::SKB_LEN.load())).wrapping_add(data.wrapping_sub(packet.base));
    let len = if len < captured || len > MOST { captured } else { len };
    let shared = field::<u64>(skb, at::SKB_HEAD.load()) + u64::from(field::<u32>(skb, at::SKB_END.load()));
    let lost = state.counters.lost_since_record;
    RecordHeader {
        // SAFETY: the helper takes nothing and is there since Linux 5.8, as the ring buffer is.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        ifindex: if place.device == 0 {
            place.received_by
        } else {
            field(place.device, at::DEVICE_INDEX.load())
        },
        original_len: len as u32,
        captured_len: (DropFacts::LEN as u64 + captured) as u32,
        mark: field(skb, at::SKB_MARK.load()),
        gso_size: field(shared, at::SHARED_GSO_SIZE.load()),
        gso_segs: field(shared, at::SHARED_GSO_SEGS.load()),
        protocol: u16::from_be(field(skb, at::SKB_PROTOCOL.load())),
        vlan_tci: 0,
        vlan_proto: 0,
        direction: if place.received_by == 0 { EGRESS } else { INGRESS },
        kind: DROP,
        lost_before: if lost < u64::from(u32::MAX) { lost as u32 } else { u32::MAX },
    }
}

/// # Safety
///
/// `to` is where facts may be written.
#[inline(always)]
unsafe fn write_facts(to: *mut DropFacts, event: &Event, place: &Place) {
    // SAFETY: promised by the caller; the helpers write no more than they are told.
    unsafe {
        (&raw mut (*to).location).write(event.location);
        (&raw mut (*to).reason).write(event.reason);
        (&raw mut (*to).netns).write(place.netns);
        (&raw mut (*to).flags).write(if is_shared(event.skb) { CLONE } else { 0 });
        (&raw mut (*to).padding).write(0);
        let name = (&raw mut (*to).name).cast::<u8>();
        name.write(0);
        if place.device != 0 {
            let from = place.device + u64::from(at::DEVICE_NAME.load());
            bpf_probe_read_kernel(name.cast(), NAME_LEN as u32, from as *const _);
        }
        let function = (&raw mut (*to).function).cast::<u8>();
        function.write(0);
        if at::TELLS_FUNCTIONS.load() != 0 {
            let mut arguments = [event.location];
            let format = (&raw const SYMBOL).cast();
            bpf_snprintf(function.cast(), FUNCTION_LEN as u32, format, arguments.as_mut_ptr(), 8);
        }
    }
}

/// Whether others have the packet as well: the buffer has clones that are not gone. The clone that TCP sends is the packet,
/// and the original is kept to send it again.
#[inline(always)]
fn is_shared(skb: u64) -> bool {
    const REFERENCES: u32 = 0xffff;
    let bits = field::<u8>(skb, at::SKB_CLONED.load());
    if u32::from(bits) & at::CLONED_MASK.load() == 0 {
        return false;
    }
    let kind = u32::from(field::<u8>(skb, at::SKB_FCLONE.load())) >> (at::FCLONE_SHIFT.load() & 7);
    if kind & 3 == SENT_CLONE {
        return false;
    }
    let shared = field::<u64>(skb, at::SKB_HEAD.load()) + u64::from(field::<u32>(skb, at::SKB_END.load()));
    field::<u32>(shared, at::SHARED_REFERENCES.load()) & REFERENCES > 1
}

/// Copies the packet's first bytes. As in `emit`, both bounds are on the very register that goes to the helper.
///
/// # Safety
///
/// `to` has [`DROP_BYTES`].
#[inline(always)]
unsafe fn copy(from: u64, captured: u64, to: *mut core::ffi::c_void) -> bool {
    let length = opaque(captured);
    if length > DROP_BYTES as u64 {
        return false;
    }
    let length = opaque(length);
    if length < LEAST {
        return false;
    }
    // SAFETY: promised by the caller; `length` is at most that.
    unsafe { bpf_probe_read_kernel(to, length as u32, from as *const _) == 0 }
}

/// As for packets, a processor wakes user space when it has put enough into the ring.
#[inline(always)]
fn wakeup(unannounced: &mut u64) -> u64 {
    *unannounced += size_of::<DropSlot>() as u64 + RING_HEADER;
    if *unannounced < WAKE_BYTES.load() {
        return u64::from(BPF_RB_NO_WAKEUP);
    }
    *unannounced = 0;
    u64::from(BPF_RB_FORCE_WAKEUP)
}
