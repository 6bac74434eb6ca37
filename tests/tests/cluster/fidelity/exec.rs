//! Frames of the websockets that programs are called by.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tests::cluster::Fate;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{assert_within, create, phase, recorded, site};
use crate::support::{Failure, Test, eventually, list, word};

#[test]
fn programs_speak_alike() -> Test {
    let bare = site("exec", &Fate::Runs)?;
    create(&bare, "good", Some("node-a"))?;
    eventually("the pod runs", || phase(&bare, "good") == "Running");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (name, protocols, sent) in [
        ("exec-v5-exit", "v5.channel.k8s.io, v4.channel.k8s.io", &[&b"\0hello\n"[..]][..]),
        ("exec-v4-exit", "v4.channel.k8s.io", &[b"\0hello\n"]),
        ("exec-v5-success", "v5.channel.k8s.io, v4.channel.k8s.io", &[b"\0hello\n", b"\xff\0"]),
        ("exec-no-program", "v5.channel.k8s.io", &[]),
        ("exec-no-protocol", "v9.channel.k8s.io", &[]),
    ] {
        let recording = recorded(name)?;
        let path = word(&recording["request"]["path"]);
        let (status, frames) = runtime.block_on(frames(bare.double.address(), path, protocols, sent))?;
        let expected = &recording["response"];
        assert_eq!(Value::from(status), expected["status"], "{name}");
        if status != 101 {
            continue;
        }
        let real = list(&expected["frames"]);
        assert_eq!(frames.first(), real.first(), "{name}");
        for channel in [1, 2] {
            assert_eq!(said(&frames, channel), said(real, channel), "{name}: channel {channel}");
        }
        let ends = |frames: &[Value]| frames.iter().rev().take(2).cloned().collect::<Vec<_>>();
        let (told, real) = (ends(&frames), ends(real));
        assert_eq!(told[0], real[0], "{name}: close");
        let (told, real) = (&told[1]["json"], &real[1]["json"]);
        for key in ["status", "reason", "code"] {
            assert_eq!(told[key], real[key], "{name}: {key}");
        }
        assert_eq!(told["details"]["causes"][0]["reason"], real["details"]["causes"][0]["reason"], "{name}");
        assert_within(name, told, real);
    }
    Ok(())
}

fn said(frames: &[Value], channel: u64) -> String {
    let of_it = frames.iter().filter(|frame| frame["channel"] == channel);
    of_it.filter_map(|frame| frame["text"].as_str()).collect()
}

/// Runs a command over a websocket; the status of the answer, and all frames to the end.
async fn frames(
    address: std::net::SocketAddr,
    path: &str,
    protocols: &str,
    sent: &[&[u8]],
) -> Result<(u16, Vec<Value>), Failure> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: double\r\nAuthorization: Bearer token-of-admin\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocols}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?.to_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or("no status")?;
    if status != 101 {
        return Ok((status, Vec::new()));
    }
    // RFC 6455 has this pair of key and answer.
    assert!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    for bytes in sent {
        socket.send(Message::binary(bytes.to_vec())).await?;
    }
    let mut frames = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(bytes) => frames.push(frame(&bytes)),
            Message::Close(Some(close)) => {
                frames.push(json!({ "close": u16::from(close.code), "reason": close.reason.as_str() }));
            }
            _ => {}
        }
    }
    Ok((status, frames))
}

fn frame(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(&bytes[1..]);
    match bytes[0] {
        3 => json!({ "channel": 3, "json": serde_json::from_str::<Value>(&text).unwrap_or_default() }),
        channel => json!({ "channel": channel, "text": text }),
    }
}
