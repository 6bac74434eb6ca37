//! `kflow capture` in every namespace of the lab at once, each into a file of its own.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tracer_core::capture::{CaptureReader, Item};

use super::TruthError;
use crate::{
    Lab, Namespace,
    lab::topology::{NODES, PODS},
};

/// How long a capture may take to attach its programs.
const PATIENCE: Duration = Duration::from_secs(30);
/// The Kubernetes namespace of every pod of the lab.
const POD_NAMESPACE: &str = "default";

/// Running captures; dropped without [`Recorder::stop`] they are killed.
#[derive(Debug)]
pub struct Recorder {
    captures: Vec<Capture>,
}

/// A capture file and whose it is.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The node.
    pub node: &'static str,
    /// The file, in pcapng.
    pub path: PathBuf,
}

/// How to record.
#[derive(Clone, Copy, Debug)]
pub struct RecorderOptions<'a> {
    /// The `kflow` to record with.
    pub program: &'a Path,
    /// Ring buffer per namespace, in KiB.
    pub buffer_kib: u32,
    /// A name for the files.
    pub name: &'a str,
}

#[derive(Debug)]
struct Capture {
    child: Child,
    stdin: Option<ChildStdin>,
    writer: JoinHandle<Result<(), TruthError>>,
    recording: Recording,
}

impl Recorder {
    /// Starts a capture of whole packets in every namespace; all programs are attached when this returns.
    pub fn start(lab: &Lab, options: RecorderOptions<'_>) -> Result<Self, TruthError> {
        let nodes = NODES.map(|node| (node.name, None, lab.node(node.name)));
        let pods = PODS.map(|pod| (pod.node, Some(pod.name), lab.pod(pod.name)));
        let mut recorder = Self { captures: Vec::new() };
        let mut ready = Vec::new();
        for (node, pod, ns) in nodes.into_iter().chain(pods) {
            let path = lab.directory().join(format!("{}-{}.pcapng", options.name, pod.unwrap_or(node)));
            let (capture, attached) =
                Capture::start(options, ns, pod, Recording { node, path }).map_err(TruthError::Recorder)?;
            recorder.captures.push(capture);
            ready.push(attached);
        }
        for attached in ready {
            wait(&attached)?;
        }
        Ok(recorder)
    }

    /// Lets the captures of a node and its pods write nothing until [`Recorder::resume`]: what their rings have no
    /// room for is lost.
    pub fn pause(&self, node: &str) -> Result<(), TruthError> {
        self.signal(node, Signal::SIGSTOP)
    }

    /// Lets them go on.
    pub fn resume(&self, node: &str) -> Result<(), TruthError> {
        self.signal(node, Signal::SIGCONT)
    }

    fn signal(&self, node: &str, signal: Signal) -> Result<(), TruthError> {
        let captures = self.captures.iter().filter(|capture| capture.recording.node == node);
        let mut pids = captures.map(|capture| Pid::from_raw(capture.child.id().cast_signed()));
        pids.try_for_each(|pid| kill(pid, signal)).map_err(|errno| TruthError::Recorder(errno.into()))
    }

    /// Ends the captures when they have written everything.
    pub fn stop(mut self) -> Result<Vec<Recording>, TruthError> {
        // Each ends when its standard input does.
        self.captures.iter_mut().for_each(|capture| drop(capture.stdin.take()));
        let ended = std::mem::take(&mut self.captures).into_iter().map(Capture::end);
        ended.collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for capture in &mut self.captures {
            let _ = capture.child.kill();
            let _ = capture.child.wait();
        }
    }
}

impl Capture {
    fn start(
        options: RecorderOptions<'_>,
        ns: &Namespace,
        pod: Option<&str>,
        recording: Recording,
    ) -> io::Result<(Self, Receiver<()>)> {
        let mut command = Command::new(options.program);
        command.args(["capture", "--until-stdin-closes", "--quiet", "-w", "-", "-s", "0", "--netns"]);
        command.arg(ns.path()).args(["--node", recording.node, "-B", &options.buffer_kib.to_string()]);
        if let Some(pod) = pod {
            command.arg("--pod").arg(format!("{POD_NAMESPACE}/{pod}"));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let file = File::create(&recording.path)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (sender, attached) = channel();
        let writer = thread::spawn(move || {
            let Some(stdout) = stdout else { unreachable!("the pipe was asked for") };
            copy(Tee { from: stdout, to: file }, &sender)
        });
        Ok((Self { child, stdin, writer, recording }, attached))
    }

    /// Waits for the end of a capture that was asked to.
    fn end(mut self) -> Result<Recording, TruthError> {
        self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let status = self.child.wait().map_err(TruthError::Recorder)?;
        // 3 is "lost records, or nothing matched": the counters in the file tell.
        if !matches!(status.code(), Some(0 | 3)) {
            return Err(TruthError::RecorderEnd { node: self.recording.node, status });
        }
        Ok(self.recording)
    }
}

/// Says so once the capture has written its first counters, and copies all of it.
fn copy(mut tee: Tee<impl Read>, attached: &Sender<()>) -> Result<(), TruthError> {
    let mut reader = CaptureReader::new(&mut tee).map_err(TruthError::Unread)?;
    while let Some(item) = reader.next_item().map_err(TruthError::Unread)? {
        if matches!(item, Item::Statistics(..)) {
            break;
        }
    }
    drop(reader);
    // Nobody waits any more where the recorder is gone.
    let _ = attached.send(());
    io::copy(&mut tee.from, &mut tee.to).map_err(TruthError::Recorder)?;
    Ok(())
}

fn wait(attached: &Receiver<()>) -> Result<(), TruthError> {
    attached.recv_timeout(PATIENCE).map_err(|error| match error {
        RecvTimeoutError::Timeout => TruthError::Recorder(io::ErrorKind::TimedOut.into()),
        RecvTimeoutError::Disconnected => TruthError::Recorder(io::ErrorKind::UnexpectedEof.into()),
    })
}

/// Writes to a file what is read.
struct Tee<R> {
    from: R,
    to: File,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.to.write_all(&buffer[..count])?;
        Ok(count)
    }
}
