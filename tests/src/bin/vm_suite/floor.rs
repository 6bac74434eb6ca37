//! Kernels that are too old.

use std::{fs, path::Path, process::Command};

use crate::found::{Failure, Found, Known, ensure};

/// Major and minor version of the oldest Linux that kflow works on, as README.md says.
const FLOOR: (u32, u32) = (5, 8);

/// The kernel's release, as `uname -r` prints it.
pub(crate) fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Whether it is older than all that kflow works on.
pub(crate) fn is_below() -> bool {
    let release = release();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|word| word.parse().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    version.is_some_and(|version: (u32, u32)| version < FLOOR)
}

/// Every command that needs the kernel ends with code 4 and the reason.
pub(crate) fn refused(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let mut told = String::new();
    for words in
        [&["capture", "-i", "lo", "-w", "/dev/null"][..], &["trace", "--local", "127.0.0.1"], &["doctor"]]
    {
        let ended = Command::new(kflow).args(words).output()?;
        let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let is_told = said.iter().any(|text| text.contains("5.8"));
        ensure(ended.status.code() == Some(4) && is_told, || {
            format!("`{}` ended with {:?}: {}", words.join(" "), ended.status.code(), said.concat())
        })?;
        if told.is_empty() {
            said[1].lines().last().unwrap_or_default().clone_into(&mut told);
        }
    }
    Ok(Found::ok(told))
}
