//! Numbers and addresses in the attributes of netlink messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::kernel::netlink::{attribute, field};

pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;
pub(super) const AF_BRIDGE: u8 = 7;

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are no part of an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// A `u8` attribute.
pub(super) fn byte(attributes: &[u8], kind: u16) -> Option<u8> {
    attribute(attributes, kind)?.first().copied()
}

/// A `u32` attribute in the byte order of this machine.
pub(super) fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    field(attribute(attributes, kind)?, 0).map(u32::from_ne_bytes)
}

/// A `u16` attribute in network byte order.
pub(super) fn network_short(attributes: &[u8], kind: u16) -> Option<u16> {
    field(attribute(attributes, kind)?, 0).map(u16::from_be_bytes)
}

/// The index of an interface; 0 stands for none.
pub(super) fn index(attributes: &[u8], kind: u16) -> Option<u32> {
    number(attributes, kind).filter(|index| *index != 0)
}

/// An IPv4 or IPv6 address.
pub(super) fn address(attributes: &[u8], kind: u16) -> Option<IpAddr> {
    ip(attribute(attributes, kind)?)
}

/// An address that is not unspecified, which stands for none.
pub(super) fn specified(attributes: &[u8], kind: u16) -> Option<IpAddr> {
    address(attributes, kind).filter(|address| !address.is_unspecified())
}

pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The unspecified address of a family that is one of IP's.
pub(super) fn unspecified(family: u8) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::UNSPECIFIED.into()),
        AF_INET6 => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    }
}

/// A hardware address of 48 bits.
pub(super) fn mac(attributes: &[u8], kind: u16) -> Option<String> {
    let bytes: [u8; 6] = attribute(attributes, kind)?.try_into().ok()?;
    Some(bytes.map(|byte| format!("{byte:02x}")).join(":"))
}

/// All attributes, up to the first damaged one: their types and values.
pub(super) fn each(mut attributes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(attributes, 0)?));
        let kind = u16::from_ne_bytes(field(attributes, 2)?) & TYPE_MASK;
        let value = attributes.get(4..length)?;
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
pub(super) fn build(header: &[u8], list: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    for (kind, value) in list {
        crate::kernel::netlink::put_attribute(&mut bytes, *kind, value);
    }
    bytes
}

/// Hands a parser every beginning of a message, and the message with each of its bytes changed: none may panic.
#[cfg(test)]
pub(super) fn mistreat<T>(message: &[u8], parse: impl Fn(&[u8]) -> T) {
    for end in 0..message.len() {
        parse(&message[..end]);
    }
    for at in 0..message.len() {
        for value in [0, 1, 3, 5, 0x7f, 0xff] {
            let mut changed = message.to_vec();
            changed[at] = value;
            parse(&changed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_once() {
        let bytes = build(&[], &[(1, b"a"), (0x8002, &[1, 2, 3, 4]), (3, b"")]);
        let all: Vec<_> = each(&bytes).collect();
        assert_eq!(all, [(1, &b"a"[..]), (2, &[1, 2, 3, 4][..]), (3, &b""[..])]);
        assert_eq!(each(&bytes[..9]).count(), 1, "the second is cut");
        assert_eq!(each(&[2, 0, 0, 0]).count(), 0, "a length below that of its own header");
    }

    #[test]
    fn zero_stands_for_none() {
        let bytes = build(&[], &[(1, &[0; 4]), (2, &[10, 0, 0, 1]), (3, &[2, 0, 0, 0, 0, 1])]);
        assert_eq!((index(&bytes, 1), specified(&bytes, 1)), (None, None));
        assert_eq!(specified(&bytes, 2), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(mac(&bytes, 3).as_deref(), Some("02:00:00:00:00:01"));
        assert_eq!(mac(&bytes, 2), None);
    }
}
