//! What a capture is told while it runs: lines on standard input, each of which also shows that somebody listens.
//!
//! A thread of its own reads them, so that they are heard while the output is blocked: a reader that is gone without a
//! word (a cut network, a frozen laptop) blocks it for ever. The end comes to the capture as a signal, which whatever
//! it waits for heeds already.

mod lines;

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer_core::way::Extent;

use self::lines::Lines;
use crate::error::chain;
use crate::kernel::confine::{self, Confinement};
use crate::kernel::filter::AddressSet;

/// The interfaces of pods, by the addresses of the pods.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodLinks {
    /// Their ends alone, or all of the way.
    pub extent: Extent,
    /// The pods.
    pub addresses: BTreeSet<IpAddr>,
}

/// What is to be otherwise from now on; what is absent stays as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Orders {
    /// Which packets.
    pub addresses: Option<AddressSet>,
    /// Which interfaces.
    pub pods: Option<PodLinks>,
    /// Bytes of output per second.
    pub max_rate: Option<u64>,
    /// Nothing more: it ends as with the end of the input.
    pub is_end: bool,
}

impl Orders {
    fn absorb(&mut self, newer: Self) {
        self.addresses = newer.addresses.or(self.addresses.take());
        self.pods = newer.pods.or(self.pods.take());
        self.max_rate = newer.max_rate.or(self.max_rate);
        self.is_end |= newer.is_end;
    }
}

/// Standard input as the means by which a capture is led.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// Without a line for so long it ends.
    pub heartbeat: Duration,
    /// What a line that is not empty says, or what is wrong with it.
    pub parse: fn(&str) -> Result<Orders, String>,
}

/// Lines that nobody understands are told of so often: a pipe that nobody reads must not become full of them.
const COMPLAINTS: u32 = 20;

/// The thread, as the capture sees it.
pub(super) struct Reins(Arc<Shared>);

#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    is_over: AtomicBool,
}

impl Reins {
    /// Listens from now on. SIGTERM must be blocked by now, in this thread and those that it makes.
    pub(super) fn take(lead: Lead, confinement: Confinement) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let listener = Listener { lead, shared: Arc::clone(&shared), complaints: 0 };
        let listen = move || {
            if let Err(error) = confine::forsake(confinement) {
                say!("kflow: {}", chain(&error));
            }
            listener.listen();
        };
        thread::Builder::new().name("kflow-orders".to_owned()).spawn(listen)?;
        Ok(Self(shared))
    }

    /// What was ordered since the last time.
    pub(super) fn orders(&self) -> Orders {
        std::mem::take(&mut *self.0.lock())
    }

    /// Whether the lines came to their end, or stopped.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Listener {
    lead: Lead,
    shared: Arc<Shared>,
    complaints: u32,
}

impl Listener {
    fn listen(mut self) {
        let last_word = self.follow();
        self.shared.is_over.store(true, Ordering::Release);
        // The process itself is always there.
        let _ = kill(Pid::this(), Signal::SIGTERM);
        if let Some(word) = last_word {
            say!("kflow: {word}");
        }
    }

    /// Hears until the end. Returns what there is to say about it.
    fn follow(&mut self) -> Option<String> {
        let mut lines = Lines::default();
        let mut due = Instant::now() + self.lead.heartbeat;
        let mut bytes = vec![0; 64 << 10];
        loop {
            match wait(due) {
                Ok(true) => {}
                Ok(false) => {
                    return Some(format!("no heartbeat for {} s: ending", self.lead.heartbeat.as_secs_f64()));
                }
                Err(error) => return Some(format!("cannot wait for standard input: {error}")),
            }
            let count = match io::stdin().lock().read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Some(format!("cannot read standard input: {error}")),
            };
            let mut rest = &bytes[..count];
            while let Some(line) = lines.next(&mut rest) {
                due = Instant::now() + self.lead.heartbeat;
                if self.hear(line) {
                    return None;
                }
            }
        }
    }

    /// Returns whether that was the last line.
    fn hear(&mut self, line: Result<String, &'static str>) -> bool {
        let orders = match line.map_err(str::to_owned) {
            Ok(line) if line.trim().is_empty() => return false,
            Ok(line) => (self.lead.parse)(&line),
            Err(fault) => Err(fault),
        };
        match orders {
            Ok(orders) => {
                let is_end = orders.is_end;
                self.shared.lock().absorb(orders);
                is_end
            }
            Err(fault) => {
                self.complain(&fault);
                false
            }
        }
    }

    fn complain(&mut self, fault: &str) {
        self.complaints += 1;
        if self.complaints <= COMPLAINTS {
            let last = if self.complaints == COMPLAINTS { " (further ones are not told)" } else { "" };
            say!("kflow: standard input: {fault}; nothing changes{last}");
        }
    }
}

/// Whether there is something to read before the time is over.
fn wait(due: Instant) -> io::Result<bool> {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        let stdin = io::stdin();
        match poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(0) if Instant::now() < due => {}
            Ok(count) => return Ok(count > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_orders_of_a_kind_replace_earlier_ones() {
        let pods = |address: &str| PodLinks {
            extent: Extent::Ends,
            addresses: BTreeSet::from([address.parse().unwrap()]),
        };
        let mut orders = Orders { max_rate: Some(1), pods: Some(pods("10.0.0.1")), ..Orders::default() };
        orders.absorb(Orders { addresses: Some(AddressSet::nothing()), ..Orders::default() });
        orders.absorb(Orders { pods: Some(pods("10.0.0.2")), is_end: true, ..Orders::default() });
        let expected = Orders {
            addresses: Some(AddressSet::nothing()),
            pods: Some(pods("10.0.0.2")),
            max_rate: Some(1),
            is_end: true,
        };
        assert_eq!(orders, expected);
    }
}
