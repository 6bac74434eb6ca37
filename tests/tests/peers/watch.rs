//! kflow and tcpdump on one interface at once.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{Tcpdump, TcpdumpOptions};
use tracer_core::capture::{CaptureReader, Item};
use tracer_core::units::Direction;

use crate::Error;
use crate::wire::End;

/// How kflow begins the line that says that its programs are in place.
const READY: &str = "kflow: capturing on ";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What both are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask<'a> {
    /// The filter expression; empty for every packet.
    pub(crate) filter: &'a str,
    /// Flags of kflow.
    pub(crate) ours: &'a [&'a str],
    /// Flags of tcpdump.
    pub(crate) theirs: &'a [&'a str],
}

/// How large packets are: tcpdump's buffer is cut into slots of that size.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    /// As Ethernet has them.
    Frames,
    /// Super-packets.
    Super,
}

impl Size {
    /// Room for a few hundred of them, in the kernel's buffer for either.
    fn buffer_kib(self) -> u32 {
        match self {
            Self::Frames => 2048,
            Self::Super => 65_536,
        }
    }
}

/// A packet in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Packet {
    pub(crate) link_type: u32,
    pub(crate) original_len: u32,
    pub(crate) data: Vec<u8>,
    /// Which way it went at the interface, as kflow tells; absent in tcpdump's files.
    pub(crate) is_sent: Option<bool>,
}

/// What both wrote.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) ours: Vec<Packet>,
    pub(crate) theirs: Vec<Packet>,
}

/// Captures at `at` while there is traffic, for each of `asks` by both.
///
/// Fails where one of them lost a packet.
pub(crate) fn during(
    at: End<'_>,
    size: Size,
    asks: &[Ask<'_>],
    traffic: impl FnOnce() -> Result<(), Error>,
) -> Result<Vec<Seen>, Error> {
    let folder = Folder::new()?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for (number, ask) in asks.iter().enumerate() {
        ours.push(Kflow::spawn(at, size, ask, folder.file(number, "kflow"))?);
        theirs.push(tcpdump(at, size, ask, &folder.file(number, "tcpdump"))?);
    }
    theirs.iter_mut().try_for_each(Tcpdump::wait_until_ready)?;
    ours.iter_mut().try_for_each(Kflow::wait_until_ready)?;
    traffic()?;
    // All at once: each takes a moment to leave the interface.
    ours.iter().try_for_each(Kflow::interrupt)?;
    let theirs = theirs.into_iter().map(|one| read(&one.stop()?)).collect::<Result<Vec<_>, Error>>()?;
    let ours = ours.into_iter().map(|one| read(&one.wait()?)).collect::<Result<Vec<_>, Error>>()?;
    Ok(ours.into_iter().zip(theirs).map(|(ours, theirs)| Seen { ours, theirs }).collect())
}

/// As [`during`], of every packet, each once.
pub(crate) fn every(
    at: End<'_>,
    size: Size,
    ask: Ask<'_>,
    traffic: impl FnOnce() -> Result<(), Error>,
) -> Result<Seen, Error> {
    let mut seen = during(at, size, &[ask], traffic)?;
    Ok(seen.remove(0))
}

fn tcpdump(at: End<'_>, size: Size, ask: &Ask<'_>, path: &Path) -> Result<Tcpdump, Error> {
    let buffer_kib = size.buffer_kib();
    let snap_len = match size {
        Size::Frames => 2048,
        Size::Super => 70_000,
    };
    let (filter, flags) = (ask.filter, ask.theirs);
    let options =
        TcpdumpOptions { filter, flags, snap_len, buffer_kib, ..TcpdumpOptions::new(at.interface, path) };
    Ok(Tcpdump::spawn(at.ns, &options)?)
}

/// A running `kflow capture`; dropped without an end it is killed.
struct Kflow {
    child: Child,
    stderr: BufReader<ChildStderr>,
    path: PathBuf,
    filter: String,
}

impl Kflow {
    fn spawn(at: End<'_>, size: Size, ask: &Ask<'_>, path: PathBuf) -> Result<Self, Error> {
        let mut command = Command::new(tests::kflow::program());
        command.args(["capture", "-i", at.interface, "-B", &size.buffer_kib().to_string()]);
        command.args(ask.ours).arg("-w").arg(&path);
        if !ask.filter.is_empty() {
            command.args(["--", ask.filter]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = at.ns.spawn(&mut command)?;
        let stderr = child.stderr.take().ok_or("no pipe")?;
        Ok(Self { child, stderr: BufReader::new(stderr), path, filter: ask.filter.to_owned() })
    }

    fn wait_until_ready(&mut self) -> Result<(), Error> {
        let mut said = String::new();
        loop {
            let from = said.len();
            if self.stderr.read_line(&mut said)? == 0 {
                return Err(format!("kflow, {:?}: {said}", self.filter).into());
            }
            if said[from..].starts_with(READY) {
                return Ok(());
            }
        }
    }

    fn interrupt(&self) -> Result<(), Error> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?)
    }

    fn wait(mut self) -> Result<PathBuf, Error> {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        let status = self.child.wait()?;
        // 3 where no packet matched.
        if !matches!(status.code(), Some(0 | 3)) || !said.contains("\n0 packets dropped by kernel\n") {
            return Err(format!("kflow, {:?}, ended with {status}: {said}", self.filter).into());
        }
        Ok(self.path.clone())
    }
}

impl Drop for Kflow {
    fn drop(&mut self) {
        // Both fail where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What tcpdump picks of a file of these packets, each of which is whole.
pub(crate) fn picked(link_type: u32, packets: &[Vec<u8>], expression: &str) -> Result<Vec<Packet>, Error> {
    let folder = Folder::new()?;
    let (all, some) = (folder.file(0, "all"), folder.file(0, "some"));
    fs::write(&all, file(link_type, packets))?;
    let mut command = Command::new("tcpdump");
    command.args(["-Z", "root", "-n", "-r"]).arg(&all).arg("-w").arg(&some).args(["--", expression]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    read(&some)
}

/// A capture file (draft-ietf-opsawg-pcap).
fn file(link_type: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>();
    let mut file = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link_type]);
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        file.extend(words(&[0, 0, length, length]));
        file.extend(packet);
    }
    file
}

/// The packets of a file as they are in it.
fn read(path: &Path) -> Result<Vec<Packet>, Error> {
    let mut reader = CaptureReader::new(File::open(path)?)?.with_raw();
    let mut packets = Vec::new();
    while reader.advance()? {
        let (Some(raw), Item::Frame(frame)) = (reader.raw(), reader.item()) else { continue };
        packets.push(Packet {
            link_type: raw.link_type,
            original_len: raw.original_len,
            data: raw.data.to_vec(),
            is_sent: frame.direction.map(|direction| direction == Direction::Egress),
        });
    }
    Ok(packets)
}

/// A folder for the files of one run; it goes with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kflow-peers-{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    fn file(&self, number: usize, program: &str) -> PathBuf {
        self.0.join(format!("{number}-{program}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own sweep of such files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
