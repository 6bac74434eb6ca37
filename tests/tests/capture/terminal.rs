//! Names that strangers choose for interfaces and processes, as they are printed.

use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use crate::confined::Folder;
use crate::pair::Pair;

/// What sets the title of a terminal, as the name of an interface: of at most 15 bytes, without white space.
const INTERFACE: &str = "e\u{1b}]0;x\u{7}\u{202e}";
/// The same, and lines that look like others, as the name of a process.
const PROCESS: &str = "p\u{1b}[2J\r\nfake";

fn assert_tame(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    let is_wild = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(is_wild), "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("fake")), "{what}: {text:?}");
}

#[test]
fn interfaces_and_processes_cannot_drive_the_terminal() {
    let pair = Pair::new();
    pair.link(INTERFACE, "far1");
    let folder = Folder::new();
    let program = folder.path(PROCESS);
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut command = Command::new(&program);
    let mut sleeping = pair.in_near(|| command.arg("60").stdin(Stdio::null()).spawn()).unwrap();
    let shown = "e\\u{1b}]0;x\\u{7}\\u{202e}";
    for (words, code) in [
        ("ifaces", Some(0)),
        ("capture -D", Some(0)),
        ("capture -i e* -w /dev/null --duration 0.1", Some(3)),
        ("capture -i e* -v --duration 0.1", Some(3)),
        ("capture -i nothing0 -w /dev/null", Some(1)),
    ] {
        let mut kflow = Command::new(tests::kflow::program());
        let output = pair.in_near(|| kflow.args(words.split(' ')).output()).unwrap();
        assert_eq!(output.status.code(), code, "{words}: {output:?}");
        assert_tame(words, &output.stdout);
        assert_tame(words, &output.stderr);
        let said = [output.stdout, output.stderr].concat();
        assert!(
            String::from_utf8_lossy(&said).contains(shown),
            "{words}: {:?}",
            String::from_utf8_lossy(&said)
        );
    }
    sleeping.kill().unwrap();
    sleeping.wait().unwrap();
    assert!(program.as_os_str().as_bytes().contains(&0x1b));
}
