//! Sizes and offsets, held at compile time: a change here changes the contract between the two sides.

use core::mem::{align_of, offset_of, size_of};

use crate::counters::{Counters, InterfaceState, Walk};
use crate::drops::{DropFacts, DropSlot, DropState};
use crate::filter::{Address, AddressEntry, FilterState, Rule};
use crate::record::{RecordHeader, Slot};

const _: () = {
    assert!(size_of::<RecordHeader>() == 40 && align_of::<RecordHeader>() == 8);
    assert!(offset_of!(RecordHeader, ifindex) == 8);
    assert!(offset_of!(RecordHeader, gso_size) == 24);
    assert!(offset_of!(RecordHeader, direction) == 34);
    assert!(offset_of!(RecordHeader, lost_before) == 36);
    assert!(size_of::<Slot<128>>() == 168 && offset_of!(Slot<128>, data) == 40);

    assert!(size_of::<Counters>() == 48);
    assert!(size_of::<Walk>() == 56 && offset_of!(Walk, source) == 16);
    assert!(size_of::<InterfaceState>() == 104 && offset_of!(InterfaceState, directions) == 8);

    assert!(size_of::<DropFacts>() == 104 && offset_of!(DropFacts, name) == 24);
    assert!(size_of::<DropSlot>() == 400 && offset_of!(DropSlot, data) == 144);
    assert!(size_of::<DropState>() == 64 && offset_of!(DropState, depth) == 56);

    assert!(size_of::<Address>() == 16 && align_of::<Address>() == 8);
    assert!(size_of::<Rule>() == 8);
    assert!(size_of::<AddressEntry>() == 8 + 8 * crate::filter::RULES);
    assert!(size_of::<FilterState>() == 8 + crate::filter::BLOOM_BITS / 8);
};
