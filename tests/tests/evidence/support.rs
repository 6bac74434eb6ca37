//! A lab with a web server, and kflow's evidence of it.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tests::{
    Kflow, Lab, LabConfig,
    kflow::{self, Outcome},
    lab::topology::{POD_DEST, POD_PORT, POD_SRC},
    traffic::{HttpGet, HttpServer},
};

pub(crate) type Failure = Box<dyn std::error::Error>;
pub(crate) type Test = Result<(), Failure>;

/// The rule that drops what [`Site::ask`] sends.
pub(crate) const DROP: &str = "-I FORWARD -p tcp --dport 8080 -j DROP";

pub(crate) struct Site {
    pub(crate) lab: Lab,
    _server: HttpServer,
}

impl Site {
    pub(crate) fn up() -> Result<Self, Failure> {
        let lab = Lab::up(&LabConfig::default())?;
        let server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
        Ok(Self { lab, _server: server })
    }

    /// Traces pod-src to pod-dest, and asks in between, whatever comes of it.
    pub(crate) fn trace(&self, words: &[&str]) -> Result<Outcome, Failure> {
        let ends = [POD_SRC.name, POD_DEST.name];
        let words = words.iter().chain(&ends).map(OsString::from);
        let all = ["trace".into()].into_iter().chain(self.lab.kflow_node_args()).chain(words);
        let kflow = Kflow::tracing(&kflow::program(), all)?;
        self.ask();
        Ok(kflow.stop()?)
    }

    fn ask(&self) {
        let to = SocketAddr::from((POD_DEST.address, POD_PORT));
        let request = HttpGet { body_len: 10, ..HttpGet::new(to) };
        // Where it is dropped, nobody answers.
        let _ = request.send(self.lab.pod(POD_SRC.name));
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.lab.directory().join(name)
    }
}

/// A `kflow evidence` that is led by its standard input.
pub(crate) struct Witness {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Witness {
    pub(crate) fn of(netns: &Path, words: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(kflow::program())
            .args(["evidence", "--until-stdin-closes", "--netns"])
            .arg(netns)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Self { child, stdin, stdout: BufReader::new(stdout.ok_or("no pipe")?) })
    }

    /// The next snapshot; absent where there is none.
    pub(crate) fn snapshot(&mut self) -> Result<Option<Value>, Failure> {
        let mut line = String::new();
        let count = self.stdout.read_line(&mut line)?;
        Ok(if count == 0 { None } else { Some(serde_json::from_str(&line)?) })
    }

    pub(crate) fn wait(&mut self) -> Result<Option<i32>, Failure> {
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
