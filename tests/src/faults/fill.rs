//! A table of connections that is full: entries made over netlink (`linux/netfilter/nfnetlink_conntrack.h`).

use std::{io, net::Ipv4Addr, os::fd::AsRawFd as _};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
};

use super::exchange::NamespaceOrIo;
use crate::Namespace;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_NEW`.
const NEW_CONNECTION: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_DELETE`: every entry, where none is named.
const DELETE: u16 = 1 << 8 | 2;
const NESTED: u16 = 0x8000;
/// `IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED`: nothing that is removed to make room.
const ASSURED: u32 = 2 | 4 | 8;
const UDP: u8 = 17;
const AF_INET: u8 = 2;
/// Seconds.
const LIFE: u32 = 3600;
/// Entries of one message to the kernel.
const BATCH: u32 = 256;
/// More than any kernel here takes by default.
const MOST: u32 = 4_000_000;
const HEADER_LEN: usize = 16;

/// Fills the table of a namespace until the kernel refuses; returns how many entries it took.
pub(super) fn fill(ns: &Namespace) -> Result<u32, NamespaceOrIo> {
    Ok(ns.run(fill_here)??)
}

fn fill_here() -> io::Result<u32> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let kernel = NetlinkAddr::new(0, 0);
    let mut number = 0;
    let mut answer = [0; 8192];
    // What is there already would make room when its time is over.
    sendto(
        netlink.as_raw_fd(),
        &message(DELETE, NLM_F_REQUEST | NLM_F_ACK, &[AF_INET, 0, 0, 0]),
        &kernel,
        MsgFlags::empty(),
    )?;
    recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    while number < MOST {
        let mut batch = Vec::new();
        for index in 0..BATCH {
            let flags = NLM_F_REQUEST | NLM_F_CREATE | if index == BATCH - 1 { NLM_F_ACK } else { 0 };
            batch.extend(entry(number + index, flags));
        }
        sendto(netlink.as_raw_fd(), &batch, &kernel, MsgFlags::empty())?;
        number += BATCH;
        // Errors of any message come, and the acknowledgement of the last one.
        let len = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let error = answer.get(HEADER_LEN..HEADER_LEN + 4).filter(|_| len >= HEADER_LEN + 4);
        if error.is_some_and(|error| error != [0; 4]) {
            return Ok(number);
        }
    }
    Ok(number)
}

/// A message that makes one entry: a UDP exchange between two addresses for tests (RFC 2544).
fn entry(number: u32, flags: u16) -> Vec<u8> {
    let [_, high, ports @ ..] = number.to_be_bytes();
    let source = Ipv4Addr::new(198, 18, 0, high);
    let destination = Ipv4Addr::new(198, 19, 0, 1);
    let port = u16::from_be_bytes(ports);
    let mut body = vec![AF_INET, 0, 0, 0];
    body.extend(attribute(1 | NESTED, &tuple(source, destination, port, 9)));
    body.extend(attribute(2 | NESTED, &tuple(destination, source, 9, port)));
    body.extend(attribute(3, &ASSURED.to_be_bytes()));
    body.extend(attribute(7, &LIFE.to_be_bytes()));
    message(NEW_CONNECTION, flags, &body)
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(HEADER_LEN + body.len()).unwrap_or_default();
    let mut message = len.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn tuple(source: Ipv4Addr, destination: Ipv4Addr, from: u16, to: u16) -> Vec<u8> {
    let addresses = [attribute(1, &source.octets()), attribute(2, &destination.octets())].concat();
    let protocol =
        [attribute(1, &[UDP]), attribute(2, &from.to_be_bytes()), attribute(3, &to.to_be_bytes())].concat();
    [attribute(1 | NESTED, &addresses), attribute(2 | NESTED, &protocol)].concat()
}

/// Type, length and value, padded to four bytes (`linux/netlink.h`).
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + value.len()).unwrap_or_default();
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
