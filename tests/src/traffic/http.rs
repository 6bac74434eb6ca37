//! HTTP/1.1, one request per connection.

use std::{
    io::{self, BufRead, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    libc::linger,
    sys::socket::{self as sys, setsockopt, sockopt},
};

use super::{TIMEOUT, TrafficError, socket};
use crate::Namespace;

const CHUNK: [u8; 16 * 1024] = [b'k'; 16 * 1024];
const MAX_BODY: u64 = 1 << 30;

/// A server that answers `GET /bytes/N` with `N` bytes; it ends when it is dropped.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on `port` of every address of `ns`; it accepts connections when this returns.
    pub fn start(ns: &Namespace, port: u16) -> Result<Self, TrafficError> {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let error = socket("listen on", any);
        let listener = ns.run(|| TcpListener::bind(any))?.map_err(error)?;
        let accepting = listener.try_clone().map_err(error)?;
        // A socket stays in the namespace it was made in; the thread may be anywhere.
        let thread = thread::spawn(move || serve(&accepting));
        Ok(Self { listener, thread: Some(thread) })
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Ends `accept` in the thread; it cannot fail on a socket that listens.
        let _ = sys::shutdown(self.listener.as_raw_fd(), sys::Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(listener: &TcpListener) {
    thread::scope(|scope| {
        while let Ok((client, _)) = listener.accept() {
            // A client that goes away in the middle is the client's own business.
            scope.spawn(move || answer(&client).ok());
        }
    });
}

fn answer(mut client: &TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(TIMEOUT))?;
    client.set_write_timeout(Some(TIMEOUT))?;
    let mut reader = BufReader::new(client);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    skip_headers(&mut reader)?;
    let body_len = body_len(&request);
    let status = if body_len.is_some() { "200 OK" } else { "404 Not Found" };
    let len = body_len.unwrap_or_default();
    // As one piece: a `write!` to a socket is a packet for each of its parts.
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    client.write_all(head.as_bytes())?;
    send_body(client, len)
}

/// The `N` of `GET /bytes/N HTTP/1.1`.
fn body_len(request: &str) -> Option<u64> {
    let path = request.strip_prefix("GET /bytes/")?;
    path.split(' ').next()?.parse().ok().filter(|len| *len <= MAX_BODY)
}

fn send_body(mut client: &TcpStream, len: u64) -> io::Result<()> {
    let mut left = len;
    while left > 0 {
        let part = CHUNK.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        client.write_all(&CHUNK[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// One request, to be sent from a namespace.
#[derive(Clone, Copy, Debug)]
pub struct HttpGet {
    /// The server, or a service in front of it.
    pub to: SocketAddr,
    /// How many bytes to ask for.
    pub body_len: u64,
    /// How long to wait for the connection, and for each part of the answer.
    pub timeout: Duration,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// Bytes of the body.
    pub body_len: u64,
    /// The client's end of the connection.
    pub client: SocketAddr,
}

impl HttpGet {
    /// Asks for a few bytes, and waits for a few seconds.
    pub fn new(to: impl Into<SocketAddr>) -> Self {
        Self { to: to.into(), body_len: 64, timeout: TIMEOUT }
    }

    /// Sends the request from `ns`. When this returns the connection is closed at both ends: the last
    /// acknowledgement has come back, so every observer has seen every packet.
    pub fn send(&self, ns: &Namespace) -> Result<HttpReply, TrafficError> {
        ns.run(|| self.send_here())?
    }

    fn send_here(&self) -> Result<HttpReply, TrafficError> {
        let connect = socket("connect to", self.to);
        let stream = TcpStream::connect_timeout(&self.to, self.timeout).map_err(connect)?;
        let client = stream.local_addr().map_err(connect)?;
        let (head, body_len) = self.exchange(&stream).map_err(socket("get a page from", self.to))?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or(TrafficError::Answer { peer: self.to, answer: head })?;
        Ok(HttpReply { status, body_len, client })
    }

    /// The first line of the answer and the length of its body.
    fn exchange(&self, mut stream: &TcpStream) -> io::Result<(String, u64)> {
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        // Lets the close wait for the peer's last acknowledgement.
        let seconds = i32::try_from(self.timeout.as_secs()).unwrap_or(i32::MAX);
        setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: seconds })?;
        let request = format!("GET /bytes/{} HTTP/1.1\r\nHost: {}\r\n\r\n", self.body_len, self.to);
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::with_capacity(CHUNK.len(), stream);
        let mut head = String::new();
        reader.read_line(&mut head)?;
        skip_headers(&mut reader)?;
        let body_len = io::copy(&mut reader, &mut io::sink())?;
        Ok((head.trim_end().to_owned(), body_len))
    }
}

/// Reads up to and with the empty line.
fn skip_headers(reader: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    while reader.read_line(&mut line)? > "\r\n".len() {
        line.clear();
    }
    Ok(())
}
