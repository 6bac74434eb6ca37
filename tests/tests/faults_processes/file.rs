//! What a capture left, read by us and by others.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::Command,
};

use tests::{kflow, wireshark};
use tracer_core::capture::{CaptureReader, Item, Statistics};

use crate::numbers::number;

/// A packet of [`crate::numbers`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
    /// Packets that were lost before it, as the file tells.
    pub(crate) lost_before: u64,
}

/// The contents of a file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) packets: Vec<Numbered>,
    /// Each interface that is described, with its last counters.
    pub(crate) interfaces: Vec<(String, Option<Statistics>)>,
    /// Where it ends in the middle of a block.
    pub(crate) cut: Option<String>,
}

impl Contents {
    /// Reads up to the end, or to where it is cut.
    pub(crate) fn of(path: &Path) -> Self {
        let mut contents = Self::default();
        if let Err(error) = contents.read(path) {
            contents.cut = Some(error.to_string());
        }
        contents
    }

    fn read(&mut self, path: &Path) -> Result<(), tracer_core::capture::CaptureError> {
        let mut reader = CaptureReader::new(BufReader::new(File::open(path).unwrap()))?;
        while let Some(item) = reader.next_item()? {
            match item {
                Item::Interface(_, interface) => self.interfaces.push((interface.name, None)),
                Item::Statistics(id, _, told) => self.interfaces[id.0 as usize].1 = Some(told),
                Item::Frame(frame) => {
                    let lost_before = frame.lost_before;
                    let numbered = number(&frame.data);
                    self.packets.extend(numbered.map(|number| Numbered { number, lost_before }));
                }
                Item::Section(_) | Item::Other(_) => {}
            }
        }
        Ok(())
    }
}

/// Asserts that each packet is followed by the next one, but for those that were told as lost. Returns how many were.
pub(crate) fn assert_nothing_between(packets: &[Numbered]) -> u64 {
    let mut lost = 0;
    for pair in packets.windows(2) {
        let [one, next] = [pair[0], pair[1]];
        assert_eq!(next.number, one.number + 1 + next.lost_before, "{one:?}, then {next:?}");
        lost += next.lost_before;
    }
    lost
}

/// Asserts that the readers take a file as what it is: whole, or cut off where `cut` says so.
pub(crate) fn assert_readable(path: &Path, contents: &Contents) {
    let copy = PathBuf::from(format!("{}.read", path.display()));
    let mut read = Command::new(kflow::program());
    let output = read.args(["capture", "-r"]).arg(path).arg("-w").arg(&copy).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let is_named = said.contains(&*path.file_name().unwrap().to_string_lossy());
    match (&contents.cut, contents.packets.is_empty()) {
        (None, false) => assert_eq!(output.status.code(), Some(0), "{}: {said}", path.display()),
        (None, true) => assert_eq!(output.status.code(), Some(3), "{}: {said}", path.display()),
        // In the header it is no capture yet.
        (Some(_), _) => {
            assert!(matches!(output.status.code(), Some(1 | 3)) && is_named, "{}: {said}", path.display());
        }
    }
    if copy.exists() && !contents.interfaces.is_empty() {
        let again = Contents::of(&copy);
        assert!(again.cut.is_none(), "{again:?}");
        assert_eq!(again.packets.len(), contents.packets.len(), "{}: {said}", path.display());
    }
    if contents.cut.is_none() {
        wireshark::capinfos(path).unwrap();
        let all = wireshark::tshark(path, ["-n", "-T", "fields", "-e", "frame.number"]).unwrap();
        assert!(all.lines().count() >= contents.packets.len(), "{}", path.display());
    }
    let _ = std::fs::remove_file(copy);
}
