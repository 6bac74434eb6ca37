//! Network namespaces under names, and programs in them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace; it goes when this value goes.
pub(crate) struct Netns {
    pub(crate) name: String,
}

impl Netns {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let netns = Self { name: format!("kd-{}-{number}", std::process::id()) };
        assert!(Command::new("ip").args(["netns", "add", &netns.name]).status().unwrap().success());
        netns.ip("link set lo up");
        netns
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Runs `ip` inside, which must succeed.
    pub(crate) fn ip(&self, words: &str) -> String {
        self.try_ip(words).unwrap_or_else(|error| panic!("ip {words}: {error}"))
    }

    /// Runs `ip` inside; what it says on its standard error where it fails.
    pub(crate) fn try_ip(&self, words: &str) -> Result<String, String> {
        let output = Command::new("ip").args(["-n", &self.name]).args(words.split(' ')).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Runs a program inside.
    pub(crate) fn run(&self, command: &mut Command) -> Output {
        let file = File::open(self.path()).unwrap();
        let inside = || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            command.output().unwrap()
        };
        thread::scope(|scope| scope.spawn(inside).join()).unwrap()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// `kflow` as a user starts it.
pub(crate) fn kflow(words: &[&str]) -> Command {
    let mut command = Command::new(tests::kflow::program());
    command.args(words);
    command
}

/// `kflow` without these capabilities, however they could be had.
pub(crate) fn kflow_without(capabilities: &[&str], words: &[&str]) -> Command {
    if capabilities.is_empty() {
        return kflow(words);
    }
    let removed: Vec<_> = capabilities.iter().map(|name| format!("-{name}")).collect();
    let removed = removed.join(",");
    let mut command = Command::new("setpriv");
    command.args([format!("--inh-caps={removed}"), format!("--bounding-set={removed}")]);
    command.arg(tests::kflow::program()).args(words);
    command
}
