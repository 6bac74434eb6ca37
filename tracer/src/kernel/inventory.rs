//! All that can be told about the interfaces of a network namespace, for people who choose one.
//!
//! Listing asks for no privilege. Who is at the other end of a veth pair is told as far as this process may look:
//! the name of a namespace asks for read access to its file, what is in it for `CAP_SYS_ADMIN`.

mod facts;
mod message;
mod namespaces;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use facts::{facts, own_addresses};
use message::{LinkMessage, NamespaceId};
use namespaces::Namespaces;
pub use namespaces::is_neighbour;
pub(super) use namespaces::number_of as number;

use super::interfaces::{IfIndex, LinkType};
use super::netlink::{Connection, Message, NLM_F_DUMP, NetlinkError};

/// An interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: String,
    /// Whether packets can pass.
    pub state: LinkState,
    /// The driver's kind (`veth`, `vxlan`, `bridge`), or `loopback`, or `physical` where the driver has none.
    pub kind: String,
    /// What its packets begin with.
    pub link_type: LinkType,
    /// Its hardware address, if it has one of 48 bits.
    pub mac: Option<[u8; 6]>,
    /// Greatest length of a packet without its link layer, in bytes.
    pub mtu: u32,
    /// Its own addresses.
    pub addresses: Vec<Prefix>,
    /// The bridge or bond that it is a port of.
    pub master: Option<Neighbour>,
    /// The number that tells its packets from others of the same interface.
    pub tag: Option<Tag>,
    /// The other end of a pair.
    pub peer: Option<Neighbour>,
    /// The interface that carries its packets.
    pub lower: Option<Neighbour>,
    /// Single addresses that are routed to it without a gateway, as network plugins do for pods.
    pub routed: Vec<IpAddr>,
}

/// Whether packets can pass an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkState {
    /// They can.
    Up,
    /// It is up, but the other end or the cable is not.
    NoCarrier,
    /// It was not set up.
    Down,
}

/// What tells the packets of an interface from others of the one below it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tag {
    /// Identifier of a VLAN (IEEE 802.1Q).
    Vlan(u16),
    /// Identifier of a VXLAN (RFC 7348) or Geneve network (RFC 8926).
    Vni(u32),
}

/// An address with the length of its network's prefix in bits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// From 0 to 32 or 128.
    pub length: u8,
}

/// Another interface that an interface has to do with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Neighbour {
    /// Its index in its namespace.
    pub index: IfIndex,
    /// Its name; absent where it cannot be looked up.
    pub name: Option<String>,
    /// Where it is.
    pub place: Place,
    /// Its addresses, if it is in another namespace that can be looked into.
    pub addresses: Vec<Prefix>,
}

/// A network namespace, as a user finds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// The one that was listed.
    Here,
    /// One with a file of this name where `ip netns` and container runtimes keep them.
    Named(String),
    /// The one of a process.
    Process {
        /// Its id: the least, where several processes are in it.
        pid: u32,
        /// Its name; empty where it has gone.
        name: String,
    },
    /// Another one that nothing in sight leads to.
    Elsewhere,
}

/// All interfaces of the thread's network namespace, in the order of their indices.
pub fn read() -> Result<Vec<Entry>, NetlinkError> {
    let mut connection = Connection::open()?;
    let links = message::links(&mut connection)?;
    let mut addresses = message::addresses(&mut connection)?;
    let mut single = message::routes(&mut connection)?;
    let wanted: BTreeSet<NamespaceId> = links.iter().filter_map(|link| link.namespace).collect();
    let mut finder = Finder {
        names: links.iter().map(|link| (link.index, link.name.clone())).collect(),
        namespaces: Namespaces::find(&mut connection, &wanted),
    };
    let entries = links.into_iter().map(|link| {
        let own = addresses.remove(&link.index).unwrap_or_default();
        let routed = single.remove(&link.index).unwrap_or_default();
        finder.entry(link, own, routed)
    });
    Ok(entries.collect())
}

/// A dump's messages of one kind.
fn dump(
    connection: &mut Connection,
    action: &'static str,
    get: u16,
    header: usize,
    new: u16,
) -> Result<impl Iterator<Item = Message>, NetlinkError> {
    let answer = connection.request(action, get, NLM_F_DUMP, &vec![0; header])?;
    Ok(answer.into_iter().filter(move |message| message.kind == new))
}

/// Finds the interfaces that others refer to by their indices.
struct Finder {
    names: BTreeMap<IfIndex, String>,
    namespaces: Namespaces,
}

impl Finder {
    fn entry(&mut self, link: LinkMessage, addresses: Vec<Prefix>, routed: Vec<IpAddr>) -> Entry {
        let other = link.other.map(|index| self.neighbour(index, link.namespace));
        let (peer, lower) = if link.is_pair() { (other, None) } else { (None, other) };
        Entry {
            index: link.index,
            state: link.state,
            kind: link.kind_for_people(),
            link_type: link.link_type,
            mac: link.mac,
            mtu: link.mtu,
            addresses,
            master: link.master.map(|index| self.neighbour(index, None)),
            tag: link.tag,
            peer,
            lower,
            routed,
            name: link.name,
        }
    }

    fn neighbour(&mut self, index: IfIndex, namespace: Option<NamespaceId>) -> Neighbour {
        match namespace {
            None => {
                let name = self.names.get(&index).cloned();
                Neighbour { index, name, place: Place::Here, addresses: Vec::new() }
            }
            Some(id) => self.namespaces.neighbour(id, index),
        }
    }
}
