//! One command in a pod over the API server's exec stream: websocket messages whose first byte is a channel
//! (`k8s.io/apimachinery/pkg/util/remotecommand`, protocols v4 and v5).
//!
//! kube has a loop of its own for this (`kube::api::AttachedProcess`). It sends nothing while what it received is not
//! read, so a slow reader would silence the heartbeats, and it does not notice that a network is gone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, Request};
use kube::{Client, Resource as _};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::status::Ended;
use super::{Phase, Source};
use crate::cluster::fleet::rate::Share;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// Closes the channel that the next byte names; v5 only.
const CLOSE: u8 = 255;

/// How often the capture hears that it is still wanted. It gives up after 10 s without.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long nothing may come, not even the answer to a ping, before the connection counts as broken.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a capture that was asked to end may send nothing.
const DRAIN: Duration = Duration::from_secs(15);
/// How long it may take to end in all, while it is read as fast as it sends.
const ENDING: Duration = Duration::from_mins(1);
/// Bytes of its last words that are kept.
const WORDS: usize = 1024;

/// The line that stands for the end of standard input, which protocol v4 cannot close.
pub(in crate::cluster) const END: &str = "end";

/// What became of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::cluster) enum Outcome {
    /// The command ended.
    Ended(Ended),
    /// The connection did.
    Broken(String),
    /// Nobody wants it any more.
    Killed,
}

/// A command and the pod it runs in.
pub(in crate::cluster) struct Command<'a> {
    pub(in crate::cluster) namespace: &'a str,
    pub(in crate::cluster) pod: &'a str,
    pub(in crate::cluster) container: &'a str,
    pub(in crate::cluster) words: Vec<String>,
}

/// A connection to a command that runs, and whether it can say that standard input ends.
pub(in crate::cluster) async fn open(
    client: &Client,
    command: Command<'_>,
) -> Result<(impl Socket, bool), kube::Error> {
    let streams = AttachParams::default().container(command.container).stdin(true).stdout(true).stderr(true);
    let request = Request::new(Pod::url_path(&(), Some(command.namespace)))
        .exec(command.pod, command.words, &streams)
        .map_err(kube::Error::BuildRequest)?;
    let connection = client.connect(request).await?;
    let closes = connection.supports_stream_close();
    Ok((connection.into_stream(), closes))
}

/// A websocket.
pub(in crate::cluster) trait Socket:
    Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + Unpin
{
}

impl<S> Socket for S where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Send + Unpin
{
}

/// Carries a command's streams until it, or the connection, or the wish for it ends. Returns also its last words.
pub(in crate::cluster) async fn carry(
    socket: impl Socket,
    closes: bool,
    source: &mut Source,
    share: &mut Share,
) -> (Outcome, String) {
    let now = Instant::now();
    let mut carrier =
        Carrier { socket, closes, words: Vec::new(), full: None, heard: now, moved: now, stopped: None };
    let outcome = carrier.run(source, share).await;
    (outcome, last_line(&carrier.words))
}

struct Carrier<S> {
    socket: S,
    closes: bool,
    /// The end of what came on standard error.
    words: Vec<u8>,
    /// What came and finds no room in its pipe yet.
    full: Option<(Sender<Vec<u8>>, Vec<u8>)>,
    /// When anything came, or could come again.
    heard: Instant,
    /// When bytes of the command came.
    moved: Instant,
    /// When it was asked to end.
    stopped: Option<Instant>,
}

impl<S: Socket> Carrier<S> {
    async fn run(&mut self, source: &mut Source, share: &mut Share) -> Outcome {
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was wanted before there was a connection counts as well.
        source.phase.mark_changed();
        loop {
            let step = tokio::select! {
                message = self.socket.next(), if self.full.is_none() => self.take(message, source, share),
                permit = room(self.full.as_ref()), if self.full.is_some() => self.pass(permit),
                line = source.lines.recv() => match line {
                    Some(line) => self.tell(&line).await,
                    None => Err(Outcome::Killed),
                },
                changed = source.phase.changed() => match changed.map(|()| *source.phase.borrow_and_update()) {
                    Ok(Phase::Run) => Ok(()),
                    Ok(Phase::Stop) => self.stop().await,
                    Ok(Phase::Kill) | Err(_) => Err(Outcome::Killed),
                },
                Some(rate) = share.changed() => self.tell(&format!("--output-rate {rate}")).await,
                _ = beat.tick() => self.beat().await,
            };
            if let Err(outcome) = step {
                return outcome;
            }
        }
    }

