//! What the kernel tells of the ways to some addresses: links, routes, and, where a bridge is in between, neighbours and
//! what the bridge has heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tracer_core::way::{Facts, LinkIndex, Mac, NodeLink, Other, Route};

use super::message::{self, LinkMessage, RTMSG_LEN, ip, number};
use super::{LinkState, Prefix, dump};
use crate::kernel::interfaces::IfIndex;
use crate::kernel::netlink::{
    Connection, NLM_F_ACK, NLM_F_DUMP, NetlinkError, attribute, field, put_attribute,
};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_VIA: u16 = 18;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// `struct rtvia`: the family, before the address.
const RTVIA_LEN: usize = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const AF_BRIDGE: u8 = 7;
/// `struct ndmsg`: family, padding, index, state, flags, type (`linux/neighbour.h`).
const NDMSG_LEN: usize = 12;
/// Of bridges the kernel wants `struct ifinfomsg` (`valid_fdb_dump_legacy`, net/core/rtnetlink.c).
const IFINFOMSG_LEN: usize = 16;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_MASTER: u16 = 9;
/// Of a bridge's own addresses.
const NUD_PERMANENT: u16 = 0x80;
/// Addresses that are out in the world on every node (RFC 5737, RFC 3849): the way to them is the default route.
const ABROAD: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Asks the thread's network namespace. It takes no privilege.
pub fn facts<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> Result<Facts, NetlinkError> {
    let mut connection = Connection::open()?;
    let messages = message::links(&mut connection)?;
    let own = message::addresses(&mut connection)?;
    let links: Vec<_> = messages.iter().map(|link| node_link(link, own.get(&link.index))).collect();
    let mut routes = BTreeMap::new();
    for address in addresses {
        if let Some(route) = route(&mut connection, *address)? {
            routes.insert(*address, route);
        }
    }
    let mut defaults = Vec::new();
    for address in ABROAD {
        defaults.extend(route(&mut connection, address)?);
    }
    let mut facts = Facts { links, routes, defaults, ..Facts::default() };
    if has_bridge(&facts) {
        facts.neighbours = neighbours(&mut connection)?;
        facts.stations = stations(&mut connection)?;
    }
    Ok(facts)
}

/// Whether tables of a bridge matter: a node without one has none, and a neighbour table may be long.
fn has_bridge(facts: &Facts) -> bool {
    facts.links.iter().any(|link| link.kind.as_deref() == Some("bridge"))
}

fn node_link(link: &LinkMessage, own: Option<&Vec<Prefix>>) -> NodeLink {
    let other = match (link.is_pair(), link.other, link.namespace) {
        (true, _, Some(_)) => Other::PairElsewhere,
        (true, _, None) => Other::PairHere,
        (false, Some(below), None) => Other::Below(LinkIndex(below.0)),
        (false, ..) => Other::None,
    };
    NodeLink {
        index: LinkIndex(link.index.0),
        name: link.name.clone(),
        kind: link.kind().map(str::to_owned),
        is_loopback: link.is_loopback(),
        is_up: link.state != LinkState::Down,
        master: link.master.map(|IfIndex(index)| LinkIndex(index)),
        other,
        has_network: own.is_some_and(|own| own.iter().any(is_of_network)),
    }
}

/// Neither a single address nor one of the link alone.
fn is_of_network(prefix: &Prefix) -> bool {
    match prefix.address {
        IpAddr::V4(address) => prefix.length < 32 && !address.is_link_local(),
        IpAddr::V6(address) => prefix.length < 128 && !address.is_unicast_link_local(),
    }
}

