//! How far a capture has come is told to terminals and to nobody else.

use std::process::{Command, Stdio};

use crate::scene::{Netns, kflow};

/// Long enough for a line or more.
const CAPTURE: [&str; 7] = ["capture", "-i", "lo", "--duration", "0.8", "-w", "/dev/null"];
/// Carriage return, and erase to the end of the line.
const CLEAR: &str = "\r\u{1b}[K";

#[test]
fn line_on_a_terminal_that_is_gone_at_the_end() {
    let netns = Netns::new();
    let words = format!("{} {}", tests::kflow::program().display(), CAPTURE.join(" "));
    let mut script = Command::new("script");
    let output = netns.run(script.args(["-qec", &words, "/dev/null"]).stdin(Stdio::null()));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.split(CLEAR).skip(1).collect();
    let (last, shown) = lines.split_last().unwrap_or_else(|| panic!("no progress: {text}"));
    assert!(!shown.is_empty(), "{text}");
    for line in shown {
        assert!(line.starts_with("0 packets, 0/s, ") && line.ends_with(" left"), "{text}");
    }
    assert!(last.starts_with("0 packets captured"), "what follows begins on a clean line: {text}");
}

#[test]
fn no_line_anywhere_else() {
    let output = Netns::new().run(&mut kflow(&CAPTURE));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("0 packets captured") && !text.contains(['\r', '\u{1b}']), "{text}");
}
