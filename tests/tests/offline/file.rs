//! Captures built byte by byte: one packet at two nodes, in every format there is.

/// Byte order of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// Link types by the names of tcpdump.org/linktypes.html.
pub(crate) mod link {
    pub(crate) const NULL: u32 = 0;
    pub(crate) const ETHERNET: u32 = 1;
    pub(crate) const DLT_RAW: u32 = 12;
    pub(crate) const RAW: u32 = 101;
    pub(crate) const LOOP: u32 = 108;
    pub(crate) const SLL: u32 = 113;
    pub(crate) const RADIOTAP: u32 = 127;
    pub(crate) const IPV4: u32 = 228;
    pub(crate) const SLL2: u32 = 276;
}

/// How an interface took a packet, as packet(7) has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    In,
    Out,
}

/// A packet as it is captured once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Nanoseconds since [`EPOCH`].
    pub(crate) at: u32,
    pub(crate) ifindex: u32,
    pub(crate) way: Way,
    pub(crate) ttl: u8,
    /// Tells one packet from another.
    pub(crate) number: u8,
}

/// Seconds since the epoch, when all captures begin: 2023-11-14 22:13:20 UTC.
pub(crate) const EPOCH: u32 = 1_700_000_000;
pub(crate) const SOURCE: &str = "10.0.0.1";
pub(crate) const DESTINATION: &str = "10.0.0.2";

/// An IPv4 packet with a UDP datagram from 10.0.0.1:4000 to 10.0.0.2:5000.
fn ip(seen: Seen) -> Vec<u8> {
    const LEN: u8 = 20 + 8 + 4;
    let header = [0x45, 0, 0, LEN, 0x12, seen.number, 0x40, 0, seen.ttl, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let udp = [0x0f, 0xa0, 0x13, 0x88, 0, 12, 0, 0, b'n', b'o', b'.', seen.number];
    [header.as_slice(), &udp].concat()
}

/// The packet with the header of a link type before it.
pub(crate) fn frame(link: u32, order: Order, seen: Seen) -> Vec<u8> {
    let packet_type = match seen.way {
        Way::In => 0,
        Way::Out => 4,
    };
    let address = [6, 2, 0, 0, 0, 0, 1, 0, 0];
    let header = match link {
        link::ETHERNET => [[2; 12].as_slice(), &[8, 0]].concat(),
        link::NULL => order.u32(2).to_vec(),
        link::LOOP => 2u32.to_be_bytes().to_vec(),
        link::SLL => [&[0, packet_type, 0, 1, 0], address.as_slice(), &[8, 0]].concat(),
        link::SLL2 => {
            let ifindex = seen.ifindex.to_be_bytes();
            [&[8, 0, 0, 0], ifindex.as_slice(), &[0, 1, packet_type], &address].concat()
        }
        _ => Vec::new(),
    };
    [header, ip(seen)].concat()
}

/// Unit of the timestamps of a pcap file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Microseconds,
    Nanoseconds,
}

pub(crate) fn pcap_header(order: Order, unit: Unit, link: u32) -> Vec<u8> {
    let magic = match unit {
        Unit::Microseconds => 0xa1b2_c3d4,
        Unit::Nanoseconds => 0xa1b2_3c4d,
    };
    let versions = [order.u16(2), order.u16(4)].concat();
    let rest = [0, 0, 262_144, link].map(|number| order.u32(number)).concat();
    [order.u32(magic).as_slice(), &versions, &rest].concat()
}

pub(crate) fn pcap_packet(order: Order, unit: Unit, link: u32, seen: Seen) -> Vec<u8> {
    let data = frame(link, order, seen);
    let fraction = match unit {
        Unit::Microseconds => seen.at / 1000,
        Unit::Nanoseconds => seen.at,
    };
    let len = u32::try_from(data.len()).unwrap();
    [[EPOCH, fraction, len, len].map(|number| order.u32(number)).concat(), data].concat()
}

pub(crate) fn pcap(order: Order, unit: Unit, link: u32, all: &[Seen]) -> Vec<u8> {
    let packets = all.iter().flat_map(|seen| pcap_packet(order, unit, link, *seen));
    pcap_header(order, unit, link).into_iter().chain(packets).collect()
}

/// The microsecond Ethernet pcap that tcpdump writes on most machines.
pub(crate) fn plain(all: &[Seen]) -> Vec<u8> {
    pcap(Order::Little, Unit::Microseconds, link::ETHERNET, all)
}

fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
    let total = order.u32(u32::try_from(body.len() + padding.len() + 12).unwrap());
    [order.u32(kind).as_slice(), &total, body, &padding, &total].concat()
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
    let len = order.u16(u16::try_from(value.len()).unwrap());
    [order.u16(code).as_slice(), &len, value, &padding].concat()
}

/// A section with interfaces of these link types and names, all with microseconds, and what each of them saw.
pub(crate) fn pcapng(order: Order, interfaces: &[(u32, &str)], all: &[(u32, Seen)]) -> Vec<u8> {
    let magic = [order.u32(0x1a2b_3c4d), order.u32(0), order.u32(u32::MAX), order.u32(u32::MAX)].concat();
    let version = [order.u16(1), order.u16(0)].concat();
    let section = [&magic[..4], &version, &magic[8..]].concat();
    let mut bytes = block(order, 0x0a0d_0d0a, &section);
    for (link, name) in interfaces {
        let head = [order.u16(u16::try_from(*link).unwrap()), order.u16(0)].concat();
        let name = if name.is_empty() { Vec::new() } else { option(order, 2, name.as_bytes()) };
        bytes.extend(block(order, 1, &[head, order.u32(0).to_vec(), name].concat()));
    }
    for (interface, seen) in all {
        let data = frame(interfaces[*interface as usize].0, order, *seen);
        let ticks = u64::from(EPOCH) * 1_000_000 + u64::from(seen.at / 1000);
        let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
        let len = u32::try_from(data.len()).unwrap();
        let head = [*interface, high, low, len, len].map(|number| order.u32(number)).concat();
        bytes.extend(block(order, 6, &[head, data].concat()));
    }
    bytes
}
