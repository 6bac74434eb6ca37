//! Whether a packet has an address of the set.

use core::arch::asm;

use aya_ebpf::bindings::__sk_buff;
use tracer_common::counters::Walk;
use tracer_common::filter::{
    Address, EVERYTHING, FilterState, HAS_PORTS, INNERMOST_ONLY, PORT_MASK, PROTOCOL_SHIFT,
};

use crate::glance::surely_misses;
use crate::maps::{ADDRESSES, FILTER};
use crate::parse::{
    self, Bytes, Cursor, DCCP, ICMP, ICMPV6, Kind, SCTP, Skb, Step, TCP, UDP, UDP_LITE, below, is_tunnel,
};

/// Headers read before giving up: three IP layers, the last one quoted, with two tags and two extension headers
/// have 16.
const MAX_HEADERS: u32 = 20;

/// Bits of [`Walk::likely`].
const SOURCE: u32 = 1;
const DESTINATION: u32 = 2;

/// Bits of what [`judge`] answers.
const MATCH: u32 = 1;
const MATCH_IF_INNERMOST: u32 = 2;

/// After a header.
enum Progress {
    /// Another one follows.
    Continue,
    /// The packet matches, whatever follows.
    Match,
    /// Nothing follows.
    End,
}

/// Whether a packet that begins at `origin` matches:
///
/// 1. The set is everything.
/// 2. An IP header (outer, inner or quoted) has an address of the set that counts at any layer.
/// 3. The last IP header found has an address of the set that counts only there.
#[inline(always)]
pub(crate) fn matches(skb: *mut __sk_buff, link: u32, origin: u32, walk: *mut Walk) -> bool {
    let Some(filter) = FILTER.get_ptr(0) else { return false };
    // SAFETY: an array map's value stays; user space changes it word by word.
    let filter = unsafe { &*filter };
    if filter.flags & EVERYTHING != 0 {
        return true;
    }
    if surely_misses(skb, link, origin, filter) != 0 {
        return false;
    }
    has_address(Skb(skb), filter, parse::start(link, origin), walk)
}

/// The same for any packet, from its first header on.
#[inline(always)]
pub(crate) fn matches_from<P: Bytes>(packet: P, first: Cursor, walk: *mut Walk) -> bool {
    let Some(filter) = FILTER.get_ptr(0) else { return false };
    // SAFETY: as above.
    let filter = unsafe { &*filter };
    filter.flags & EVERYTHING != 0 || has_address(packet, filter, first, walk)
}

#[inline(always)]
fn has_address<P: Bytes>(packet: P, filter: &FilterState, first: Cursor, walk: *mut Walk) -> bool {
    let walk = Cells(walk);
    walk.set_likely(0);
    walk.set_if_innermost(false);
    walk.go(first);
    for _ in 0..MAX_HEADERS {
        match advance(packet, filter, walk) {
            Progress::Continue => {}
            Progress::Match => return true,
            Progress::End => break,
        }
        turn();
    }
    if walk.likely() == 0 {
        return walk.if_innermost();
    }
    // The header with the ports was not reached.
    let kind = walk.cursor().kind;
    let verdict = judge(packet, walk.0, 0, kind);
    verdict & MATCH != 0 || verdict & MATCH_IF_INNERMOST != 0 && !is_tunnel(kind)
}

/// Where the innermost IP packet of tunnels begins, plus one; 0 where there is none. What an ICMP error quotes is no
/// packet inside.
#[inline(always)]
pub(crate) fn innermost(skb: *mut __sk_buff, first: Cursor, walk: *mut Walk) -> u32 {
    let walk = Cells(walk);
    walk.set_likely(0);
    walk.go(first);
    for _ in 0..MAX_HEADERS {
        let at = walk.cursor();
        match parse::step(Skb(skb), at) {
            Step::Next(next) => walk.go(next),
            Step::Ip(ip) => {
                walk.set_likely(at.offset + 1);
                walk.go(ip.next);
                if ip.later_fragment {
                    break;
                }
            }
            Step::Transport => {
                if matches!(at.kind, ICMP | ICMPV6) {
                    break;
                }
                let Some(next) = below(Skb(skb), at) else { break };
                walk.go(next);
            }
            Step::Fragment(_) | Step::End => break,
        }
        turn();
    }
    walk.likely()
}

/// Ends a turn of a loop with a jump: the verifier of Linux 5.10 and 6.1 takes a loop only where no other instruction
/// leads back into it ("back-edge from insn", `check_cfg` in kernel/bpf/verifier.c).
#[inline(always)]
fn turn() {
    // SAFETY: jumps to the next instruction.
    unsafe { asm!("goto +0", options(nostack, preserves_flags)) };
}

