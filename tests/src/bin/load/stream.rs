//! A TCP stream of iperf3.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use crate::net::{BARE, Link, Pair, WATCHED};
use crate::{Failure, Load, Turn, cores};

/// Streams over each link, one after another.
const TURNS: usize = 7;

pub(crate) struct Stream {
    pub(crate) pair: Pair,
    bytes: u64,
}

impl Stream {
    /// Of packets of one segment: what is added to one of 64 KiB is little beside what those vary by. Where they are sent,
    /// kflow sees them before they are cut and tcpdump behind that; where they arrive, both see the same.
    pub(crate) fn new(bytes: u64) -> Result<Self, Failure> {
        let pair = Pair::new()?;
        pair.without_offloads()?;
        Ok(Self { pair, bytes })
    }

    pub(crate) fn run(&self) -> Result<Load, Failure> {
        let begin = self.pair.packets(&WATCHED)?;
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            let before = self.pair.packets(&WATCHED)?;
            let watched = self.stream(&WATCHED)?;
            let packets = self.pair.packets(&WATCHED)? - before;
            let before = self.pair.packets(&BARE)?;
            let bare = self.stream(&BARE)?;
            let bare_packets = self.pair.packets(&BARE)? - before;
            // Acknowledgements are not of the same number every time.
            let bare = bare * packets as f64 / bare_packets as f64;
            turns.push(Turn { watched, bare, packets });
        }
        Ok(Load { packets: self.pair.packets(&WATCHED)? - begin, turns })
    }

    /// Seconds of the processor of client and server, which share the first core: what the kernel does for the
    /// packets it does in their time.
    fn stream(&self, link: &Link) -> Result<f64, Failure> {
        let mut server = self.pair.receiver.inside(|| {
            let mut command = Command::new("iperf3");
            command.args(["-s", "-1", "--forceflush"]).stdin(Stdio::null()).stdout(Stdio::piped());
            cores::first()?;
            command.spawn()
        })??;
        let mut heard = BufReader::new(server.stdout.take().ok_or("no pipe")?);
        let mut told = String::new();
        while !told.contains("listening") {
            told.clear();
            if heard.read_line(&mut told)? == 0 {
                server.wait()?;
                return Err("iperf3 does not listen".into());
            }
        }
        let before = used()?;
        let bytes = self.bytes.to_string();
        let client = self.pair.sender.inside(|| {
            let mut command = Command::new("iperf3");
            command.args(["-c", link.receiver_address, "-n", &bytes]).stdin(Stdio::null());
            cores::first()?;
            command.output()
        });
        let is_done = matches!(&client, Ok(Ok(output)) if output.status.success());
        if !is_done {
            let _ = server.kill();
        }
        heard.read_to_string(&mut told)?;
        server.wait()?;
        if !is_done {
            return Err("iperf3 failed".into());
        }
        Ok(used()? - before)
    }
}

/// Seconds of the processor of all processes that were started and have ended.
fn used() -> nix::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
