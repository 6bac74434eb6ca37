//! A node with many pods: what it takes to watch them all, or one of them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::Failure;
use crate::capture::{Running, Tool};
use crate::net::Net;

/// As Calico names the node's end of a pod's link.
pub(crate) const PATTERN: &str = "cali*";

/// What watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// `kflow capture -i any`.
    Any,
    /// `tcpdump -i any`.
    Tcpdump,
    /// What an agent runs for a trace of one pod: it watches that pod's interface and those that lead out.
    WayOfOne,
    /// `kflow trace --local` of one pod, on all interfaces.
    Trace,
}

/// Starts one on a node with so many pods, and ends it.
pub(crate) fn measure(kflow: &Path, pods: u32, what: What) -> Result<Value, Failure> {
    let (node, others) = (Net::new()?, Net::new()?);
    add(&node, &others, pods)?;
    let address = address(0);
    let mut command = Command::new(if what == What::Tcpdump { Path::new("tcpdump") } else { kflow });
    match what {
        What::Any => command.args(["capture", "-i", "any", "-w", "/dev/null"]),
        What::Tcpdump => command.args(["-Z", "root", "-i", "any", "-w", "/dev/null"]),
        What::WayOfOne => {
            command.args(["capture", "--host", &address, "--way-of", &address, "-w", "/dev/null"])
        }
        What::Trace => command.args(["trace", "--local", "--no-evidence", &address]),
    };
    let tool = match what {
        What::Tcpdump => Tool::Tcpdump,
        What::Trace => Tool::Trace(kflow),
        What::Any | What::WayOfOne => Tool::Kflow(kflow),
    };
    let begin = Instant::now();
    let started = node.inside(|| Running::start(&mut command, tool).map_err(|failure| failure.to_string()));
    let running = started??;
    let start = begin.elapsed().as_secs_f64();
    let memory = running.memory()?;
    let begin = Instant::now();
    let processor = running.end()?;
    let stop = begin.elapsed().as_secs_f64();
    Ok(json!({ "start": start, "stop": stop, "memory": memory, "processor": processor }))
}

/// Joins so many pods, which share a namespace, to a node: by a veth pair each, and a route to its address.
pub(crate) fn add(node: &Net, pods: &Net, count: u32) -> Result<(), Failure> {
    let peer = pods.path();
    let (mut links, mut ends, mut routes) = (String::new(), String::new(), String::new());
    for number in 0..count {
        // Writing to a string does not fail.
        let _ = writeln!(links, "link add cali{number} type veth peer name pod{number} netns {peer}");
        let _ = writeln!(links, "link set cali{number} addrgenmode none up");
        let _ = writeln!(ends, "link set pod{number} addrgenmode none up");
        let _ = writeln!(routes, "route add {}/32 dev cali{number}", address(number));
    }
    batch(node, &links)?;
    batch(pods, &ends)?;
    batch(node, &routes)
}

fn address(pod: u32) -> String {
    let [_, _, high, low] = pod.to_be_bytes();
    format!("10.64.{high}.{low}")
}

/// `ip -batch`.
fn batch(net: &Net, lines: &str) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    let output = net.inside(|| {
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(lines.as_bytes())?;
        }
        child.wait_with_output()
    })??;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`ip -batch`: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
