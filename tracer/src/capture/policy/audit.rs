//! Who captured what, when and how much: a line of JSON at the beginning, for each change, and at the end.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Instant;

use serde_json::{Value, json};

use crate::capture::orders::Orders;
use crate::capture::{CaptureFailure, Expression, Keep, Plan, Product, Summary};
use crate::error::{ExitStatus as _, chain};
use crate::kernel::filter::AddressSet;
use crate::sink::Target;

/// A pipe takes a line of so many bytes whole, whoever else writes into it (`PIPE_BUF`, pipe(7)).
const LINE: usize = 4096;
/// Letters of a text, and entries of a list, that are noted: quotes and all they fit into a line together.
const TEXT: usize = 300;
const LIST: usize = 16;

/// A capture that is noted.
pub(in crate::capture) struct Audit {
    file: File,
    /// This process, and when it began: numbers of processes are used again.
    session: String,
    user: Option<String>,
    began: Instant,
}

impl Audit {
    /// Notes that a capture begins. The file is a pipe as a rule, and never waited for.
    pub(super) fn begin(path: &OsStr, plan: &Plan) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
        let session = format!("{}-{}", std::process::id(), jiff::Timestamp::now().as_millisecond());
        let mut audit = Self { file, session, user: plan.claim.user.clone(), began: Instant::now() };
        audit.note("begin", beginning(plan))?;
        Ok(audit)
    }

    /// Notes what is captured from now on.
    pub(in crate::capture) fn change(&mut self, orders: &Orders) {
        let addresses = orders.addresses.as_ref().map(addresses);
        let pods = orders.pods.as_ref().map(|pods| list(pods.addresses.iter().copied()));
        if addresses.is_some() || pods.is_some() {
            self.tell("change", json!({"addresses": addresses, "pods": pods}));
        }
    }

    /// Notes how it ended.
    pub(in crate::capture) fn end(mut self, ended: &Result<Summary, CaptureFailure>) {
        let seconds = self.began.elapsed().as_secs_f64();
        let facts = match ended {
            Ok(summary) => {
                let total = summary.total();
                json!({
                    "seconds": seconds,
                    "packets": total.written,
                    "bytes": summary.bytes,
                    "lost": total.lost,
                    "why": format!("{:?}", summary.end),
                    "exit": summary.exit().code(),
                })
            }
            Err(error) => {
                json!({"seconds": seconds, "error": cut(&chain(error)), "exit": error.exit().code()})
            }
        };
        self.tell("end", facts);
    }

    fn tell(&mut self, what: &str, facts: Value) {
        if let Err(error) = self.note(what, facts) {
            say!("kflow: the {what} of this capture is not noted: {error}");
        }
    }

    fn note(&mut self, what: &str, facts: Value) -> io::Result<()> {
        let time = jiff::Timestamp::now().to_string();
        let mut line = json!({"audit": what, "time": time, "session": self.session, "user": self.user});
        if let (Value::Object(line), Value::Object(facts)) = (&mut line, facts) {
            line.extend(facts);
        }
        let mut text = line.to_string();
        if text.len() >= LINE {
            text = json!({"audit": what, "time": time, "session": self.session, "user": self.user,
                "cut": "more than a line holds"})
            .to_string();
        }
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

fn beginning(plan: &Plan) -> Value {
    let keep = match plan.shape.keep {
        Keep::Headers => json!("headers"),
        Keep::Bytes(snap) => json!(snap.0),
    };
    let output = match &plan.product {
        Product::Lines(_) => "lines".to_owned(),
        Product::Capture(Target::Files(files), _) => cut(&files.path.to_string_lossy()),
        Product::Capture(Target::Wireshark, _) => "wireshark".to_owned(),
        Product::Capture(Target::Stdout | Target::CompressedStdout, _) => "stdout".to_owned(),
    };
    let filter = plan.expression.as_ref().map(Expression::text).filter(|text| !text.is_empty());
    json!({
        "node": cut(&plan.node),
        "interfaces": cut(&plan.selection.to_string()),
        "pods": plan.pods.as_ref().map(|pods| list(pods.addresses.iter().copied())),
        "netns": plan.netns.as_ref().map(|netns| cut(&netns.to_string())),
        "addresses": addresses(&plan.addresses),
        // One that came compiled has no text but that which the client told.
        "filter": filter.or(plan.claim.filter.as_deref()).map(cut),
        "filtered": plan.expression.is_some(),
        "keep": keep,
        "drops": plan.drops.is_some(),
        "output": output,
    })
}

fn addresses(set: &AddressSet) -> Value {
    if set.is_everything() { json!("all") } else { list(set.addresses()) }
}

/// Some of them, in order, and how many more there are.
fn list(addresses: impl Iterator<Item = IpAddr>) -> Value {
    let mut all: Vec<_> = addresses.collect();
    all.sort_unstable();
    let more = all.len().saturating_sub(LIST);
    let mut words: Vec<_> = all.iter().take(LIST).map(ToString::to_string).collect();
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    json!(words)
}

fn cut(text: &str) -> String {
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
        assert_eq!(addresses(&AddressSet::everything()), json!("all"));
    }
}
