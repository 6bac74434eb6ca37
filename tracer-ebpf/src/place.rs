//! Where a socket buffer was when it was dropped: read from the kernel's memory, some of which may be something else.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

use crate::drops::Event;
use crate::offsets as at;

/// Numbers of namespaces begin here (`PROC_DYNAMIC_FIRST`), a few of the initial ones right before
/// (`include/linux/proc_ns.h`). What is smaller was read from memory that is no namespace.
const LEAST_NETNS: u32 = 0xefff_fff0;

/// Reads kernel memory; absent where there is none.
#[inline(always)]
pub(crate) fn read<T: Copy>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes all of `value` or fails; callers ask for integers and arrays of them only.
    unsafe {
        let result =
            bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _);
        (result == 0).then(|| value.assume_init())
    }
}

/// Reads a field of a structure that is somewhere; 0 where there is none.
#[inline(always)]
pub(crate) fn field<T: Copy + Default>(structure: u64, offset: u32) -> T {
    if structure == 0 { T::default() } else { read(structure + u64::from(offset)).unwrap_or_default() }
}

/// Where a packet was when it was dropped.
pub(crate) struct Place {
    /// Number of the network namespace; 0 where it is not known.
    pub(crate) netns: u32,
    /// `struct net_device *`, or 0.
    pub(crate) device: u64,
    /// Interface that the packet came into the namespace by; 0 where it was made there.
    pub(crate) received_by: u32,
}

impl Place {
    /// The namespace is that of the first of these that has one: the packet's device, that of its route, the socket that it
    /// is of, the socket that it was for. A protocol may have put something else in the place of the device.
    #[inline(always)]
    pub(crate) fn of(event: &Event) -> Self {
        let skb = event.skb;
        let received_by = field::<u32>(skb, at::SKB_IIF.load());
        let device = field::<u64>(skb, at::SKB_DEV.load());
        let netns = netns_of(device, at::DEVICE_NET.load());
        if netns != 0 {
            return Self { netns, device, received_by };
        }
        let route = field::<u64>(skb, at::SKB_ROUTE.load()) & !1;
        let device = field::<u64>(route, at::ROUTE_DEV.load());
        let netns_of_route = netns_of(device, at::DEVICE_NET.load());
        if netns_of_route != 0 {
            // What came in is routed to the loopback interface if it is for this machine.
            return Self {
                netns: netns_of_route,
                device: if received_by == 0 { device } else { 0 },
                received_by,
            };
        }
        let own = netns_of(field::<u64>(skb, at::SKB_SOCKET.load()), at::SOCKET_NET.load());
        let netns = if own == 0 { netns_of(event.socket, at::SOCKET_NET.load()) } else { own };
        Self { netns, device: 0, received_by }
    }
}

/// Number of the namespace that a structure points to at an offset; 0 where that is none.
#[inline(always)]
fn netns_of(structure: u64, offset: u32) -> u32 {
    let number = field::<u32>(field::<u64>(structure, offset), at::NET_INODE.load());
    if number < LEAST_NETNS { 0 } else { number }
}

/// Number of the namespace of the other end of a pair of devices; 0 where the device is none of a pair. The first thing that
/// both kinds of pairs keep for themselves is their other end (drivers/net/veth.c, drivers/net/netkit.c).
#[inline(always)]
pub(crate) fn joined_to(device: u64) -> u32 {
    const VETH: [u8; 5] = *b"veth\0";
    const NETKIT: [u8; 5] = *b"netki";
    let kind = field::<u64>(field::<u64>(device, at::DEVICE_OPERATIONS.load()), at::OPERATIONS_KIND.load());
    let kind = field::<[u8; 5]>(kind, 0);
    if kind != VETH && kind != NETKIT {
        return 0;
    }
    netns_of(field::<u64>(device, at::DEVICE_PRIVATE.load()), at::DEVICE_NET.load())
}
