//! Numbered datagrams from the near end of a pair to the far one, for as long as a value lives.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tests::pair::Pair;

/// Where they go.
pub(crate) const PORT: u16 = 4321;
/// What they begin with, before the number.
const MAGIC: [u8; 8] = *b"kflow-nr";
/// Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;

/// Sends, until it is dropped.
pub(crate) struct Numbers {
    is_over: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    _sink: UdpSocket,
}

impl Numbers {
    /// So many a millisecond, each with so many bytes.
    pub(crate) fn start(pair: &Pair, each: u32, bytes: usize) -> Self {
        let (socket, sink) = pair.sockets(PORT).unwrap();
        let (is_over, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, counter) = (Arc::clone(&is_over), Arc::clone(&next));
        let thread = thread::spawn(move || {
            let rest = vec![0x2a; bytes.saturating_sub(MAGIC.len() + 8)];
            while !told.load(Ordering::Acquire) {
                for _ in 0..each {
                    let number = counter.load(Ordering::Acquire);
                    send(&socket, &[&datagram(number), &rest[..]].concat());
                    counter.store(number + 1, Ordering::Release);
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { is_over, next, thread: Some(thread), _sink: sink }
    }

    /// The number after the last one that was sent.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }
}

impl Numbers {
    /// Stops; returns how many there were.
    pub(crate) fn end(mut self) -> u64 {
        self.is_over.store(true, Ordering::Release);
        self.thread.take().map(JoinHandle::join).transpose().unwrap();
        self.next()
    }
}

/// A socket hears of what became of the datagram before; that one was sent all the same.
fn send(socket: &UdpSocket, payload: &[u8]) {
    match socket.send(payload) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => send(socket, payload),
        sent => {
            sent.unwrap();
        }
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What a datagram of this number begins with.
pub(crate) fn datagram(number: u64) -> Vec<u8> {
    [MAGIC, number.to_be_bytes()].concat()
}

/// The number of a frame; absent where it is another one.
pub(crate) fn number(frame: &[u8]) -> Option<u64> {
    let payload = frame.get(HEADERS..)?;
    let rest = payload.strip_prefix(&MAGIC)?;
    rest.get(..8)?.try_into().ok().map(u64::from_be_bytes)
}
