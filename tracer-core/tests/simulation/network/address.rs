//! Who has which address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::plan::Family;

/// The underlay address of a node; a tunnel within a tunnel ends at another address of the node.
pub(super) fn underlay(family: Family, node: usize, level: usize) -> IpAddr {
    match family {
        Family::V4 => {
            Ipv4Addr::new(192, 168, u8::try_from(level).unwrap(), u8::try_from(10 + node).unwrap()).into()
        }
        Family::V6 => Ipv6Addr::new(0xfd00, 2, number(level), 0, 0, 0, 0, number(10 + node)).into(),
    }
}

pub(super) fn node_address(family: Family, node: usize) -> IpAddr {
    underlay(family, node, 0)
}

pub(super) fn pod_address(family: Family, node: usize, pod: usize) -> IpAddr {
    match family {
        Family::V4 => {
            Ipv4Addr::new(10, 1, u8::try_from(node).unwrap(), u8::try_from(pod + 2).unwrap()).into()
        }
        Family::V6 => Ipv6Addr::new(0xfd00, 1, number(node), 0, 0, 0, 0, number(pod + 2)).into(),
    }
}

pub(super) fn service_address(family: Family, pod: usize) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 96, 0, u8::try_from(pod + 1).unwrap()).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number(pod + 1)).into(),
    }
}

pub(super) fn outside_address(family: Family, flow: usize) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(203, 0, 113, u8::try_from(flow % 250 + 1).unwrap()).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number(flow + 1)).into(),
    }
}

fn number(value: usize) -> u16 {
    u16::try_from(value).unwrap()
}
