//! Permission for aya to copy these types to and from maps.

use aya::Pod;

use crate::counters::InterfaceState;
use crate::drops::DropState;
use crate::filter::{Address, AddressEntry, FilterState};

macro_rules! plain {
    ($($name:ty),+) => {$(
        #[expect(unsafe_code, reason = "aya asks for a promise that the type is plain bytes")]
        // SAFETY: `repr(C)`, integers and arrays only, no implicit padding (see `layout`): any bytes are a value.
        unsafe impl Pod for $name {}
    )+};
}

plain!(Address, AddressEntry, DropState, FilterState, InterfaceState);