/// The way that a packet to an address takes, all rules considered; absent where there is none.
fn route(connection: &mut Connection, address: IpAddr) -> Result<Option<Route>, NetlinkError> {
    let mut body = vec![0; RTMSG_LEN];
    (body[0], body[1]) = if address.is_ipv4() { (AF_INET, 32) } else { (AF_INET6, 128) };
    match address {
        IpAddr::V4(address) => put_attribute(&mut body, RTA_DST, &address.octets()),
        IpAddr::V6(address) => put_attribute(&mut body, RTA_DST, &address.octets()),
    }
    match connection.request("look up a route", RTM_GETROUTE, NLM_F_ACK, &body) {
        Ok(answer) => Ok(answer
            .iter()
            .find(|message| message.kind == RTM_NEWROUTE)
            .and_then(|message| parse_route(&message.body))),
        // Unreachable, prohibited, a black hole; or no IPv6 here.
        Err(NetlinkError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_route(body: &[u8]) -> Option<Route> {
    let attributes = body.get(RTMSG_LEN..)?;
    match *body.get(7)? {
        RTN_LOCAL => Some(Route::Local),
        RTN_UNICAST => {
            let via = attribute(attributes, RTA_VIA).and_then(|via| via.get(RTVIA_LEN..));
            let gateway = attribute(attributes, RTA_GATEWAY).or(via).and_then(ip);
            Some(Route::Link(LinkIndex(number(attributes, RTA_OIF)?), gateway))
        }
        _ => None,
    }
}

fn neighbours(connection: &mut Connection) -> Result<BTreeMap<(LinkIndex, IpAddr), Mac>, NetlinkError> {
    let messages = dump(connection, "list the neighbours", RTM_GETNEIGH, NDMSG_LEN, RTM_NEWNEIGH)?;
    Ok(messages.filter_map(|message| parse_neighbour(&message.body)).collect())
}

fn parse_neighbour(body: &[u8]) -> Option<((LinkIndex, IpAddr), Mac)> {
    let attributes = body.get(NDMSG_LEN..)?;
    let address = ip(attribute(attributes, NDA_DST)?)?;
    let mac = attribute(attributes, NDA_LLADDR)?.try_into().ok()?;
    Some(((LinkIndex(u32::from_ne_bytes(field(body, 4)?)), address), mac))
}

fn stations(connection: &mut Connection) -> Result<BTreeMap<(LinkIndex, Mac), LinkIndex>, NetlinkError> {
    let mut request = vec![0; IFINFOMSG_LEN];
    request[0] = AF_BRIDGE;
    let answer = connection.request("list what bridges have heard", RTM_GETNEIGH, NLM_F_DUMP, &request)?;
    let heard = answer.iter().filter(|message| message.kind == RTM_NEWNEIGH);
    Ok(heard.filter_map(|message| parse_station(&message.body)).collect())
}

/// Absent for what a device knows beside its bridge, and for the addresses of the ports themselves.
fn parse_station(body: &[u8]) -> Option<((LinkIndex, Mac), LinkIndex)> {
    let attributes = body.get(NDMSG_LEN..)?;
    let port = LinkIndex(u32::from_ne_bytes(field(body, 4)?));
    let state = u16::from_ne_bytes(field(body, 8)?);
    let mac = attribute(attributes, NDA_LLADDR)?.try_into().ok()?;
    let bridge = LinkIndex(number(attributes, NDA_MASTER)?);
    (state & NUD_PERMANENT == 0 && port != bridge).then_some(((bridge, mac), port))
}

/// The addresses on the interfaces of the thread's network namespace, those of loopback aside.
pub fn own_addresses() -> Result<BTreeSet<IpAddr>, NetlinkError> {
    let mut connection = Connection::open()?;
    let links = message::links(&mut connection)?;
    let loopbacks: BTreeSet<IfIndex> =
        links.iter().filter(|link| link.is_loopback()).map(|link| link.index).collect();
    let own = message::addresses(&mut connection)?.into_iter();
    let own = own.filter(|(index, _)| !loopbacks.contains(index));
    Ok(own.flat_map(|(_, own)| own).map(|prefix| prefix.address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(header: &[u8], list: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = header.to_vec();
        for (kind, value) in list {
            put_attribute(&mut bytes, *kind, value);
        }
        bytes
    }

    #[test]
    fn answers_to_a_look_up() {
        let route = |kind, list: &[(u16, &[u8])]| {
            parse_route(&message(&[AF_INET, 32, 0, 0, 254, 0, 0, kind, 0, 0, 0, 0], list))
        };
        let oif: (u16, &[u8]) = (RTA_OIF, &[4, 0, 0, 0]);
        let gateway = Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(route(RTN_UNICAST, &[oif]), Some(Route::Link(LinkIndex(4), None)));
        assert_eq!(
            route(RTN_UNICAST, &[oif, (RTA_GATEWAY, &[10, 0, 0, 1])]),
            Some(Route::Link(LinkIndex(4), gateway))
        );
        let via = [&AF_INET.to_ne_bytes()[..], &[0], &[10, 0, 0, 1]].concat();
        assert_eq!(route(RTN_UNICAST, &[oif, (RTA_VIA, &via)]), Some(Route::Link(LinkIndex(4), gateway)));
        assert_eq!(route(RTN_LOCAL, &[(RTA_OIF, &[1, 0, 0, 0])]), Some(Route::Local));
        assert_eq!(route(6, &[oif]), None, "a black hole");
        assert_eq!(route(RTN_UNICAST, &[]), None);
    }

    #[test]
    fn tables_of_a_bridge() {
        let header = |state: u8| [AF_BRIDGE, 0, 0, 0, 5, 0, 0, 0, state, 0, 0, 0];
        let mac = [2, 0, 0, 0, 0, 5];
        let list: [(u16, &[u8]); 2] = [(NDA_LLADDR, &mac), (NDA_MASTER, &[3, 0, 0, 0])];
        let station = Some(((LinkIndex(3), mac), LinkIndex(5)));
        assert_eq!(parse_station(&message(&header(2), &list)), station);
        assert_eq!(parse_station(&message(&header(0x40), &list)), station, "set by hand");
        assert_eq!(parse_station(&message(&header(0x80), &list)), None, "the port itself");
        assert_eq!(parse_station(&message(&header(2), &list[..1])), None, "a VXLAN's own table");
        let neighbour = message(&header(4), &[(NDA_DST, &[10, 0, 0, 9]), (NDA_LLADDR, &mac)]);
        let address = IpAddr::from([10, 0, 0, 9]);
        assert_eq!(parse_neighbour(&neighbour), Some(((LinkIndex(5), address), mac)));
        assert_eq!(parse_neighbour(&message(&header(1), &[(NDA_DST, &[10, 0, 0, 9])])), None);
    }

    #[test]
    fn links_in_their_roles() {
        let prefix = |text: &str, length| Prefix { address: text.parse().unwrap(), length };
        let table = [
            ("10.0.0.1", 24, true),
            ("10.0.0.1", 32, false),
            ("169.254.1.1", 16, false),
            ("fe80::1", 64, false),
            ("fd00::1", 64, true),
            ("fd00::1", 128, false),
        ];
        for (address, length, expected) in table {
            assert_eq!(is_of_network(&prefix(address, length)), expected, "{address}/{length}");
        }
    }

    #[test]
    fn this_machine_tells_of_itself() {
        let home = IpAddr::from([127, 0, 0, 1]);
        let facts = facts(&[home]).unwrap();
        assert_eq!(facts.routes.get(&home), Some(&Route::Local));
        assert!(facts.links.iter().any(|link| link.is_loopback && link.name == "lo"));
        assert!(!own_addresses().unwrap().contains(&home));
    }
}
