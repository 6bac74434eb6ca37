//! Which pod is behind a host interface, by the packets that pass there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracer_core::capture::Frame;
use tracer_core::units::Direction;

/// The address of the pod's side: a packet that the host's side receives comes from the pod, one that it sends goes to
/// it. Only the outermost addresses count, and the sender of ARP.
pub(super) fn address(frame: &Frame<'_>) -> Option<IpAddr> {
    let (ethertype, packet) = frame.data.get(12..)?.split_first_chunk::<2>()?;
    let from_pod = frame.direction? == Direction::Ingress;
    match u16::from_be_bytes(*ethertype) {
        0x0800 => four(packet, if from_pod { 12 } else { 16 }),
        0x86dd => six(packet, if from_pod { 8 } else { 24 }),
        // Sender and target protocol address of ARP over Ethernet (RFC 826).
        0x0806 => four(packet, if from_pod { 14 } else { 24 }),
        _ => None,
    }
}

fn four(packet: &[u8], at: usize) -> Option<IpAddr> {
    let bytes = packet.get(at..)?.first_chunk::<4>()?;
    Some(IpAddr::V4(Ipv4Addr::from(*bytes)))
}

fn six(packet: &[u8], at: usize) -> Option<IpAddr> {
    let bytes = packet.get(at..)?.first_chunk::<16>()?;
    Some(IpAddr::V6(Ipv6Addr::from(*bytes)))
}

#[cfg(test)]
mod tests {
    use tracer_core::capture::InterfaceId;
    use tracer_core::units::Timestamp;

    use super::*;

    fn frame(data: Vec<u8>, direction: Option<Direction>) -> Frame<'static> {
        Frame {
            interface: InterfaceId(0),
            time: Timestamp(0),
            direction,
            original_len: 60,
            data: data.into(),
            gso: None,
            mark: 0,
            lost_before: 0,
            comment: None,
        }
    }

    #[test]
    fn the_pod_is_the_source_of_what_comes_in() {
        let mut four = vec![0; 26];
        four[12..14].copy_from_slice(&[0x08, 0x00]);
        four.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        let of = |direction| address(&frame(four.clone(), direction)).map(|address| address.to_string());
        assert_eq!(of(Some(Direction::Ingress)).as_deref(), Some("10.0.0.1"));
        assert_eq!(of(Some(Direction::Egress)).as_deref(), Some("10.0.0.2"));
        assert_eq!(of(None), None);
        let mut six = vec![0; 54];
        six[12..14].copy_from_slice(&[0x86, 0xdd]);
        six[14 + 8 + 15] = 1;
        let seen = address(&frame(six, Some(Direction::Ingress)));
        assert_eq!(seen, Some("::1".parse().unwrap()));
        four.truncate(20);
        assert_eq!(address(&frame(four, Some(Direction::Egress))), None);
    }
}
