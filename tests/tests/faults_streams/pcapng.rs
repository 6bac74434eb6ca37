//! pcapng block by block, whatever its fields say (draft-ietf-opsawg-pcapng), little-endian.

pub(crate) const SECTION: u32 = 0x0a0d_0d0a;
pub(crate) const INTERFACE: u32 = 1;
pub(crate) const SIMPLE_PACKET: u32 = 3;
pub(crate) const NAMES: u32 = 4;
pub(crate) const STATISTICS: u32 = 5;
pub(crate) const PACKET: u32 = 6;

/// A block with this body, padded.
pub(crate) fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = 12 + body.len().next_multiple_of(4);
    sized(kind, u32::try_from(len).unwrap(), body)
}

/// A block that says that it is this long.
pub(crate) fn sized(kind: u32, len: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), len.to_le_bytes()].concat();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(len.to_le_bytes());
    bytes
}

/// An option that says that it is this long.
pub(crate) fn option(code: u16, len: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [code.to_le_bytes(), len.to_le_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(crate) fn section(options: &[u8]) -> Vec<u8> {
    let head = [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    block(SECTION, &[&head, options].concat())
}

/// An Ethernet interface.
pub(crate) fn interface(snap: u32, options: &[u8]) -> Vec<u8> {
    block(INTERFACE, &[&[1, 0, 0, 0], snap.to_le_bytes().as_slice(), options].concat())
}

/// An interface of this name.
pub(crate) fn named(name: &str) -> Vec<u8> {
    interface(0, &option(2, u16::try_from(name.len()).unwrap(), name.as_bytes()))
}

/// A packet of an interface, with its time in ticks, and lengths as they are said to be.
pub(crate) fn packet_of(interface: u32, ticks: u64, lengths: [u32; 2], data: &[u8]) -> Vec<u8> {
    let [high, low] = [ticks >> 32, ticks & 0xffff_ffff].map(|word| u32::try_from(word).unwrap());
    let words = [interface, high, low, lengths[0], lengths[1]].map(u32::to_le_bytes).concat();
    block(PACKET, &[&words, data].concat())
}

/// A packet of the first interface.
pub(crate) fn packet(ticks: u64, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    packet_of(0, ticks, [len, len], data)
}

/// A UDP datagram in IPv4, with this time to live and number.
pub(crate) fn datagram(ttl: u8, number: u16) -> Vec<u8> {
    ethernet(0x0800, &ip4(17, ttl, number, &udp(4000, 5000, b"datagram")))
}

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], ethertype.to_be_bytes().as_slice(), payload].concat()
}

pub(crate) fn ip4(protocol: u8, ttl: u8, number: u16, payload: &[u8]) -> Vec<u8> {
    let [len0, len1] = u16::try_from(20 + payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let [number0, number1] = number.to_be_bytes();
    let header =
        [0x45, 0, len0, len1, number0, number1, 0x40, 0, ttl, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [header.as_slice(), payload].concat()
}

pub(crate) fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [len0, len1] = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let address = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&[0x60, 0, 0, 0, len0, len1, next, 64], address(1).as_slice(), &address(2), payload].concat()
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    [[source, destination, len, 0].map(u16::to_be_bytes).concat().as_slice(), payload].concat()
}
