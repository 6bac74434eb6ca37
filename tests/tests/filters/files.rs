//! Capture files of every link type, in the formats that there are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use tests::expressions::link;
use tests::expressions::packets::packets;
use tests::truth::random::Random;

/// A directory of the test's own, which goes when this value goes.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kflow-filters-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file and the link type of its packets.
pub(crate) struct Capture {
    pub(crate) path: PathBuf,
    pub(crate) link: u32,
}

/// How much of each packet is in a file.
#[derive(Clone, Copy)]
enum Snap {
    Whole,
    Fixed(usize),
    Random,
}

/// All packets in files of all kinds.
pub(crate) fn corpus(directory: &Directory) -> Vec<Capture> {
    let mut captures = Vec::new();
    let mut add = |name: &str, link: u32, bytes: Vec<u8>| {
        let path = directory.0.join(name);
        fs::write(&path, bytes).unwrap();
        captures.push(Capture { path, link });
    };
    for link in link::ALL {
        add(&format!("{link}.pcap"), link, pcap(link, Snap::Whole, false));
    }
    for link in [link::ETHERNET, link::NULL, link::LOOP] {
        add(&format!("{link}-big.pcap"), link, pcap(link, Snap::Whole, true));
    }
    // Not of loopback: libpcap's programs for files look for three numbers of IPv6 there, not one, so that they
    // load bytes in another order and stumble over another one that was not captured.
    for link in [link::ETHERNET, link::RAW, link::SLL] {
        add(&format!("{link}-random.pcap"), link, pcap(link, Snap::Random, false));
    }
    add("ethernet-54.pcap", link::ETHERNET, pcap(link::ETHERNET, Snap::Fixed(54), false));
    for link in [link::ETHERNET, link::SLL2] {
        let from = directory.0.join(format!("{link}.pcap"));
        let path = directory.0.join(format!("{link}.pcapng"));
        editcap(&from, &path);
        captures.push(Capture { path, link });
    }
    captures
}

fn editcap(from: &Path, to: &Path) {
    let status = Command::new("editcap").args(["-F", "pcapng"]).args([from, to]).status().unwrap();
    assert!(status.success(), "editcap: {status}");
}

/// A pcap file of little-endian or big-endian byte order. The time of each packet is its number.
fn pcap(link: u32, snap: Snap, is_big: bool) -> Vec<u8> {
    let u32 = |number: u32| if is_big { number.to_be_bytes() } else { number.to_le_bytes() };
    let version = if is_big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
    let mut bytes = [u32(0xa1b2_c3d4), version, u32(0), u32(0), u32(262_144), u32(link)].concat();
    let mut random = Random(u64::from(link));
    for (number, packet) in (0..).zip(packets()) {
        let Some(mut frame) = packet.frame(link) else { continue };
        if link == link::NULL && is_big == cfg!(target_endian = "little") {
            frame[..4].reverse();
        }
        let len = match snap {
            Snap::Whole => frame.len(),
            Snap::Fixed(len) => frame.len().min(len),
            Snap::Random => random.between(0, frame.len() + 1),
        };
        let lens = [len, frame.len()].map(|len| u32(len.try_into().unwrap()));
        bytes.extend([u32(1), u32(number), lens[0], lens[1]].concat());
        bytes.extend(&frame[..len]);
    }
    bytes
}
