//! Somebody else's program: what it does to a UDP datagram is for the destination port to say.

use aya_ebpf::{
    bindings::{TC_ACT_OK, TC_ACT_SHOT, TC_ACT_UNSPEC},
    helpers::bpf_redirect,
    macros::{classifier, map},
    maps::{Array, PerCpuArray},
    programs::TcContext,
};

/// Destination ports, in the order of [`NEIGHBOUR_SEEN`].
mod port {
    /// Goes on to the next program, as all others do.
    pub(super) const NEXT: u16 = 7100;
    pub(super) const DROPPED: u16 = 7101;
    /// Goes on with [`super::MARK`].
    pub(super) const MARKED: u16 = 7102;
    /// Leaves by the interface of [`super::NEIGHBOUR_TO`].
    pub(super) const REDIRECTED: u16 = 7103;
    /// Passes, and no further program sees it.
    pub(super) const PASSED: u16 = 7104;
}

const MARK: u32 = 0x77;
/// Ethernet, and IPv4 without options.
const UDP_OFFSET: usize = 14 + 20;
const PROTOCOL_OFFSET: usize = 14 + 9;
const UDP: u8 = 17;

/// Where the redirected go.
#[map]
static NEIGHBOUR_TO: Array<u32> = Array::with_max_entries(1, 0);

/// Datagrams that it saw, by the port.
#[map]
static NEIGHBOUR_SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(5, 0);

#[classifier]
#[expect(clippy::needless_pass_by_value, reason = "the signature is aya's")]
fn neighbour(ctx: TcContext) -> i32 {
    if ctx.load::<u8>(PROTOCOL_OFFSET) != Ok(UDP) {
        return TC_ACT_UNSPEC;
    }
    let Ok(port) = ctx.load::<u16>(UDP_OFFSET + 2).map(u16::from_be) else { return TC_ACT_UNSPEC };
    if !(port::NEXT..=port::PASSED).contains(&port) {
        return TC_ACT_UNSPEC;
    }
    if let Some(seen) = NEIGHBOUR_SEEN.get_ptr_mut(u32::from(port - port::NEXT)) {
        // SAFETY: the value is of this processor, and no other program of it runs meanwhile.
        unsafe { *seen += 1 };
    }
    match port {
        port::DROPPED => TC_ACT_SHOT,
        port::MARKED => {
            ctx.set_mark(MARK);
            TC_ACT_UNSPEC
        }
        port::REDIRECTED => match NEIGHBOUR_TO.get(0) {
            // SAFETY: the helper takes integers only.
            Some(index) => unsafe { bpf_redirect(*index, 0) as i32 },
            None => TC_ACT_SHOT,
        },
        port::PASSED => TC_ACT_OK,
        _ => TC_ACT_UNSPEC,
    }
}
