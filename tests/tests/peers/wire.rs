//! Frames onto an interface as they are, and the last one of an exchange.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::thread;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    self, AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike as _, sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tests::Namespace;

use crate::Error;

/// An `EtherType` that nobody uses (IEEE 802: local experimental 1).
const MARK: u16 = 0x88b5;
const PATIENCE: TimeVal = TimeVal::new(20, 0);

/// One end of a link.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) ns: &'a Namespace,
    pub(crate) interface: &'a str,
}

/// Sends frames from one end to the other, and waits until the other end's stack has had the last of them: every hook
/// before it has had all.
pub(crate) fn carry(from: End<'_>, to: End<'_>, frames: &[Vec<u8>]) -> Result<(), Error> {
    let ear = to.ns.run(|| listen(to.interface))??;
    let mark = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9], &MARK.to_be_bytes(), &[0; 46]].concat();
    send(from, frames)?;
    send(from, &[mark])?;
    socket::recv(ear.as_raw_fd(), &mut [0; 64], MsgFlags::empty())?;
    Ok(())
}

/// Sends frames, from one processor: so they stay in order on their way.
pub(crate) fn send(from: End<'_>, frames: &[Vec<u8>]) -> Result<(), Error> {
    from.ns.run(|| {
        stay()?;
        let socket = packet_socket()?;
        let to = address(from.interface, 0)?;
        for frame in frames {
            while let Err(error) = socket::sendto(socket.as_raw_fd(), frame, &to, MsgFlags::empty()) {
                // A queue of the device is full: it empties by itself.
                if error != nix::Error::ENOBUFS {
                    return Err(error.into());
                }
                thread::yield_now();
            }
        }
        Ok(())
    })?
}

/// Keeps the calling thread on one processor, the same for all: what one packet sets off is over before the next.
pub(crate) fn stay() -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|processor| allowed.is_set(*processor));
    let mut one = CpuSet::new();
    one.set(first.unwrap_or(0));
    Ok(sched_setaffinity(None, &one)?)
}

/// Hears the mark, which the kernel hands to such a socket behind all that looks at every packet.
fn listen(interface: &str) -> Result<OwnedFd, Error> {
    let socket = packet_socket()?;
    socket::bind(socket.as_raw_fd(), &address(interface, MARK)?)?;
    socket::setsockopt(&socket, ReceiveTimeout, &PATIENCE)?;
    Ok(socket)
}

fn packet_socket() -> io::Result<OwnedFd> {
    Ok(socket::socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?)
}

fn address(interface: &str, protocol: u16) -> io::Result<LinkAddr> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
        sll_protocol: protocol.to_be(),
        sll_ifindex: if_nametoindex(interface)?.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or_default();
    #[expect(unsafe_code, reason = "nix makes the address of an interface from raw bytes only")]
    // SAFETY: the pointer is to an initialised address of this length.
    let address = unsafe { LinkAddr::from_raw((&raw const address).cast(), Some(length)) };
    address.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
