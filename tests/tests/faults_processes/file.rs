//! What a capture left, read by us and by others.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
};

use tests::{kflow, wireshark};
use tracer_core::capture::{CaptureError, CaptureReader, Expected, Item, Statistics};

use crate::numbers::number;

type Reader = CaptureReader<BufReader<File>>;

/// A packet of [`crate::numbers`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    /// Packets that were lost before it, as the file tells.
    pub(crate) lost_before: u64,
    /// Of the description of its interface, in the order of the file.
    pub(crate) interface: usize,
}

/// The contents of a file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// All packets, numbered or not.
    pub(crate) frames: usize,
    pub(crate) packets: Vec<Numbered>,
    /// Each interface that is described, with its last counters.
    pub(crate) interfaces: Vec<(String, Option<Statistics>)>,
    /// Where it ends in the middle of a block, or before its last counters.
    pub(crate) cut: Option<String>,
}

impl Contents {
    /// Reads up to the end, or to where it is cut.
    pub(crate) fn of(path: &Path) -> Self {
        Self::read(path, |reader| reader.expecting(Expected::File))
    }

    /// The same of a copy, which has the counters of its original.
    fn of_copy(path: &Path) -> Self {
        Self::read(path, |reader| reader)
    }

    fn read(path: &Path, adapt: impl Fn(Reader) -> Reader) -> Self {
        let mut contents = Self::default();
        let reader = CaptureReader::new(BufReader::new(File::open(path).unwrap()));
        if let Err(error) = reader.and_then(|reader| contents.take(adapt(reader))) {
            contents.cut = Some(error.to_string());
        }
        contents
    }

    fn take(&mut self, mut reader: Reader) -> Result<(), CaptureError> {
        while let Some(item) = reader.next_item()? {
            match item {
                Item::Interface(_, interface) => self.interfaces.push((interface.name, None)),
                Item::Statistics(id, _, told) => self.interfaces[id.0 as usize].1 = Some(told),
                Item::Frame(frame) => {
                    self.frames += 1;
                    let (interface, lost_before) = (frame.interface.0 as usize, frame.lost_before);
                    let numbered = number(&frame.data);
                    self.packets.extend(numbered.map(|number| Numbered { number, lost_before, interface }));
                }
                Item::Section(_) | Item::Other(_) => {}
            }
        }
        Ok(())
    }
}

/// Asserts that no number is missing between two packets, but for as many as were told as lost.
pub(crate) fn assert_nothing_between(all: &[&Contents]) {
    let mut packets: Vec<Numbered> = all.iter().flat_map(|contents| contents.packets.clone()).collect();
    packets.sort_by_key(|packet| packet.number);
    // A loss is told with the next packet of the processor that had it, and in counters.
    let told: u64 = packets.iter().map(|packet| packet.lost_before).sum();
    let counted = all.iter().flat_map(|contents| &contents.interfaces);
    let counted = counted.filter_map(|(_, counters)| counters.map(|counters| counters.lost)).max();
    let missing = between(&packets);
    assert!(
        missing <= told.max(counted.unwrap_or_default()),
        "{missing} missing, {told} and {counted:?} told"
    );
}

/// How many numbers are missing between the packets of a file, which are in their order.
pub(crate) fn gaps(contents: &Contents) -> u64 {
    assert!(contents.packets.is_sorted_by_key(|packet| packet.number));
    between(&contents.packets)
}

fn between(packets: &[Numbered]) -> u64 {
    packets.windows(2).map(|pair| pair[1].number - pair[0].number - 1).sum()
}

/// Asserts that the readers take a file as what it is: whole, or cut off where `cut` says so.
pub(crate) fn assert_readable(path: &Path, contents: &Contents) {
    let copy = PathBuf::from(format!("{}.read", path.display()));
    let mut read = Command::new(kflow::program());
    let output = read.args(["capture", "-r"]).arg(path).arg("-w").arg(&copy).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let is_named = said.contains(&*path.file_name().unwrap().to_string_lossy());
    match (&contents.cut, contents.frames == 0) {
        (None, false) => assert_eq!(output.status.code(), Some(0), "{}: {said}", path.display()),
        (None, true) => assert_eq!(output.status.code(), Some(3), "{}: {said}", path.display()),
        // In the header it is no capture yet.
        (Some(_), _) => {
            assert!(matches!(output.status.code(), Some(1 | 3)) && is_named, "{}: {said}", path.display());
        }
    }
    if copy.exists() && !contents.interfaces.is_empty() {
        let again = Contents::of_copy(&copy);
        assert!(again.cut.is_none(), "{again:?}");
        assert_eq!(again.frames, contents.frames, "{}: {said}", path.display());
    }
    if contents.cut.is_none() {
        wireshark::capinfos(path).unwrap();
        let all = wireshark::tshark(path, ["-n", "-T", "fields", "-e", "frame.number"]).unwrap();
        assert_eq!(all.lines().count(), contents.frames, "{}", path.display());
    }
    let _ = std::fs::remove_file(copy);
}
