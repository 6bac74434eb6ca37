//! What the tests of `kflow trace -r` have in common.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use serde_json::Value;
use tests::{
    Kflow,
    kflow::{self, Outcome, Told},
};

use crate::file::{Seen, Way};

pub(crate) type Test = Result<(), Box<dyn std::error::Error>>;

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kflow-offline-{}-{number}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with these bytes, in a folder of its own where its name has one.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(&self.0))?;
        fs::write(&path, bytes)?;
        Ok(path)
    }

    /// `kflow trace` with these words, in which `DIR` is the folder.
    pub(crate) fn trace(&self, words: &str) -> Result<Outcome, kflow::KflowError> {
        let words = words.replace("DIR", &self.0.display().to_string());
        let words = ["trace"].into_iter().chain(words.split_whitespace()).map(OsString::from);
        Kflow::run(&kflow::program(), words)
    }

    /// The JSON Lines of `kflow trace -o json` with these words, and its exit code.
    pub(crate) fn told(&self, words: &str) -> Result<(Told, Option<i32>), kflow::KflowError> {
        let outcome = self.trace(&format!("{words} -o json"))?;
        Ok((outcome.told()?, outcome.code))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How many packets [`sent`] and [`received`] are.
pub(crate) const COUNT: u64 = 5;

/// Packets that leave one node, and arrive at the other 50 µs later; 1 ms apart.
pub(crate) fn sent() -> Vec<Seen> {
    let seen =
        |number: u8| Seen { at: u32::from(number) * 1_000_000, ifindex: 7, way: Way::Out, ttl: 63, number };
    (0..).take(usize::try_from(COUNT).unwrap()).map(seen).collect()
}

pub(crate) fn received() -> Vec<Seen> {
    let arrived = |seen: Seen| Seen { at: seen.at + 50_000, ifindex: 9, way: Way::In, ..seen };
    sent().into_iter().map(arrived).collect()
}

/// Writes what two nodes captured, as `node1_eth0.pcap` and `node2_eth0.pcap`.
pub(crate) fn two_nodes(folder: &Folder) -> io::Result<()> {
    folder.write("node1_eth0.pcap", &crate::file::plain(&sent()))?;
    folder.write("node2_eth0.pcap", &crate::file::plain(&received())).map(drop)
}

pub(crate) const TWO_NODES: &str = "-r DIR/node1_eth0.pcap -r DIR/node2_eth0.pcap";

/// The only flow.
pub(crate) fn only_flow(told: &Told) -> &Value {
    let [flow] = told.flows.as_slice() else { panic!("{:#?}", told.flows) };
    flow
}

/// The elements of a JSON array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// `NODE/[POD:]IFACE PACKETS` of each hop of a direction.
pub(crate) fn hops(lane: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let hop = |hop: &Value| {
        let pod = hop["pod"].as_str().map(|pod| format!("{pod}:")).unwrap_or_default();
        format!("{}/{pod}{} {}", text(&hop["node"]), text(&hop["interface"]), hop["packets"])
    };
    list(&lane["hops"]).iter().map(hop).collect()
}

/// The directions of the hops of a direction.
pub(crate) fn directions(lane: &Value) -> Vec<&str> {
    list(&lane["hops"]).iter().map(|hop| hop["direction"].as_str().unwrap_or_default()).collect()
}

pub(crate) fn assert_said(outcome: &Outcome, words: &[&str]) {
    for words in words {
        assert!(outcome.stderr.contains(words), "no \"{words}\" in {}", outcome.stderr);
    }
}

/// A file's name, for a command line.
pub(crate) fn word(path: &Path) -> String {
    path.display().to_string()
}
