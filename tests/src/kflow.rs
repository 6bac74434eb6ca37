//! `kflow` as a user starts it: a program with arguments, two streams and an exit code.

mod child;
mod told;

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use thiserror::Error;

pub use child::Capture;
pub use told::Told;

/// How `kflow trace` begins the line that says that every program is attached.
const READY: &str = "tracing ";

/// A `kflow` that did not do what it was started for.
#[derive(Debug, Error)]
pub enum KflowError {
    /// There is no such program.
    #[error("cannot start {}: build it with `cargo build -p tracer`", program.display())]
    Start {
        /// Its file.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("kflow ended before it was ready:\n{0}")]
    NotReady(String),
    /// A signal, its output or its end could not be had.
    #[error("cannot {operation} kflow")]
    Control {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// What it wrote with `-o json` is no JSON Lines.
    #[error("kflow wrote a line that is no JSON: {line}")]
    Line {
        /// The line.
        line: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// One of its captures did not end in time.
    #[error("the capture with process id {0} outlived its time")]
    Alive(u32),
}

/// The program that these tests are for: `KFLOW` in the environment, otherwise the one beside this program.
pub fn program() -> PathBuf {
    let beside = || {
        let own = env::current_exe().unwrap_or_default();
        // Tests are in `deps` below the folder of the binaries.
        let folders = own.ancestors().skip(1).take(2);
        folders
            .map(|folder| folder.join("kflow"))
            .find(|path| path.exists())
            .unwrap_or_else(|| "kflow".into())
    };
    env::var_os("KFLOW").map_or_else(beside, PathBuf::from)
}

/// A running `kflow`; dropped without [`Kflow::stop`] it is killed.
#[derive(Debug)]
pub struct Kflow {
    child: Child,
    stdout: Option<JoinHandle<io::Result<String>>>,
    stderr: Option<JoinHandle<io::Result<String>>>,
}

/// What a `kflow` left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// All that it wrote on standard output.
    pub stdout: String,
    /// All that it wrote on standard error, except what came before it was ready.
    pub stderr: String,
}

impl Kflow {
    /// Starts `program` with these arguments and waits until it says that it is tracing.
    pub fn tracing<I: IntoIterator<Item = impl AsRef<OsStr>>>(
        program: &Path,
        args: I,
    ) -> Result<Self, KflowError> {
        Self::tracing_into(program, args, Stdio::piped())
    }

    /// As [`Kflow::tracing`], with its standard output where `stdout` leads.
    pub fn tracing_into<I: IntoIterator<Item = impl AsRef<OsStr>>>(
        program: &Path,
        args: I,
        stdout: Stdio,
    ) -> Result<Self, KflowError> {
        let mut kflow = Self::start(program, args, stdout)?;
        let Some(stderr) = kflow.child.stderr.take() else { return Ok(kflow) };
        let mut reader = BufReader::new(stderr);
        let mut said = String::new();
        loop {
            let from = said.len();
            let count = reader.read_line(&mut said).map_err(control("listen to"))?;
            if count == 0 {
                let _ = kflow.child.wait();
                return Err(KflowError::NotReady(said));
            }
            if said[from..].starts_with(READY) {
                break;
            }
        }
        kflow.stderr = Some(listen(reader));
        Ok(kflow)
    }

    /// Runs `program` with these arguments to its end.
    pub fn run<I: IntoIterator<Item = impl AsRef<OsStr>>>(
        program: &Path,
        args: I,
    ) -> Result<Outcome, KflowError> {
        let mut kflow = Self::start(program, args, Stdio::piped())?;
        kflow.stderr = kflow.child.stderr.take().map(|stderr: ChildStderr| listen(BufReader::new(stderr)));
        kflow.wait()
    }

    /// The captures that it has started, each a process of its own.
    pub fn captures(&self) -> Result<Vec<Capture>, KflowError> {
        Capture::of(self.child.id()).map_err(control("list the captures of"))
    }

    /// Ctrl-C, and what it says then.
    pub fn stop(self) -> Result<Outcome, KflowError> {
        self.end(Signal::SIGINT)
    }

    /// Ends it by a signal, and waits for it.
    pub fn end(self, signal: Signal) -> Result<Outcome, KflowError> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        kill(pid, signal).map_err(|error| control("signal")(error.into()))?;
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> Result<Outcome, KflowError> {
        let status = self.child.wait().map_err(control("wait for"))?;
        Ok(Outcome {
            code: status.code(),
            stdout: heard(self.stdout.take())?,
            stderr: heard(self.stderr.take())?,
        })
    }

    fn start<I: IntoIterator<Item = impl AsRef<OsStr>>>(
        program: &Path,
        args: I,
        stdout: Stdio,
    ) -> Result<Self, KflowError> {
        let started = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn();
        let mut child =
            started.map_err(|source| KflowError::Start { program: program.to_owned(), source })?;
        let stdout = child.stdout.take().map(|stdout: ChildStdout| listen(BufReader::new(stdout)));
        Ok(Self { child, stdout, stderr: None })
    }
}

impl Drop for Kflow {
    fn drop(&mut self) {
        // After `wait` both find nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(mut reader: impl io::Read + Send + 'static) -> JoinHandle<io::Result<String>> {
    thread::spawn(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said)?;
        Ok(said)
    })
}

fn heard(listener: Option<JoinHandle<io::Result<String>>>) -> Result<String, KflowError> {
    let said = listener.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    said.transpose().map(Option::unwrap_or_default).map_err(control("listen to"))
}

fn control(operation: &'static str) -> impl Fn(io::Error) -> KflowError {
    move |source| KflowError::Control { operation, source }
}
