//! The Internet checksum (RFC 1071).

use super::address::Address;
use crate::packet::checksum::Sum;

/// The one's complement of the sum of all parts, each but the last of even length; 0 where a packet with its
/// checksum is in order.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let sum = parts.iter().fold(Sum::default(), |sum, part| sum.add(part));
    u16::from_be_bytes(sum.finish())
}

/// The checksum that a packet should have, by what it has and what [`checksum`] is with that.
pub(super) fn expected(found: u16, computed: u16) -> u16 {
    fold(u64::from(found) + u64::from(computed))
}

/// As [`checksum`] with the pseudo-header of RFC 768, RFC 9293 and RFC 8200 before it.
pub(super) fn with_pseudo_header(source: Address, destination: Address, protocol: u8, data: &[u8]) -> u16 {
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    match (source, destination) {
        (Address::V4(source), Address::V4(destination)) => {
            let [.., high, low] = len.to_be_bytes();
            checksum(&[&source.octets(), &destination.octets(), &[0, protocol, high, low], data])
        }
        (source, destination) => {
            let numbers = [source.number().to_be_bytes(), destination.number().to_be_bytes()];
            let end = [0, 0, 0, protocol];
            checksum(&[&numbers[0], &numbers[1], &len.to_be_bytes(), &end, data])
        }
    }
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{checksum, expected};

    #[test]
    fn example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&bytes]), !0xddf2);
        assert_eq!(checksum(&[&bytes, &(!0xddf2_u16).to_be_bytes()]), 0);
        assert_eq!(expected(0x1234, checksum(&[&bytes, &[0x12, 0x34]])), !0xddf2);
    }
}
