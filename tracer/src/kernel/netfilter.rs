//! nfnetlink (`include/uapi/linux/netfilter/nfnetlink.h`): dumps of rules, of sets and of connections.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use super::netlink::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkError, field};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
const HEADER_LEN: usize = 16;
/// `struct nfgenmsg`: family, version and resource.
const FAMILY_LEN: usize = 4;
/// The kernel fills as much of a dump into one datagram as the reader took before, up to 32 KiB.
const BUFFER: usize = 64 << 10;

/// A message of a subsystem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Message<'a> {
    /// Subsystem in the upper byte, the subsystem's own kind in the lower one.
    pub(super) kind: u16,
    /// `NFPROTO_*`.
    pub(super) family: u8,
    /// Resource (`res_id`): the processor, in statistics.
    pub(super) resource: u16,
    /// Attributes.
    pub(super) attributes: &'a [u8],
}

/// A socket in the network namespace that the thread was in when it was opened.
pub(super) struct Connection {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(NetlinkError::Socket)?;
        socket.bind_auto().map_err(NetlinkError::Socket)?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Asks for a dump and hands over each message of it. Whether the dump is of one moment is the answer: if not, something
    /// changed meanwhile and may be missing, or there twice.
    pub(super) fn dump(
        &mut self,
        action: &'static str,
        kind: u16,
        family: u8,
        attributes: &[u8],
        mut each: impl FnMut(Message<'_>),
    ) -> Result<bool, NetlinkError> {
        self.ask(kind, family, NLM_F_DUMP, attributes)?;
        let mut is_whole = true;
        loop {
            let length = self.receive().map_err(NetlinkError::Socket)?;
            for message in messages(&self.buffer[..length]) {
                let message = message?;
                if message.sequence != self.sequence {
                    continue;
                }
                is_whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE => return done(action, message.body).map(|()| is_whole),
                    NLMSG_ERROR => return refusal(action, message.body).map(|()| is_whole),
                    kind => each(message_of(kind, message.body)?),
                }
            }
        }
    }

