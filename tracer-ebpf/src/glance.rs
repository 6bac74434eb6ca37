//! A first look at a packet, which is enough for most that do not match: read where it lies, without a call.

use core::arch::asm;

use aya_ebpf::bindings::__sk_buff;
use tracer_common::counters::LINK_ETHERNET;
use tracer_common::filter::{Address, FilterState};

use crate::parse::{TCP, UDP, is_tunnel_port, protocol};

const ETHERNET_HEADER: u32 = 14;
const ETHERTYPE: u32 = 12;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// An IPv6 header and the ports behind it.
const ENOUGH: u32 = 44;

/// The linear part of an skb, from where its IP header is; at least [`ENOUGH`] bytes.
#[derive(Clone, Copy)]
struct Bytes(usize);

macro_rules! read {
    ($name:ident, $type:ty, $size:literal) => {
        /// Reads a number that may be unaligned, which LLVM would read byte by byte.
        #[inline(always)]
        fn $name(self, offset: u32) -> $type {
            let value: u64;
            // SAFETY: callers stay within the bytes.
            unsafe {
                asm!(
                    concat!("{value} = *(", $size, " *)({from} + 0)"),
                    value = out(reg) value,
                    from = in(reg) self.0 + offset as usize,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            value as $type
        }
    };
}

impl Bytes {
    read!(byte, u8, "u8");
    read!(half, u16, "u16");
    read!(word, u32, "u32");
    read!(double, u64, "u64");
}

/// Whether a packet that begins at `origin` surely has no address of the set: TCP, or UDP that is no tunnel, directly in
/// IP. 0 says nothing.
///
/// A function of its own: what the verifier learns in it about this packet it forgets behind it, so that it follows the
/// walk through the headers once.
#[inline(never)]
pub(crate) fn surely_misses(skb: *mut __sk_buff, link: u32, origin: u32, filter: &FilterState) -> u64 {
    u64::from(misses(skb, link, origin, filter))
}

#[inline(always)]
fn misses(skb: *mut __sk_buff, link: u32, origin: u32, filter: &FilterState) -> bool {
    let header = if link == LINK_ETHERNET { ETHERNET_HEADER } else { 0 };
    // SAFETY: the context of a TC program is valid while it runs.
    let (data, end) = unsafe { ((*skb).data as usize, (*skb).data_end as usize) };
    if origin != 0 || data + (header + ENOUGH) as usize > end {
        return false;
    }
    let ip = Bytes(data + header as usize);
    let version = ip.byte(0);
    let ethertype = if link == LINK_ETHERNET {
        u16::from_be(Bytes(data).half(ETHERTYPE))
    } else if version >> 4 == 4 {
        IPV4
    } else {
        IPV6
    };
    if ethertype == IPV4 && version == 0x45 {
        carries_no_packet(ip.byte(9), ip.half(22))
            && filter.may_contain(&Address::v4(ip.word(12))) | filter.may_contain(&Address::v4(ip.word(16)))
                == 0
    } else if ethertype == IPV6 && version >> 4 == 6 {
        let address = |at| Address { words: [ip.double(at), ip.double(at + 8)] };
        carries_no_packet(ip.byte(6), ip.half(42))
            && filter.may_contain(&address(8)) | filter.may_contain(&address(24)) == 0
    } else {
        false
    }
}

/// By the IP protocol, and the destination port in network byte order.
#[inline(always)]
pub(crate) fn carries_no_packet(number: u8, port: u16) -> bool {
    match protocol(number) {
        TCP => true,
        UDP => !is_tunnel_port(u16::from_be(port)),
        _ => false,
    }
}
