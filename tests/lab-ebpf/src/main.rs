//! IP in IP for a kernel that is built without the `ipip` device.
//!
//! A TUN device named `tunl0` takes the routes; these two programs do what the device would do, with the
//! same bytes on the wire: `encapsulate` sits on the egress of `tunl0`, `decapsulate` on the ingress of the
//! node's uplink. Outer packets do not pass netfilter; nothing else differs from the module
//! (`net/ipv4/ipip.c`, `net/ipv4/ip_tunnel.c`).
//!
//! A third one, [`neighbour`], is a program of somebody else on interfaces that kflow watches.
#![no_std]
#![no_main]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a helper's verdict is an int in a long, and header lengths fit anything"
)]
#![expect(unsafe_code, reason = "helpers of the kernel are raw functions, maps and programs are sections")]

mod neighbour;
mod outer;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        __sk_buff, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_FIXED_GSO, BPF_F_INGRESS, TC_ACT_SHOT,
        TC_ACT_UNSPEC, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    helpers::{bpf_redirect, bpf_redirect_neigh, bpf_skb_change_head},
    macros::{classifier, map},
    maps::{Array, LpmTrie, lpm_trie::Key},
    programs::TcContext,
};
use outer::{DESTINATION_OFFSET, HEADER_LEN, Header, PROTOCOL_OFFSET};

/// Where the entries of [`SETTINGS`] are; the loader writes them in this order.
mod setting {
    /// The index of the interface that outer packets leave and enter by.
    pub(super) const UPLINK: u32 = 0;
    /// The index of the device that inner packets leave and enter by.
    pub(super) const DEVICE: u32 = 1;
    /// The outer address of this node, in network byte order.
    pub(super) const LOCAL: u32 = 2;
}

const ETHERNET_LEN: usize = 14;
const ETHERTYPE_OFFSET: usize = 12;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];

/// What is particular to this node.
#[map]
static SETTINGS: Array<u32> = Array::with_max_entries(3, 0);

/// Inner destination, the longest prefix first, to the outer address of its node.
#[map]
static REMOTES: LpmTrie<[u8; 4], [u8; 4]> = LpmTrie::with_max_entries(64, 0);

/// Egress of the tunnel device: the packet begins with its IPv4 header.
#[classifier]
#[expect(clippy::needless_pass_by_value, reason = "the signature is aya's")]
fn encapsulate(ctx: TcContext) -> i32 {
    try_encapsulate(&ctx).unwrap_or(TC_ACT_SHOT)
}

/// Ingress of the uplink: the packet begins with its Ethernet header.
#[classifier]
#[expect(clippy::needless_pass_by_value, reason = "the signature is aya's")]
fn decapsulate(ctx: TcContext) -> i32 {
    if is_ours(&ctx) { try_decapsulate(&ctx).unwrap_or(TC_ACT_SHOT) } else { TC_ACT_UNSPEC }
}

fn try_encapsulate(ctx: &TcContext) -> Option<i32> {
    let inner: [u8; HEADER_LEN] = ctx.load(0).ok()?;
    let inner = Header(inner);
    if inner.version() != 4 {
        return None;
    }
    let remote = *REMOTES.get(Key::new(32, inner.destination()))?;
    let local = SETTINGS.get(setting::LOCAL)?.to_ne_bytes();
    let outer = Header::around(&inner, local, remote, ctx.len());

    let flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_FIXED_GSO;
    ctx.adjust_room(HEADER_LEN as i32, BPF_ADJ_ROOM_MAC, flags.into()).ok()?;
    ctx.store(0, &outer.0, 0).ok()?;
    // `bpf_redirect_neigh` takes a frame: without room for the link header it drops the packet in silence.
    change_head(ctx, ETHERNET_LEN as u32)?;
    let uplink = *SETTINGS.get(setting::UPLINK)?;
    // SAFETY: no parameters are passed, so the kernel reads the next hop from its own routes.
    Some(unsafe { bpf_redirect_neigh(uplink, core::ptr::null_mut(), 0, 0) } as i32)
}

fn try_decapsulate(ctx: &TcContext) -> Option<i32> {
    ctx.adjust_room(-(HEADER_LEN as i32), BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO.into()).ok()?;
    let device = *SETTINGS.get(setting::DEVICE)?;
    // SAFETY: the helper takes integers only.
    Some(unsafe { bpf_redirect(device, BPF_F_INGRESS.into()) } as i32)
}

/// IPv4 without options, carrying IPv4, for this node; a bridge also floods frames meant for others.
fn is_ours(ctx: &TcContext) -> bool {
    let ethertype: Result<[u8; 2], _> = ctx.load(ETHERTYPE_OFFSET);
    let version_ihl: Result<u8, _> = ctx.load(ETHERNET_LEN);
    let protocol: Result<u8, _> = ctx.load(ETHERNET_LEN + PROTOCOL_OFFSET);
    let destination: Result<u32, _> = ctx.load(ETHERNET_LEN + DESTINATION_OFFSET);
    ethertype == Ok(ETHERTYPE_IPV4)
        && version_ihl == Ok(outer::VERSION_IHL)
        && protocol == Ok(outer::PROTOCOL_IPIP)
        && destination.ok() == SETTINGS.get(setting::LOCAL).copied()
}

fn change_head(ctx: &TcContext, len: u32) -> Option<()> {
    // SAFETY: the pointer is the context of this program's run, as the helper asks.
    let result = unsafe { bpf_skb_change_head(ctx.as_ptr().cast::<__sk_buff>(), len, 0) };
    (result == 0).then_some(())
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a loop, and so every program that could come here.
    loop {}
}

/// The helpers above are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
