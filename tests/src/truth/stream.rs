//! TCP of the kernel, both ways at once, whose bytes tell their position.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    thread,
    time::Duration,
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket,
    sockopt::{RcvBuf, TcpMaxSeg},
};

use super::{
    content::{self, Tag},
    random::Random,
    way::Lane,
};
use crate::Namespace;

/// What is on its way at most is below what the kernel queues for an interface: nothing is lost that is not meant to.
const WINDOW: usize = 96 * 1024;
/// How long a read or a write may take: a connection through 5 % loss stands still now and then.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Nanoseconds per byte: slow enough for recorders that write every packet as often as it is seen.
const PACE: u64 = 30;
/// Largest and smallest write.
const WRITES: (usize, usize) = (16, 40_000);

/// Connections to be made one beside the other.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// Whom to connect to.
    pub to: SocketAddr,
    /// The port that the server listens on.
    pub port: u16,
    /// The number of the first connection.
    pub first: u8,
    /// How many.
    pub connections: u8,
    /// Bytes to send, there and back.
    pub bytes: (u64, u64),
    /// Largest segment (`TCP_MAXSEG`).
    pub segment: u32,
}

impl Streams {
    /// Sends everything from `client` to `server` and back; every byte has arrived when this returns.
    pub fn run(&self, client: &Namespace, server: &Namespace) -> io::Result<()> {
        let listener = server.run(|| self.listen()).map_err(io::Error::other)??;
        let mut pairs = Vec::new();
        for number in self.first..self.first + self.connections {
            // One after the other: whom a NAT made of the client does not matter then.
            let near = client.run(|| self.connect()).map_err(io::Error::other)??;
            let (far, _) = listener.accept()?;
            pairs.push((number, near, far));
        }
        drop(listener);
        thread::scope(|scope| {
            let mut halves = Vec::new();
            for (number, near, far) in &pairs {
                for stream in [near, far] {
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                }
                let (there, back) = self.bytes;
                let (forward, reply) = (Lane::Forward.tag(*number), Lane::Reply.tag(*number));
                halves.push(scope.spawn(move || send(near, forward, there)));
                halves.push(scope.spawn(move || receive(far, forward, there)));
                halves.push(scope.spawn(move || send(far, reply, back)));
                halves.push(scope.spawn(move || receive(near, reply, back)));
            }
            halves
                .into_iter()
                .try_for_each(|half| half.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port))?;
        setsockopt(&listener, TcpMaxSeg, &self.segment)?;
        setsockopt(&listener, RcvBuf, &WINDOW)?;
        Ok(listener)
    }

    /// The segment size has to be set before the SYN tells it.
    fn connect(&self) -> io::Result<TcpStream> {
        let SocketAddr::V4(to) = self.to else { return Err(io::ErrorKind::Unsupported.into()) };
        let socket: OwnedFd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, TcpMaxSeg, &self.segment)?;
        setsockopt(&socket, RcvBuf, &WINDOW)?;
        connect(socket.as_raw_fd(), &SockaddrIn::from(to))?;
        Ok(socket.into())
    }
}

fn send(mut stream: &TcpStream, tag: Tag, bytes: u64) -> io::Result<()> {
    let mut random = Random(tag.0.into());
    let mut buffer = vec![0; WRITES.1];
    let mut position = 0;
    while position < bytes {
        let left = usize::try_from(bytes - position).unwrap_or(usize::MAX);
        let part = &mut buffer[..random.between(WRITES.0, WRITES.1).min(left)];
        content::fill(tag, position, part);
        stream.write_all(part)?;
        position += part.len() as u64;
        thread::sleep(Duration::from_nanos(PACE * part.len() as u64));
    }
    stream.shutdown(Shutdown::Write)
}

/// Reads to the end; what comes must be what was sent.
fn receive(mut stream: &TcpStream, tag: Tag, bytes: u64) -> io::Result<()> {
    let mut buffer = vec![0; WRITES.1];
    let mut expected = buffer.clone();
    let mut position = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        content::fill(tag, position, &mut expected[..count]);
        if buffer[..count] != expected[..count] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        position += count as u64;
    }
    if position == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
