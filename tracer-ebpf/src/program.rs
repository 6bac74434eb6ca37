//! Room for a packet filter of the user, which is written into the object before it is loaded.
//!
//! libpcap compiles the expression, user space translates it to eBPF and puts it in the place of the instructions
//! here: a marker by which they are found, then jumps to the next one. The verifier removes what the filter leaves.

#[cfg(target_arch = "bpf")]
use core::arch::asm;

use aya_ebpf::bindings::__sk_buff;
#[cfg(target_arch = "bpf")]
use tracer_common::program::{MARKER_ETHERNET, MARKER_IP, ROOM};

macro_rules! room {
    ($(#[$attributes:meta])* $name:ident, $marker:expr) => {
        $(#[$attributes])*
        #[cfg(target_arch = "bpf")]
        #[inline(never)]
        pub(crate) fn $name(skb: *mut __sk_buff, origin: u64, direction: u64) -> bool {
            let verdict: u64;
            // SAFETY: what takes this place reads the packet, uses its own stack frame, and leaves its answer in r0.
            unsafe {
                asm!(
                    "r0 = {marker}",
                    ".rept {rest}",
                    "goto +0",
                    ".endr",
                    marker = const $marker,
                    rest = const ROOM - 1,
                    inlateout("r1") skb => _,
                    inlateout("r2") origin => _,
                    inlateout("r3") direction => _,
                    out("r0") verdict,
                    out("r4") _,
                    out("r5") _,
                    out("r6") _,
                    out("r7") _,
                    out("r8") _,
                    out("r9") _,
                );
            }
            verdict != 0
        }

        /// The registers are those of BPF: on another machine this is looked at, never run.
        #[cfg(not(target_arch = "bpf"))]
        pub(crate) fn $name(_: *mut __sk_buff, _: u64, _: u64) -> bool {
            false
        }
    };
}

room! {
    /// Whether a packet with an Ethernet header, which begins `origin` bytes into the skb, passes.
    takes_ethernet, MARKER_ETHERNET
}
room! {
    /// Whether a packet that begins with an IP header, `origin` bytes into the skb, passes.
    takes_ip, MARKER_IP
}
