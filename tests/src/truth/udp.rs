//! Numbered datagrams there and back.

use std::{
    io::{self, IoSlice},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, sendmsg, setsockopt,
    sockopt::{RcvBuf, SndBuf},
};

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};

use super::{content, random::Random, way::Lane};
use crate::Namespace;

/// How long the answers to a burst may take, where some were lost.
const QUIET: Duration = Duration::from_millis(20);
/// Packets between two waits for answers: fewer than the kernel queues for an interface.
const BURST: u64 = 64;
const BUFFER: usize = 4 << 20;
const MAX_DATAGRAM: usize = 65_507;
/// Payload that goes through every overlay of the lab in one packet.
const LARGEST: usize = 1400;
/// Payload that tells its number.
const SMALLEST: usize = 16;
/// Length of datagrams that look alike, and of every answer to one in segments or fragments.
const ALIKE: usize = 200;

/// What the kernel writes into IPv4's identification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Identification {
    /// Connected sockets: it counts up.
    Counted,
    /// Unconnected sockets that look for the path MTU themselves (`IP_PMTUDISC_DO`), as QUIC servers do: always 0.
    Zero,
}

/// How datagrams look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Of any length up to a packet.
    Varied,
    /// All of one length and the same at both ends: what tells them apart is in the middle.
    Alike,
    /// Handed over as super-packets of segments of this many bytes (`UDP_SEGMENT`), as QUIC does.
    Segmented(u16),
    /// Larger than a packet: several fragments each.
    Fragmented,
}

/// Datagrams to be sent, each of which is answered by one with the same number.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams {
    /// Whom to send to.
    pub to: SocketAddr,
    /// The port that the server listens on.
    pub port: u16,
    /// The number of the flow.
    pub flow: u8,
    /// How many.
    pub count: u64,
    /// How they look.
    pub shape: Shape,
    /// Their identification.
    pub identification: Identification,
}

impl Datagrams {
    /// Sends all of them from `client` to `server`, which answers.
    pub fn run(&self, client: &Namespace, server: &Namespace) -> io::Result<()> {
        let far = server.run(|| self.open(self.port)).map_err(io::Error::other)??;
        let near = client.run(|| self.open(0)).map_err(io::Error::other)??;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let answering = scope.spawn(|| self.answer(&far, &is_over));
            let sent = self.send(&near);
            is_over.store(true, Ordering::Release);
            let answered = answering.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sent.and(answered)
        })
    }

    fn open(&self, port: u16) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        setsockopt(&socket, RcvBuf, &BUFFER)?;
        setsockopt(&socket, SndBuf, &BUFFER)?;
        socket.set_read_timeout(Some(QUIET))?;
        if self.identification == Identification::Zero {
            set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO)?;
        }
        Ok(socket)
    }

    fn send(&self, socket: &UdpSocket) -> io::Result<()> {
        if self.identification == Identification::Counted {
            socket.connect(self.to)?;
        }
        let mut random = Random(self.flow.into());
        let mut number = 0;
        while number < self.count {
            let burst = number;
            while number < self.count.min(burst + BURST) {
                number += self.send_some(socket, number, &mut random)?;
            }
            wait_for_answers(socket, number - burst)?;
        }
        Ok(())
    }

    /// One call's worth; returns how many datagrams that is.
    fn send_some(&self, socket: &UdpSocket, number: u64, random: &mut Random) -> io::Result<u64> {
        let tag = Lane::Forward.tag(self.flow);
        let (bytes, size, count) = match self.shape {
            Shape::Varied => (content::payload(tag, number, random.between(SMALLEST, LARGEST)), None, 1),
            Shape::Alike => (content::disguised(tag, number, ALIKE), None, 1),
            Shape::Fragmented => (content::payload(tag, number, random.between(2000, 6000)), None, 1),
            Shape::Segmented(size) => {
                let count = random.between(1, 40) as u64;
                let segment = |index| content::payload(tag, number + index, size.into());
                ((0..count).flat_map(segment).collect(), Some(size), count)
            }
        };
        let to = match (self.identification, self.to) {
            (Identification::Zero, SocketAddr::V4(to)) => Some(SockaddrIn::from(to)),
            _ => None,
        };
        let segments = size.as_ref().map(ControlMessage::UdpGsoSegments);
        sendmsg(
            socket.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            segments.as_slice(),
            MsgFlags::empty(),
            to.as_ref(),
        )?;
        Ok(count)
    }

    fn answer(&self, socket: &UdpSocket, is_over: &AtomicBool) -> io::Result<()> {
        let tag = Lane::Reply.tag(self.flow);
        let mut random = Random(tag.0.into());
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut peer = None;
        while !is_over.load(Ordering::Acquire) {
            let Some((len, from)) = received(socket.recv_from(&mut buffer))? else { continue };
            let Some(piece) = content::read(&buffer[..len]) else { continue };
            let number = content::number_at(piece.start);
            let answer = match self.shape {
                Shape::Varied => content::payload(tag, number, random.between(SMALLEST, LARGEST)),
                Shape::Alike => content::disguised(tag, number, ALIKE),
                Shape::Segmented(_) | Shape::Fragmented => content::payload(tag, number, ALIKE),
            };
            if self.identification == Identification::Counted {
                if peer.replace(from).is_none() {
                    socket.connect(from)?;
                }
                socket.send(&answer)?;
            } else {
                socket.send_to(&answer, from)?;
            }
        }
        Ok(())
    }
}

fn wait_for_answers(socket: &UdpSocket, count: u64) -> io::Result<()> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    for _ in 0..count {
        if received(socket.recv_from(&mut buffer))?.is_none() {
            break;
        }
    }
    Ok(())
}

/// What was received; absent where nothing came in time.
fn received<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
