//! What rtnetlink tells about links, addresses and routes (rtnetlink(7), `linux/if_link.h`, `linux/rtnetlink.h`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{LinkState, Prefix, Tag, dump};
use crate::kernel::interfaces::{IfIndex, LinkType};
use crate::kernel::netlink::{Connection, NetlinkError, attribute, field, text};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
/// `struct ifinfomsg`: family, padding, type, index, flags, change.
const IFINFOMSG_LEN: usize = 16;
/// `struct ifaddrmsg`: family, length of the prefix, flags, scope, index.
const IFADDRMSG_LEN: usize = 8;
/// `struct rtmsg`: family, length of destination and source, type of service, table, protocol, scope, type, flags.
pub(super) const RTMSG_LEN: usize = 12;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_LOWER_UP: u32 = 1 << 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// The same number in the data of each of these kinds: `IFLA_VLAN_ID`, `IFLA_VXLAN_ID`, `IFLA_GENEVE_ID`.
const ID: u16 = 1;
const IFLA_TUN_TYPE: u16 = 3;
/// A VXLAN tells the interface that carries it in its data only.
const IFLA_VXLAN_LINK: u16 = 3;
/// `IFF_TAP` of `linux/if_tun.h`.
const TAP: u8 = 2;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_VIA: u16 = 18;
const RT_TABLE_MAIN: u8 = 254;
const RTN_UNICAST: u8 = 1;
/// Kinds that come in pairs, one end of which may be in another namespace.
const PAIRS: [&str; 3] = ["veth", "netkit", "vxcan"];

/// Number of a network namespace as seen from another one (`NETNSA_NSID`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct NamespaceId(pub(super) i32);

/// A link as the kernel tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LinkMessage {
    pub(super) index: IfIndex,
    pub(super) name: String,
    pub(super) state: LinkState,
    pub(super) link_type: LinkType,
    pub(super) mac: Option<[u8; 6]>,
    pub(super) mtu: u32,
    pub(super) master: Option<IfIndex>,
    pub(super) tag: Option<Tag>,
    /// The peer or the link below.
    pub(super) other: Option<IfIndex>,
    /// Where that one is; absent for the same namespace.
    pub(super) namespace: Option<NamespaceId>,
    kind: Option<String>,
    is_loopback: bool,
    is_tap: bool,
}

impl LinkMessage {
    fn parse(body: &[u8]) -> Option<Self> {
        let attributes = body.get(IFINFOMSG_LEN..)?;
        let flags = u32::from_ne_bytes(field(body, 8)?);
        let info = attribute(attributes, IFLA_LINKINFO).unwrap_or_default();
        let data = attribute(info, IFLA_INFO_DATA).unwrap_or_default();
        let kind = text(info, IFLA_INFO_KIND);
        let index = |attributes, kind| number(attributes, kind).filter(|index| *index != 0).map(IfIndex);
        let carrier = (kind.as_deref() == Some("vxlan")).then(|| index(data, IFLA_VXLAN_LINK)).flatten();
        let namespace = number(attributes, IFLA_LINK_NETNSID).map(|id| NamespaceId(id.cast_signed()));
        Some(Self {
            index: IfIndex(u32::from_ne_bytes(field(body, 4)?)),
            name: text(attributes, IFLA_IFNAME)?,
            state: state(flags),
            link_type: u16::from_ne_bytes(field(body, 2)?).into(),
            mac: attribute(attributes, IFLA_ADDRESS).and_then(|address| address.try_into().ok()),
            mtu: number(attributes, IFLA_MTU).unwrap_or(0),
            master: index(attributes, IFLA_MASTER),
            tag: tag(kind.as_deref(), data),
            other: index(attributes, IFLA_LINK).or(carrier),
            namespace,
            is_loopback: flags & IFF_LOOPBACK != 0,
            is_tap: kind.as_deref() == Some("tun") && attribute(data, IFLA_TUN_TYPE) == Some(&[TAP]),
            kind,
        })
    }

    /// Whether the other link is its equal, and does not carry it.
    pub(super) fn is_pair(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| PAIRS.contains(&kind))
    }

    /// The driver's kind; absent for hardware and loopback.
    pub(super) fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    pub(super) const fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// A word for every link.
    pub(super) fn kind_for_people(&self) -> String {
        match &self.kind {
            _ if self.is_tap => "tap".to_owned(),
            Some(kind) => kind.clone(),
            None if self.is_loopback => "loopback".to_owned(),
            None => "physical".to_owned(),
        }
    }
}

