//! What the network between the nodes may do to frames: lose them, keep them for a while, change them.
//!
//! A rule on the bridge's port of a node hands frames to a TAP device, out of which a thread takes them, and puts what
//! shall go on into another one, a port of the bridge. No drop is on record anywhere in the kernel, as with a switch or a
//! filter of somebody else's.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Lab, tun};
use crate::{LabError, Namespace, run, truth::random::Random};

/// Frames kept back at one time; more are let go at once.
const KEPT: usize = 4096;
/// How long the thread sleeps where nothing comes.
const NAP: u16 = 20;
const FRAME_LEN: usize = 65_536;
/// The names of tables and devices of one process.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What happens to a frame that it happens to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// It is never seen again.
    Lose,
    /// It goes on so much later.
    Delay(Duration),
    /// A bit of its last byte is another one: the payload's, where there is one.
    Corrupt,
    /// The time to live of its outer header is another one, the checksum is not.
    CorruptHeader,
}

/// What happens, to which frames.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// What.
    pub effect: Effect,
    /// The node that sends them; the bridge's port has its name.
    pub from: &'static str,
    /// Which, in words of `nft`; none for all.
    pub filter: &'static str,
    /// The share of them, in thousandths.
    pub per_mille: u16,
}

/// A wire that does so, for as long as this value lives.
#[derive(Debug)]
pub struct Running {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Lets it happen from now on.
    pub fn start(self, lab: &Lab) -> Result<Running, LabError> {
        let ns = lab.underlay();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (entry, exit) = (format!("in{number}"), format!("out{number}"));
        let devices = ns.run(|| Ok::<_, LabError>((tun::tap(&entry)?, tun::tap(&exit)?)))??;
        // A switch does not look into packets: the kernel's bridge would drop what has a wrong header (`br_validate_ipv4`).
        run(
            ns,
            "sysctl",
            &["-qw", "net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0"],
            "",
        )?;
        // The bridge must not learn that the sender is behind the exit.
        let batch = format!(
            "link set {entry} up
link set {exit} master br0 up
link set {exit} type bridge_slave learning off flood off mcast_flood off bcast_flood off\n"
        );
        run(ns, "ip", &["-batch", "-"], &batch)?;
        let ending = Arc::new(AtomicBool::new(false));
        let relay =
            Relay { devices, effect: self.effect, kept: VecDeque::new(), random: Random(u64::from(number)) };
        let (told, per_mille) = (Arc::clone(&ending), self.per_mille);
        let thread = thread::spawn(move || relay.run(per_mille, &told));
        self.divert(ns, number, &entry)?;
        Ok(Running { ending, thread: Some(thread) })
    }

    fn divert(self, ns: &Namespace, number: u32, entry: &str) -> Result<(), LabError> {
        let rules = format!(
            "table netdev wire{number} {{\n chain arriving {{\n type filter hook ingress device \"{}\" priority {number};\n {} fwd to \"{entry}\"\n}}\n}}\n",
            self.from, self.filter
        );
        run(ns, "nft", &["-f", "-"], &rules)?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Relay {
    devices: (File, File),
    effect: Effect,
    kept: VecDeque<(Instant, Vec<u8>)>,
    random: Random,
}

impl Relay {
    fn run(mut self, per_mille: u16, ending: &AtomicBool) {
        let mut frame = vec![0; FRAME_LEN];
        while !ending.load(Ordering::Acquire) {
            // What the devices refuse is lost, which a wire may do.
            if self.wait().is_err() {
                return;
            }
            // Frames that came while this thread had no processor overtake those that are kept.
            for _ in 0..KEPT {
                let Ok(len) = self.devices.0.read(&mut frame) else { break };
                let is_meant = self.random.number() % 1000 < u64::from(per_mille);
                self.pass(&mut frame[..len], is_meant);
            }
            self.release();
        }
    }

    /// Until a frame is there or one that is kept may go.
    fn wait(&self) -> io::Result<()> {
        let next = self.kept.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        let nap = next.map_or(NAP, |left| u16::try_from(left.as_millis()).unwrap_or(NAP).min(NAP));
        let mut waiting = [PollFd::new(self.devices.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut waiting, PollTimeout::from(nap))?;
        Ok(())
    }

    fn release(&mut self) {
        while self.kept.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, frame)) = self.kept.pop_front() {
                self.send(&frame);
            }
        }
    }

    fn pass(&mut self, frame: &mut [u8], is_meant: bool) {
        if is_meant {
            match self.effect {
                Effect::Lose => return,
                Effect::Delay(by) if self.kept.len() < KEPT => {
                    self.kept.push_back((Instant::now() + by, frame.to_vec()));
                    return;
                }
                Effect::Delay(_) => {}
                Effect::Corrupt => change(frame.last_mut(), 1),
                // Behind the Ethernet header, the ninth byte of IPv4 (RFC 791).
                Effect::CorruptHeader => change(frame.get_mut(14 + 8), 2),
            }
        }
        self.send(frame);
    }

    fn send(&mut self, frame: &[u8]) {
        let _ = self.devices.1.write(frame);
    }
}

fn change(byte: Option<&mut u8>, bits: u8) {
    if let Some(byte) = byte {
        *byte ^= bits;
    }
}
