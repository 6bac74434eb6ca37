//! `kflow agent`: process 1 of a container that waits for captures.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::node::{FIRST, Node};

/// An agent that is process 1 of a PID namespace of its own.
struct Agent {
    child: Child,
}

impl Agent {
    fn start(words: &str) -> Self {
        let program = tests::kflow::program();
        let child = Command::new("unshare")
            .args(["--fork", "--pid", "--mount-proc", "--kill-child"])
            .arg(program)
            .arg("agent")
            .args(words.split_whitespace())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let agent = Self { child };
        // unshare has made its child when the child is kflow.
        while agent.find().is_none() {
            thread::yield_now();
        }
        agent
    }

    fn find(&self) -> Option<Pid> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        let pid: i32 = children.split_whitespace().next()?.parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "kflow" && is_waiting(pid)).then(|| Pid::from_raw(pid))
    }

    fn pid(&self) -> Pid {
        self.find().unwrap()
    }

    /// Runs a program beside it, as `exec` of a container runtime does.
    fn exec(&self, command: &str) -> Command {
        let mut beside = Command::new("nsenter");
        beside.args(["--pid", "--mount", "--target", &self.pid().to_string(), "sh", "-c", command]);
        beside
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn end(mut self) -> (Option<i32>, String) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.is_running() {
            assert!(Instant::now() < end, "the agent does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let mut words = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        (self.child.wait().unwrap().code(), words)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it has taken SIGCHLD over: the bit of it in the mask of what is blocked.
fn is_waiting(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & (1 << 16) != 0)
}

#[test]
fn agent_ends_when_nobody_came() {
    let begin = Instant::now();
    let (code, words) = Agent::start("--idle 1").end();
    assert_eq!((code, words.as_str()), (Some(0), "kflow: no capture for 1 s: ending\n"));
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[test]
fn agent_stays_while_somebody_is_there() {
    let mut agent = Agent::start("--idle 1");
    let mut beside = agent.exec("read line").stdin(Stdio::piped()).spawn().unwrap();
    thread::sleep(Duration::from_millis(2500));
    assert!(agent.is_running());
    drop(beside.stdin.take());
    beside.wait().unwrap();
    let gone = Instant::now();
    assert_eq!(agent.end().0, Some(0));
    assert!(gone.elapsed() < Duration::from_secs(4));
}

#[test]
fn agent_that_is_to_stay_ends_by_a_signal_only() {
    let mut agent = Agent::start("--stay");
    thread::sleep(Duration::from_millis(1500));
    assert!(agent.is_running());
    let begin = Instant::now();
    kill(agent.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(agent.end(), (Some(0), String::new()));
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn agent_takes_the_ends_of_orphans() {
    let agent = Agent::start("--stay");
    // The shell is gone before its children are.
    let status = agent.exec("for i in 1 2 3 4 5 6 7 8; do (sleep 0.2 &) ; done").status().unwrap();
    assert!(status.success());
    let count = |state: char| {
        let listed = agent.exec("cat /proc/[0-9]*/stat").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        listed.lines().filter(|line| line.contains(&format!("(sleep) {state}"))).count()
    };
    while count('S') > 0 {
        thread::yield_now();
    }
    let end = Instant::now() + Duration::from_secs(5);
    while count('Z') > 0 {
        assert!(Instant::now() < end, "{} zombies", count('Z'));
    }
}

#[test]
fn captures_beside_it_end_in_order_with_it() {
    let node = Node::new();
    let agent = Agent::start("--stay");
    let program = tests::kflow::program();
    // By clsact, whose filters the kernel leaves.
    let capture = format!(
        "exec {} capture -i cali1 --attach clsact --netns {} -w - --host {FIRST}",
        program.display(),
        node.netns()
    );
    let mut beside = agent.exec(&capture).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(beside.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("capturing on cali1"), "{line}");
    assert_eq!(filters(&node), 2);
    kill(agent.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(agent.end().0, Some(0));
    beside.wait().unwrap();
    assert_eq!(filters(&node), 0);
}

fn filters(node: &Node) -> usize {
    let show = |direction| {
        let listed =
            tests::run(&node.node, "tc", &["filter", "show", "dev", "cali1", direction], "").unwrap();
        listed.matches("kflow-").count()
    };
    show("ingress") + show("egress")
}