fn state(flags: u32) -> LinkState {
    match (flags & IFF_UP != 0, flags & IFF_LOWER_UP != 0) {
        (false, _) => LinkState::Down,
        (true, false) => LinkState::NoCarrier,
        (true, true) => LinkState::Up,
    }
}

fn tag(kind: Option<&str>, data: &[u8]) -> Option<Tag> {
    match kind? {
        "vlan" => Some(Tag::Vlan(u16::from_ne_bytes(field(attribute(data, ID)?, 0)?))),
        "vxlan" | "geneve" => number(data, ID).map(Tag::Vni),
        _ => None,
    }
}

pub(super) fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    field(attribute(attributes, kind)?, 0).map(u32::from_ne_bytes)
}

/// Every link, in the order of their indices.
pub(super) fn links(connection: &mut Connection) -> Result<Vec<LinkMessage>, NetlinkError> {
    let messages = dump(connection, "list the interfaces", RTM_GETLINK, IFINFOMSG_LEN, RTM_NEWLINK)?;
    let mut links: Vec<_> = messages.filter_map(|message| LinkMessage::parse(&message.body)).collect();
    links.sort_by_key(|link| link.index);
    Ok(links)
}

/// The addresses of every link.
pub(super) fn addresses(connection: &mut Connection) -> Result<BTreeMap<IfIndex, Vec<Prefix>>, NetlinkError> {
    let messages = dump(connection, "list the addresses", RTM_GETADDR, IFADDRMSG_LEN, RTM_NEWADDR)?;
    Ok(collect(messages.filter_map(|message| parse_address(&message.body))))
}

/// The single addresses that are routed to every link by the main table.
pub(super) fn routes(connection: &mut Connection) -> Result<BTreeMap<IfIndex, Vec<IpAddr>>, NetlinkError> {
    let messages = dump(connection, "list the routes", RTM_GETROUTE, RTMSG_LEN, RTM_NEWROUTE)?;
    Ok(collect(messages.filter_map(|message| parse_route(&message.body))))
}

fn collect<T>(pairs: impl Iterator<Item = (IfIndex, T)>) -> BTreeMap<IfIndex, Vec<T>> {
    let mut map: BTreeMap<_, Vec<T>> = BTreeMap::new();
    for (index, value) in pairs {
        map.entry(index).or_default().push(value);
    }
    map
}

fn parse_address(body: &[u8]) -> Option<(IfIndex, Prefix)> {
    let attributes = body.get(IFADDRMSG_LEN..)?;
    let index = IfIndex(u32::from_ne_bytes(field(body, 4)?));
    // On a point-to-point link the address is the other end's, and the local one is its own.
    let address = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS));
    Some((index, Prefix { address: ip(address?)?, length: *body.get(1)? }))
}

/// Absent for routes to networks, by gateways, of other tables, and for those that lead to no link.
fn parse_route(body: &[u8]) -> Option<(IfIndex, IpAddr)> {
    let attributes = body.get(RTMSG_LEN..)?;
    let (length, table, kind) = (*body.get(1)?, *body.get(4)?, *body.get(7)?);
    let address = ip(attribute(attributes, RTA_DST)?)?;
    let is_single = u32::from(length) == if address.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
    let has_gateway = [RTA_GATEWAY, RTA_VIA].iter().any(|kind| attribute(attributes, *kind).is_some());
    let is_wanted = is_single && table == RT_TABLE_MAIN && kind == RTN_UNICAST && !has_gateway;
    is_wanted.then_some((IfIndex(number(attributes, RTA_OIF)?), address))
}

pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::put_attribute;

    fn attributes(list: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in list {
            put_attribute(&mut bytes, *kind, value);
        }
        bytes
    }

    fn link(flags: u32, list: &[(u16, &[u8])]) -> LinkMessage {
        let mut body = vec![0, 0];
        body.extend(1u16.to_ne_bytes());
        body.extend(7u32.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(attributes(list));
        LinkMessage::parse(&body).unwrap()
    }

    #[test]
    fn end_of_a_pair_is_a_peer_in_its_namespace() {
        let info = attributes(&[(IFLA_INFO_KIND, b"veth\0")]);
        let link = link(
            IFF_UP | IFF_LOWER_UP,
            &[
                (IFLA_IFNAME, b"cali1\0"),
                (IFLA_MTU, &1480u32.to_ne_bytes()),
                (IFLA_LINK, &2u32.to_ne_bytes()),
                (IFLA_LINK_NETNSID, &0i32.to_ne_bytes()),
                (IFLA_LINKINFO, &info),
            ],
        );
        assert!(link.is_pair());
        assert_eq!((link.other, link.namespace), (Some(IfIndex(2)), Some(NamespaceId(0))));
        assert_eq!((link.state, link.mtu, link.master), (LinkState::Up, 1480, None));
    }

    #[test]
    fn numbers_of_networks_are_in_the_data_of_the_kind() {
        type Row<'a> = (&'a [u8], &'a [u8], &'a str, Option<Tag>);
        let table: [Row<'_>; 5] = [
            (b"vlan\0", &100u16.to_ne_bytes(), "vlan", Some(Tag::Vlan(100))),
            (b"vxlan\0", &4096u32.to_ne_bytes(), "vxlan", Some(Tag::Vni(4096))),
            (b"geneve\0", &5u32.to_ne_bytes(), "geneve", Some(Tag::Vni(5))),
            (b"bridge\0", &5u32.to_ne_bytes(), "bridge", None),
            (b"vxlan\0", &[1], "vxlan", None),
        ];
        for (kind, id, name, tag) in table {
            let data = attributes(&[(ID, id)]);
            let info = attributes(&[(IFLA_INFO_KIND, kind), (IFLA_INFO_DATA, &data)]);
            let link = link(0, &[(IFLA_IFNAME, b"x\0"), (IFLA_LINKINFO, &info)]);
            assert_eq!((link.kind_for_people().as_str(), link.tag), (name, tag));
        }
    }

    #[test]
    fn links_without_a_kind_have_a_word_too() {
        let tap = attributes(&[(IFLA_TUN_TYPE, &[TAP])]);
        let info = attributes(&[(IFLA_INFO_KIND, b"tun\0"), (IFLA_INFO_DATA, &tap)]);
        let name = (IFLA_IFNAME, &b"x\0"[..]);
        assert_eq!(link(IFF_LOOPBACK, &[name]).kind_for_people(), "loopback");
        assert_eq!(link(0, &[name]).kind_for_people(), "physical");
        assert_eq!(link(0, &[name, (IFLA_LINKINFO, &info)]).kind_for_people(), "tap");
        assert_eq!(link(IFF_UP, &[name]).state, LinkState::NoCarrier);
        assert_eq!(link(IFF_LOWER_UP, &[name]).state, LinkState::Down);
    }

    #[test]
    fn own_address_of_a_point_to_point_link() {
        let mut body = vec![2, 24, 0, 0, 3, 0, 0, 0];
        body.extend(attributes(&[(IFA_ADDRESS, &[10, 0, 0, 9]), (IFA_LOCAL, &[10, 0, 0, 1])]));
        let prefix = Prefix { address: Ipv4Addr::new(10, 0, 0, 1).into(), length: 24 };
        assert_eq!(parse_address(&body), Some((IfIndex(3), prefix)));
        assert_eq!(parse_address(&body[..9]), None);
    }

    #[test]
    fn only_routes_to_single_neighbours_count() {
        let route = |length, table, kind, more: &[(u16, &[u8])]| {
            let mut body = vec![2, length, 0, 0, table, 0, 0, kind, 0, 0, 0, 0];
            body.extend(attributes(&[(RTA_DST, &[10, 244, 1, 5]), (RTA_OIF, &4u32.to_ne_bytes())]));
            body.extend(attributes(more));
            parse_route(&body)
        };
        let found = Some((IfIndex(4), IpAddr::from([10, 244, 1, 5])));
        assert_eq!(route(32, RT_TABLE_MAIN, RTN_UNICAST, &[]), found);
        assert_eq!(route(24, RT_TABLE_MAIN, RTN_UNICAST, &[]), None);
        assert_eq!(route(32, 255, RTN_UNICAST, &[]), None);
        assert_eq!(route(32, RT_TABLE_MAIN, 2, &[]), None);
        assert_eq!(route(32, RT_TABLE_MAIN, RTN_UNICAST, &[(RTA_GATEWAY, &[10, 0, 0, 1])]), None);
    }
}