    /// Takes a message of the other side.
    fn take(
        &mut self,
        message: Option<Result<Message, Error>>,
        source: &Source,
        share: &Share,
    ) -> Result<(), Outcome> {
        self.heard = Instant::now();
        let message = match message {
            Some(Ok(Message::Binary(message))) => message,
            Some(Ok(Message::Close(frame))) => {
                let words = frame.map(|frame| frame.reason.to_string()).filter(|words| !words.is_empty());
                return Err(Outcome::Broken(words.unwrap_or_else(closed)));
            }
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => return Err(Outcome::Broken(error.to_string())),
            None => return Err(Outcome::Broken(closed())),
        };
        match message.split_first() {
            Some((&STATUS, json)) if !json.is_empty() => Err(Outcome::Ended(Ended::read(json))),
            Some((&STDOUT, bytes)) => {
                share.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                self.put(&source.stdout, bytes)
            }
            Some((&STDERR, bytes)) => {
                self.words.extend_from_slice(bytes);
                self.words.drain(..self.words.len().saturating_sub(WORDS));
                self.put(&source.stderr, bytes)
            }
            _ => Ok(()),
        }
    }

    /// Puts bytes into a pipe, or keeps them until there is room.
    fn put(&mut self, pipe: &Sender<Vec<u8>>, bytes: &[u8]) -> Result<(), Outcome> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.moved = self.heard;
        match pipe.try_send(bytes.to_vec()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(bytes)) => {
                self.full = Some((pipe.clone(), bytes));
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(Outcome::Killed),
        }
    }

    /// There is room, or nobody reads any more.
    fn pass(&mut self, has_room: bool) -> Result<(), Outcome> {
        let now = Instant::now();
        (self.heard, self.moved) = (now, now);
        match self.full.take() {
            // Only this task fills the pipe, so the room that was seen is still there.
            Some((pipe, bytes)) if has_room => pipe.try_send(bytes).map_err(|_| Outcome::Killed),
            _ => Err(Outcome::Killed),
        }
    }

    async fn tell(&mut self, line: &str) -> Result<(), Outcome> {
        if self.stopped.is_some() {
            return Ok(());
        }
        let mut message = Vec::with_capacity(line.len() + 2);
        message.push(STDIN);
        message.extend_from_slice(line.as_bytes());
        message.push(b'\n');
        self.send(Message::binary(message)).await
    }

    async fn stop(&mut self) -> Result<(), Outcome> {
        self.tell(END).await?;
        self.stopped = Some(Instant::now());
        if self.closes { self.send(Message::binary(vec![CLOSE, STDIN])).await } else { Ok(()) }
    }

    async fn beat(&mut self) -> Result<(), Outcome> {
        let is_waiting = self.full.is_none();
        if is_waiting && self.heard.elapsed() > SILENCE {
            return Err(Outcome::Broken(format!("no answer for {} s", SILENCE.as_secs())));
        }
        if let Some(stopped) = self.stopped
            && is_waiting
            && (stopped.max(self.moved).elapsed() > DRAIN || stopped.elapsed() > ENDING)
        {
            let seconds = stopped.elapsed().as_secs();
            return Err(Outcome::Broken(format!("it did not end within {seconds} s of being asked to")));
        }
        self.tell("").await?;
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Outcome> {
        match timeout(SILENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Outcome::Broken(error.to_string())),
            Err(_) => Err(Outcome::Broken(format!("nothing can be sent for {} s", SILENCE.as_secs()))),
        }
    }
}

/// Waits for room in the pipe; false where nobody reads it any more.
async fn room(full: Option<&(Sender<Vec<u8>>, Vec<u8>)>) -> bool {
    match full {
        Some((pipe, _)) => pipe.reserve().await.is_ok(),
        None => false,
    }
}

fn closed() -> String {
    "the other side closed it".to_owned()
}

fn last_line(words: &[u8]) -> String {
    let words = String::from_utf8_lossy(words);
    words.trim_end().lines().next_back().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
