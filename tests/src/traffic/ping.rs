//! ICMP echo (RFC 792) by the kernel's own ICMP sockets, so that no `ping` has to be installed.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket as make_socket};

use super::{TIMEOUT, TrafficError, socket};
use crate::Namespace;

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const HEADER_LEN: usize = 8;

/// Echo requests, to be sent from a namespace one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    /// Whom to ask.
    pub to: Ipv4Addr,
    /// How often.
    pub count: u16,
    /// Bytes behind the ICMP header.
    pub payload_len: usize,
    /// How long to wait for each answer.
    pub timeout: Duration,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingReport {
    /// Requests sent.
    pub sent: u16,
    /// The round trip of each answer that came in time.
    pub round_trips: Vec<Duration>,
    /// The identifier of all requests.
    pub identifier: u16,
}

impl Ping {
    /// One request of the usual size.
    pub fn new(to: Ipv4Addr) -> Self {
        Self { to, count: 1, payload_len: 56, timeout: TIMEOUT }
    }

    /// Sends the requests from `ns`, each after the answer to the one before or its time.
    pub fn send(&self, ns: &Namespace) -> Result<PingReport, TrafficError> {
        ns.run(|| self.send_here())?.map_err(socket("ping", SocketAddr::from((self.to, 0))))
    }

    fn send_here(&self) -> io::Result<PingReport> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let raw = make_socket(AddressFamily::Inet, SockType::Datagram, flags, SockProtocol::Icmp)?;
        // An ICMP socket has the calls of a UDP one: its port is the identifier of the requests.
        let socket = UdpSocket::from(raw);
        socket.connect((self.to, 0))?;
        let round_trips = (0..self.count).map(|sequence| self.exchange(&socket, sequence));
        let round_trips: Vec<Option<Duration>> = round_trips.collect::<io::Result<_>>()?;
        Ok(PingReport {
            sent: self.count,
            round_trips: round_trips.into_iter().flatten().collect(),
            identifier: socket.local_addr()?.port(),
        })
    }

    /// The round trip of one request, or nothing where no answer came in time.
    fn exchange(&self, socket: &UdpSocket, sequence: u16) -> io::Result<Option<Duration>> {
        let sent = Instant::now();
        socket.send(&self.request(sequence))?;
        let mut answer = vec![0; HEADER_LEN + self.payload_len];
        loop {
            let left = self.timeout.saturating_sub(sent.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut answer) {
                Ok(_) if answer[0] == ECHO_REPLY && answer[6..8] == sequence.to_be_bytes() => {
                    return Ok(Some(sent.elapsed()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The kernel fills in the checksum and the identifier.
    fn request(&self, sequence: u16) -> Vec<u8> {
        let mut request = vec![ECHO_REQUEST, 0, 0, 0, 0, 0];
        request.extend(sequence.to_be_bytes());
        request.resize(HEADER_LEN + self.payload_len, b'k');
        request
    }
}
