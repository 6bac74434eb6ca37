//! What is laid down for captures by the environment: how much of a packet is kept, and who is told.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tracer_core::capture::{CaptureReader, Item};

use crate::confined::Folder;
use crate::pair::{FAR, NEAR, Pair};
use crate::process::command;
use crate::{PORT, near};

/// What is in every datagram.
const SECRET: &[u8] = b"the password of the datagram";
/// Ethernet, IPv4, UDP.
const HEADERS: usize = 14 + 20 + 8;

fn capture(pair: &Pair, words: &[&'static str]) -> Command {
    let mut command = command(&near(words));
    command.arg("--netns").arg(pair.near_path()).stderr(Stdio::piped());
    command
}

/// Sends until the capture has seen enough. Returns its exit code, and what it said.
fn feed(pair: &Pair, mut child: Child) -> (Option<i32>, String) {
    let client = pair.in_near(|| UdpSocket::bind((NEAR, 0)).unwrap());
    while child.try_wait().unwrap().is_none() {
        client.send_to(SECRET, (FAR, PORT)).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn no_flag_keeps_more_than_the_ceiling() {
    let pair = Pair::new();
    for (ceiling, asked, kept) in
        [("headers", "0", HEADERS), ("headers", "60", HEADERS), ("50", "0", 50), ("50", "48", 48)]
    {
        let folder = Folder::new();
        let file = folder.path("f.pcapng");
        let mut command = capture(&pair, &["--max-packets", "3", "-Q", "out"]);
        command.args(["-s", asked, "-w"]).arg(&file).env("KFLOW_MAX_SNAP", ceiling);
        let (code, said) = feed(&pair, command.spawn().unwrap());
        assert_eq!(code, Some(0), "{ceiling} {asked}: {said}");
        let is_told = said.contains("as whoever placed this agent wants it (KFLOW_MAX_SNAP)");
        assert_eq!(is_told, asked != "48", "{ceiling} {asked}: {said}");
        let mut reader = CaptureReader::new(File::open(&file).unwrap()).unwrap();
        while let Some(item) = reader.next_item().unwrap() {
            if let Item::Frame(frame) = item {
                assert_eq!(frame.data.len(), kept, "{ceiling} {asked}");
                assert_eq!(frame.original_len as usize, HEADERS + SECRET.len());
            }
        }
        let bytes = fs::read(&file).unwrap();
        let secret = &SECRET[SECRET.len() - 8..];
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{ceiling} {asked}");
    }
}

#[test]
fn a_ceiling_that_nobody_understands_lets_nothing_through() {
    let pair = Pair::new();
    let mut command = capture(&pair, &["--duration", "5", "-w", "/dev/null"]);
    let output = command.env("KFLOW_MAX_SNAP", "some").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("KFLOW_MAX_SNAP is `some`"), "{said}");
}

#[test]
fn who_captures_what_when_and_how_much_is_noted() {
    let pair = Pair::new();
    let folder = Folder::new();
    let log = folder.path("log");
    File::create(&log).unwrap();
    let words = [
        "--heartbeat",
        "60",
        "--until-stdin-closes",
        "--max-packets",
        "3",
        "-Q",
        "out",
        "--host",
        "none",
        "--node",
        "kn1",
        "-w",
        "/dev/null",
        "--for-user",
        "jane\u{1b}[2J\u{9b}\n",
        "-s",
        "64",
        "-f",
        "udp port 7000",
    ];
    let mut command = capture(&pair, &words);
    let mut child = command.env("KFLOW_AUDIT", &log).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"--host 10.9.0.2:7000/udp\n").unwrap();
    let (code, said) = feed(&pair, child);
    assert_eq!(code, Some(0), "{said}");
    drop(stdin);

    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [begin, change, end] = &lines[..] else { panic!("{text}") };
    assert_eq!([&begin["audit"], &change["audit"], &end["audit"]], ["begin", "change", "end"]);
    for line in &lines {
        assert_eq!((&line["session"], &line["user"]), (&begin["session"], &json!("jane\u{1b}[2J\u{9b}\n")));
        assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    assert_eq!((&begin["node"], &begin["keep"]), (&json!("kn1"), &json!(64)));
    assert_eq!((&begin["filter"], &begin["addresses"]), (&json!("udp port 7000"), &json!([])));
    assert_eq!(change["addresses"], json!(["10.9.0.2"]));
    assert_eq!((&end["packets"], &end["why"], &end["exit"]), (&json!(3), &json!("Packets"), &json!(0)));
    assert!(end["bytes"].as_u64() > Some(3 * 64), "{end}");
}

#[test]
fn a_capture_that_fails_is_noted_and_one_that_cannot_be_noted_says_so() {
    let pair = Pair::new();
    let folder = Folder::new();
    let log = folder.path("log");
    File::create(&log).unwrap();
    let fails = ["capture", "-i", "nothing0", "-w", "/dev/null", "--netns"];
    let mut command = Command::new(tests::kflow::program());
    command.args(fails).arg(pair.near_path()).env("KFLOW_AUDIT", &log);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    let text = fs::read_to_string(&log).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["audit"], &last["exit"]), (&json!("end"), &json!(1)));
    assert!(last["error"].as_str().unwrap().contains("no interface nothing0"), "{last}");

    let output = command.env("KFLOW_AUDIT", folder.path("none")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("capture: not noted in"), "{said}");
}
