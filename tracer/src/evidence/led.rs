//! Waiting for the end, while connections come and go.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::snapshot::Connections;

/// The line that stands for the end of standard input, where that cannot be closed.
const END: &str = "end";
/// The longest line that is looked at: longer ones are for captures, and none of them ends this.
const LONGEST: usize = 64;

/// Waits until standard input ends; false where nothing was heard for too long.
pub(super) fn wait(heartbeat: Option<Duration>, connections: &mut Connections) -> io::Result<bool> {
    let mut heard = Instant::now();
    let mut line = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let left = heartbeat.map(|heartbeat| heartbeat.saturating_sub(heard.elapsed()));
        if left == Some(Duration::ZERO) {
            return Ok(false);
        }
        let (is_told, has_events) = ready(left, connections)?;
        if has_events {
            connections.hear();
        }
        if !is_told {
            continue;
        }
        let count = match io::stdin().lock().read(&mut bytes) {
            Ok(0) => return Ok(true),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        heard = Instant::now();
        if has_end(&mut line, &bytes[..count]) {
            return Ok(true);
        }
    }
}

/// Whether standard input, and whether the kernel has something to say.
fn ready(left: Option<Duration>, connections: &Connections) -> io::Result<(bool, bool)> {
    let timeout = left.map_or(PollTimeout::NONE, |left| {
        PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
    });
    let stdin = io::stdin();
    let mut watched = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    watched.extend(connections.descriptor().map(|events| PollFd::new(events, PollFlags::POLLIN)));
    match poll(&mut watched, timeout) {
        Err(Errno::EINTR) => return Ok((false, false)),
        Err(errno) => return Err(errno.into()),
        Ok(_) => {}
    }
    let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or_default();
    Ok((is_ready(&watched[0]), watched.get(1).is_some_and(is_ready)))
}

/// Whether one of the lines that end in these bytes is the last.
fn has_end(line: &mut Vec<u8>, bytes: &[u8]) -> bool {
    for byte in bytes {
        if *byte != b'\n' {
            if line.len() < LONGEST {
                line.push(*byte);
            }
            continue;
        }
        let is_end = line.trim_ascii() == END.as_bytes();
        line.clear();
        if is_end {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_line_of_its_own_is_the_end() {
        let table: [(&[&str], bool); 6] = [
            (&["\n", "\n\n"], false),
            (&["end\n"], true),
            (&["--host 10.0.0.1\ne", "nd\r\n"], true),
            (&["endless\n", "the end\n"], false),
            (&["end"], false),
            (&["--output-rate 4096\n\nend\n"], true),
        ];
        for (parts, expected) in table {
            let mut line = Vec::new();
            let ended = parts.iter().any(|part| has_end(&mut line, part.as_bytes()));
            assert_eq!(ended, expected, "{parts:?}");
        }
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut line = Vec::new();
        assert!(!has_end(&mut line, &vec![b'e'; 100_000]));
        assert_eq!(line.len(), LONGEST);
    }
}
