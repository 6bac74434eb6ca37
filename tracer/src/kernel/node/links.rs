//! Links with their addresses and counters (rtnetlink(7), `linux/if_link.h`, `linux/if_addr.h`).

use std::collections::BTreeMap;

use tracer_core::evidence::{Link, LinkAddress, LinkCounters, LinkKind, Program, ProgramHook};
use tracer_core::way::LinkIndex;

use super::attributes::{address, byte, index, mac, number};
use super::sysctls::{self, Settings};
use super::{dump, tunnels};
use crate::kernel::netlink::{Connection, NetlinkError, attribute, field, text};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// `struct ifinfomsg`: family, padding, type, index, flags, change.
const IFINFOMSG_LEN: usize = 16;
/// `struct ifaddrmsg`: family, length of the prefix, flags, scope, index.
const IFADDRMSG_LEN: usize = 8;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_LOWER_UP: u32 = 1 << 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_QDISC: u16 = 6;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_CARRIER_CHANGES: u16 = 35;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// A VXLAN tells the interface that carries it in its data only.
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_TUN_TYPE: u16 = 3;
/// `IFF_TAP` of `linux/if_tun.h`.
const TAP: u8 = 2;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_DADFAILED: u32 = 8;

/// All links, and what else their messages tell.
#[derive(Default)]
pub(super) struct Links {
    pub(super) all: Vec<Link>,
    /// The numbers that this namespace has for those that far ends are in.
    pub(super) elsewhere: BTreeMap<LinkIndex, i32>,
    pub(super) xdp: Vec<Program>,
    pub(super) settings: Settings,
}

/// Lists the links in the order of their indices.
pub(super) fn read(connection: &mut Connection) -> Result<Links, NetlinkError> {
    let mut found = Links::default();
    let messages = dump(connection, "list the interfaces", (RTM_GETLINK, RTM_NEWLINK), &[0; IFINFOMSG_LEN])?;
    for message in messages {
        found.take(&message.body);
    }
    found.all.sort_by_key(|link| link.index);
    let mut addresses: BTreeMap<LinkIndex, Vec<LinkAddress>> = BTreeMap::new();
    let messages = dump(connection, "list the addresses", (RTM_GETADDR, RTM_NEWADDR), &[0; IFADDRMSG_LEN])?;
    for (link, address) in messages.filter_map(|message| parse_address(&message.body)) {
        addresses.entry(link).or_default().push(address);
    }
    for link in &mut found.all {
        link.addresses = addresses.remove(&link.index).unwrap_or_default();
    }
    Ok(found)
}

impl Links {
    /// A message that cannot be read is left out.
    fn take(&mut self, body: &[u8]) {
        let Some(attributes) = body.get(IFINFOMSG_LEN..) else { return };
        let Some(link) = parse_link(body, attributes) else { return };
        if let Some(id) = number(attributes, IFLA_LINK_NETNSID) {
            self.elsewhere.insert(link.index, id.cast_signed());
        }
        self.xdp.extend(xdp(link.index, attributes));
        if let Some(families) = attribute(attributes, IFLA_AF_SPEC) {
            sysctls::of_link(&link.name, families, &mut self.settings);
        }
        self.all.push(link);
    }
}

fn parse_link(body: &[u8], attributes: &[u8]) -> Option<Link> {
    let flags = u32::from_ne_bytes(field(body, 8)?);
    let info = attribute(attributes, IFLA_LINKINFO).unwrap_or_default();
    let data = attribute(info, IFLA_INFO_DATA).unwrap_or_default();
    let kind = text(info, IFLA_INFO_KIND);
    let carrier = (kind.as_deref() == Some("vxlan")).then(|| index(data, IFLA_VXLAN_LINK)).flatten();
    Some(Link {
        index: LinkIndex(u32::from_ne_bytes(field(body, 4)?)),
        name: text(attributes, IFLA_IFNAME)?,
        mac: mac(attributes, IFLA_ADDRESS),
        mtu: number(attributes, IFLA_MTU).unwrap_or(0),
        is_up: flags & IFF_UP != 0,
        has_carrier: flags & IFF_LOWER_UP != 0,
        master: index(attributes, IFLA_MASTER).map(LinkIndex),
        peer: index(attributes, IFLA_LINK).or(carrier).map(LinkIndex),
        peer_netns: None,
        is_peer_elsewhere: attribute(attributes, IFLA_LINK_NETNSID).is_some(),
        tunnel: kind.as_deref().and_then(|kind| tunnels::parse(kind, data)),
        addresses: Vec::new(),
        counters: counters(attributes).unwrap_or_default(),
        qdisc: text(attributes, IFLA_QDISC),
        qdisc_drops: 0,
        clsact_drops: 0,
        kind: word(kind, data, flags),
    })
}

