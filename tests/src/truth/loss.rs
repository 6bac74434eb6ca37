//! Losses at a known place, each of which is recorded.
//!
//! A rule in a node's FORWARD chain hands packets to a chain that copies each to a recorder (NFLOG) and drops it. So
//! which packets were dropped there is known from their payloads, and their number from the rule's own counter.

use std::{
    fs, io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    TruthError,
    content::{self, Piece},
    parse, seen,
};
use crate::{Lab, Tcpdump, run};

const CHAIN: &str = "TRUTH-LOSS";
const GROUP: u16 = 61;
/// How long the recorder may take to write what was dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// Classic pcap (libpcap's `pcap-savefile(5)`): lengths of its header and of a packet's.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// `LINKTYPE_NFLOG`: its header, and the type of the value that holds the packet.
const NFLOG_HEADER: usize = 4;
const NFULA_PAYLOAD: u16 = 9;

/// Where packets are dropped, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// The node.
    pub node: &'static str,
    /// Which packets, in words of `iptables`.
    pub filter: &'static str,
    /// The share of them, in thousandths.
    pub per_mille: u16,
    /// Length of an IP packet that may be dropped: shorter ones are left alone.
    pub least: u16,
}

/// A rule that drops, and its recorder.
#[derive(Debug)]
pub struct Dropping<'a> {
    lab: &'a Lab,
    loss: Loss,
    recorder: Tcpdump,
}

/// What was dropped.
#[derive(Clone, Debug, Default)]
pub struct Dropped {
    /// Packets, of which each may be several wire segments.
    pub packets: u64,
    /// What they carried.
    pub pieces: Vec<Piece>,
}

impl<'a> Dropping<'a> {
    /// Begins to drop.
    pub fn start(lab: &'a Lab, loss: Loss) -> Result<Self, TruthError> {
        let recorder = lab.tcpdump(lab.node(loss.node), &format!("nflog:{GROUP}"), "")?;
        let probability = f64::from(loss.per_mille) / 1000.0;
        for rule in [
            format!("-N {CHAIN}"),
            format!("-A {CHAIN} -j NFLOG --nflog-group {GROUP} --nflog-threshold 1"),
            format!("-A {CHAIN} -j DROP"),
            format!(
                "-I FORWARD {} -m length --length {}: -m statistic --mode random --probability {probability} -j {CHAIN}",
                loss.filter, loss.least
            ),
        ] {
            lab.iptables(loss.node, &rule)?;
        }
        Ok(Self { lab, loss, recorder })
    }

    /// Stops dropping, and tells what was dropped.
    pub fn stop(self) -> Result<Dropped, TruthError> {
        self.lab.iptables(self.loss.node, "-D FORWARD 1")?;
        let packets = self.count()?;
        let path = self.recorder.path().to_owned();
        let deadline = Instant::now() + PATIENCE;
        let dropped = loop {
            let dropped = read(&path)?;
            if dropped.packets >= packets || Instant::now() > deadline {
                break dropped;
            }
            thread::yield_now();
        };
        // Everything is read. Asked to end, tcpdump may wait for one more packet: it looks for the request after each.
        drop(self.recorder);
        for rule in [format!("-F {CHAIN}"), format!("-X {CHAIN}")] {
            self.lab.iptables(self.loss.node, &rule)?;
        }
        if dropped.packets == packets {
            Ok(dropped)
        } else {
            Err(TruthError::Drops { counted: packets, recorded: dropped.packets })
        }
    }

    /// What the rule that drops has counted.
    fn count(&self) -> Result<u64, TruthError> {
        let args = ["-w", "-nvxL", CHAIN];
        let text = run(self.lab.node(self.loss.node), "iptables", &args, "")?;
        let line = text.lines().find(|line| line.split_whitespace().nth(2) == Some("DROP"));
        let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        count.ok_or(TruthError::Counter(text))
    }
}

/// The packets of a file of `tcpdump -i nflog:N`, as far as it is written.
fn read(path: &Path) -> Result<Dropped, TruthError> {
    let bytes = fs::read(path).map_err(TruthError::Recorder)?;
    let mut dropped = Dropped::default();
    let mut rest = bytes.get(FILE_HEADER..).unwrap_or_default();
    while let Some(len) = rest.get(8..12).and_then(|len| len.try_into().ok()).map(u32::from_ne_bytes) {
        let end = RECORD_HEADER + usize::try_from(len).unwrap_or(usize::MAX);
        let Some(record) = rest.get(RECORD_HEADER..end) else { break };
        dropped.packets += 1;
        let packet = payload(record).and_then(parse::packet).ok_or_else(|| damaged(path))?;
        match seen::carried(&packet, usize::MAX)[..] {
            [Some(piece)] => dropped.pieces.push(piece),
            _ => dropped.pieces.extend(content::pieces(packet.payload)),
        }
        rest = &rest[end..];
    }
    Ok(dropped)
}

/// The packet in a record of `LINKTYPE_NFLOG`.
fn payload(record: &[u8]) -> Option<&[u8]> {
    let mut rest = record.get(NFLOG_HEADER..)?;
    loop {
        let len = usize::from(u16::from_ne_bytes([*rest.first()?, *rest.get(1)?]));
        let kind = u16::from_ne_bytes([*rest.get(2)?, *rest.get(3)?]);
        let value = rest.get(4..len)?;
        if kind == NFULA_PAYLOAD {
            return Some(value);
        }
        // Values are padded to four bytes.
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

fn damaged(path: &Path) -> TruthError {
    let error =
        io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no dropped packet", path.display()));
    TruthError::Recorder(error)
}
