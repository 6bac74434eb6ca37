//! What restricts a dump to an address (`CTA_FILTER`, Linux 5.8).

use std::net::IpAddr;

use super::super::netlink::put_attribute;

const NESTED: u16 = 0x8000;
/// `CTA_TUPLE_ORIG` and `CTA_TUPLE_REPLY`, with the attributes of `CTA_FILTER` that say which of their fields count.
const DIRECTIONS: [(u16, u16); 2] = [(1, 1), (2, 2)];
const FILTER: u16 = 25;
const TUPLE_IP: u16 = 1;

/// The four dumps that have all entries with an address: as source and as destination of either direction.
pub(super) fn of(address: IpAddr) -> Vec<Vec<u8>> {
    DIRECTIONS
        .into_iter()
        .flat_map(|direction| [false, true].map(|is_destination| one(address, direction, is_destination)))
        .collect()
}

fn one(address: IpAddr, (tuple, flags): (u16, u16), is_destination: bool) -> Vec<u8> {
    // CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST
    let kind = 1 + u16::from(is_destination) + if address.is_ipv4() { 0 } else { 2 };
    let mut ip = Vec::new();
    match address {
        IpAddr::V4(address) => put_attribute(&mut ip, kind, &address.octets()),
        IpAddr::V6(address) => put_attribute(&mut ip, kind, &address.octets()),
    }
    let mut inner = Vec::new();
    put_attribute(&mut inner, TUPLE_IP | NESTED, &ip);
    let mut request = Vec::new();
    put_attribute(&mut request, tuple | NESTED, &inner);
    // CTA_FILTER_F_CTA_IP_SRC, CTA_FILTER_F_CTA_IP_DST
    let bit = if is_destination { 2u32 } else { 1 };
    let mut filter = Vec::new();
    put_attribute(&mut filter, flags, &bit.to_ne_bytes());
    put_attribute(&mut request, FILTER | NESTED, &filter);
    request
}
