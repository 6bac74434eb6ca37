//! A reader of packets that shares nothing with the one under test: IPv4, IPIP, VXLAN, TCP and UDP, no more.

/// Bytes of an Ethernet header without a VLAN tag.
const ETHERNET: usize = 14;
/// The Ethernet type of IPv4.
const IPV4: [u8; 2] = [0x08, 0x00];
/// Protocol numbers (IANA).
const IPIP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
/// VXLAN (RFC 7348): its port and the length of its header.
const VXLAN_PORT: [u8; 2] = 4789_u16.to_be_bytes();
const VXLAN_HEADER: usize = 8;
/// A TCP option for experiments (RFC 4727) and the identifier that this project gives its own (RFC 6994).
pub(super) const EXPERIMENT: u8 = 253;
/// See [`EXPERIMENT`]: an arbitrary one.
pub(super) const EXPERIMENT_ID: [u8; 2] = [0x6b, 0x66];

/// The innermost packet of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Inside<'a> {
    /// Transport protocol.
    pub(super) protocol: u8,
    /// Source and destination port; 0 without a transport header.
    pub(super) ports: (u16, u16),
    /// TCP's options; empty for other protocols.
    pub(super) options: &'a [u8],
    /// What the transport carries; for a fragment that is not the first, what the IP header carries.
    pub(super) payload: &'a [u8],
}

/// The innermost packet of an Ethernet frame; absent where it is not IPv4, or damaged.
pub(super) fn frame(bytes: &[u8]) -> Option<Inside<'_>> {
    let is_ipv4 = bytes.get(ETHERNET - 2..ETHERNET)? == IPV4;
    is_ipv4.then(|| packet(&bytes[ETHERNET..]))?
}

/// The innermost packet of an IPv4 packet.
pub(super) fn packet(bytes: &[u8]) -> Option<Inside<'_>> {
    let first = *bytes.first()?;
    let header = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header < 20 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let protocol = *bytes.get(9)?;
    let offset = u16::from_be_bytes([*bytes.get(6)?, *bytes.get(7)?]) & 0x1fff;
    let body = bytes.get(header..total)?;
    let bare = Inside { protocol, ports: (0, 0), options: &[], payload: body };
    if offset > 0 {
        return Some(bare);
    }
    let ports = || Some((port(body, 0)?, port(body, 2)?));
    match protocol {
        IPIP => packet(body),
        UDP if body.get(2..4)? == VXLAN_PORT => frame(body.get(UDP_HEADER + VXLAN_HEADER..)?),
        UDP => Some(Inside { ports: ports()?, payload: body.get(UDP_HEADER..)?, ..bare }),
        TCP => {
            let header = usize::from(*body.get(12)? >> 4) * 4;
            let (options, payload) = (body.get(20..header)?, body.get(header..)?);
            Some(Inside { ports: ports()?, options, payload, ..bare })
        }
        _ => Some(bare),
    }
}

fn port(header: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*header.get(at)?, *header.get(at + 1)?]))
}

/// What the option for experiments of a TCP header holds, if it is there and ours.
pub(super) fn experiment(options: &[u8]) -> Option<&[u8]> {
    let mut rest = options;
    loop {
        match *rest.first()? {
            0 => return None,
            1 => rest = &rest[1..],
            kind => {
                let len = usize::from(*rest.get(1)?).max(2);
                let (option, later) = (rest.get(2..len)?, rest.get(len..)?);
                if kind == EXPERIMENT && option.starts_with(&EXPERIMENT_ID) {
                    return Some(&option[EXPERIMENT_ID.len()..]);
                }
                rest = later;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, protocol];
        bytes.resize(20, 0);
        [&bytes, body].concat()
    }

    #[test]
    fn tunnels_are_looked_into() {
        let udp = ipv4(UDP, &[0, 1, 0, 2, 0, 11, 0, 0, 7, 8, 9]);
        let plain = packet(&udp).unwrap();
        assert_eq!((plain.protocol, plain.payload), (UDP, &[7, 8, 9][..]));
        assert_eq!(packet(&ipv4(IPIP, &udp)), Some(plain));
        let ethernet = [&[0; 12][..], &IPV4, &udp].concat();
        let outer = [&[0, 9], &VXLAN_PORT[..], &[0; 12], &ethernet].concat();
        assert_eq!(packet(&ipv4(UDP, &outer)), Some(plain));
    }

    #[test]
    fn padding_is_no_payload() {
        let mut bytes = ipv4(UDP, &[0, 1, 0, 2, 0, 9, 0, 0, 7]);
        bytes.extend([0; 20]);
        assert_eq!(packet(&bytes).map(|inside| inside.payload), Some(&[7][..]));
    }

    #[test]
    fn the_option_for_experiments_is_found_behind_others() {
        let options = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, EXPERIMENT, 6, 0x6b, 0x66, 5, 6, 0, 0];
        assert_eq!(experiment(&options), Some(&[5, 6][..]));
        assert_eq!(experiment(&options[..12]), None);
    }
}
