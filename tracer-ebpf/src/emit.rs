//! A packet's first bytes and its facts into the ring buffer.

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::bindings::{__sk_buff, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_ktime_get_boot_ns, bpf_skb_load_bytes};
use tracer_common::record::{MATCHED, MIN_CAPTURE, MIN_SNAP, RecordHeader, SAMPLE, Slot};

use crate::maps::{RECORDS, SNAP_LENGTH, WAKE_BYTES};

/// What the kernel puts before each record (`BPF_RINGBUF_HDR_SZ`).
pub(crate) const RING_HEADER: u64 = 8;

/// Why a packet that matched is in no record.
pub(crate) enum Lost {
    /// No room for the reservation.
    RingFull,
    /// Too short, or the kernel refused to copy it.
    Unreadable,
}

/// What is recorded of an skb.
#[derive(Clone, Copy)]
struct Part {
    /// Where the packet begins.
    origin: u32,
    /// Its bytes from there.
    len: u32,
    /// How many of them are copied.
    captured: u32,
    /// [`MATCHED`] or [`SAMPLE`].
    kind: u8,
}

/// Records one packet, which begins at `origin`, in the smallest class of reservations that holds it. With a small snap
/// length the verifier sees that the greater classes cannot be reached, and removes them.
#[inline(always)]
pub(crate) fn emit(
    skb: *mut __sk_buff,
    origin: u32,
    direction: u8,
    lost_before: u64,
    unannounced: &mut u64,
) -> Result<(), Lost> {
    // SAFETY: the context of a TC program is valid while it runs.
    let len = unsafe { (*skb).len }.wrapping_sub(origin);
    let captured = len.min(SNAP_LENGTH.load());
    let part = Part { origin, len, captured, kind: MATCHED };
    match captured {
        0..=96 => emit_in::<96>(skb, direction, part, lost_before, unannounced),
        97..=128 => emit_in::<128>(skb, direction, part, lost_before, unannounced),
        129..=256 => emit_in::<256>(skb, direction, part, lost_before, unannounced),
        257..=512 => emit_in::<512>(skb, direction, part, lost_before, unannounced),
        513..=1024 => emit_in::<1024>(skb, direction, part, lost_before, unannounced),
        1025..=1536 => emit_in::<1536>(skb, direction, part, lost_before, unannounced),
        1537..=4096 => emit_in::<4096>(skb, direction, part, lost_before, unannounced),
        4097..=16_384 => emit_in::<16_384>(skb, direction, part, lost_before, unannounced),
        16_385..=66_048 => emit_in::<66_048>(skb, direction, part, lost_before, unannounced),
        _ => emit_in::<262_144>(skb, direction, part, lost_before, unannounced),
    }
}

/// Records the first bytes of a packet that did not match, if there is room.
#[inline(always)]
pub(crate) fn sample(skb: *mut __sk_buff, origin: u32, direction: u8, unannounced: &mut u64) {
    const SIZE: usize = 2 * MIN_SNAP as usize;
    // SAFETY: the context of a TC program is valid while it runs.
    let len = unsafe { (*skb).len }.wrapping_sub(origin);
    let part = Part { origin, len, captured: len.min(SIZE as u32), kind: SAMPLE };
    // One that finds no room is one sample less.
    let _ = emit_in::<SIZE>(skb, direction, part, 0, unannounced);
}

#[inline(always)]
fn emit_in<const N: usize>(
    skb: *mut __sk_buff,
    direction: u8,
    part: Part,
    lost_before: u64,
    unannounced: &mut u64,
) -> Result<(), Lost> {
    let mut slot = RECORDS.reserve::<Slot<N>>(0).ok_or(Lost::RingFull)?;
    let pointer = slot.as_mut_ptr();
    // SAFETY: the reservation is as large as the slot, and aligned to 8.
    let loaded = unsafe {
        (&raw mut (*pointer).header).write(header(skb, direction, part, lost_before));
        load_bounded(skb, part, (&raw mut (*pointer).data).cast(), N as u64)
    };
    if loaded {
        slot.submit(wakeup(size_of::<Slot<N>>() as u64 + RING_HEADER, unannounced));
        Ok(())
    } else {
        slot.discard(u64::from(BPF_RB_NO_WAKEUP));
        Err(Lost::Unreadable)
    }
}

#[inline(always)]
fn header(skb: *mut __sk_buff, direction: u8, part: Part, lost_before: u64) -> RecordHeader {
    // SAFETY: the context of a TC program is valid while it runs.
    let skb = unsafe { &*skb };
    let vlan_proto = if skb.vlan_present == 0 { 0 } else { low_16(skb.vlan_proto).swap_bytes() };
    RecordHeader {
        // SAFETY: the helper takes nothing and is there since Linux 5.8, as the ring buffer is.
        boot_ns: unsafe { bpf_ktime_get_boot_ns() },
        ifindex: skb.ifindex,
        original_len: part.len,
        captured_len: part.captured,
        mark: skb.mark,
        gso_size: low_16(skb.gso_size),
        gso_segs: low_16(skb.gso_segs),
        protocol: low_16(skb.protocol).swap_bytes(),
        vlan_tci: low_16(skb.vlan_tci),
        vlan_proto,
        direction,
        kind: part.kind,
        lost_before: if lost_before < u64::from(u32::MAX) { lost_before as u32 } else { u32::MAX },
    }
}

/// Copies the packet's first bytes to memory of `size` bytes.
///
/// The verifier must see both bounds on the very register that goes to the helper, as ordered comparisons:
/// `captured` is made opaque, or LLVM would fold the two with what it knows already.
#[inline(always)]
unsafe fn load_bounded(skb: *mut __sk_buff, part: Part, to: *mut c_void, size: u64) -> bool {
    let length = opaque(u64::from(part.captured));
    if length > size {
        return false;
    }
    let length = opaque(length);
    if length < u64::from(MIN_CAPTURE) {
        return false;
    }
    // SAFETY: the caller's memory has `size` bytes, and `length` is at most that.
    unsafe { bpf_skb_load_bytes(skb.cast(), part.origin, to, length as u32) == 0 }
}

/// The same value, of which the compiler knows nothing any more.
#[inline(always)]
pub(crate) fn opaque(mut value: u64) -> u64 {
    // SAFETY: moves a register to itself. (With no instruction at all, two lines of source would have one address,
    // which the kernel refuses in the line table.)
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

/// User space looks into the ring many times a second, so a packet need not wake it. The one that makes this processor's
/// bytes since the last time reach `WAKE_BYTES` does; not every packet, since a wake-up costs more than all the rest.
#[inline(always)]
fn wakeup(size: u64, unannounced: &mut u64) -> u64 {
    *unannounced += size;
    if *unannounced < WAKE_BYTES.load() {
        return u64::from(BPF_RB_NO_WAKEUP);
    }
    *unannounced = 0;
    u64::from(BPF_RB_FORCE_WAKEUP)
}

#[inline(always)]
const fn low_16(value: u32) -> u16 {
    (value & 0xffff) as u16
}