#[inline(always)]
fn advance<P: Bytes>(packet: P, filter: &FilterState, walk: Cells) -> Progress {
    let at = walk.cursor();
    match parse::step(packet, at) {
        Step::Next(next) => {
            walk.go(next);
            Progress::Continue
        }
        Step::Ip(ip) => {
            // What carried this was not the innermost.
            walk.set_if_innermost(false);
            let likely = likely(filter, &ip.source, &ip.destination);
            walk.set_likely(likely);
            if likely != 0 {
                walk.set_addresses(ip.source, ip.destination);
            }
            walk.go(ip.next);
            if ip.later_fragment { Progress::End } else { Progress::Continue }
        }
        Step::Transport => {
            if walk.likely() != 0 {
                let verdict = judge(packet, walk.0, at.offset, at.kind);
                if verdict & MATCH != 0 {
                    return Progress::Match;
                }
                walk.set_if_innermost(verdict & MATCH_IF_INNERMOST != 0);
                walk.set_likely(0);
            }
            let Some(next) = below(packet, at) else { return Progress::End };
            walk.go(next);
            Progress::Continue
        }
        Step::Fragment(of) => {
            walk.go(of);
            Progress::End
        }
        Step::End => Progress::End,
    }
}

/// Access to a [`Walk`] that the compiler does not keep in registers: see there why.
#[derive(Clone, Copy)]
struct Cells(*mut Walk);

macro_rules! cell {
    ($get:ident, $set:ident, $field:ident, $type:ty) => {
        #[inline(always)]
        fn $get(self) -> $type {
            // SAFETY: made from the value of a map, which outlives the program's run on this processor.
            unsafe { (&raw const (*self.0).$field).read_volatile() }
        }

        #[inline(always)]
        fn $set(self, value: $type) {
            // SAFETY: as above.
            unsafe { (&raw mut (*self.0).$field).write_volatile(value) }
        }
    };
}

impl Cells {
    cell!(offset, set_offset, offset, u32);
    cell!(kind, set_kind, kind, u32);
    cell!(likely, set_likely, likely, u32);
    cell!(innermost, set_innermost, if_innermost, u32);

    #[inline(always)]
    fn cursor(self) -> Cursor {
        Cursor { offset: self.offset(), kind: self.kind() }
    }

    #[inline(always)]
    fn go(self, to: Cursor) {
        self.set_offset(to.offset);
        self.set_kind(to.kind);
    }

    #[inline(always)]
    fn if_innermost(self) -> bool {
        self.innermost() != 0
    }

    #[inline(always)]
    fn set_if_innermost(self, value: bool) {
        self.set_innermost(u32::from(value));
    }

    #[inline(always)]
    fn set_addresses(self, source: Address, destination: Address) {
        // SAFETY: as in `cell`.
        unsafe {
            (*self.0).source = source;
            (*self.0).destination = destination;
        }
    }
}

#[inline(always)]
fn likely(filter: &FilterState, source: &Address, destination: &Address) -> u32 {
    filter.may_contain(source) * SOURCE + filter.may_contain(destination) * DESTINATION
}

/// Looks up the likely addresses. `transport` is the offset of the header with the ports, 0 where there is none.
#[inline(never)]
fn judge<P: Bytes>(packet: P, walk: *const Walk, transport: u32, kind: Kind) -> u32 {
    // SAFETY: made from the value of a map, which outlives the program's run on this processor.
    let walk = unsafe { &*walk };
    let ports = ports(packet, transport, kind);
    let protocol = (kind & 0xff) << PROTOCOL_SHIFT;
    let mut verdict = 0;
    if walk.likely & SOURCE != 0 {
        verdict |= look_up(&walk.source, protocol | ports.source, ports.known);
    }
    if walk.likely & DESTINATION != 0 {
        verdict |= look_up(&walk.destination, protocol | ports.destination, ports.known);
    }
    verdict
}

#[inline(always)]
fn look_up(address: &Address, packet: u32, known: u32) -> u32 {
    let Some(entry) = ADDRESSES.get_ptr(address) else { return 0 };
    // SAFETY: the map frees entries after an RCU grace period, and this program runs within one.
    let entry = unsafe { &*entry };
    if !entry.rules.iter().any(|rule| rule.fits(packet, known)) {
        0
    } else if entry.flags & INNERMOST_ONLY != 0 {
        MATCH_IF_INNERMOST
    } else {
        MATCH
    }
}

/// The two ends' ports as [`Rule::fits`] takes them.
///
/// [`Rule::fits`]: tracer_common::filter::Rule::fits
struct Ports {
    source: u32,
    destination: u32,
    known: u32,
}

#[inline(always)]
fn ports<P: Bytes>(packet: P, offset: u32, kind: Kind) -> Ports {
    let flag = if matches!(kind, TCP | UDP | SCTP | DCCP | UDP_LITE) { HAS_PORTS } else { 0 };
    let unknown = Ports { source: flag, destination: flag, known: !PORT_MASK };
    // Enough for an echo's identifier, which is in the third word; a TCP or UDP header is longer.
    let Some(words) = packet.load::<[u16; 3]>(offset) else { return unknown };
    let shown = |source: u16, destination: u16| Ports {
        source: flag | u32::from(u16::from_be(source)),
        destination: flag | u32::from(u16::from_be(destination)),
        known: !0,
    };
    let [icmp_type, _] = words[0].to_ne_bytes();
    if offset == 0 {
        unknown
    } else if flag != 0 {
        shown(words[0], words[1])
    } else if matches!(kind, ICMP | ICMPV6) && matches!(icmp_type, 0 | 8 | 128 | 129) {
        shown(words[2], words[2])
    } else {
        unknown
    }
}
