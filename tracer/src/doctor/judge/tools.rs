//! What else is installed that kflow makes use of.

use std::path::Path;

use crate::doctor::check::{Check, State};
use crate::doctor::facts::Facts;

/// That packet sockets are not needed is worth saying: other tools are refused for them.
pub(super) fn af_packet() -> Check {
    Check::new("af_packet", State::Ok, "not used", "kflow opens no packet socket and needs no CAP_NET_RAW")
}

const INSTALL: &str = "install it: `apt install libpcap0.8` (Debian, Ubuntu), `dnf install libpcap` (Fedora, RHEL), \
                       `apk add libpcap` (Alpine)";

/// Compiles filter expressions.
pub(super) fn libpcap(facts: &Facts) -> Check {
    const NAME: &str = "libpcap";
    match &facts.libpcap {
        Ok(version) => Check::new(NAME, State::Ok, version.as_str(), "filter expressions can be used"),
        Err(error) => {
            let meaning = "filter expressions (-f) cannot be used; `--host` and the like can";
            let remedy = if cfg!(target_feature = "crt-static") {
                "this kflow is linked statically and can load no library: take one that is not"
            } else {
                INSTALL
            };
            Check::new(NAME, State::Missing, error.as_str(), meaning).with(remedy)
        }
    }
}

/// Shows packets while they are captured.
pub(super) fn wireshark(facts: &Facts) -> Check {
    const NAME: &str = "wireshark";
    match &facts.wireshark {
        Some(path) => found(NAME, path, "`--wireshark` shows packets while they are captured"),
        None => absent(NAME, "`--wireshark` does not work"),
    }
}

/// Reads captures on a terminal.
pub(super) fn tshark(facts: &Facts) -> Check {
    const NAME: &str = "tshark";
    match &facts.tshark {
        Some(path) => found(NAME, path, "`kflow capture -w - | tshark -r -` decodes packets as they come"),
        None => absent(NAME, "`kflow capture -w - | tshark -r -` does not work"),
    }
}

fn found(name: &'static str, path: &Path, meaning: &'static str) -> Check {
    Check::new(name, State::Ok, path.display().to_string(), meaning)
}

fn absent(name: &'static str, meaning: &'static str) -> Check {
    let remedy = format!("install {name}, or write a file with -w and open it elsewhere");
    Check::new(name, State::Missing, "not in PATH", meaning).with(remedy)
}
