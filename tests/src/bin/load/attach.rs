//! How long captures take to begin and to end.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::Failure;
use crate::capture::{Running, Tool};
use crate::net::Net;

/// kflow on all of `interfaces`, which are veth pairs of one namespace.
pub(crate) fn many(kflow: &Path, interfaces: u32, mode: &str) -> Result<Value, Failure> {
    let net = Net::new()?;
    for number in 0..interfaces / 2 {
        net.ip(&format!("link add a{number} up type veth peer name b{number}"))?;
        net.ip(&format!("link set b{number} up"))?;
    }
    let mut command = Command::new(kflow);
    command.args(["capture", "--attach", mode, "-w", "/dev/null", "-i", "a*", "-i", "b*"]);
    let (start, stop) = timed(&net, command, Tool::Kflow(kflow))?;
    Ok(json!({ "start": start, "stop": stop }))
}

/// Either tool on the loopback interface of an empty namespace.
pub(crate) fn start(kflow: &Path) -> Result<Value, Failure> {
    let net = Net::new()?;
    let mut ours = Command::new(kflow);
    ours.args(["capture", "-w", "/dev/null", "-i", "lo"]);
    let mut theirs = Command::new("tcpdump");
    theirs.args(["-Z", "root", "-w", "/dev/null", "-i", "lo"]);
    let (kflow, _) = timed(&net, ours, Tool::Kflow(kflow))?;
    let (tcpdump, _) = timed(&net, theirs, Tool::Tcpdump)?;
    Ok(json!({ "kflow": kflow, "tcpdump": tcpdump }))
}

/// Seconds from the start to readiness, and from SIGINT to the end.
fn timed(net: &Net, mut command: Command, tool: Tool<'_>) -> Result<(f64, f64), Failure> {
    let begin = Instant::now();
    let started = net.inside(|| Running::start(&mut command, tool).map_err(|failure| failure.to_string()));
    let running = started??;
    let start = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    running.stop()?;
    Ok((start, begin.elapsed().as_secs_f64()))
}
