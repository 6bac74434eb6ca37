//! A kflow whose words are heard as they come.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long it may take to say something.
const PATIENCE: Duration = Duration::from_mins(1);

/// Dropped without being stopped it is killed.
pub(crate) struct Running {
    child: Child,
    heard: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

/// What it left.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Absent where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

impl Running {
    /// Starts it; standard output goes where the command says.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let heard = Arc::new(Mutex::new(String::new()));
        let hearing = Arc::clone(&heard);
        let listener = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut heard = hearing.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        Self { child, heard, listener: Some(listener) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until it has said this so often.
    pub(crate) fn wait_for(&mut self, words: &str, times: usize) {
        let heard = Arc::clone(&self.heard);
        self.wait_until(|| heard.lock().unwrap().matches(words).count() >= times, words);
    }

    /// Waits until something has come about while it runs.
    pub(crate) fn wait_until(&mut self, has_come: impl Fn() -> bool, what: &str) {
        let end = Instant::now() + PATIENCE;
        while !has_come() {
            let has_ended = self.child.try_wait().unwrap().is_some();
            assert!(!has_ended && Instant::now() < end, "no `{what}` of kflow: {}", self.heard());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ctrl-C, and what it left.
    pub(crate) fn stop(self) -> Outcome {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.wait()
    }

    /// SIGKILL, and what it left.
    pub(crate) fn kill(mut self) -> Outcome {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Outcome {
        let code = self.child.wait().unwrap().code();
        self.listener.take().map(JoinHandle::join).transpose().unwrap();
        Outcome { code, stderr: self.heard() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// tcpdump's three numbers: captured, received by filter, dropped by kernel.
    pub(crate) fn three(&self) -> [u64; 3] {
        ["captured", "received by filter", "dropped by kernel"].map(|words| {
            let line = self.stderr.lines().find(|line| line.ends_with(words));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.unwrap_or_else(|| panic!("no packets {words}: {}", self.stderr))
        })
    }
}

/// A directory of a test's own.
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