/// A word for every link: the driver's kind where it has one.
fn word(kind: Option<String>, data: &[u8], flags: u32) -> LinkKind {
    LinkKind(match kind {
        Some(kind) if kind == "tun" && byte(data, IFLA_TUN_TYPE) == Some(TAP) => "tap".to_owned(),
        Some(kind) => kind,
        None if flags & IFF_LOOPBACK != 0 => "loopback".to_owned(),
        None => "physical".to_owned(),
    })
}

/// `struct rtnl_link_stats64`; a kernel may know fewer fields than the last ones here.
fn counters(attributes: &[u8]) -> Option<LinkCounters> {
    let stats = attribute(attributes, IFLA_STATS64)?;
    let at = |place: usize| field(stats, place * 8).map(u64::from_ne_bytes);
    Some(LinkCounters {
        rx_packets: at(0)?,
        tx_packets: at(1)?,
        rx_errors: at(4)?,
        tx_errors: at(5)?,
        rx_dropped: at(6)?,
        tx_dropped: at(7)?,
        rx_crc_errors: at(12).unwrap_or(0),
        rx_missed: at(15).unwrap_or(0),
        rx_nohandler: at(23).unwrap_or(0),
        carrier_changes: number(attributes, IFLA_CARRIER_CHANGES).unwrap_or(0).into(),
    })
}

/// The XDP program, if there is one; where there are several in different modes the kernel tells no id here.
fn xdp(link: LinkIndex, attributes: &[u8]) -> Option<Program> {
    let xdp = attribute(attributes, IFLA_XDP)?;
    byte(xdp, IFLA_XDP_ATTACHED).filter(|attached| *attached != 0)?;
    Some(Program {
        link,
        hook: ProgramHook::Xdp,
        id: number(xdp, IFLA_XDP_PROG_ID),
        name: None,
        kind: "xdp".to_owned(),
        priority: None,
        is_own: false,
    })
}

