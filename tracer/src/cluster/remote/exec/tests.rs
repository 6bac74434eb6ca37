use tokio::io::duplex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::cluster::fleet::rate::Rates;
use crate::cluster::remote::{Control, Pipe, RemoteCapture};

type Peer = WebSocketStream<tokio::io::DuplexStream>;

/// A capture whose connection ends in this process.
struct Rig {
    peer: Peer,
    capture: RemoteCapture,
    outcome: tokio::task::JoinHandle<(Outcome, String)>,
}

async fn rig(closes: bool) -> Rig {
    let (near, far) = duplex(1 << 16);
    let near = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let peer = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
    let (mut source, capture) = RemoteCapture::new();
    let mut share = Rates::new(1_000_000).join();
    share.limit();
    let outcome = tokio::spawn(async move { carry(near, closes, &mut source, &mut share).await });
    Rig { peer, capture, outcome }
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    Message::binary([&[channel], bytes].concat())
}

/// The next bytes on standard input that are no heartbeat.
async fn heard(peer: &mut Peer) -> Vec<u8> {
    loop {
        match peer.next().await.unwrap().unwrap() {
            Message::Binary(bytes) if bytes[..] != [STDIN, b'\n'] => return bytes.to_vec(),
            _ => {}
        }
    }
}

async fn read(pipe: impl std::io::Read + Send + 'static) -> Vec<u8> {
    let mut pipe = pipe;
    let read = move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    };
    tokio::task::spawn_blocking(read).await.unwrap().unwrap()
}

#[tokio::test]
async fn streams_lines_and_the_exit_code_arrive() {
    let Rig { mut peer, capture, outcome } = rig(true).await;
    let RemoteCapture { stdout, stderr, control, .. } = capture;
    peer.send(frame(STDOUT, b"packets")).await.unwrap();
    peer.send(frame(STDERR, b"kflow: first\nkflow: last\n")).await.unwrap();
    control.tell("--host 10.0.0.1".to_owned());
    assert_eq!(heard(&mut peer).await, b"\0--host 10.0.0.1\n");
    control.stop();
    assert_eq!(heard(&mut peer).await, b"\0end\n");
    assert_eq!(heard(&mut peer).await, [CLOSE, STDIN]);
    peer.send(frame(STDOUT, b" and counters")).await.unwrap();
    peer.send(frame(STATUS, br#"{"status":"Success"}"#)).await.unwrap();
    let (outcome, words) = outcome.await.unwrap();
    assert_eq!((outcome, words.as_str()), (Outcome::Ended(Ended::Code(0)), "kflow: last"));
    assert_eq!(read(stdout).await, b"packets and counters");
    assert_eq!(read(stderr).await, b"kflow: first\nkflow: last\n");
}

#[tokio::test]
async fn where_standard_input_cannot_be_closed_a_word_ends_it() {
    let Rig { mut peer, capture, outcome } = rig(false).await;
    capture.control.stop();
    assert_eq!(heard(&mut peer).await, b"\0end\n");
    peer.send(frame(STATUS, br#"{"status":"Success"}"#)).await.unwrap();
    assert_eq!(outcome.await.unwrap().0, Outcome::Ended(Ended::Code(0)));
}

#[tokio::test]
async fn heartbeats_go_on_while_nothing_is_read() {
    let Rig { mut peer, capture, outcome } = rig(true).await;
    // More than the pipe and the connection hold.
    let (mut sink, mut source) = {
        let (sink, source) = futures_util::StreamExt::split(&mut peer);
        (sink, source)
    };
    let flood = async {
        loop {
            sink.send(frame(STDOUT, &[0x0A; 4096])).await.unwrap();
        }
    };
    let beats = async {
        let mut beats = 0;
        while beats < 3 {
            if source.next().await.unwrap().unwrap() == Message::binary(vec![STDIN, b'\n']) {
                beats += 1;
            }
        }
    };
    tokio::select! {
        () = beats => {}
        () = flood => {}
        () = tokio::time::sleep(Duration::from_secs(10)) => panic!("no heartbeats"),
    }
    capture.control.kill();
    assert_eq!(outcome.await.unwrap().0, Outcome::Killed);
}

#[tokio::test]
async fn a_connection_that_ends_without_a_status_is_broken() {
    let Rig { mut peer, capture, outcome } = rig(true).await;
    peer.send(frame(STDOUT, b"some")).await.unwrap();
    drop(peer);
    let outcome = outcome.await.unwrap().0;
    assert!(matches!(outcome, Outcome::Broken(_)), "{outcome:?}");
    assert_eq!(read(capture.stdout).await, b"some");
}

#[tokio::test]
async fn whoever_drops_everything_ends_it() {
    let Rig { peer: _peer, capture, outcome } = rig(true).await;
    drop(capture);
    assert_eq!(outcome.await.unwrap().0, Outcome::Killed);
}

#[tokio::test(start_paused = true)]
async fn silence_breaks_a_connection() {
    let Rig { peer: _peer, capture, outcome } = rig(true).await;
    assert_eq!(outcome.await.unwrap().0, Outcome::Broken("no answer for 15 s".to_owned()));
    drop(capture);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_end_when_asked_is_given_up() {
    let Rig { mut peer, capture, outcome } = rig(true).await;
    capture.control.stop();
    // It answers pings, and sends nothing else.
    let answers = tokio::spawn(async move { while let Some(Ok(_)) = peer.next().await {} });
    let outcome = outcome.await.unwrap().0;
    assert!(matches!(&outcome, Outcome::Broken(how) if how.contains("did not end")), "{outcome:?}");
    answers.await.unwrap();
}

#[test]
fn a_pipe_and_its_control_can_be_sent_to_threads() {
    fn is_sent<T: Send>() {}
    is_sent::<Pipe>();
    is_sent::<Control>();
    is_sent::<RemoteCapture>();
}
