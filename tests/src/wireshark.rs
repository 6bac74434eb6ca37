//! Capture files read by programs that are not ours: tshark, capinfos, tcpdump.
//!
//! A reader that complains has not read the file, whatever its exit code says.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
};

use serde_json::Value;
use thiserror::Error;

/// What the readers write to standard error about a file that is in order.
const HARMLESS: [&str; 2] = ["Running as user \"root\"", "reading from file "];

/// A file that a reader did not like.
#[derive(Debug, Error)]
pub enum ReaderError {
    /// The program is not there.
    #[error("cannot run {program}")]
    Start {
        /// Its name.
        program: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// It failed, or had something to say.
    #[error("{program} does not like {} ({status}): {said}", file.display())]
    Complaint {
        /// Its name.
        program: &'static str,
        /// The file.
        file: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// Its output is not what it writes in this mode.
    #[error("{program} wrote something unexpected about {}", file.display())]
    Output {
        /// Its name.
        program: &'static str,
        /// The file.
        file: PathBuf,
    },
}

/// A frame as tshark hands it over.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RawFrame {
    /// `if_name` of its interface; absent in a pcap file.
    pub interface: Option<String>,
    /// Inbound or outbound, as the packet flags tell; absent in a pcap file.
    pub is_inbound: Option<bool>,
    /// Bytes on the wire.
    pub original_len: usize,
    /// The captured bytes, in hexadecimal.
    pub hex: String,
}

/// The fields of every packet that the display filter lets through, in the order of the file.
///
/// A field that occurs several times in a packet has its values joined by commas.
pub fn fields<const N: usize>(
    file: &Path,
    filter: &str,
    fields: [&str; N],
) -> Result<Vec<[String; N]>, ReaderError> {
    let args = ["-n", "-Y", filter, "-T", "fields"].into_iter().chain(fields.iter().flat_map(|f| ["-e", f]));
    let text = tshark(file, args)?;
    let row = |line: &str| {
        let values: Vec<String> = line.split('\t').map(str::to_owned).collect();
        values.try_into().map_err(|_| unexpected("tshark", file))
    };
    text.lines().map(row).collect()
}

/// The bytes of every packet that the display filter lets through, in the order of the file.
pub fn frames(file: &Path, filter: &str) -> Result<Vec<RawFrame>, ReaderError> {
    let text = tshark(file, ["-n", "-Y", filter, "-T", "json", "-x", "-J", "frame"])?;
    let packets: Vec<Value> = serde_json::from_str(&text).map_err(|_| unexpected("tshark", file))?;
    packets.iter().map(|packet| raw_frame(packet).ok_or_else(|| unexpected("tshark", file))).collect()
}

/// What tshark prints about a file with these arguments.
pub fn tshark<'a>(file: &'a Path, args: impl IntoIterator<Item = &'a str>) -> Result<String, ReaderError> {
    let args = [OsStr::new("-r"), file.as_os_str()].into_iter().chain(args.into_iter().map(OsStr::new));
    read("tshark", file, args)
}

/// What capinfos tells about a file.
pub fn capinfos(file: &Path) -> Result<String, ReaderError> {
    read("capinfos", file, [file.as_os_str()])
}

/// The packets of a file as tcpdump prints them, a line each.
pub fn tcpdump(file: &Path) -> Result<Vec<String>, ReaderError> {
    let args = ["-Z", "root", "-n", "-q", "-r"].map(OsStr::new).into_iter().chain([file.as_os_str()]);
    Ok(read("tcpdump", file, args)?.lines().map(str::to_owned).collect())
}

/// The output of a reader that has ended; an error where it complained.
pub fn accepted(program: &'static str, file: &Path, output: Output) -> Result<String, ReaderError> {
    let said = String::from_utf8_lossy(&output.stderr);
    let is_harmless = |line: &str| HARMLESS.iter().any(|harmless| line.starts_with(harmless));
    let complaints: Vec<&str> = said.lines().filter(|line| !is_harmless(line)).collect();
    if !output.status.success() || !complaints.is_empty() {
        return Err(ReaderError::Complaint {
            program,
            file: file.to_owned(),
            status: output.status,
            said: complaints.join("\n"),
        });
    }
    String::from_utf8(output.stdout).map_err(|_| unexpected(program, file))
}

fn read<'a>(
    program: &'static str,
    file: &Path,
    args: impl IntoIterator<Item = &'a OsStr>,
) -> Result<String, ReaderError> {
    let output = Command::new(program).args(args).env("TZ", "UTC").output();
    accepted(program, file, output.map_err(|source| ReaderError::Start { program, source })?)
}

fn raw_frame(packet: &Value) -> Option<RawFrame> {
    let layers = &packet["_source"]["layers"];
    let frame = &layers["frame"];
    let direction = frame["frame.packet_flags_tree"]["frame.packet_flags_direction"].as_str();
    Some(RawFrame {
        interface: frame["frame.interface_id_tree"]["frame.interface_name"].as_str().map(str::to_owned),
        is_inbound: direction.map(|direction| direction == "0x00000001"),
        original_len: frame["frame.len"].as_str()?.parse().ok()?,
        hex: layers["frame_raw"][0].as_str()?.to_owned(),
    })
}

fn unexpected(program: &'static str, file: &Path) -> ReaderError {
    ReaderError::Output { program, file: file.to_owned() }
}
