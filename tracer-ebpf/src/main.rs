//! The kernel side of kflow: TC programs that look at packets and let every one pass, and one that looks at those that
//! the kernel drops.
//!
//! Written for kernel 5.10 and later: ordered comparisons where the verifier must learn a bound, headers read by
//! `bpf_skb_load_bytes` since an skb after GRO is seldom linear, ring reservations of constant size.
#![no_std]
#![no_main]
#![cfg_attr(
    target_arch = "bpf",
    feature(asm_experimental_arch),
    expect(unstable_features, reason = "inline assembly for BPF is not stable yet")
)]
#![expect(unsafe_code, reason = "helpers of the kernel are raw functions, maps and programs are sections")]
#![expect(clippy::inline_always, reason = "a call costs, and the verifier knows less behind it")]
#![expect(clippy::cast_possible_truncation, reason = "`try_from` brings a panic, which the verifier refuses")]

mod drops;
mod emit;
mod filter;
mod glance;
mod maps;
mod offsets;
mod parse;
mod place;
mod program;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::bindings::tcx_action_base::TCX_NEXT;
use aya_ebpf::macros::{classifier, raw_tracepoint};
use aya_ebpf::programs::{RawTracePointContext, TcContext};
use aya_log_ebpf::{debug, trace};
use tracer_common::counters::{Counters, InterfaceState, LINK_ETHERNET, PROBES, SLOT_FREE, Walk, slot};
use tracer_common::program::{BY_ADDRESS, BY_ETHERNET, BY_INNERMOST, BY_IP, NO_ETHERNET, NO_IP, SAMPLES};
use tracer_common::record::{EGRESS, INGRESS};

/// The hook's answer, always: go on as if there were no program. `TC_ACT_UNSPEC`, the same for clsact, is the
/// same number.
const NEXT: i32 = TCX_NEXT;

/// Packets that an interface receives.
#[classifier]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn kflow_ingress(ctx: TcContext) -> i32 {
    observe(&ctx, INGRESS);
    NEXT
}

/// Packets that an interface sends.
#[classifier]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn kflow_egress(ctx: TcContext) -> i32 {
    observe(&ctx, EGRESS);
    NEXT
}

/// Packets that the kernel drops, anywhere. What the tracepoint does not tell must not be read: attaching would fail.
#[raw_tracepoint(tracepoint = "kfree_skb")]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn kflow_drop(ctx: RawTracePointContext) -> i32 {
    drops::observe(&drops::Event {
        skb: ctx.arg(0),
        location: ctx.arg(1),
        reason: if offsets::TELLS_REASONS.load() == 0 { 0 } else { ctx.arg(2) },
        socket: if offsets::TELLS_SOCKETS.load() == 0 { 0 } else { ctx.arg(3) },
    });
    0
}

#[inline(always)]
fn observe(ctx: &TcContext, direction: u8) {
    let skb = ctx.skb.skb;
    // SAFETY: the context of a TC program is valid while it runs.
    let ifindex = unsafe { (*skb).ifindex };
    let Some(interface) = interface(ifindex) else { return };
    let Some(walk) = maps::WALK.get_ptr_mut(0) else { return };
    // SAFETY: the map's values of this processor; hooks of one processor do not interrupt each other, and array maps
    // keep their values.
    let (link, counters, unannounced) = unsafe {
        ((*interface).link, &mut (*interface).directions[direction as usize], &mut (*walk).unannounced)
    };
    counters.seen += 1;
    let demands = maps::DEMANDS.load();
    let origin = if link == LINK_ETHERNET && demands & (BY_ADDRESS | BY_INNERMOST) == 0 {
        0
    } else {
        // By way of the map: the verifier then follows one unknown number, not one path for each way to it.
        // SAFETY: as above.
        unsafe {
            (&raw mut (*walk).offset).write_volatile(parse::origin(skb, link));
            (&raw const (*walk).offset).read_volatile()
        }
    };
    let matches = matches(skb, link, origin, direction, walk);
    trace!(ctx, "interface {}, packet of {} bytes, matches {}", ifindex, ctx.len(), u32::from(matches));
    if matches {
        record(ctx, origin, direction, counters, unannounced);
    } else {
        counters.filtered += 1;
        let is_power_of_two = counters.filtered & counters.filtered.wrapping_sub(1) == 0;
        if demands & SAMPLES != 0 && is_power_of_two {
            emit::sample(skb, origin, direction, unannounced);
        }
    }
}

/// What is known of an interface; absent where it is not observed.
#[inline(always)]
fn interface(ifindex: u32) -> Option<*mut InterfaceState> {
    for probe in 0..PROBES {
        let state = maps::INTERFACES.get_ptr_mut(slot(ifindex, probe, maps::SLOTS.load()))?;
        // SAFETY: an array map keeps its values. User space removes an interface only after it detached from it.
        match unsafe { (*state).ifindex } {
            found if found == ifindex => return Some(state),
            SLOT_FREE => return None,
            _ => {}
        }
    }
    None
}

/// Whether a packet is what user space wants: by the set of addresses, and by the user's filter.
#[inline(always)]
fn matches(skb: *mut __sk_buff, link: u32, origin: u32, direction: u8, walk: *mut Walk) -> bool {
    let direction = u64::from(direction);
    let demands = maps::DEMANDS.load();
    let is_ethernet = link == LINK_ETHERNET;
    if demands & BY_ADDRESS != 0 && !filter::matches(skb, link, origin, walk) {
        false
    } else if demands & BY_INNERMOST != 0 {
        let innermost = filter::innermost(skb, parse::start(link, origin), walk);
        innermost != 0 && program::takes_ip(skb, u64::from(innermost - 1), direction)
    } else if is_ethernet && demands & BY_ETHERNET != 0 {
        program::takes_ethernet(skb, u64::from(origin), direction)
    } else if !is_ethernet && demands & BY_IP != 0 {
        program::takes_ip(skb, u64::from(origin), direction)
    } else {
        demands & if is_ethernet { NO_ETHERNET } else { NO_IP } == 0
    }
}

#[inline(always)]
fn record(ctx: &TcContext, origin: u32, direction: u8, counters: &mut Counters, unannounced: &mut u64) {
    match emit::emit(ctx.skb.skb, origin, direction, counters.lost_since_record, unannounced) {
        Ok(()) => {
            counters.written += 1;
            counters.lost_since_record = 0;
        }
        Err(emit::Lost::RingFull) => {
            counters.ring_full += 1;
            counters.lost_since_record += 1;
            debug!(ctx, "ring buffer full, packet of {} bytes lost", ctx.len());
        }
        Err(emit::Lost::Unreadable) => {
            counters.unreadable += 1;
            counters.lost_since_record += 1;
            debug!(ctx, "packet of {} bytes cannot be read", ctx.len());
        }
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a loop without end: code that could panic does not load.
    loop {}
}

/// Helpers that only GPL programs may call: none today, but drop reasons and conntrack will need some.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
