//! Parameters of tunnels (`IFLA_INFO_DATA` of each kind: `linux/if_link.h`, `linux/if_tunnel.h`).

use std::net::IpAddr;

use tracer_core::evidence::{Tunnel, Vxlan};

use super::attributes::{byte, network_short, number, specified};
use crate::kernel::netlink::attribute;

/// What is told of a kind that is a tunnel; absent for other kinds.
pub(super) fn parse(kind: &str, data: &[u8]) -> Option<Tunnel> {
    match kind {
        "vxlan" => Some(vxlan(data)),
        "geneve" => Some(geneve(data)),
        // `IFLA_IPTUN_*`.
        "ipip" | "sit" | "ip6tnl" => Some(plain(data, [2, 3, 4, 10, 19])),
        // `IFLA_GRE_*`.
        "gre" | "gretap" | "ip6gre" | "ip6gretap" | "erspan" | "ip6erspan" => {
            Some(plain(data, [6, 7, 8, 10, 18]))
        }
        // `IFLA_VTI_*`; it has no time to live of its own.
        "vti" | "vti6" => {
            Some(Tunnel { local: specified(data, 4), remote: specified(data, 5), ..Tunnel::default() })
        }
        _ => None,
    }
}

fn vxlan(data: &[u8]) -> Tunnel {
    const ID: u16 = 1;
    const GROUP: u16 = 2;
    const LOCAL: u16 = 4;
    const TTL: u16 = 5;
    const LEARNING: u16 = 7;
    const PORT: u16 = 15;
    const GROUP6: u16 = 16;
    const LOCAL6: u16 = 17;
    const COLLECT_METADATA: u16 = 25;
    const DF: u16 = 29;
    let is_external = byte(data, COLLECT_METADATA).is_some_and(|flag| flag != 0);
    let is_learning = byte(data, LEARNING).is_some_and(|flag| flag != 0);
    Tunnel {
        local: either(data, LOCAL, LOCAL6),
        remote: either(data, GROUP, GROUP6),
        vni: number(data, ID),
        port: network_short(data, PORT),
        dont_fragment: fixed_df(data, DF),
        ttl: byte(data, TTL),
        is_external,
        vxlan: Some(Vxlan { is_learning, is_external }),
    }
}

fn geneve(data: &[u8]) -> Tunnel {
    const ID: u16 = 1;
    const REMOTE: u16 = 2;
    const TTL: u16 = 3;
    const PORT: u16 = 5;
    const COLLECT_METADATA: u16 = 6;
    const REMOTE6: u16 = 7;
    const DF: u16 = 13;
    Tunnel {
        local: None,
        remote: either(data, REMOTE, REMOTE6),
        vni: number(data, ID),
        port: network_short(data, PORT),
        dont_fragment: fixed_df(data, DF),
        ttl: byte(data, TTL),
        is_external: attribute(data, COLLECT_METADATA).is_some(),
        vxlan: None,
    }
}

/// A tunnel without ports, by the numbers of its attributes: local, remote, TTL, path MTU discovery, metadata.
fn plain(data: &[u8], [local, remote, ttl, pmtudisc, metadata]: [u16; 5]) -> Tunnel {
    Tunnel {
        local: specified(data, local),
        remote: specified(data, remote),
        dont_fragment: byte(data, pmtudisc).map(|flag| flag != 0),
        ttl: byte(data, ttl),
        is_external: attribute(data, metadata).is_some(),
        ..Tunnel::default()
    }
}

fn either(data: &[u8], v4: u16, v6: u16) -> Option<IpAddr> {
    specified(data, v4).or_else(|| specified(data, v6))
}

/// Absent where the inner packet decides (`VXLAN_DF_INHERIT`), and where the kernel does not tell.
fn fixed_df(data: &[u8], kind: u16) -> Option<bool> {
    match byte(data, kind)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{build, mistreat};
    use super::*;

    #[test]
    fn parameters_of_each_kind() {
        let (one, two): (&[u8], &[u8]) = (&[10, 0, 0, 1], &[10, 0, 0, 2]);
        let (local, remote) = (Some(IpAddr::from([10, 0, 0, 1])), Some(IpAddr::from([10, 0, 0, 2])));
        let port = 4789u16.to_be_bytes();
        let vni = 42u32.to_ne_bytes();
        let data =
            build(&[], &[(1, &vni), (2, two), (4, one), (5, &[64]), (7, &[1]), (15, &port), (29, &[1])]);
        let vxlan = parse("vxlan", &data).unwrap();
        assert_eq!((vxlan.local, vxlan.remote, vxlan.vni, vxlan.port), (local, remote, Some(42), Some(4789)));
        assert_eq!((vxlan.dont_fragment, vxlan.ttl), (Some(true), Some(64)));
        assert_eq!(vxlan.vxlan, Some(Vxlan { is_learning: true, is_external: false }));
        mistreat(&data, |data| parse("vxlan", data));

        let data = build(&[], &[(1, &vni), (2, two), (5, &port), (6, b""), (13, &[2])]);
        let geneve = parse("geneve", &data).unwrap();
        assert_eq!((geneve.remote, geneve.vni, geneve.is_external), (remote, Some(42), true));
        assert_eq!(geneve.dont_fragment, None, "as the inner packet says");

        for (kind, numbers) in [("ipip", [2, 3, 10]), ("gre", [6, 7, 10])] {
            let data = build(&[], &[(numbers[0], one), (numbers[1], two), (numbers[2], &[0])]);
            let tunnel = parse(kind, &data).unwrap();
            assert_eq!((tunnel.local, tunnel.remote, tunnel.dont_fragment), (local, remote, Some(false)));
        }
        assert_eq!(parse("ipip", &build(&[], &[(3, &[0; 4])])).unwrap().remote, None, "any");
        assert_eq!(parse("veth", &data), None);
    }
}
