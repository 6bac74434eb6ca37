//! The interfaces of a network namespace, now and as they come and go.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use super::netlink::{Connection, Message, NLM_F_DUMP, NetlinkError, attribute, field, text};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
/// `struct ifinfomsg`: family, padding, type, index, flags, change.
const IFINFOMSG_LEN: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
/// `struct rtmsg`: family, length of destination and source, and more.
const RTMSG_LEN: usize = 12;
const RTA_DST: u16 = 1;
const ENOBUFS: i32 = 105;

/// Index of an interface in its network namespace; never 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IfIndex(pub u32);

/// What the packets of an interface begin with, by its `ARPHRD_*` type (`linux/if_arp.h`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkType {
    /// An Ethernet header.
    Ethernet,
    /// An IP header.
    Ip,
    /// Something that kflow cannot read; the number is the type.
    Unsupported(u16),
}

impl From<u16> for LinkType {
    fn from(arphrd: u16) -> Self {
        match arphrd {
            // Ether, loopback.
            1 | 772 => Self::Ethernet,
            // PPP, raw IP, tunnel, tunnel6, SIT, IPGRE, IP6GRE, none.
            512 | 519 | 768 | 769 | 776 | 778 | 823 | 65_534 => Self::Ip,
            other => Self::Unsupported(other),
        }
    }
}

/// An interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: String,
    /// What its packets begin with.
    pub link_type: LinkType,
    /// The driver's kind (`veth`, `vxlan`, `bridge`); absent for hardware.
    pub kind: Option<String>,
    /// Its hardware address, if it has one of 48 bits.
    pub mac: Option<[u8; 6]>,
}

impl Link {
    /// Whether it is the loopback interface.
    pub fn is_loopback(&self) -> bool {
        self.name == "lo"
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let attributes = body.get(IFINFOMSG_LEN..)?;
        Some(Self {
            index: IfIndex(u32::from_ne_bytes(field(body, 4)?)),
            name: text(attributes, IFLA_IFNAME)?,
            link_type: u16::from_ne_bytes(field(body, 2)?).into(),
            kind: attribute(attributes, IFLA_LINKINFO).and_then(|info| text(info, IFLA_INFO_KIND)),
            mac: attribute(attributes, IFLA_ADDRESS).and_then(|address| address.try_into().ok()),
        })
    }
}

/// All interfaces of the thread's network namespace, in the order of their indices.
pub fn list() -> Result<Vec<Link>, NetlinkError> {
    let answer =
        Connection::open()?.request("list the interfaces", RTM_GETLINK, NLM_F_DUMP, &[0; IFINFOMSG_LEN])?;
    let mut links: Vec<_> = answer
        .iter()
        .filter(|message| message.kind == RTM_NEWLINK)
        .filter_map(|message| Link::parse(&message.body))
        .collect();
    links.sort_by_key(|link| link.index);
    Ok(links)
}

/// What happened to an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkEvent {
    /// It is new, or something of it changed: its name among others.
    Present(Link),
    /// It is gone, or in another network namespace.
    Gone(IfIndex),
    /// The way to the addresses of a network is another one: its address, and the length of its prefix.
    Routed(IpAddr, u8),
}

/// What a [`Watch`] has to tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changes {
    /// What happened, in order.
    Events(Vec<LinkEvent>),
    /// The kernel could not keep all that happened: list anew.
    Overrun,
}

/// Tells what happens to the interfaces of the network namespace that it was made in.
pub struct Watch(Connection);

impl Watch {
    /// Watches from now on: list the interfaces after this, not before.
    pub fn new() -> Result<Self, NetlinkError> {
        let mut connection = Connection::open()?;
        connection.subscribe(RTNLGRP_LINK)?;
        Ok(Self(connection))
    }

    /// Watches routes to networks and single addresses as well; the default route is not told of.
    pub fn with_routes() -> Result<Self, NetlinkError> {
        let mut watch = Self::new()?;
        watch.0.subscribe(RTNLGRP_IPV4_ROUTE)?;
        watch.0.subscribe(RTNLGRP_IPV6_ROUTE)?;
        Ok(watch)
    }

