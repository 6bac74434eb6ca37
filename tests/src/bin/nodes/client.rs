//! The client, alone on the last core.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;
use serde_json::Value;
use tests::cores;
use tests::synthetic::Node;

use crate::heard::{Form, Heard};
use crate::site::LABEL;
use crate::{Arguments, Failure, What};

/// Bytes of text that may wait for being listened to (pipe(7)).
const PIPE: i32 = 1 << 20;
/// Clock ticks of a second, as the kernel tells them (`USER_HZ`, include/uapi/asm-generic/param.h).
const TICKS: f64 = 100.0;

/// What it prints at its end.
pub(crate) struct Told {
    /// Packets that it has taken.
    pub(crate) taken: Option<u64>,
    /// Lines printed.
    pub(crate) lines: u64,
    /// Seconds from the packet to the line: median, 99 in 100, greatest.
    pub(crate) latency: Option<[f64; 3]>,
    pub(crate) code: Option<i32>,
    /// Seconds of the processor in all.
    pub(crate) processor: f64,
}

/// A client to which all nodes stream.
pub(crate) struct Client {
    child: Child,
    what: What,
    begin: Sender<Instant>,
    heard: JoinHandle<std::io::Result<Heard>>,
    stderr: JoinHandle<String>,
}

impl Client {
    /// Starts it, and waits until all nodes stream.
    pub(crate) fn start(arguments: &Arguments, pairs: u8, kubeconfig: &Path) -> Result<Self, Failure> {
        let mut command = Command::new(&arguments.kflow);
        let nodes = (0..pairs).flat_map(|pair| [Node::Clients, Node::Servers].map(|node| node.name(pair)));
        let nodes: Vec<String> = nodes.collect();
        let file = arguments.folder.join("nodes.pcapng");
        match arguments.what {
            What::Lines | What::File => {
                command.arg("capture").args(nodes.iter().map(|node| format!("node/{node}")));
            }
            What::Trace => {
                // What is played are captures, and no evidence.
                command.args(["trace", "-o", "json", "--no-evidence", "-l", LABEL]);
            }
        }
        if arguments.what == What::File {
            command.arg("-w").arg(&file);
        }
        command.arg("--kubeconfig").arg(kubeconfig).env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawn = move || {
            cores::last()?;
            command.spawn()
        };
        let mut child = thread::spawn(spawn).join().map_err(|_| "a thread failed")??;
        let stdout = child.stdout.take().ok_or("no pipe")?;
        // A terminal reads at once. Whoever listens here shares a core with all nodes, and its turns are not the client's.
        fcntl(&stdout, FcntlArg::F_SETPIPE_SZ(PIPE))?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no pipe")?);
        let (begin, known) = channel();
        let form = if arguments.what == What::Trace { Form::Events } else { Form::Lines };
        let seconds = arguments.seconds as f64;
        let heard = thread::spawn(move || Heard::listen(stdout, form, &known, seconds));
        if let Err(failure) = ready(&mut stderr, arguments.what, nodes.len()) {
            let _ = child.kill();
            child.wait()?;
            return Err(failure);
        }
        let stderr = thread::spawn(move || rest(stderr));
        Ok(Self { child, what: arguments.what, begin, heard, stderr })
    }

    /// The nodes begin now.
    pub(crate) fn begin(&self, at: Instant) {
        // A listener that is gone tells so itself.
        let _ = self.begin.send(at);
    }

    /// Seconds of the processor so far, of user and system (proc(5)).
    pub(crate) fn used(&self) -> Result<f64, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, rest) = stat.rsplit_once(')').ok_or("no statistics")?;
        let column =
            |number: usize| rest.split_whitespace().nth(number).and_then(|text| text.parse::<u64>().ok());
        let ticks = column(11).zip(column(12)).map(|(user, system)| user + system).ok_or("no statistics")?;
        Ok(ticks as f64 / TICKS)
    }

    /// Its greatest resident memory so far, KiB (proc(5)).
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Ends it by SIGINT, and hears what it says then.
    pub(crate) fn stop(mut self) -> Result<Told, Failure> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let status = self.child.wait()?;
        // Nothing else was waited for.
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let processor = (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6;
        let heard = self.heard.join().map_err(|_| "a thread failed")??;
        let said = self.stderr.join().map_err(|_| "a thread failed")?;
        let taken = match self.what {
            What::Lines | What::File => captured(&said),
            What::Trace => heard.summary.as_ref().and_then(observations),
        };
        if taken.is_none() {
            return Err(format!("kflow tells no count:\n{}", first_lines(&said)).into());
        }
        if !status.success() {
            eprintln!("nodes: kflow ended with {status}:\n{}", first_lines(&said));
        }
        Ok(Told { taken, lines: heard.lines, latency: heard.latency(), code: status.code(), processor })
    }
}

/// Reads until the client says that it hears all nodes.
fn ready(stderr: &mut BufReader<ChildStderr>, what: What, nodes: usize) -> Result<(), Failure> {
    let mut said = String::new();
    let mut capturing = 0;
    loop {
        let from = said.len();
        if stderr.read_line(&mut said)? == 0 {
            return Err(format!("kflow does not begin:\n{}", first_lines(&said)).into());
        }
        let line = &said[from..];
        capturing += usize::from(line.contains("capturing on"));
        if (what == What::Trace && line.starts_with("tracing ")) || capturing == nodes {
            return Ok(());
        }
    }
}

/// Of what is said of each node some.
fn first_lines(said: &str) -> String {
    const MOST: usize = 12;
    said.lines().take(MOST).collect::<Vec<_>>().join("\n")
}

fn rest(mut stderr: BufReader<ChildStderr>) -> String {
    let mut said = String::new();
    // What cannot be read is missed in the message only.
    let _ = stderr.read_to_string(&mut said);
    said
}

/// Of the last `N packets captured`.
fn captured(said: &str) -> Option<u64> {
    let line = said.lines().rfind(|line| line.ends_with(" packets captured"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What all captures told that they sent.
fn observations(summary: &Value) -> Option<u64> {
    let interfaces = summary["loss"]["interfaces"].as_array()?;
    interfaces.iter().map(|interface| interface["matched"].as_u64()).sum()
}
