//! Datagrams as fast as one core sends them.

use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg, setsockopt, sockopt};

use crate::net::{BARE, Link, Pair, WATCHED};
use crate::{Failure, Load, Turn, cores};

/// Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;
/// Datagrams handed over with one call.
const BATCH: usize = 64;
/// Datagrams sent over one link before the other has its turn.
const TURN: u64 = 32 * BATCH as u64;
const PORT: u16 = 9;

pub(crate) struct Flood {
    pub(crate) pair: Pair,
    /// Where the datagrams go; nobody reads them, and there is no room for them.
    _sink: UdpSocket,
    count: u64,
    alone: bool,
    payload: Vec<u8>,
}

impl Flood {
    /// `count` datagrams for the watched link; unless it is to be alone, as many for the other one.
    pub(crate) fn new(count: u64, frame: usize, alone: bool) -> Result<Self, Failure> {
        let pair = Pair::new()?;
        let sink = pair.receiver.inside(|| UdpSocket::bind(("0.0.0.0", PORT)))??;
        setsockopt(&sink, sockopt::RcvBuf, &0)?;
        let payload = vec![0x2a; frame.saturating_sub(HEADERS)];
        Ok(Self { pair, _sink: sink, count, alone, payload })
    }

    pub(crate) fn run(&self) -> Result<Load, Failure> {
        let before = self.pair.packets(&WATCHED)?;
        let turns = self.pair.sender.inside(|| self.send().map_err(|error| error.to_string()))??;
        let packets = self.pair.packets(&WATCHED)? - before;
        if packets < self.count {
            return Err(format!("{packets} of {} datagrams were sent", self.count).into());
        }
        Ok(Load { packets, turns })
    }

    fn send(&self) -> Result<Vec<Turn>, Failure> {
        cores::first()?;
        let sockets = [Self::socket(&WATCHED)?, Self::socket(&BARE)?];
        // What is done the first time only.
        self.burst(&sockets[1], TURN)?;
        let mut turns = Vec::new();
        for _ in 0..self.count.div_ceil(TURN) {
            let watched = self.burst(&sockets[0], TURN)?;
            let bare = if self.alone { 0.0 } else { self.burst(&sockets[1], TURN)? };
            turns.push(Turn { watched, bare, packets: TURN });
        }
        Ok(turns)
    }

    fn socket(link: &Link) -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect((link.receiver_address, PORT))?;
        Ok(socket)
    }

    /// Seconds that so many datagrams take, without those in which something else ran on the core.
    fn burst(&self, socket: &UdpSocket, count: u64) -> Result<f64, Failure> {
        let slices = vec![[IoSlice::new(&self.payload)]; BATCH];
        let addresses: Vec<Option<SockaddrIn>> = vec![None; BATCH];
        let no_control: [ControlMessage<'_>; 0] = [];
        let waited_before = waited()?;
        let begin = Instant::now();
        let mut left = count;
        while left > 0 {
            let batch = usize::try_from(left).unwrap_or(BATCH).min(BATCH);
            let mut headers = MultiHeaders::preallocate(batch, None);
            let (slices, addresses) = (&slices[..batch], &addresses[..batch]);
            let flags = MsgFlags::empty();
            let sent = sendmmsg(socket.as_raw_fd(), &mut headers, slices, addresses, no_control, flags)?;
            left -= sent.count() as u64;
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(seconds - (waited()? - waited_before))
    }
}

/// Seconds that the calling thread was ready to run while something else did
/// (Documentation/scheduler/sched-stats.rst).
fn waited() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let waiting: f64 = text.split_whitespace().nth(1).ok_or("no scheduling statistics")?.parse()?;
    Ok(waiting / 1e9)
}
