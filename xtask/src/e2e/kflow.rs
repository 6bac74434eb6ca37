//! The program under test, run as a person runs it.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::stage::AGENTS;

/// How long after the end of a program its output may stay open.
const GRACE: Duration = Duration::from_secs(2);

/// Which one, and with whose rights.
#[derive(Clone)]
pub(super) struct Kflow {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// A line of standard output and when it came, since the start.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) after: Duration,
    pub(super) text: String,
}

/// A run that goes on.
pub(super) struct Running {
    child: Child,
    start: Instant,
    lines: Receiver<Line>,
    out: Vec<Line>,
    err: JoinHandle<String>,
}

/// A run that is over.
#[derive(Debug)]
pub(super) struct Ended {
    /// None where a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) out: Vec<Line>,
    pub(super) err: String,
    pub(super) took: Duration,
}

impl Kflow {
    pub(super) fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self { program, kubeconfig }
    }

    /// The same program, for somebody else or by another way.
    pub(super) fn with(&self, kubeconfig: PathBuf) -> Self {
        Self { program: self.program.clone(), kubeconfig }
    }

    /// Where it is.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Starts it on the cluster.
    pub(super) fn start(&self, words: &[&str]) -> Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(words).env("KUBECONFIG", &self.kubeconfig).env_remove("KFLOW_IMAGE");
        eprintln!("$ kflow {}", words.join(" "));
        Running::of(&mut command)
    }

    /// Starts a command that places agents, in the namespace of the stories.
    pub(super) fn start_with_agents(&self, words: &[&str]) -> Result<Running> {
        let (command, rest) = words.split_first().context("no command")?;
        self.start(&[&[command, "--agent-namespace", AGENTS], rest].concat())
    }

    /// Runs it to its end.
    pub(super) fn run(&self, words: &[&str], patience: Duration) -> Result<Ended> {
        self.start(words)?.finish(patience)
    }
}

impl Running {
    fn of(command: &mut Command) -> Result<Self> {
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kflow")?;
        let out = child.stdout.take().context("no pipe")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for text in BufReader::new(out).lines().map_while(Result::ok) {
                let line = Line { after: start.elapsed(), text };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut pipe = child.stderr.take().context("no pipe")?;
        let err = thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read until then is all there is.
            let _ = pipe.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Self { child, start, lines, out: Vec::new(), err })
    }

    /// Waits for a line of standard output.
    pub(super) fn line(&mut self, patience: Duration, is_it: impl Fn(&str) -> bool) -> Result<Line> {
        let until = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.out.push(line.clone());
                    if is_it(&line.text) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no such line within {} s", patience.as_secs()),
                Err(RecvTimeoutError::Disconnected) => bail!("it ended without such a line"),
            }
        }
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no process")?;
        kill_process(pid, signal).context("cannot send a signal")
    }

    /// Waits for its end, and kills it if that does not come.
    pub(super) fn finish(mut self, patience: Duration) -> Result<Ended> {
        let until = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for kflow")? {
                break status;
            }
            if Instant::now() > until {
                self.child.kill().context("cannot kill kflow")?;
                let ended = self.end(None)?;
                bail!("it did not end within {} s, and said: {}", patience.as_secs(), ended.err);
            }
            thread::sleep(Duration::from_millis(20));
        };
        self.end(status.code())
    }

    /// What it printed. Whatever it leaves behind must not hold its output, or a pipe behind it would not end.
    fn end(mut self, code: Option<i32>) -> Result<Ended> {
        self.child.wait().context("cannot wait for kflow")?;
        let took = self.start.elapsed();
        let until = Instant::now() + GRACE;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.out.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("it ended, but something that it started holds its output")
                }
            }
        }
        while !self.err.is_finished() {
            ensure!(
                Instant::now() < until,
                "it ended, but something that it started holds its standard error"
            );
            thread::sleep(Duration::from_millis(10));
        }
        let err = self.err.join().ok().context("the reader of stderr is gone")?;
        Ok(Ended { code, out: self.out, err, took })
    }
}

impl Ended {
    /// Fails unless it ended with this code.
    pub(super) fn expect(self, code: i32) -> Result<Self> {
        ensure!(
            self.code == Some(code),
            "it ended with {:?} in place of {code}; it printed {} and said: {}",
            self.code,
            self.tail(),
            self.err
        );
        Ok(self)
    }

    /// All of standard output.
    pub(super) fn text(&self) -> String {
        self.out.iter().fold(String::new(), |text, line| text + &line.text + "\n")
    }

    fn tail(&self) -> String {
        let lines: Vec<&str> = self.out.iter().rev().take(3).map(|line| line.text.as_str()).collect();
        lines.join(" / ")
    }
}
