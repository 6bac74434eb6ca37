//! Who asked for what, when and how much: lines of JSON in a file that whoever runs an agent has named. Who starts something
//! in an agent has a command line and no environment, so it can be neither redirected nor left out.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;

use serde_json::{Value, json};

/// The variable that names the file.
pub(crate) const AUDIT: &str = "KFLOW_AUDIT";

/// A pipe takes a line of so many bytes whole, whoever else writes into it (`PIPE_BUF`, pipe(7)).
const LINE: usize = 4096;
/// Letters of a text, and entries of a list, that are noted: quotes and all they fit into a line together.
const TEXT: usize = 300;
const LIST: usize = 16;

/// The notes of one process.
pub(crate) struct Log {
    /// The command: `capture`.
    what: &'static str,
    file: File,
    /// This process, and when it began: numbers of processes are used again.
    session: String,
    user: Option<String>,
}

impl Log {
    /// The log that the environment names, for the command `what` that `user` asked for; absent where it names none. One that cannot
    /// be opened is told of.
    pub(crate) fn of_environment(what: &'static str, user: Option<&str>) -> Option<Self> {
        let path = std::env::var_os(AUDIT).filter(|path| !path.is_empty())?;
        Self::open(&path, what, user)
            .inspect_err(|error| say!("kflow: {what}: not noted in {}: {error}", path.display()))
            .ok()
    }

    /// The file is a pipe as a rule, and never waited for.
    fn open(path: &OsStr, what: &'static str, user: Option<&str>) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
        let session = format!("{}-{}", std::process::id(), jiff::Timestamp::now().as_millisecond());
        Ok(Self { what, file, session, user: user.map(str::to_owned) })
    }

    /// Writes a line about `event`. That it cannot be written is told.
    pub(crate) fn note(&mut self, event: &str, facts: Value) {
        if let Err(error) = self.write(event, facts) {
            say!("kflow: {}: the {event} is not noted: {error}", self.what);
        }
    }

    fn write(&mut self, event: &str, facts: Value) -> io::Result<()> {
        let time = jiff::Timestamp::now().to_string();
        let head = json!({"audit": event, "what": self.what, "time": time, "session": self.session, "user": self.user});
        let mut line = head.clone();
        if let (Value::Object(line), Value::Object(facts)) = (&mut line, facts) {
            line.extend(facts);
        }
        let mut text = line.to_string();
        if text.len() >= LINE {
            let mut line = head;
            line["cut"] = json!("more than a line holds");
            text = line.to_string();
        }
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

/// Some addresses, in order, and how many more there are.
pub(crate) fn list(addresses: impl Iterator<Item = IpAddr>) -> Value {
    let mut all: Vec<_> = addresses.collect();
    all.sort_unstable();
    let more = all.len().saturating_sub(LIST);
    let mut words: Vec<_> = all.iter().take(LIST).map(ToString::to_string).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    json!(words)
}

/// The beginning of a text.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_and_texts_are_cut() {
        let many = (0..100_u8).rev().map(|last| IpAddr::from([10, 0, 0, last]));
        let told = list(many);
        assert_eq!((&told[0], &told[LIST]), (&json!("10.0.0.0"), &json!("and 84 more")));
        assert_eq!(cut(&"ü".repeat(TEXT + 1)).chars().count(), TEXT + 1);
        assert_eq!(cut("short"), "short");
    }
}
