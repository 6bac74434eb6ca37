//! tcpdump on the same interface, for so many packets.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::pair::Pair;

/// A tcpdump that ends by itself when it has what it waits for.
pub(crate) struct Tcpdump {
    child: Child,
    path: PathBuf,
}

/// A packet as tcpdump wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Packet {
    pub(crate) original_len: u32,
    pub(crate) data: Vec<u8>,
}

impl Tcpdump {
    /// Is capturing when this returns.
    pub(crate) fn start(pair: &Pair, interface: &str, snap: u32, count: usize, filter: &str) -> Self {
        let name = pair.near_path().file_name().unwrap().to_string_lossy().into_owned();
        let path = std::env::temp_dir().join(format!("{name}-{interface}.pcap"));
        let mut command = Command::new("tcpdump");
        command.args(["-Z", "root", "-n", "--immediate-mode", "-i", interface]);
        command.args(["-s", &snap.to_string(), "-c", &count.to_string(), "-w"]).arg(&path);
        command.args(filter.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = pair.in_near(|| command.spawn()).unwrap();
        let mut reader = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            assert_ne!(reader.read_line(&mut said).unwrap(), 0, "tcpdump: {said}");
        }
        // Its last words must find a reader.
        std::thread::spawn(move || reader.read_to_string(&mut said));
        Self { child, path }
    }

    /// Waits until it has all packets.
    pub(crate) fn packets(mut self) -> Vec<Packet> {
        assert!(self.child.wait().unwrap().success());
        let mut bytes = Vec::new();
        File::open(&self.path).unwrap().read_to_end(&mut bytes).unwrap();
        let mut packets = Vec::new();
        let mut rest = &bytes[24..];
        while let Some((header, after)) = rest.split_first_chunk::<16>() {
            let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
            let (data, after) = after.split_at(word(8) as usize);
            packets.push(Packet { original_len: word(12), data: data.to_vec() });
            rest = after;
        }
        packets
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.path);
    }
}
