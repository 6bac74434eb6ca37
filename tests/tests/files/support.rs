//! Captures of made-up packets, and directories for them.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use tracer::sink::{FilePlan, Format, Recorder, Setup, SinkError, Target, Written};
use tracer_core::capture::{CaptureReader, Frame, Interface, InterfaceId, Item, LinkLayer, Section};
use tracer_core::units::{Direction, Gso, SnapLength, Timestamp};

pub(super) const SNAP: SnapLength = SnapLength(262_144);
/// 2023-11-14 22:13:20 UTC.
pub(super) const BEGIN: u64 = 1_700_000_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory that goes when this value goes.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kflow-files-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Names of its files, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(super) fn setup(target: Target, format: Format) -> Setup {
    let section = Section { node: Some("k8s-node1".to_owned()), ..Section::default() };
    Setup { target, format, section, snap: SNAP, begin: at(BEGIN), limit: None, source: None }
}

pub(super) fn files(plan: FilePlan, format: Format) -> Setup {
    setup(Target::Files(plan), format)
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1_000_000_000)
}

pub(super) fn interface(name: &str, link: LinkLayer) -> Interface {
    Interface { name: name.to_owned(), node: None, pod: None, ifindex: Some(2), link, mac: None }
}

pub(super) fn eth0() -> Interface {
    interface("eth0", LinkLayer::Ethernet)
}

/// A UDP packet that tells its number, of 100 to 1,100 bytes.
pub(super) fn packet(number: u32) -> Vec<u8> {
    let len = 100 + (number.wrapping_mul(2_654_435_761) >> 16) % 1000;
    let ip_len = u16::try_from(len).unwrap() - 14;
    let mut bytes = vec![0xab; len as usize];
    bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    bytes[14..24].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17]);
    bytes[16..18].copy_from_slice(&ip_len.to_be_bytes());
    bytes[24..34].copy_from_slice(&[0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes[34..42].copy_from_slice(&[0x30, 0x39, 0x30, 0x3a, 0, 0, 0, 0]);
    bytes[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
    bytes[42..46].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The packet of this number, a millisecond and a nanosecond after the one before.
pub(super) fn frame(number: u32, data: &[u8]) -> Frame<'_> {
    Frame {
        interface: InterfaceId(0),
        time: Timestamp(at(BEGIN).0 + u64::from(number) * 1_000_001),
        direction: Some(Direction::Egress),
        original_len: u32::try_from(data.len()).unwrap(),
        data: Cow::Borrowed(data),
        gso: number.is_multiple_of(7).then_some(Gso { size: 1448, segments: 2 }),
        mark: number % 3,
        lost_before: 0,
        comment: None,
    }
}

/// Writes this many packets of `eth0`.
pub(super) fn record(setup: Setup, count: u32) -> Result<Written, SinkError> {
    let mut recorder = Recorder::open(setup, None)?;
    recorder.interface(&eth0())?;
    for number in 0..count {
        if !recorder.frame(&frame(number, &packet(number)))? {
            break;
        }
    }
    recorder.finish()
}

/// Time and bytes of each packet of a capture.
pub(super) fn packets(path: &Path) -> Vec<(u64, Vec<u8>)> {
    items(path)
        .into_iter()
        .filter_map(|item| match item {
            Item::Frame(frame) => Some((frame.time.0, frame.data.into_owned())),
            _ => None,
        })
        .collect()
}

/// The packets that [`record`] writes, as [`packets`] tells them.
pub(super) fn expected(count: u32) -> Vec<(u64, Vec<u8>)> {
    (0..count).map(|number| (frame(number, &[]).time.0, packet(number))).collect()
}

pub(super) fn items(path: &Path) -> Vec<Item<'static>> {
    let mut reader = CaptureReader::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut items = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        items.push(item.into_owned());
    }
    items
}
