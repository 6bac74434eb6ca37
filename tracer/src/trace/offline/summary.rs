//! What the files held, for standard error.

use std::fmt::Write;

use tracer_core::output::printable;
use tracer_core::units::Timestamp;

use super::file::{CaptureFile, Held};

/// Places that are named of one file; beyond, there is a count.
const MAX_PLACES: usize = 4;
/// Files of which each has a line although nobody asks what is wrong.
const MAX_LINES: usize = 20;

/// How much there was, and a line for each file: of many files only where nothing `matched`, or where a file held
/// something else than packets that could be traced.
pub(super) fn summary(files: &[CaptureFile], matched: bool) -> String {
    let plural = if files.len() == 1 { "file" } else { "files" };
    let packets: u64 = files.iter().map(|file| file.held.packets).sum();
    let mut text = format!("traced {} {plural}, {packets} packets:\n", files.len());
    let is_short = files.len() <= MAX_LINES;
    for file in files.iter().filter(|file| is_short || !matched || !file.held.is_plain()) {
        let _ = writeln!(text, "  {}", line(&printable(&file.label), &file.held));
    }
    text
}

impl Held {
    /// Whether there is nothing to say but how much it was.
    fn is_plain(&self) -> bool {
        self.packets > 0 && self.decoded + self.not_ip == self.packets
    }
}

fn line(label: &str, held: &Held) -> String {
    let places = match held.places.len() {
        0 => "no interface".to_owned(),
        count if count > MAX_PLACES => format!("{count} interfaces"),
        _ => printable(&held.places.join(", ")),
    };
    let mut line = format!("{label}: {places}: {} packets", held.packets);
    if let Some((first, last)) = held.span {
        let _ = write!(line, ", {} to {} UTC", clock(first), clock(last));
    }
    if held.packets > 0 {
        let _ = write!(line, ", {} decoded", held.decoded);
    }
    if held.not_ip > 0 {
        let _ = write!(line, ", {} not IP", held.not_ip);
    }
    if held.too_short > 0 {
        let _ = write!(line, ", {} cut too short to be recognised", held.too_short);
    }
    for (link, count) in &held.links {
        let name = link_name(*link).map(|name| format!(" ({name})")).unwrap_or_default();
        let _ = write!(line, ", {count} of link type {link}{name}, which is not decoded");
    }
    line
}

/// Time of day, to the millisecond.
fn clock(time: Timestamp) -> String {
    let milliseconds = time.0 / 1_000_000;
    let seconds = milliseconds / 1000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", milliseconds % 1000)
}

/// Names of link types that people capture with (tcpdump.org/linktypes.html).
fn link_name(number: u32) -> Option<&'static str> {
    Some(match number {
        9 => "PPP",
        50 => "PPP over HDLC",
        51 => "PPPoE",
        105 => "IEEE 802.11",
        127 => "IEEE 802.11 with radiotap",
        189 | 220 => "USB",
        195 | 230 => "IEEE 802.15.4",
        201 | 254 => "Bluetooth",
        227 => "CAN",
        239 => "NFLOG",
        253 => "Netlink",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_a_file_held() {
        let mut held = Held {
            places: vec!["node2/cali1".to_owned()],
            packets: 12,
            decoded: 7,
            not_ip: 2,
            too_short: 1,
            links: [(127, 3)].into(),
            span: Some((Timestamp(43_201_000_000_000), Timestamp(86_399_999_999_999))),
            ..Held::default()
        };
        assert_eq!(
            line("a.pcap", &held),
            "a.pcap: node2/cali1: 12 packets, 12:00:01.000 to 23:59:59.999 UTC, 7 decoded, 2 not IP, 1 cut too short to be recognised, 3 of link type 127 (IEEE 802.11 with radiotap), which is not decoded"
        );
        held.places = vec![String::new(); 9];
        assert!(line("a.pcap", &held).starts_with("a.pcap: 9 interfaces: 12 packets"));
        assert_eq!(line("b", &Held::default()), "b: no interface: 0 packets");
    }
}
