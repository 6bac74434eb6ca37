//! Two queries that make the same connection at once.
//!
//! The first is held when its connection is known and not yet in the table (`NFQUEUE` in POSTROUTING), while the
//! second one, from the same socket to another address of the same server, passes. Let go, the first finds its place taken.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, socket,
    },
};
use std::os::fd::AsFd as _;

use super::{
    dns,
    exchange::{NamespaceOrIo, unspecified},
    fill::attribute,
};
use crate::Namespace;

/// The queue that the held packet is put into.
pub(super) const QUEUE: u16 = 53;
/// `NFNL_SUBSYS_QUEUE`, with `NFQNL_MSG_PACKET`, `NFQNL_MSG_VERDICT` and `NFQNL_MSG_CONFIG`.
const PACKET: u16 = 3 << 8;
const VERDICT: u16 = 3 << 8 | 1;
const CONFIG: u16 = 3 << 8 | 2;
const NLM_F_REQUEST: u16 = 1;
const HEADER_LEN: usize = 16;
const ACCEPT: u32 = 1;
/// How long a packet may take to come into the queue.
const PATIENCE_MS: u16 = 500;
const ANSWER: Duration = Duration::from_millis(400);

/// A queue that is ours.
#[derive(Debug)]
pub(super) struct Queue(OwnedFd);

impl Queue {
    pub(super) fn bind(ns: &Namespace) -> Result<Self, NamespaceOrIo> {
        let netlink = ns.run(|| -> io::Result<OwnedFd> {
            let netlink = socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkNetFilter,
            )?;
            bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
            Ok(netlink)
        })??;
        let queue = Self(netlink);
        // `struct nfqnl_msg_config_cmd`: bind. `struct nfqnl_msg_config_params`: metadata only.
        queue.send(CONFIG, &attribute(1, &[1, 0, 0, 0]))?;
        queue.send(CONFIG, &attribute(2, &[0, 0, 0, 0, 1]))?;
        Ok(queue)
    }

    /// The number of the next packet in the queue; none where none comes in time.
    fn next(&self) -> io::Result<Option<[u8; 4]>> {
        let mut message = [0; 8192];
        loop {
            let mut waiting = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            if poll(&mut waiting, PollTimeout::from(PATIENCE_MS))? == 0 {
                return Ok(None);
            }
            let len = recv(self.0.as_raw_fd(), &mut message, MsgFlags::empty())?;
            let kind = u16::from_ne_bytes([message[4], message[5]]);
            // `NFQA_PACKET_HDR` is the first attribute, and begins with the number.
            if kind == PACKET && len >= HEADER_LEN + 12 {
                return Ok(message[HEADER_LEN + 8..HEADER_LEN + 12].try_into().ok());
            }
        }
    }

    fn accept(&self, number: [u8; 4]) -> io::Result<()> {
        self.send(VERDICT, &attribute(2, &[ACCEPT.to_be_bytes(), number].concat()))
    }

    fn send(&self, kind: u16, attributes: &[u8]) -> io::Result<()> {
        let body = [&[0, 0][..], &QUEUE.to_be_bytes(), attributes].concat();
        let len = u32::try_from(HEADER_LEN + body.len()).unwrap_or_default();
        let mut message = len.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(NLM_F_REQUEST.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        sendto(self.0.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        Ok(())
    }
}

/// Three times a query to each of two addresses from one socket, the first held until the second has passed. Whether all were
/// answered.
pub(super) fn clash(
    ns: &Namespace,
    queue: &Queue,
    (held, passing): (SocketAddr, SocketAddr),
) -> Result<bool, NamespaceOrIo> {
    let answered = ns.run(|| -> io::Result<usize> {
        let mut answers = 0;
        for round in 0..3_u16 {
            let socket = UdpSocket::bind((unspecified(held), 0))?;
            socket.set_read_timeout(Some(ANSWER))?;
            socket.send_to(&dns::query("api.example.com", 1, 100 + round), held)?;
            let number = queue.next()?;
            socket.send_to(&dns::query("api.example.com", 28, 200 + round), passing)?;
            answers += usize::from(socket.recv(&mut [0; 512]).is_ok());
            if let Some(number) = number {
                queue.accept(number)?;
            }
            answers += usize::from(socket.recv(&mut [0; 512]).is_ok());
        }
        Ok(answers)
    })?;
    Ok(answered? == 6)
}
