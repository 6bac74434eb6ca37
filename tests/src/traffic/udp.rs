//! UDP: a datagram there and back.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{TIMEOUT, TrafficError, socket};
use crate::Namespace;

const MAX_DATAGRAM: usize = 65_507;

/// A server that sends every datagram back; it ends when it is dropped.
#[derive(Debug)]
pub struct UdpEcho {
    socket: UdpSocket,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpEcho {
    /// Listens on `port` of every address of `ns`.
    pub fn start(ns: &Namespace, port: u16) -> Result<Self, TrafficError> {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let error = socket("listen on", any);
        let socket = ns.run(|| UdpSocket::bind(any))?.map_err(error)?;
        let echoing = socket.try_clone().map_err(error)?;
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        let thread = thread::spawn(move || echo(&echoing, &told));
        Ok(Self { socket, ending, thread: Some(thread) })
    }

    /// A datagram to itself ends the wait for one.
    fn wake(&self) -> io::Result<()> {
        let port = self.socket.local_addr()?.port();
        self.socket.send_to(&[], (Ipv4Addr::LOCALHOST, port))?;
        Ok(())
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Where it cannot be woken, waiting for the thread would last for ever.
        if self.wake().is_ok() {
            let _ = self.thread.take().map(JoinHandle::join);
        }
    }
}

fn echo(socket: &UdpSocket, ending: &AtomicBool) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    while let Ok((len, from)) = socket.recv_from(&mut datagram) {
        if ending.load(Ordering::Acquire) {
            return;
        }
        // A client that is gone is no reason to end.
        let _ = socket.send_to(&datagram[..len], from);
    }
}

/// One datagram, to be sent from a namespace and waited for.
#[derive(Clone, Copy, Debug)]
pub struct UdpSend {
    /// The echo server, or a service in front of it.
    pub to: SocketAddr,
    /// Bytes of payload.
    pub len: usize,
    /// How long to wait for it to come back.
    pub timeout: Duration,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpReply {
    /// Bytes of payload.
    pub len: usize,
    /// The client's address and port.
    pub client: SocketAddr,
}

impl UdpSend {
    /// A small datagram.
    pub fn new(to: impl Into<SocketAddr>) -> Self {
        Self { to: to.into(), len: 64, timeout: TIMEOUT }
    }

    /// Sends it from `ns` and waits for the echo.
    pub fn send(&self, ns: &Namespace) -> Result<UdpReply, TrafficError> {
        let exchanged = ns.run(|| self.exchange())?;
        exchanged.map_err(socket("exchange a datagram with", self.to))
    }

    fn exchange(&self) -> io::Result<UdpReply> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(self.to)?;
        socket.set_read_timeout(Some(self.timeout))?;
        socket.send(&vec![b'k'; self.len])?;
        let len = socket.recv(&mut vec![0; MAX_DATAGRAM])?;
        Ok(UdpReply { len, client: socket.local_addr()? })
    }
}
