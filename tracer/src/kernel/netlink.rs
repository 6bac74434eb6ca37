//! The little of rtnetlink (netlink(7), rtnetlink(7)) that is needed here: requests, dumps, attributes.
//!
//! Only what is used is decoded. A driver's attribute that nobody here knows cannot make a listing fail.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use thiserror::Error;

use crate::error::{Exit, ExitStatus};

pub(super) const NLM_F_REQUEST: u16 = 1;
pub(super) const NLM_F_ACK: u16 = 4;
pub(super) const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLM_F_EXCL: u16 = 0x200;
pub(super) const NLM_F_CREATE: u16 = 0x400;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER_LEN: usize = 16;
/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are no part of an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// Why an exchange with rtnetlink failed.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// The socket failed.
    #[error("cannot talk to rtnetlink")]
    Socket(#[source] io::Error),
    /// The kernel said no.
    #[error("the kernel refused to {action}")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A message that ends too early.
    #[error("rtnetlink sent a message that makes no sense")]
    Malformed,
}

impl NetlinkError {
    /// The error number with which the kernel refused.
    pub(super) fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket(error) | Self::Refused { source: error, .. } => error.raw_os_error(),
            Self::Malformed => None,
        }
    }
}

impl ExitStatus for NetlinkError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// A message without its header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Message {
    /// `RTM_*`.
    pub(super) kind: u16,
    /// The family's header and attributes.
    pub(super) body: Vec<u8>,
}

/// A socket in the network namespace that the thread was in when it was opened.
pub(super) struct Connection {
    socket: Socket,
    sequence: u32,
}

impl Connection {
    pub(super) fn open() -> Result<Self, NetlinkError> {
        Self::open_to(NETLINK_ROUTE)
    }

    /// A socket of another family of netlink (`NETLINK_SOCK_DIAG`, `NETLINK_NETFILTER`).
    pub(super) fn open_to(family: isize) -> Result<Self, NetlinkError> {
        let mut socket = Socket::new(family).map_err(NetlinkError::Socket)?;
        socket.bind_auto().map_err(NetlinkError::Socket)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Joins a multicast group; the socket gives messages by [`Connection::pending`] from now on.
    pub(super) fn subscribe(&mut self, group: u32) -> Result<(), NetlinkError> {
        self.socket.add_membership(group).map_err(NetlinkError::Socket)?;
        self.socket.set_non_blocking(true).map_err(NetlinkError::Socket)
    }

    /// Sends a request and collects what comes until its acknowledgement, or the end of the dump.
    pub(super) fn request(
        &mut self,
        action: &'static str,
        kind: u16,
        flags: u16,
        body: &[u8],
    ) -> Result<Vec<Message>, NetlinkError> {
        self.sequence += 1;
        let request = frame(kind, flags | NLM_F_REQUEST, self.sequence, body);
        self.socket.send_to(&request, &SocketAddr::new(0, 0), 0).map_err(NetlinkError::Socket)?;
        let mut answer = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full().map_err(NetlinkError::Socket)?;
            for message in messages(&datagram) {
                let (sequence, message) = message?;
                if sequence != self.sequence {
                    continue;
                }
                match message.kind {
                    NLMSG_DONE => return Ok(answer),
                    NLMSG_ERROR => return refusal(action, &message.body).map(|()| answer),
                    _ => answer.push(message),
                }
            }
        }
    }

    /// Multicast messages that wait. An error of `ENOBUFS` says that some were lost.
    pub(super) fn pending(&mut self) -> Result<Vec<Message>, NetlinkError> {
        let mut pending = Vec::new();
        loop {
            match self.socket.recv_from_full() {
                Ok((datagram, _)) => {
                    for message in messages(&datagram) {
                        pending.push(message?.1);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(pending),
                Err(error) => return Err(NetlinkError::Socket(error)),
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        #[expect(unsafe_code, reason = "netlink-sys gives its descriptor as a number only")]
        // SAFETY: the socket owns the descriptor and lives as long as the borrow.
        unsafe {
            BorrowedFd::borrow_raw(self.socket.as_raw_fd())
        }
    }
}

fn frame(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_LEN + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// The messages of a datagram, each with its sequence number.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Result<(u32, Message), NetlinkError>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let message = message(&mut datagram);
        if message.is_none() {
            datagram = &[];
        }
        Some(message.ok_or(NetlinkError::Malformed))
    })
}

fn message(datagram: &mut &[u8]) -> Option<(u32, Message)> {
    let length = u32::from_ne_bytes(field(datagram, 0)?) as usize;
    let kind = u16::from_ne_bytes(field(datagram, 4)?);
    let sequence = u32::from_ne_bytes(field(datagram, 8)?);
    let body = datagram.get(HEADER_LEN..length)?.to_vec();
    *datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    Some((sequence, Message { kind, body }))
}

fn refusal(action: &'static str, body: &[u8]) -> Result<(), NetlinkError> {
    match i32::from_ne_bytes(field(body, 0).ok_or(NetlinkError::Malformed)?) {
        0 => Ok(()),
        code => {
            Err(NetlinkError::Refused { action, source: io::Error::from_raw_os_error(code.saturating_neg()) })
        }
    }
}

/// `N` bytes at an offset.
pub(super) fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// Appends an attribute (`struct nlattr`, value, padding to 4).
pub(super) fn put_attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

/// The value of the first attribute of a kind. Absent also where the attributes before it are damaged.
pub(super) fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(field(attributes, 0)?));
        let this = u16::from_ne_bytes(field(attributes, 2)?) & TYPE_MASK;
        let value = attributes.get(4..length)?;
        if this == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// The text of an attribute, its final NUL removed.
pub(super) fn text(attributes: &[u8], kind: u16) -> Option<String> {
    let value = attribute(attributes, kind)?;
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    Some(String::from_utf8_lossy(&value[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_behind_others() {
        let mut bytes = Vec::new();
        put_attribute(&mut bytes, 3, b"eth0\0");
        put_attribute(&mut bytes, 0x8012, &[1, 2, 3, 4]);
        assert_eq!(text(&bytes, 3).as_deref(), Some("eth0"));
        assert_eq!(attribute(&bytes, 0x12), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(&bytes, 4), None);
    }

    #[test]
    fn damaged_attributes_end_the_search() {
        for damaged in [&[3, 0, 3, 0][..], &[0, 0, 1, 0, 0, 0, 0, 0], &[8, 0, 1, 0, 9]] {
            assert_eq!(attribute(damaged, 7), None);
        }
    }

    #[test]
    fn datagram_comes_apart_into_messages() {
        let mut datagram = frame(16, 0, 7, &[1, 2, 3, 4]);
        datagram.extend(frame(17, 0, 8, &[]));
        let all: Vec<_> = messages(&datagram).map(Result::unwrap).collect();
        assert_eq!(
            all,
            [(7, Message { kind: 16, body: vec![1, 2, 3, 4] }), (8, Message { kind: 17, body: vec![] })]
        );
        assert!(messages(&datagram[..18]).any(|message| message.is_err()));
        assert_eq!(messages(&[4, 0, 0, 0]).count(), 1);
    }

    #[test]
    fn refusals_carry_the_error_number() {
        assert!(refusal("ask", &0i32.to_ne_bytes()).is_ok());
        assert_eq!(refusal("ask", &(-17i32).to_ne_bytes()).unwrap_err().errno(), Some(17));
    }
}
