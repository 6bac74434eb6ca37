//! Routes of all tables, IPv4 and IPv6 (rtnetlink(7), `linux/rtnetlink.h`).

use std::net::IpAddr;

use tracer_core::evidence::{Route, RouteKind};
use tracer_core::way::LinkIndex;

use super::attributes::{address, index, ip, number, unspecified};
use super::dump;
use crate::kernel::netlink::{Connection, NetlinkError, attribute, field};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
/// `struct rtmsg`: family, length of destination and source, type of service, table, protocol, scope, type, flags.
const RTMSG_LEN: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
/// `struct rtvia`: the family, before the address.
const RTVIA_LEN: usize = 2;
/// `struct rtnexthop`: length, flags, hops, index.
const RTNEXTHOP_LEN: usize = 8;
const RTNH_F_DEAD: u32 = 1;
const RTNH_F_ONLINK: u32 = 4;
/// The answer is not in a table: a path MTU or a redirect that was learned.
const RTM_F_CLONED: u32 = 0x200;
const RT_TABLE_COMPAT: u8 = 252;

/// Routes as somebody made them, and what the kernel learned.
#[derive(Default)]
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    pub(super) exceptions: Vec<Route>,
}

/// Lists routes in the order of the kernel, which is that of no table in particular.
pub(super) fn read(connection: &mut Connection) -> Result<Routes, NetlinkError> {
    let mut all = Routes::default();
    let messages = dump(connection, "list the routes", (RTM_GETROUTE, RTM_NEWROUTE), &[0; RTMSG_LEN])?;
    for message in messages {
        all.take(&message.body);
    }
    Ok(all)
}

impl Routes {
    fn take(&mut self, body: &[u8]) {
        let Some((route, flags)) = parse(body) else { return };
        if flags & RTM_F_CLONED != 0 {
            self.exceptions.push(route);
            return;
        }
        match body.get(RTMSG_LEN..).and_then(|attributes| attribute(attributes, RTA_MULTIPATH)) {
            Some(hops) => self.routes.extend(each_hop(hops).map(|hop| hop.of(&route))),
            None => self.routes.push(route),
        }
    }
}

/// A route and its flags; absent for families other than those of IP.
fn parse(body: &[u8]) -> Option<(Route, u32)> {
    let attributes = body.get(RTMSG_LEN..)?;
    let flags = u32::from_ne_bytes(field(body, 8)?);
    let any = unspecified(body[0])?;
    let table = number(attributes, RTA_TABLE)
        .or(Some(u32::from(body[4])).filter(|table| *table != u32::from(RT_TABLE_COMPAT)))?;
    let route = Route {
        table,
        destination: address(attributes, RTA_DST).unwrap_or(any),
        prefix: body[1],
        kind: kind(body[7]),
        gateway: gateway(attributes),
        link: index(attributes, RTA_OIF).map(LinkIndex),
        source: address(attributes, RTA_PREFSRC),
        priority: number(attributes, RTA_PRIORITY).unwrap_or(0),
        protocol: body[5],
        is_onlink: flags & RTNH_F_ONLINK != 0,
        mtu: attribute(attributes, RTA_METRICS).and_then(|metrics| number(metrics, RTAX_MTU)),
        is_dead: is_dead(flags),
    };
    Some((route, flags))
}

/// Without carrier a route is told as dead only where the kernel passes it for that (`ignore_routes_with_linkdown`).
const fn is_dead(flags: u32) -> bool {
    flags & RTNH_F_DEAD != 0
}

/// `RTN_*`; shared with routing rules, whose actions from 6 on are the same.
pub(super) const fn kind(number: u8) -> RouteKind {
    match number {
        1 => RouteKind::Unicast,
        2 => RouteKind::Local,
        3..=5 => RouteKind::Group,
        6 => RouteKind::Blackhole,
        7 => RouteKind::Unreachable,
        8 => RouteKind::Prohibit,
        9 => RouteKind::Throw,
        _ => RouteKind::Other,
    }
}

/// The gateway may be of the other family (`via inet6`).
fn gateway(attributes: &[u8]) -> Option<IpAddr> {
    let via = || attribute(attributes, RTA_VIA).and_then(|via| via.get(RTVIA_LEN..)).and_then(ip);
    address(attributes, RTA_GATEWAY).or_else(via)
}

/// One of several next hops.
struct Hop {
    gateway: Option<IpAddr>,
    link: Option<LinkIndex>,
    flags: u32,
}

impl Hop {
    fn of(self, route: &Route) -> Route {
        let flags = self.flags;
        Route {
            gateway: self.gateway,
            link: self.link,
            is_onlink: flags & RTNH_F_ONLINK != 0,
            is_dead: is_dead(flags),
            ..route.clone()
        }
    }
}