    /// Asks for one thing, and gives what `read` makes of the answer.
    pub(super) fn get<T>(
        &mut self,
        action: &'static str,
        kind: u16,
        attributes: &[u8],
        read: impl Fn(Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        self.ask(kind, 0, 0, attributes)?;
        loop {
            let length = self.receive().map_err(NetlinkError::Socket)?;
            for message in messages(&self.buffer[..length]) {
                let message = message?;
                if message.sequence != self.sequence {
                    continue;
                }
                return match message.kind {
                    NLMSG_ERROR => refusal(action, message.body).map(|()| None),
                    kind => Ok(read(message_of(kind, message.body)?)),
                };
            }
        }
    }

    /// Joins a multicast group; the socket gives messages by [`Connection::pending`] from now on.
    pub(super) fn subscribe(&mut self, groups: &[u32], queue: usize) -> Result<(), NetlinkError> {
        // A smaller queue than asked for only loses events earlier, and those are counted.
        let _ = self.socket.set_rx_buf_sz(i32::try_from(queue).unwrap_or(i32::MAX));
        for group in groups {
            self.socket.add_membership(*group).map_err(NetlinkError::Socket)?;
        }
        self.socket.set_non_blocking(true).map_err(NetlinkError::Socket)
    }

    /// Hands over the messages of one datagram that waits; `false` if none does. An error of `ENOBUFS` says that some were
    /// lost.
    pub(super) fn pending(&mut self, mut each: impl FnMut(Message<'_>)) -> Result<bool, NetlinkError> {
        let length = match self.receive() {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(NetlinkError::Socket(error)),
        };
        for message in messages(&self.buffer[..length]) {
            let message = message?;
            if message.kind > NLMSG_DONE {
                each(message_of(message.kind, message.body)?);
            }
        }
        Ok(true)
    }

    fn ask(&mut self, kind: u16, family: u8, flags: u16, attributes: &[u8]) -> Result<(), NetlinkError> {
        self.sequence += 1;
        let request = frame(kind, flags | NLM_F_REQUEST, self.sequence, family, attributes);
        self.socket.send_to(&request, &SocketAddr::new(0, 0), 0).map_err(NetlinkError::Socket)?;
        Ok(())
    }

    fn receive(&mut self) -> io::Result<usize> {
        loop {
            match self.socket.recv(&mut self.buffer.as_mut_slice(), 0) {
                Ok(length) => return Ok(length.min(self.buffer.len())),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
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

struct Raw<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

fn frame(kind: u16, flags: u16, sequence: u32, family: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_LEN + FAMILY_LEN + attributes.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER_LEN + FAMILY_LEN + attributes.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

/// The messages of a datagram.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Result<Raw<'_>, NetlinkError>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let message = raw(&mut datagram);
        if message.is_none() {
            datagram = &[];
        }
        Some(message.ok_or(NetlinkError::Malformed))
    })
}

fn raw<'a>(datagram: &mut &'a [u8]) -> Option<Raw<'a>> {
    let length = u32::from_ne_bytes(field(datagram, 0)?) as usize;
    let kind = u16::from_ne_bytes(field(datagram, 4)?);
    let flags = u16::from_ne_bytes(field(datagram, 6)?);
    let sequence = u32::from_ne_bytes(field(datagram, 8)?);
    let body = datagram.get(HEADER_LEN..length)?;
    *datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    Some(Raw { kind, flags, sequence, body })
}

fn message_of(kind: u16, body: &[u8]) -> Result<Message<'_>, NetlinkError> {
    let [family] = field(body, 0).ok_or(NetlinkError::Malformed)?;
    let attributes = body.get(FAMILY_LEN..).ok_or(NetlinkError::Malformed)?;
    let resource = u16::from_be_bytes(field(body, 2).ok_or(NetlinkError::Malformed)?);
    Ok(Message { kind, family, resource, attributes })
}

/// The end of a dump carries an error number too, where the kernel has something to say.
fn done(action: &'static str, body: &[u8]) -> Result<(), NetlinkError> {
    if body.len() < 4 { Ok(()) } else { refusal(action, body) }
}

fn refusal(action: &'static str, body: &[u8]) -> Result<(), NetlinkError> {
    match i32::from_ne_bytes(field(body, 0).ok_or(NetlinkError::Malformed)?) {
        code if code >= 0 => Ok(()),
        code => {
            Err(NetlinkError::Refused { action, source: io::Error::from_raw_os_error(code.saturating_neg()) })
        }
    }
}

/// The attributes of a list, each with its type; ends where one is damaged.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are no part of an attribute's type.
    const TYPE_MASK: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(bytes, 0)?));
        let kind = u16::from_ne_bytes(field(bytes, 2)?) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::super::netlink::put_attribute;
    use super::*;

    #[test]
    fn datagram_comes_apart_into_messages() {
        let mut attribute = Vec::new();
        put_attribute(&mut attribute, 1, b"nat\0");
        let mut datagram = frame(0xa06, 2, 7, 10, &attribute);
        datagram.extend(frame(0xa06, 2 | NLM_F_DUMP_INTR, 7, 2, &[]));
        let all: Vec<_> = messages(&datagram).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        let first = message_of(all[0].kind, all[0].body).unwrap();
        assert_eq!(first, Message { kind: 0xa06, family: 10, resource: 0, attributes: &attribute });
        assert_eq!(attributes(first.attributes).collect::<Vec<_>>(), [(1, &b"nat\0"[..])]);
        assert_eq!(all[1].flags & NLM_F_DUMP_INTR, NLM_F_DUMP_INTR);
    }

    #[test]
    fn no_cut_makes_a_message_out_of_nothing() {
        let whole = frame(0xa06, 2, 7, 10, &[8, 0, 1, 0, 1, 2, 3, 4]);
        for length in 1..whole.len() {
            let cut = &whole[..length];
            assert!(messages(cut).all(|message| message.is_err()), "{length} bytes");
            assert!(
                attributes(&whole[20..length.max(20)]).all(|(kind, value)| kind == 1 && value.len() == 4)
            );
        }
        assert!(message_of(1, &[1, 2, 3]).is_err());
    }
}
