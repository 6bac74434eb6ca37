//! What user space sets and reads.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use tracer_common::counters::{InterfaceState, Walk};
use tracer_common::drops::{DropState, LEVELS};
use tracer_common::filter::{Address, AddressEntry, FilterState, MAX_ADDRESSES};

/// Interfaces being observed, each in the slot of its index or one of the next: how its packets begin, and its counters.
/// An array, of which the kernel finds an element without a call. The size is set at load time.
#[map]
pub(crate) static INTERFACES: PerCpuArray<InterfaceState> = PerCpuArray::with_max_entries(256, 0);

/// Number of slots of [`INTERFACES`], a power of two.
#[unsafe(no_mangle)]
pub(crate) static SLOTS: Global<u32> = Global::new(256);

/// Where this processor is within its packet.
#[map]
pub(crate) static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);

/// What is counted of drops.
#[map]
pub(crate) static DROP_STATES: PerCpuArray<DropState> = PerCpuArray::with_max_entries(1, 0);

/// Where each run of the program for drops that this processor is in is within its packet.
#[map]
pub(crate) static DROP_WALKS: PerCpuArray<Walk> = PerCpuArray::with_max_entries(LEVELS, 0);

/// One value: flags and the Bloom filter over the keys of [`ADDRESSES`].
#[map]
pub(crate) static FILTER: Array<FilterState> = Array::with_max_entries(1, 0);

/// Address to how it matches.
#[map]
pub(crate) static ADDRESSES: HashMap<Address, AddressEntry> =
    HashMap::with_max_entries(MAX_ADDRESSES, BPF_F_NO_PREALLOC);

/// Records to user space. The size is set at load time.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// Greatest number of bytes kept of a packet: `MIN_SNAP` to `MAX_SNAP`.
#[unsafe(no_mangle)]
pub(crate) static SNAP_LENGTH: Global<u32> = Global::new(128);

/// User space is woken when a processor has put so many bytes into the ring since the last time; otherwise it looks by
/// itself in time.
#[unsafe(no_mangle)]
pub(crate) static WAKE_BYTES: Global<u64> = Global::new(1 << 17);

/// What a packet is asked for: bits of `tracer_common::program`. A constant for the verifier, which leaves out the
/// rest.
#[unsafe(no_mangle)]
pub(crate) static DEMANDS: Global<u32> = Global::new(0);

/// A further UDP port that carries VXLAN; 0 where there is none.
#[unsafe(no_mangle)]
pub(crate) static VXLAN_PORT: Global<u16> = Global::new(0);
