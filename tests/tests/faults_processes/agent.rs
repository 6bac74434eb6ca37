//! `kflow agent`, process 1 of a container, killed with what runs beside it.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    aftermath::Aftermath,
    attached, kflow,
    pair::{NEAR_INTERFACE, Pair},
};

use crate::{
    file::{Contents, assert_nothing_between},
    moments::{pass, random},
    numbers::Numbers,
};

/// A capture has begun after a third of it or so.
const MOST: Duration = Duration::from_millis(800);

#[test]
fn an_agent_that_is_killed_takes_its_captures_with_it() {
    kill_agents(3);
}

#[test]
#[ignore = "half a minute: `cargo xtask test faults` runs it"]
fn an_agent_that_is_killed_at_30_moments_takes_its_captures_with_it() {
    kill_agents(30);
}

fn kill_agents(times: usize) {
    let mut random = random("moments of agents");
    let pair = Pair::up().unwrap();
    let _numbers = Numbers::start(&pair, 2, 200);
    let folder = std::env::temp_dir().join(format!("{}-agent", pair.near.name()));
    fs::create_dir(&folder).unwrap();
    for round in 0..times {
        let file = folder.join(format!("{round}.pcapng"));
        let attach = if round % 3 == 2 { "clsact" } else { "tcx" };
        let mut aftermath = Aftermath::of([&pair.near]).unwrap();
        let (mut agent, process) = start(&aftermath);
        // As `exec` of a container runtime does.
        let mut beside = aftermath.command("nsenter");
        beside.args(["--pid", "--target", &process.to_string()]).arg(kflow::program());
        beside.args(["capture", "-i", NEAR_INTERFACE, "--attach", attach, "--netns"]);
        beside.arg(pair.near.path()).arg("-w").arg(&file).stdin(Stdio::null()).stderr(Stdio::null());
        let mut capture = beside.spawn().unwrap();
        pass(&mut random, MOST);
        aftermath.look();
        kill(Pid::from_raw(process.cast_signed()), Signal::SIGKILL).unwrap();
        agent.wait().unwrap();
        let status = capture.wait().unwrap();
        assert!(!status.success(), "{status:?}");
        if attach == "clsact" {
            sweep(&pair);
        }
        aftermath.check().unwrap_or_else(|left| panic!("{attach}: {left}"));
        if file.exists() {
            assert_nothing_between(&[&Contents::of(&file)]);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// An agent in a PID namespace of its own, and the number that it has outside.
fn start(aftermath: &Aftermath<'_>) -> (Child, u32) {
    let mut command = aftermath.command("unshare");
    command.args(["--fork", "--pid", "--kill-child"]).arg(kflow::program()).args(["agent", "--stay"]);
    let mut child = command.stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let process = loop {
        if let Some(process) = inside(child.id()) {
            break process;
        }
        assert_eq!(child.try_wait().unwrap(), None, "the agent ended by itself");
        thread::yield_now();
    };
    (child, process)
}

/// The child of `unshare`, once it is kflow.
fn inside(parent: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let id = children.split_whitespace().next()?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
    (name.trim() == "kflow").then_some(id)
}

/// With process 1 the kernel kills the process that takes filters away, too: the next capture there does it.
fn sweep(pair: &Pair) {
    let mut next = std::process::Command::new(kflow::program());
    next.args(["capture", "-i", "lo", "--duration", "0.1", "-w", "/dev/null", "--netns"])
        .arg(pair.near.path());
    let output = next.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3), "{said}");
    let left = attached::within(&pair.near).unwrap();
    assert!(!left.iter().any(|line| line.contains("kflow-")), "{left:#?}");
}
