//! One websocket: frames of channels on one side, a program with three pipes on the other.

use std::{future::ready, path::Path, process::ExitStatus, sync::Arc, time::Duration};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use hyper::{body::Bytes, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdin},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::super::{
    Shared,
    config::{Fate, NodeConfig},
    container::{self, exit_code},
    play::Play,
};

type Socket = WebSocketStream<TokioIo<Upgraded>>;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// Says that the channel behind it ends; since v5.
const CLOSE: u8 = 255;
/// Bytes of a frame, as of the server's own buffers.
const FRAME: usize = 32 * 1024;
/// How long a client has to hear the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// The same for one that may have much to read before.
const LONG_FAREWELL: Duration = Duration::from_secs(30);

/// What is to be run, and where.
pub(super) struct Order {
    pub(super) node: NodeConfig,
    /// First process of the container.
    pub(super) init: i32,
    pub(super) words: Vec<String>,
    pub(super) has_stdin: bool,
}

pub(super) struct Session {
    order: Order,
    closes_channels: bool,
    cut: watch::Receiver<u64>,
}

/// How the client's side of a session stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Link {
    Up,
    /// The connection stands, and nothing goes through it.
    Frozen,
    Gone,
}

impl Session {
    pub(super) fn new(order: Order, closes_channels: bool, mut cut: watch::Receiver<u64>) -> Self {
        cut.mark_unchanged();
        Self { order, closes_channels, cut }
    }

    pub(super) async fn run(self, shared: &Arc<Shared>, socket: Socket) {
        let (mut sink, stream) = socket.split();
        // The server begins with an empty frame.
        if sink.send(Message::binary(vec![STDOUT])).await.is_err() {
            return;
        }
        match self.order.node.fate.clone() {
            Fate::Says(words, code) => {
                let _ = sink.send(frame(STDERR, words.as_bytes())).await;
                finish(sink, &ended(i32::from(code))).await;
                let _ = timeout(FAREWELL, stream.for_each(|_| ready(()))).await;
            }
            Fate::Replays(bytes) => self.replay(sink, stream, &Play::at_once(bytes.to_vec())).await,
            Fate::Plays(play) => self.replay(sink, stream, &play).await,
            _ => self.run_program(shared, sink, stream).await,
        }
    }

    async fn run_program(
        self,
        shared: &Arc<Shared>,
        sink: SplitSink<Socket, Message>,
        stream: SplitStream<Socket>,
    ) {
        let Order { node, init, words, has_stdin } = &self.order;
        if let Some(missing) = words.first().filter(|word| word.starts_with('/') && *word != "/kflow")
            && !Path::new(missing).exists()
        {
            let why = format!("exec: {missing:?}: stat {missing}: no such file or directory");
            return finish(sink, &not_started(&why)).await;
        }
        let mut child = match container::enter(&shared.config.program, node, *init, words) {
            Ok(child) => child,
            Err(error) => return finish(sink, &not_started(&error.to_string())).await,
        };
        let stdin = child.stdin.take().filter(|_| *has_stdin);
        let link = watch::Sender::new(Link::Up);
        // Input goes its own way: a client that does not read can still be heard.
        let listening = tokio::spawn(listen(stream, stdin, self.closes_channels, link.subscribe()));
        let mut pump = Pump { sink: Some(sink), link, sent: 0, fate: node.fate.clone(), cut: self.cut };
        let status = pump.run(&mut child).await;
        if *pump.link.borrow() == Link::Up
            && let Some(sink) = pump.sink.take()
        {
            finish(sink, &ended(status.map_or(-1, exit_code))).await;
            // Closing a socket with unread input would take back what was sent.
            let _ = timeout(FAREWELL, listening).await;
        }
        pump.link.send_replace(Link::Gone);
    }

    /// Writes what a capture wrote elsewhere, and ends as one does.
    async fn replay(
        mut self,
        mut sink: SplitSink<Socket, Message>,
        mut stream: SplitStream<Socket>,
        play: &Play,
    ) {
        let mut player = play.player();
        loop {
            tokio::select! {
                bytes = player.next() => for part in bytes.chunks(FRAME) {
                    if sink.send(frame(STDOUT, part)).await.is_err() {
                        return;
                    }
                },
                message = stream.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => match bytes.split_first() {
                        Some((&CLOSE, _)) if self.closes_channels => break,
                        Some((&STDIN, line)) if line == b"end\n" => break,
                        _ => {}
                    },
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => {}
                },
                _ = self.cut.changed() => return,
            }
        }
        finish(sink, &ended(0)).await;
        let _ = timeout(LONG_FAREWELL, stream.for_each(|_| ready(()))).await;
    }
}