fn parse_address(body: &[u8]) -> Option<(LinkIndex, LinkAddress)> {
    let attributes = body.get(IFADDRMSG_LEN..)?;
    let flags = number(attributes, IFA_FLAGS).unwrap_or_else(|| body[2].into());
    // On a point-to-point link the address is the other end's, and the local one is its own.
    let own = address(attributes, IFA_LOCAL).or_else(|| address(attributes, IFA_ADDRESS))?;
    let address = LinkAddress { address: own, prefix: body[1], is_duplicate: flags & IFA_F_DADFAILED != 0 };
    Some((LinkIndex(u32::from_ne_bytes(field(body, 4)?)), address))
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{build, mistreat};
    use super::*;

    const NAME: (u16, &[u8]) = (IFLA_IFNAME, b"x\0");

    fn message(flags: u32, list: &[(u16, &[u8])]) -> Vec<u8> {
        let mut header = vec![0, 0, 1, 0, 7, 0, 0, 0];
        header.extend(flags.to_ne_bytes());
        header.extend([0; 4]);
        build(&header, list)
    }

    fn parse(body: &[u8]) -> Links {
        let mut links = Links::default();
        links.take(body);
        links
    }

    #[test]
    fn end_of_a_pair_with_its_counters() {
        let stats: Vec<u8> = (0..24u64).flat_map(u64::to_ne_bytes).collect();
        let info = build(&[], &[(IFLA_INFO_KIND, b"veth\0")]);
        let body = message(
            IFF_UP | IFF_LOWER_UP,
            &[
                NAME,
                (IFLA_MTU, &1480u32.to_ne_bytes()),
                (IFLA_LINK, &2u32.to_ne_bytes()),
                (IFLA_LINK_NETNSID, &3i32.to_ne_bytes()),
                (IFLA_ADDRESS, &[0xee; 6]),
                (IFLA_QDISC, b"noqueue\0"),
                (IFLA_LINKINFO, &info),
                (IFLA_STATS64, &stats),
                (IFLA_CARRIER_CHANGES, &4u32.to_ne_bytes()),
            ],
        );
        let links = parse(&body);
        let link = &links.all[0];
        assert_eq!((link.index, link.name.as_str(), link.kind.0.as_str()), (LinkIndex(7), "x", "veth"));
        assert_eq!((link.mtu, link.is_up, link.has_carrier), (1480, true, true));
        assert_eq!((link.peer, link.is_peer_elsewhere), (Some(LinkIndex(2)), true));
        assert_eq!(links.elsewhere[&LinkIndex(7)], 3);
        assert_eq!(link.mac.as_deref(), Some("ee:ee:ee:ee:ee:ee"));
        assert_eq!(link.qdisc.as_deref(), Some("noqueue"));
        let LinkCounters { rx_packets, rx_dropped, tx_dropped, rx_crc_errors, rx_missed, .. } = link.counters;
        assert_eq!((rx_packets, rx_dropped, tx_dropped, rx_crc_errors, rx_missed), (0, 6, 7, 12, 15));
        assert_eq!((link.counters.rx_nohandler, link.counters.carrier_changes), (23, 4));
        mistreat(&body, parse);
    }

    #[test]
    fn links_without_a_kind_have_a_word_too() {
        let tap = build(&[], &[(IFLA_TUN_TYPE, &[TAP])]);
        let info = build(&[], &[(IFLA_INFO_KIND, b"tun\0"), (IFLA_INFO_DATA, &tap)]);
        let kind = |flags, list: &[(u16, &[u8])]| parse(&message(flags, list)).all[0].kind.0.clone();
        assert_eq!(kind(IFF_LOOPBACK, &[NAME]), "loopback");
        assert_eq!(kind(0, &[NAME]), "physical");
        assert_eq!(kind(0, &[NAME, (IFLA_LINKINFO, &info)]), "tap");
        assert!(parse(&message(0, &[])).all.is_empty(), "no name");
    }

    #[test]
    fn program_of_xdp() {
        let on = build(&[], &[(IFLA_XDP_ATTACHED, &[2]), (IFLA_XDP_PROG_ID, &9u32.to_ne_bytes())]);
        let off = build(&[], &[(IFLA_XDP_ATTACHED, &[0])]);
        let found = parse(&message(0, &[NAME, (IFLA_XDP, &on)])).xdp;
        assert_eq!((found.len(), found[0].id, found[0].hook), (1, Some(9), ProgramHook::Xdp));
        assert!(parse(&message(0, &[NAME, (IFLA_XDP, &off)])).xdp.is_empty());
    }

    #[test]
    fn addresses_and_duplicates() {
        let own: [(u16, &[u8]); 2] = [(IFA_ADDRESS, &[10, 0, 0, 9]), (IFA_LOCAL, &[10, 0, 0, 1])];
        let body = build(&[2, 24, 0, 0, 3, 0, 0, 0], &own);
        let (link, address) = parse_address(&body).unwrap();
        assert_eq!(
            (link, address.address.to_string().as_str(), address.prefix),
            (LinkIndex(3), "10.0.0.1", 24)
        );
        assert!(!address.is_duplicate);
        let v6: [(u16, &[u8]); 2] = [(IFA_ADDRESS, &[0xfd; 16]), (IFA_FLAGS, &IFA_F_DADFAILED.to_ne_bytes())];
        assert!(parse_address(&build(&[10, 64, 0, 0, 3, 0, 0, 0], &v6)).unwrap().1.is_duplicate);
        mistreat(&body, parse_address);
    }
}
