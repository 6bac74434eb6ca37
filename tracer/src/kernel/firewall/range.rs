//! Ranges of addresses as networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracer_core::evidence::Prefix;

/// The networks that a range of addresses consists of, least first: at most 254 for IPv6. Absent for ends of different
/// families, and for a range that ends before it begins.
pub(super) fn networks_of(first: IpAddr, last: IpAddr) -> Option<Vec<Prefix>> {
    let (bits, mut first, last) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            (32, u128::from(first.to_bits()), u128::from(last.to_bits()))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => (128, first.to_bits(), last.to_bits()),
        _ => return None,
    };
    if first > last {
        return None;
    }
    let mut networks = Vec::new();
    loop {
        let mut host = first.trailing_zeros().min(bits);
        while host > 0 && ones(host) > last - first {
            host -= 1;
        }
        let length = u8::try_from(bits - host).ok()?;
        networks.push(Prefix { address: address(first, bits)?, length });
        match first.checked_add(ones(host)).and_then(|end| end.checked_add(1)) {
            Some(next) if next <= last => first = next,
            _ => return Some(networks),
        }
    }
}

/// A number of that many ones.
fn ones(bits: u32) -> u128 {
    u128::MAX.checked_shr(128 - bits.min(128)).unwrap_or(0)
}

fn address(number: u128, bits: u32) -> Option<IpAddr> {
    Some(match bits {
        32 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(number)),
    })
}

/// The address of 4 or 16 bytes.
pub(super) fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Length of the prefix that a mask stands for; absent where its ones are not in one piece from the left.
pub(super) fn prefix_length(mask: &[u8]) -> Option<u8> {
    let ones = mask.iter().take_while(|byte| **byte == 0xff).count();
    let rest = mask.get(ones).map_or(0, |byte| byte.leading_ones() as usize);
    let is_contiguous = mask.iter().enumerate().skip(ones).all(|(place, byte)| match place - ones {
        0 => byte.leading_ones() + byte.trailing_zeros() >= 8,
        _ => *byte == 0,
    });
    is_contiguous.then(|| u8::try_from(ones * 8 + rest).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(first: &str, last: &str) -> Vec<String> {
        let networks = networks_of(first.parse().unwrap(), last.parse().unwrap()).unwrap();
        networks.iter().map(|network| format!("{}/{}", network.address, network.length)).collect()
    }

    #[test]
    fn ranges_come_apart_into_networks() {
        assert_eq!(
            told("10.0.0.1", "10.0.0.6"),
            ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]
        );
        assert_eq!(told("10.0.0.0", "10.0.0.255"), ["10.0.0.0/24"]);
        assert_eq!(told("0.0.0.0", "255.255.255.255"), ["0.0.0.0/0"]);
        assert_eq!(told("255.255.255.255", "255.255.255.255"), ["255.255.255.255/32"]);
        assert_eq!(told("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ["::/0"]);
        assert_eq!(told("::1", "::2"), ["::1/128", "::2/128"]);
        let most =
            networks_of("::1".parse().unwrap(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe".parse().unwrap());
        assert_eq!(most.unwrap().len(), 254);
        assert_eq!(networks_of("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn masks_with_holes_are_no_prefixes() {
        assert_eq!(prefix_length(&[255, 255, 240, 0]), Some(20));
        assert_eq!(prefix_length(&[255, 255, 255, 255]), Some(32));
        assert_eq!(prefix_length(&[0, 0, 0, 0]), Some(0));
        assert_eq!(prefix_length(&[255, 0, 255, 0]), None);
        assert_eq!(prefix_length(&[250, 0, 0, 0]), None);
    }
}