/// Output of a program on its way to the client.
struct Pump {
    /// Absent when the client is gone.
    sink: Option<SplitSink<Socket, Message>>,
    link: watch::Sender<Link>,
    /// Bytes of standard output so far.
    sent: usize,
    fate: Fate,
    cut: watch::Receiver<u64>,
}

impl Pump {
    async fn run(&mut self, child: &mut Child) -> Option<ExitStatus> {
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let (mut out, mut err) = (vec![0; FRAME], vec![0; FRAME]);
        while stdout.is_some() || stderr.is_some() {
            tokio::select! {
                count = read(&mut stdout, &mut out) => match count {
                    0 => stdout = None,
                    count => self.send(STDOUT, &out[..count]).await,
                },
                count = read(&mut stderr, &mut err) => match count {
                    0 => stderr = None,
                    count => self.send(STDERR, &err[..count]).await,
                },
                _ = self.cut.changed() => self.lose(),
            }
        }
        child.wait().await.ok()
    }

    /// Output that nobody listens to is thrown away, and the program goes on.
    async fn send(&mut self, channel: u8, bytes: &[u8]) {
        if channel == STDOUT {
            self.sent += bytes.len();
        }
        match &self.fate {
            Fate::CutAfter(limit) if self.sent > *limit => return self.lose(),
            Fate::FrozenAfter(limit) if self.sent > *limit => {
                self.link.send_replace(Link::Frozen);
                return;
            }
            _ => {}
        }
        let Some(sink) = &mut self.sink else { return };
        let is_sent = tokio::select! {
            sent = sink.send(frame(channel, bytes)) => sent.is_ok(),
            _ = self.cut.changed() => false,
        };
        if !is_sent {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.sink = None;
        self.link.send_replace(Link::Gone);
    }
}

/// The next bytes, none at the end; for ever nothing where there is no pipe.
async fn read<R: AsyncRead + Unpin>(pipe: &mut Option<R>, buffer: &mut [u8]) -> usize {
    match pipe {
        Some(pipe) => pipe.read(buffer).await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

/// Carries what the client says to the program, whose input ends when the client goes.
async fn listen(
    mut stream: SplitStream<Socket>,
    stdin: Option<ChildStdin>,
    closes_channels: bool,
    mut link: watch::Receiver<Link>,
) {
    let mut input = stdin.map(feed);
    loop {
        let message = tokio::select! {
            message = stream.next() => Some(message),
            () = reach(&mut link, |link| link != Link::Up) => None,
        };
        let Some(message) = message else {
            // Frozen: neither bytes nor an end come through.
            return reach(&mut link, |link| link == Link::Gone).await;
        };
        match message {
            Some(Ok(Message::Binary(bytes))) => match bytes.first() {
                Some(&STDIN) => drop(input.as_ref().map(|input| input.send(bytes.slice(1..)))),
                Some(&CLOSE) if closes_channels => input = None,
                _ => {}
            },
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            Some(Ok(_)) => {}
        }
    }
}

async fn reach(link: &mut watch::Receiver<Link>, is_it: impl Fn(Link) -> bool) {
    // The sender is gone when the session is.
    drop(link.wait_for(|link| is_it(*link)).await);
}

/// Writes to a program at its own pace; its input ends when the sender is dropped.
fn feed(mut stdin: ChildStdin) -> mpsc::UnboundedSender<Bytes> {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
    tokio::spawn(async move {
        while let Some(bytes) = receiver.recv().await {
            if stdin.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    sender
}

async fn finish(mut sink: SplitSink<Socket, Message>, status: &Value) {
    // A client that has gone does not hear it.
    let _ = sink.send(frame(STATUS, status.to_string().as_bytes())).await;
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _ = sink.send(Message::Close(Some(close))).await;
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    let mut all = Vec::with_capacity(bytes.len() + 1);
    all.push(channel);
    all.extend_from_slice(bytes);
    Message::binary(all)
}

/// How a program ended.
fn ended(code: i32) -> Value {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" });
    }
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: command terminated with exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

/// A program that could not be started.
fn not_started(why: &str) -> Value {
    let why = format!(
        "error executing command in container: failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: {why}"
    );
    let message = format!("Internal error occurred: {why}");
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("Internal error occurred: {message}"),
        "reason": "InternalError",
        "details": { "causes": [{ "message": message }] },
        "code": 500,
    })
}
