//! Routing rules (`linux/fib_rules.h`, ip-rule(8)).

use std::net::IpAddr;

use tracer_core::evidence::{RouteKind, RoutingRule};

use super::attributes::{AF_INET6, address, byte, number, unspecified};
use super::{dump, routes};
use crate::kernel::netlink::{Connection, NetlinkError, attribute, field, text};

const RTM_NEWRULE: u16 = 32;
const RTM_GETRULE: u16 = 34;
/// `struct fib_rule_hdr`: family, lengths of destination and source, type of service, table, two spare, action, flags.
const HEADER_LEN: usize = 12;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
/// Of a suppressed length or group: none.
const NONE: u32 = u32::MAX;

/// Lists the rules of IPv4 and of IPv6, each in the order in which they are asked.
pub(super) fn read(connection: &mut Connection) -> Result<Vec<RoutingRule>, NetlinkError> {
    let messages = dump(connection, "list the routing rules", (RTM_GETRULE, RTM_NEWRULE), &[0; HEADER_LEN])?;
    let mut rules: Vec<_> = messages.filter_map(|message| parse(&message.body)).collect();
    rules.sort_by_key(|rule| (rule.is_ipv6, rule.priority));
    Ok(rules)
}

/// Absent for families other than those of IP.
fn parse(body: &[u8]) -> Option<RoutingRule> {
    let attributes = body.get(HEADER_LEN..)?;
    let any = unspecified(body[0])?;
    let flags = u32::from_ne_bytes(field(body, 8)?);
    let action = body[7];
    Some(RoutingRule {
        priority: number(attributes, FRA_PRIORITY).unwrap_or(0),
        is_ipv6: body[0] == AF_INET6,
        source: network(attributes, FRA_SRC, body[2], any),
        destination: network(attributes, FRA_DST, body[1], any),
        mark: mark(attributes),
        input: text(attributes, FRA_IIFNAME),
        output: text(attributes, FRA_OIFNAME),
        table: (action == FR_ACT_TO_TBL)
            .then(|| number(attributes, FRA_TABLE).unwrap_or_else(|| body[4].into())),
        kind: kind(action),
        is_inverted: flags & FIB_RULE_INVERT != 0,
        suppress_prefix: number(attributes, FRA_SUPPRESS_PREFIXLEN).filter(|length| *length != NONE),
        others: others(body[3], attributes),
    })
}

const fn kind(action: u8) -> RouteKind {
    match action {
        FR_ACT_TO_TBL => RouteKind::Unicast,
        6..=8 => routes::kind(action),
        _ => RouteKind::Other,
    }
}

fn network(attributes: &[u8], kind: u16, length: u8, any: IpAddr) -> Option<(IpAddr, u8)> {
    let network = address(attributes, kind).map(|address| (address, length));
    network.or((length > 0).then_some((any, length)))
}

fn mark(attributes: &[u8]) -> Option<(u32, u32)> {
    let bits = number(attributes, FRA_FWMASK);
    // A rule without a mark has none of mask 0 either.
    let mark = number(attributes, FRA_FWMARK).or_else(|| bits.filter(|bits| *bits != 0).map(|_| 0))?;
    Some((mark, bits.unwrap_or(u32::MAX)))
}

/// What else it asks for or does, as `ip rule` says it.
fn others(service: u8, attributes: &[u8]) -> Vec<String> {
    let range = |kind, word: &str| {
        let bytes = attribute(attributes, kind)?;
        let (first, last) = (u16::from_ne_bytes(field(bytes, 0)?), u16::from_ne_bytes(field(bytes, 2)?));
        Some(format!("{word} {first}-{last}"))
    };
    let uids = || {
        let bytes = attribute(attributes, FRA_UID_RANGE)?;
        let (first, last) = (u32::from_ne_bytes(field(bytes, 0)?), u32::from_ne_bytes(field(bytes, 4)?));
        Some(format!("uidrange {first}-{last}"))
    };
    let others = [
        (service != 0).then(|| format!("tos {service:#x}")),
        number(attributes, FRA_GOTO).map(|priority| format!("goto {priority}")),
        attribute(attributes, FRA_TUN_ID).map(|_| "tun_id".to_owned()),
        number(attributes, FRA_SUPPRESS_IFGROUP)
            .filter(|group| *group != NONE)
            .map(|group| format!("suppress_ifgroup {group}")),
        byte(attributes, FRA_L3MDEV).filter(|flag| *flag != 0).map(|_| "l3mdev".to_owned()),
        uids(),
        byte(attributes, FRA_IP_PROTO).map(|protocol| format!("ipproto {protocol}")),
        range(FRA_SPORT_RANGE, "sport"),
        range(FRA_DPORT_RANGE, "dport"),
    ];
    others.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{AF_INET, build, mistreat};
    use super::*;

    fn rule(action: u8, flags: u32, list: &[(u16, &[u8])]) -> Vec<u8> {
        let mut header = vec![AF_INET, 0, 16, 0, 254, 0, 0, action];
        header.extend(flags.to_ne_bytes());
        build(&header, list)
    }

    #[test]
    fn rule_with_conditions() {
        let body = rule(
            FR_ACT_TO_TBL,
            FIB_RULE_INVERT,
            &[
                (FRA_PRIORITY, &[100, 0, 0, 0]),
                (FRA_SRC, &[10, 244, 0, 0]),
                (FRA_FWMARK, &[0x40, 0, 0, 0]),
                (FRA_FWMASK, &[0xff, 0, 0, 0]),
                (FRA_IIFNAME, b"eth0\0"),
                (FRA_SUPPRESS_PREFIXLEN, &[0; 4]),
                (FRA_DPORT_RANGE, &[80, 0, 90, 0]),
                (FRA_IP_PROTO, &[6]),
            ],
        );
        let found = parse(&body).unwrap();
        assert_eq!((found.priority, found.table, found.kind), (100, Some(254), RouteKind::Unicast));
        assert_eq!((found.source, found.destination), (Some(([10, 244, 0, 0].into(), 16)), None));
        assert_eq!((found.mark, found.input.as_deref()), (Some((0x40, 0xff)), Some("eth0")));
        assert_eq!((found.is_inverted, found.suppress_prefix), (true, Some(0)));
        assert_eq!(found.others, ["ipproto 6", "dport 80-90"]);
        mistreat(&body, parse);
    }

    #[test]
    fn rules_that_refuse() {
        for (action, expected) in [
            (6, RouteKind::Blackhole),
            (7, RouteKind::Unreachable),
            (8, RouteKind::Prohibit),
            (2, RouteKind::Other),
        ] {
            let found = parse(&rule(action, 0, &[(FRA_SUPPRESS_PREFIXLEN, &NONE.to_ne_bytes())])).unwrap();
            assert_eq!((found.kind, found.table, found.suppress_prefix), (expected, None, None));
        }
        assert_eq!(parse(&[128; 12]), None, "of multicast routing");
    }
}
