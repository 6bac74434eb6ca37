//! Programs of pods: in the network namespace of their node, in a process namespace of the pod.

use std::{ffi::OsString, fs, io, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::config::{Fate, NodeConfig};

/// How long making the namespaces of a pod may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: i32 = 128;

/// The capabilities that [`Fate::NoCapability`] takes away.
const WITHOUT: &str = "--bounding-set=-bpf,-net_admin,-perfmon,-sys_admin";

/// The first process of a container; it and all that are in its namespace go with this value.
pub(super) struct Container {
    /// `unshare`, which waits for the first process.
    waiter: Child,
    init: i32,
}

impl Container {
    /// Starts a pod's container; it has its namespaces when this returns.
    pub(super) async fn start(program: &Path, node: &NodeConfig, pod: &Value) -> io::Result<Self> {
        let mut words = Vec::new();
        if let Some(netns) = &node.netns {
            let mut flag = OsString::from("--net=");
            flag.push(netns);
            words.extend(["nsenter".into(), flag, "--".into()]);
        }
        let unshare =
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "slave", "--"];
        words.extend(unshare.map(OsString::from));
        words.extend(confined(node));
        words.extend(command(program, &pod["spec"]["containers"][0]));
        let waiter = spawn(words, Stdio::null)?;
        let init = first_process(&waiter).await?;
        Ok(Self { waiter, init })
    }

    /// The first process, as this machine numbers it.
    pub(super) fn init(&self) -> i32 {
        self.init
    }

    /// Waits for its end; its exit code, with 128 and the signal's number where that ended it.
    pub(super) async fn wait(&mut self) -> i32 {
        self.waiter.wait().await.map_or(-1, exit_code)
    }

    /// Ends it without asking; the code of that end, which `unshare` does not pass on.
    pub(super) async fn kill(&mut self) -> i32 {
        self.signal(Signal::SIGKILL);
        self.wait().await;
        SIGNALLED + Signal::SIGKILL as i32
    }

    pub(super) fn signal(&self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(self.init), signal);
    }
}

/// Starts a program in the namespaces of a container, with three pipes.
pub(super) fn enter(program: &Path, node: &NodeConfig, init: i32, words: &[String]) -> io::Result<Child> {
    let mut all: Vec<OsString> = ["nsenter", "--target"].map(OsString::from).into();
    all.extend(
        [init.to_string(), "--pid".into(), "--mount".into(), "--net".into(), "--".into()].map(OsString::from),
    );
    all.extend(confined(node));
    all.extend(words.iter().enumerate().map(|(index, word)| located(program, word, index)));
    spawn(all, Stdio::piped)
}

/// The code that a shell would tell.
pub(super) fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal)).unwrap_or(-1)
}

fn spawn(words: Vec<OsString>, streams: impl Fn() -> Stdio) -> io::Result<Child> {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    command.args(words).env_clear().env("PATH", path).current_dir("/").kill_on_drop(true);
    command.stdin(streams()).stdout(streams()).stderr(streams()).spawn()
}

fn confined(node: &NodeConfig) -> Vec<OsString> {
    match node.fate {
        Fate::NoCapability => ["setpriv", WITHOUT, "--"].map(OsString::from).into(),
        _ => Vec::new(),
    }
}

/// The words of a container: those of its image where it has none, which are `/kflow agent`.
fn command(program: &Path, container: &Value) -> Vec<OsString> {
    let words = |key: &str| -> Option<Vec<String>> {
        let list = container[key].as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    let (command, arguments) = (words("command"), words("args"));
    let default = if command.is_some() { Vec::new() } else { vec!["agent".to_owned()] };
    let mut all = command.unwrap_or_else(|| vec!["/kflow".to_owned()]);
    all.extend(arguments.unwrap_or(default));
    all.iter().enumerate().map(|(index, word)| located(program, word, index)).collect()
}

/// The image has one file.
fn located(program: &Path, word: &str, index: usize) -> OsString {
    if index == 0 && word == "/kflow" { program.into() } else { word.into() }
}

/// The process that `unshare` made and that is no `unshare` itself any more.
async fn first_process(waiter: &Child) -> io::Result<i32> {
    let gone = || io::Error::other("the first process of the container ended before it began");
    let waiter = waiter.id().ok_or_else(gone)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let children =
            fs::read_to_string(format!("/proc/{waiter}/task/{waiter}/children")).map_err(|_| gone())?;
        if let Some(init) = children.split_whitespace().next().and_then(|word| word.parse().ok())
            && let Ok(words) = fs::read(format!("/proc/{init}/cmdline"))
            && !words.is_empty()
            && ![&b"unshare\0"[..], b"setpriv\0", b"nsenter\0"].iter().any(|before| words.starts_with(before))
        {
            return Ok(init);
        }
        sleep(Duration::from_millis(2)).await;
    }
    Err(io::ErrorKind::TimedOut.into())
}