/// The next hops, up to the first damaged one.
fn each_hop(mut hops: &[u8]) -> impl Iterator<Item = Hop> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(hops, 0)?));
        let attributes = hops.get(RTNEXTHOP_LEN..length)?;
        let link = u32::from_ne_bytes(field(hops, 4)?);
        let flags = u32::from(*hops.get(2)?);
        hops = hops.get(length.next_multiple_of(4)..).unwrap_or_default();
        let link = Some(link).filter(|link| *link != 0).map(LinkIndex);
        Some(Hop { gateway: gateway(attributes), link, flags })
    })
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{AF_INET, AF_INET6, build, mistreat};
    use super::*;

    fn header(family: u8, prefix: u8, table: u8, kind: u8, flags: u32) -> Vec<u8> {
        let mut bytes = vec![family, prefix, 0, 0, table, 80, 0, kind];
        bytes.extend(flags.to_ne_bytes());
        bytes
    }

    fn parse_all(body: &[u8]) -> Routes {
        let mut routes = Routes::default();
        routes.take(body);
        routes
    }

    #[test]
    fn route_by_a_gateway() {
        let metrics = build(&[], &[(RTAX_MTU, &1400u32.to_ne_bytes())]);
        let list: [(u16, &[u8]); 6] = [
            (RTA_TABLE, &1000u32.to_ne_bytes()),
            (RTA_DST, &[10, 244, 1, 0]),
            (RTA_OIF, &[4, 0, 0, 0]),
            (RTA_GATEWAY, &[10, 0, 0, 2]),
            (RTA_PRIORITY, &[100, 0, 0, 0]),
            (RTA_METRICS, &metrics),
        ];
        let body = build(&header(AF_INET, 24, RT_TABLE_COMPAT, 1, RTNH_F_ONLINK), &list);
        let all = parse_all(&body);
        let route = &all.routes[0];
        assert_eq!((route.table, route.destination, route.prefix), (1000, [10, 244, 1, 0].into(), 24));
        assert_eq!((route.gateway, route.link), (Some([10, 0, 0, 2].into()), Some(LinkIndex(4))));
        assert_eq!((route.priority, route.protocol, route.mtu), (100, 80, Some(1400)));
        assert!(route.is_onlink && !route.is_dead);
        mistreat(&body, parse_all);
    }

    #[test]
    fn default_routes_have_the_unspecified_destination() {
        let v6 = parse_all(&header(AF_INET6, 0, 254, 7, RTNH_F_DEAD));
        assert_eq!(
            (v6.routes[0].destination, v6.routes[0].kind),
            (IpAddr::from([0; 16]), RouteKind::Unreachable)
        );
        assert!(v6.routes[0].is_dead);
        assert!(parse_all(&header(28, 20, 254, 1, 0)).routes.is_empty(), "MPLS");
    }

    #[test]
    fn learned_ones_are_kept_apart() {
        let body = build(&header(AF_INET, 32, 254, 1, RTM_F_CLONED), &[(RTA_DST, &[10, 0, 0, 9])]);
        let all = parse_all(&body);
        assert_eq!((all.routes.len(), all.exceptions.len()), (0, 1));
    }

    #[test]
    fn each_of_several_next_hops_is_a_route() {
        let hop = |index: u8, flags: u8, gateway: [u8; 4]| {
            let attributes = build(&[], &[(RTA_GATEWAY, &gateway)]);
            let length = u16::try_from(RTNEXTHOP_LEN + attributes.len()).unwrap();
            [&length.to_ne_bytes()[..], &[flags, 0, index, 0, 0, 0], &attributes].concat()
        };
        let hops = [hop(4, 0, [10, 0, 0, 2]), hop(5, 1, [10, 0, 0, 3])].concat();
        let body =
            build(&header(AF_INET, 24, 254, 1, 0), &[(RTA_DST, &[10, 1, 0, 0]), (RTA_MULTIPATH, &hops)]);
        let found: Vec<_> =
            parse_all(&body).routes.iter().map(|route| (route.link, route.gateway, route.is_dead)).collect();
        let expected = [
            (Some(LinkIndex(4)), Some([10, 0, 0, 2].into()), false),
            (Some(LinkIndex(5)), Some([10, 0, 0, 3].into()), true),
        ];
        assert_eq!(found, expected);
        mistreat(&body, parse_all);
    }

    #[test]
    fn gateway_of_the_other_family() {
        let via = [&10u16.to_ne_bytes()[..], &[0xfe; 16]].concat();
        let body = build(&header(AF_INET, 24, 254, 1, 0), &[(RTA_DST, &[10, 1, 0, 0]), (RTA_VIA, &via)]);
        assert_eq!(parse_all(&body).routes[0].gateway, Some([0xfe; 16].into()));
    }
}
