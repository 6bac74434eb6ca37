//! A filter of the user as a part of the programs: the room that the object has for it, and when it is asked.

/// Instructions of each room, the one that marks it included.
pub const ROOM: usize = 8192;

/// Marks the room for the filter of packets that begin with an Ethernet header: `r0 = MARKER` is its first instruction.
pub const MARKER_ETHERNET: u32 = 0x6b66_6c31;
/// Marks the room for the filter of packets that begin with an IP header.
pub const MARKER_IP: u32 = 0x6b66_6c32;

/// Bit of what the programs ask for: packets must have an address of the set.
pub const BY_ADDRESS: u32 = 1;
/// Bit: packets that begin with an Ethernet header must pass the filter for these.
pub const BY_ETHERNET: u32 = 2;
/// Bit: packets that begin with an IP header must pass the filter for these.
pub const BY_IP: u32 = 4;
/// Bit: the innermost IP packet of each packet must pass the filter for IP; one without does not match.
pub const BY_INNERMOST: u32 = 8;
/// Bit: no packet that begins with an Ethernet header matches.
pub const NO_ETHERNET: u32 = 16;
/// Bit: no packet that begins with an IP header matches.
pub const NO_IP: u32 = 32;
/// Bit: of the packets that do not match, the first, the second, the fourth, the eighth and so on of each interface,
/// direction and processor are recorded as samples.
pub const SAMPLES: u32 = 64;
