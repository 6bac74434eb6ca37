//! A capture that runs elsewhere, as its reader sees it: two pipes, a way to tell it something, and an end.

pub(super) mod exec;
pub(super) mod status;
mod unpack;

use std::io::{self, BufRead, Read};

use tokio::sync::{mpsc, oneshot, watch};

use unpack::Unpacked;

/// Bytes on their way from a connection to whoever reads them; bounded in chunks, so that a slow reader slows the
/// connection down, and at its far end the capture counts what it loses.
pub struct Pipe {
    receiver: mpsc::Receiver<Vec<u8>>,
    chunk: Vec<u8>,
    /// Bytes of the chunk that are read.
    read: usize,
}

/// Chunks in a pipe.
pub(super) const CHUNKS: usize = 64;

impl Pipe {
    /// A pipe and the end that fills it. It ends when that is dropped.
    pub(super) fn new() -> (mpsc::Sender<Vec<u8>>, Self) {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        (sender, Self { receiver, chunk: Vec::new(), read: 0 })
    }

    /// Waits until this many bytes are there, or fewer and the end.
    fn peek(&mut self, bytes: usize) -> &[u8] {
        while self.chunk.len() - self.read < bytes {
            let Some(more) = self.receiver.blocking_recv() else { break };
            self.chunk.drain(..self.read);
            self.read = 0;
            self.chunk.extend_from_slice(&more);
        }
        &self.chunk[self.read..]
    }
}

impl BufRead for Pipe {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.read == self.chunk.len() {
            match self.receiver.blocking_recv() {
                Some(chunk) => (self.chunk, self.read) = (chunk, 0),
                None => break,
            }
        }
        Ok(&self.chunk[self.read..])
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// How a remote capture is spoken to; its connection is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Control {
    /// Lines for its standard input.
    pub(super) lines: mpsc::UnboundedSender<String>,
    pub(super) phase: watch::Sender<Phase>,
}

/// What is wanted of a remote capture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// It goes on.
    Run,
    /// Its standard input ends: it drains its buffers, writes its counters and ends.
    Stop,
    /// Its connection is dropped.
    Kill,
}

impl Control {
    /// Sends a line to its standard input. One that has ended does not hear it.
    pub fn tell(&self, line: String) {
        // Its connection may be gone: its end is told by `RemoteCapture::end`.
        let _ = self.lines.send(line);
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.phase.send_if_modified(|phase| {
            let is_running = *phase == Phase::Run;
            if is_running {
                *phase = Phase::Stop;
            }
            is_running
        });
    }

    /// Drops its connection.
    pub fn kill(&self) {
        self.phase.send_replace(Phase::Kill);
    }
}

/// How a remote capture ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RemoteEnd {
    /// Its exit code; absent where it never ran or was cut off.
    pub code: Option<i32>,
    /// For a person: which node could not be had and why, that the connection broke, or what explains the code. Absent
    /// where it ended well.
    pub reason: Option<String>,
}

/// A capture on a node of the cluster.
pub struct RemoteCapture {
    /// Its pcapng, decompressed. What a connection that breaks leaves incomplete ends where it can be read no further.
    pub stdout: Box<dyn Read + Send>,
    /// Its words. Both have to be read: one that is not holds up the other.
    pub stderr: Pipe,
    /// How it is spoken to.
    pub control: Control,
    /// How it ended; comes after the ends of both pipes.
    pub end: oneshot::Receiver<RemoteEnd>,
}

/// The other side of a [`RemoteCapture`]: what fills it.
pub(super) struct Source {
    pub(super) stdout: mpsc::Sender<Vec<u8>>,
    pub(super) stderr: mpsc::Sender<Vec<u8>>,
    pub(super) lines: mpsc::UnboundedReceiver<String>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) end: oneshot::Sender<RemoteEnd>,
}

impl RemoteCapture {
    /// A capture and what fills it.
    pub(super) fn new() -> (Source, Self) {
        let (stdout, bytes) = Pipe::new();
        let (stderr, words) = Pipe::new();
        let (lines, told) = mpsc::unbounded_channel();
        let (phase, wanted) = watch::channel(Phase::Run);
        let (ended, end) = oneshot::channel();
        let capture = Self {
            stdout: Box::new(Unpacked::new(bytes)),
            stderr: words,
            control: Control { lines, phase },
            end,
        };
        (Source { stdout, stderr, lines: told, phase: wanted, end: ended }, capture)
    }
}
