//! Datagrams at a steady rate.

use std::io::{self, IoSlice};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

/// Times a second that datagrams are sent.
const TURNS: u32 = 1000;
/// Turns that are made up for where the processor was with somebody else.
const MOST_BEHIND: u64 = 20;
/// Bytes of a datagram: with its headers a frame of 142 bytes.
const PAYLOAD: usize = 100;

/// What became of the rate that was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    /// Turns that were left out, since the sender could not keep up.
    pub(crate) missed: u64,
}

/// Sends `rate` datagrams a second until `is_over`.
pub(crate) fn send(socket: &UdpSocket, rate: u32, is_over: &AtomicBool) -> io::Result<Sent> {
    // Above all that has the usual priority: what a busy machine does is not to make the rate.
    let _ = rustix::process::setpriority_process(None, -10);
    let payload = [0x2a; PAYLOAD];
    let each = usize::try_from(rate / TURNS).unwrap_or(1).max(1);
    let slices = vec![[IoSlice::new(&payload)]; each];
    let addresses: Vec<Option<SockaddrIn>> = vec![None; each];
    let no_control: [ControlMessage<'_>; 0] = [];
    let (begin, turn) = (Instant::now(), Duration::from_secs(1) / TURNS);
    let (mut sent, mut turns) = (Sent::default(), 0);
    while !is_over.load(Ordering::Acquire) {
        let due = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        if turns >= due {
            thread::sleep(turn);
            continue;
        }
        let missed = (due - turns).saturating_sub(MOST_BEHIND);
        sent.missed += missed;
        turns += missed + 1;
        let mut headers = MultiHeaders::preallocate(each, None);
        let flags = MsgFlags::empty();
        let done = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, &addresses, no_control, flags)?;
        sent.packets += done.count() as u64;
    }
    Ok(sent)
}