    /// What happened since the last time. Does not wait.
    pub fn changes(&mut self) -> Result<Changes, NetlinkError> {
        match self.0.pending() {
            Ok(messages) => Ok(Changes::Events(messages.iter().filter_map(event).collect())),
            Err(error) if error.errno() == Some(ENOBUFS) => Ok(Changes::Overrun),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn event(message: &Message) -> Option<LinkEvent> {
    const AF_UNSPEC: u8 = 0;
    if matches!(message.kind, RTM_NEWROUTE | RTM_DELROUTE) {
        return routed(&message.body);
    }
    // A bridge tells of its ports in messages of its own family: a port that leaves is no interface that leaves.
    if message.body.first() != Some(&AF_UNSPEC) {
        return None;
    }
    match message.kind {
        RTM_NEWLINK => Link::parse(&message.body).map(LinkEvent::Present),
        RTM_DELLINK => Some(LinkEvent::Gone(IfIndex(u32::from_ne_bytes(field(&message.body, 4)?)))),
        _ => None,
    }
}

fn routed(body: &[u8]) -> Option<LinkEvent> {
    let destination = attribute(body.get(RTMSG_LEN..)?, RTA_DST)?;
    let v4 = <[u8; 4]>::try_from(destination).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(destination).map(IpAddr::from)).ok()?;
    Some(LinkEvent::Routed(address, *body.get(1)?))
}

#[cfg(test)]
mod tests {
    use super::super::netlink::put_attribute;
    use super::*;

    fn body(family: u8, arphrd: u16, index: u32) -> Vec<u8> {
        let mut body = vec![family, 0];
        body.extend(arphrd.to_ne_bytes());
        body.extend(index.to_ne_bytes());
        body.extend([0; 8]);
        put_attribute(&mut body, IFLA_IFNAME, b"cali1\0");
        put_attribute(&mut body, IFLA_ADDRESS, &[0xee; 6]);
        let mut info = Vec::new();
        put_attribute(&mut info, IFLA_INFO_KIND, b"veth\0");
        put_attribute(&mut body, IFLA_LINKINFO, &info);
        body
    }

    #[test]
    fn link_message_becomes_a_link() {
        let link = Link {
            index: IfIndex(7),
            name: "cali1".to_owned(),
            link_type: LinkType::Ethernet,
            kind: Some("veth".to_owned()),
            mac: Some([0xee; 6]),
        };
        assert_eq!(Link::parse(&body(0, 1, 7)), Some(link.clone()));
        let message = |kind, family| Message { kind, body: body(family, 1, 7) };
        assert_eq!(event(&message(RTM_NEWLINK, 0)), Some(LinkEvent::Present(link)));
        assert_eq!(event(&message(RTM_DELLINK, 0)), Some(LinkEvent::Gone(IfIndex(7))));
        assert_eq!(event(&message(RTM_DELLINK, 7)), None, "a port that left its bridge is still there");
        assert_eq!(Link::parse(&[0; 12]), None);
    }

    #[test]
    fn route_message_becomes_its_destination() {
        let mut body = vec![2, 26, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(routed(&body), None, "the default route has no destination");
        put_attribute(&mut body, RTA_DST, &[10, 244, 1, 64]);
        let message = Message { kind: RTM_DELROUTE, body };
        assert_eq!(event(&message), Some(LinkEvent::Routed(IpAddr::from([10, 244, 1, 64]), 26)));
    }

    #[test]
    fn link_types() {
        let table = [
            (1, LinkType::Ethernet),
            (772, LinkType::Ethernet),
            (768, LinkType::Ip),
            (65_534, LinkType::Ip),
            (32, LinkType::Unsupported(32)),
        ];
        for (arphrd, expected) in table {
            assert_eq!(LinkType::from(arphrd), expected);
        }
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        assert!(list().unwrap().iter().any(|link| link.is_loopback() && link.index == IfIndex(1)));
    }
}
