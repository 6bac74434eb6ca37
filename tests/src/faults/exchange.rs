//! Bounded exchanges in either family: rounds on one TCP connection, datagrams and echo requests on one socket.

use std::{
    io::{self, Read as _, Write as _},
    iter,
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::socket::{
    AddressFamily, Shutdown as Half, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, bind,
    shutdown, socket as make_socket,
};

use crate::{Namespace, NamespaceError};

/// How long to wait for a connection: the first SYN and one more.
const CONNECT: Duration = Duration::from_millis(1300);
/// How long to wait for each part of an answer.
const ANSWER: Duration = Duration::from_millis(900);
/// How long to wait for the answer to a datagram.
const DATAGRAM: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD_LEN: usize = 16;
const CHUNK_LEN: usize = 16 * 1024;
const ECHO_REQUESTS: [u8; 2] = [8, 128];
const ECHO_REPLIES: [u8; 2] = [0, 129];
const ICMP_LEN: usize = 8;

/// Rounds on one socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    pub(super) count: u16,
    pub(super) up: usize,
    pub(super) down: usize,
}

/// A TCP server: each request says how much it sends, and how much it wants.
#[derive(Debug)]
pub(super) struct TcpServer {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl TcpServer {
    pub(super) fn start(ns: &Namespace, at: SocketAddr) -> Result<Self, NamespaceOrIo> {
        let listener = ns.run(|| TcpListener::bind(at))??;
        let accepting = listener.try_clone()?;
        let thread = thread::spawn(move || {
            while let Ok((client, _)) = accepting.accept() {
                // A client that goes away is its own business; threads end by their time.
                thread::spawn(move || answer(client).ok());
            }
        });
        Ok(Self { listener, thread: Some(thread) })
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        let _ = shutdown(self.listener.as_raw_fd(), Half::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A namespace that cannot be entered, or a socket that the kernel refuses.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceOrIo {
    /// The namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    client.set_nodelay(true)?;
    let mut head = [0; HEAD_LEN];
    loop {
        client.read_exact(&mut head)?;
        let (up, down) = head.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).unwrap_or_default();
        io::copy(&mut (&client).take(number(up)), &mut io::sink())?;
        send(&mut client, usize::try_from(number(down)).unwrap_or_default())?;
    }
}

fn send(to: &mut TcpStream, mut left: usize) -> io::Result<()> {
    let chunk = [b'k'; CHUNK_LEN];
    while left > 0 {
        let part = left.min(CHUNK_LEN);
        to.write_all(&chunk[..part])?;
        left -= part;
    }
    Ok(())
}

/// Rounds on one connection; `between` is done after the first. Whether all came back.
pub(super) fn tcp(
    ns: &Namespace,
    to: SocketAddr,
    rounds: Rounds,
    between: &mut (dyn FnMut() + Send),
) -> Result<bool, NamespaceOrIo> {
    let done = ns.run(|| {
        let stream = TcpStream::connect_timeout(&to, CONNECT)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        stream.set_nodelay(true)?;
        for round in 0..rounds.count {
            tcp_round(&stream, rounds)?;
            if round == 0 {
                between();
            }
        }
        stream.shutdown(Shutdown::Write)?;
        // The server's FIN.
        (&stream).read(&mut [0]).map(drop)
    })?;
    Ok(done.is_ok())
}

fn tcp_round(mut stream: &TcpStream, rounds: Rounds) -> io::Result<()> {
    let mut request = [rounds.up as u64, rounds.down as u64].map(u64::to_be_bytes).concat();
    request.resize(HEAD_LEN + rounds.up, b'k');
    stream.write_all(&request)?;
    let came = io::copy(&mut stream.take(rounds.down as u64), &mut io::sink())?;
    if came == rounds.down as u64 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// A UDP server that sends everything back.
#[derive(Debug)]
pub(super) struct UdpServer {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpServer {
    pub(super) fn start(ns: &Namespace, at: SocketAddr) -> Result<Self, NamespaceOrIo> {
        let socket = ns.run(|| UdpSocket::bind(at))??;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        let thread = thread::spawn(move || {
            let mut datagram = vec![0; 65_536];
            while !told.load(Ordering::Acquire) {
                if let Ok((len, from)) = socket.recv_from(&mut datagram) {
                    let _ = socket.send_to(&datagram[..len], from);
                }
            }
        });
        Ok(Self { ending, thread: Some(thread) })
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Datagrams from one socket, each waited for; `between` is done after the first. Whether all came back.
pub(super) fn udp(
    ns: &Namespace,
    to: SocketAddr,
    rounds: Rounds,
    between: &mut (dyn FnMut() + Send),
) -> Result<bool, NamespaceOrIo> {
    let done = ns.run(|| {
        let socket = UdpSocket::bind((unspecified(to), 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(DATAGRAM))?;
        let mut answer = vec![0; 65_536];
        let mut came = 0;
        for round in 0..rounds.count {
            // An ICMP error of the one before is told by any call.
            let sent = socket.send(&vec![b'k'; rounds.up]).or_else(|_| socket.send(&vec![b'k'; rounds.up]));
            came += u16::from(sent.is_ok() && socket.recv(&mut answer).is_ok());
            if round == 0 {
                between();
            }
        }
        io::Result::Ok(came == rounds.count)
    })?;
    Ok(done?)
}

/// Datagrams from one socket, with nothing but a breath between them. Whether all came back.
pub(super) fn burst(ns: &Namespace, to: SocketAddr, count: u16, len: usize) -> Result<bool, NamespaceOrIo> {
    let done = ns.run(|| {
        let socket = UdpSocket::bind((unspecified(to), 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(DATAGRAM))?;
        let (mut answer, mut came) = (vec![0; 65_536], 0);
        for number in 0..count {
            let mut datagram = number.to_be_bytes().to_vec();
            datagram.resize(len.max(2), b'k');
            // An ICMP error of one before is none of this one.
            let _ = socket.send(&datagram);
            thread::sleep(Duration::from_micros(300));
            // What is not taken out has no room after a while.
            socket.set_nonblocking(true)?;
            came += iter::from_fn(|| socket.recv(&mut answer).ok()).count();
            socket.set_nonblocking(false)?;
        }
        while came < usize::from(count) && socket.recv(&mut answer).is_ok() {
            came += 1;
        }
        io::Result::Ok(came == usize::from(count))
    })?;
    Ok(done?)
}

/// Echo requests from one socket, each waited for; `between` is done after the first. Whether all came back.
pub(super) fn ping(
    ns: &Namespace,
    to: IpAddr,
    identifier: u16,
    rounds: Rounds,
    between: &mut (dyn FnMut() + Send),
) -> Result<bool, NamespaceOrIo> {
    let done = ns.run(|| {
        let (family, protocol) = match to {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        // An ICMP socket has the calls of a UDP one: its port is the identifier of the requests.
        let socket =
            UdpSocket::from(make_socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?);
        bind_identifier(&socket, to, identifier)?;
        socket.connect((to, 0))?;
        let mut came = 0;
        for round in 0..rounds.count {
            came += u16::from(echo(&socket, to, round, rounds.up).unwrap_or(false));
            if round == 0 {
                between();
            }
        }
        io::Result::Ok(came == rounds.count)
    })?;
    Ok(done?)
}

/// The identifier is what a port is for other sockets.
fn bind_identifier(socket: &UdpSocket, to: IpAddr, identifier: u16) -> io::Result<()> {
    match SocketAddr::from((unspecified((to, 0).into()), identifier)) {
        SocketAddr::V4(own) => bind(socket.as_raw_fd(), &SockaddrIn::from(own))?,
        SocketAddr::V6(own) => bind(socket.as_raw_fd(), &SockaddrIn6::from(own))?,
    }
    Ok(())
}

fn echo(socket: &UdpSocket, to: IpAddr, sequence: u16, len: usize) -> io::Result<bool> {
    let kind = usize::from(to.is_ipv6());
    let mut request = vec![ECHO_REQUESTS[kind], 0, 0, 0, 0, 0];
    request.extend(sequence.to_be_bytes());
    request.resize(ICMP_LEN + len, b'k');
    socket.send(&request)?;
    let sent = Instant::now();
    let mut answer = vec![0; 65_536];
    loop {
        let left = DATAGRAM.saturating_sub(sent.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        socket.recv(&mut answer)?;
        if answer[0] == ECHO_REPLIES[kind] && answer[6..8] == sequence.to_be_bytes() {
            return Ok(true);
        }
    }
}

/// Connections to a server that does not accept them: held until all were tried. Whether all were made.
pub(super) fn connections(ns: &Namespace, to: SocketAddr, count: u16) -> Result<bool, NamespaceOrIo> {
    let made = ns.run(|| {
        thread::scope(|scope| {
            // One after the other: the first ones fill the queue, the last ones wait together.
            let started: Vec<_> = (0..count)
                .map(|_| {
                    thread::sleep(Duration::from_millis(5));
                    scope.spawn(move || connect(to))
                })
                .collect();
            let made: Vec<_> = started.into_iter().map(thread::ScopedJoinHandle::join).collect();
            made.into_iter().all(|made| matches!(made, Ok(Ok(_))))
        })
    })?;
    Ok(made)
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, CONNECT)
}

/// The unspecified address of the family.
pub(super) fn unspecified(like: SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}
