//! The eBPF object: embedded in this program, loaded once per capture.

mod programs;

use std::borrow::Cow;
use std::io;

use aya::maps::{Map, MapError};
use aya::programs::ProgramError;
use aya::util::online_cpus;
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use aya_log::EbpfLogger;
pub use programs::{DropsGuard, Programs};
use thiserror::Error;
use tracer_common::program::{BY_ADDRESS, BY_ETHERNET, BY_INNERMOST, BY_IP, NO_ETHERNET, NO_IP, SAMPLES};
use tracer_common::record::{MAX_SNAP, MIN_SNAP};
use tracer_core::units::SnapLength;

use super::counters::InterfaceTable;
use super::drops::{DropCounters, Drops};
use super::filter::Filter;
use super::ring::Ring;
use super::room::{PacketFilter, RoomError};
use crate::error::{Exit, ExitStatus};

/// The object as `build.rs` left it: empty where the toolchain for it is not there.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// A record is always as large as this.
const EVERY_RECORD: u64 = 1;

const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// Size of the ring buffer: a power of two of at least one page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RingSize(u32);

impl RingSize {
    /// Rounds up to what the kernel takes, and to what holds a few packets of this snap length.
    pub fn at_least(kib: u32, snap: SnapLength) -> Self {
        const PAGE: u32 = 64 << 10;
        const MAX: u32 = 1 << 30;
        let for_snap = snap.0.min(MAX_SNAP).saturating_mul(4);
        Self(kib.saturating_mul(1024).max(for_snap).clamp(PAGE, MAX).next_power_of_two())
    }

    /// The size.
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// Bytes after which a processor wakes user space: an eighth of the ring has come together at the latest when all
    /// of them are about to.
    fn wake_bytes(self) -> u64 {
        let processors = online_cpus().map_or(1, |processors| processors.len().max(1));
        u64::from(self.0) / 8 / processors as u64
    }
}

/// What is fixed when the programs are loaded.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a constant of the programs, set or not by itself")]
pub struct Settings {
    /// Bytes kept of each packet.
    pub snap: SnapLength,
    /// Size of the ring buffer.
    pub ring: RingSize,
    /// Interfaces that are there; three times as many may come.
    pub interfaces: usize,
    /// A further UDP port that carries VXLAN.
    pub vxlan_port: Option<u16>,
    /// Whether packets must have an address of the set. Without, the set is not looked at.
    pub by_address: bool,
    /// The user's filter.
    pub filter: Option<PacketFilter>,
    /// Whether a few of the packets that do not match are recorded.
    pub samples: bool,
    /// Whether every packet wakes user space; otherwise a filling ring does.
    pub wake_each: bool,
    /// Whether the programs log what they do.
    pub debug: bool,
    /// Constants of the program that sees drops, by [`Settings::observe`]; empty where it is not wanted.
    pub drops: Vec<(&'static str, u32)>,
}

impl Settings {
    /// Makes the program that sees drops be loaded as well.
    pub fn observe(&mut self, drops: &Drops) {
        self.drops = drops.constants();
    }

    /// Bits of `tracer_common::program`.
    fn demands(&self) -> u32 {
        let mut demands = 0;
        let mut set = |condition, bit| demands |= if condition { bit } else { 0 };
        set(self.by_address, BY_ADDRESS);
        set(self.samples, SAMPLES);
        if let Some(filter) = &self.filter {
            set(filter.innermost, BY_INNERMOST);
            set(true, if filter.ethernet.is_some() { BY_ETHERNET } else { NO_ETHERNET });
            set(true, if filter.ip.is_some() { BY_IP } else { NO_IP });
        }
        demands
    }
}

/// Everything that loading gives.
pub struct Loaded {
    /// To attach.
    pub programs: Programs,
    /// What was recorded.
    pub ring: Ring,
    /// Which packets are recorded.
    pub filter: Filter,
    /// Which interfaces are observed, and their counters.
    pub interfaces: InterfaceTable,
    /// What is counted of drops, to be taken.
    pub drops: Option<DropCounters>,
    /// What the programs log; absent unless asked for.
    pub log: Option<EbpfLogger<StderrLog>>,
}

/// Whether an object is embedded.
pub fn is_embedded() -> Result<(), ObjectError> {
    if OBJECT.is_empty() { Err(ObjectError::NotBuilt) } else { Ok(()) }
}

/// The object as it is embedded; empty where it was built without the toolchain for it.
pub fn embedded() -> &'static [u8] {
    OBJECT
}

/// Loads the object.
pub fn load(settings: &Settings) -> Result<Loaded, ObjectError> {
    is_embedded()?;
    let mut ebpf = load_object(settings)?;
    let log = settings.debug.then(|| EbpfLogger::init_with_logger(&mut ebpf, StderrLog));
    let log = log.transpose().map_err(ObjectError::Log)?;
    let mut loaded = Loaded {
        ring: Ring::new(take_map(&mut ebpf, "RECORDS")?).map_err(|e| ObjectError::map("RECORDS", e))?,
        filter: Filter::new(take_map(&mut ebpf, "FILTER")?, take_map(&mut ebpf, "ADDRESSES")?)
            .map_err(|e| ObjectError::map("FILTER", e))?,
        interfaces: InterfaceTable::new(take_map(&mut ebpf, "INTERFACES")?)
            .map_err(|e| ObjectError::map("INTERFACES", e))?,
        drops: DropCounters::new(take_map(&mut ebpf, "DROP_STATES")?)
            .map(Some)
            .map_err(|e| ObjectError::map("DROP_STATES", e))?,
        programs: Programs::new(ebpf),
        log,
    };
    loaded.programs.load(settings.debug, !settings.drops.is_empty())?;
    Ok(loaded)
}

fn load_object(settings: &Settings) -> Result<Ebpf, ObjectError> {
    let snap = settings.snap.0.clamp(MIN_SNAP, MAX_SNAP);
    let slots = InterfaceTable::slots(settings.interfaces);
    let wake = if settings.wake_each { EVERY_RECORD } else { settings.ring.wake_bytes() };
    let demands = settings.demands();
    let vxlan_port = settings.vxlan_port.unwrap_or(0);
    let log_level = if settings.debug { aya_log::Level::Trace as u8 } else { 0 };
    let mut loader = EbpfLoader::new();
    loader
        .verifier_log_level(VerifierLogLevel::DEBUG | VerifierLogLevel::STATS)
        .map_max_entries("RECORDS", settings.ring.bytes())
        .override_global("SNAP_LENGTH", &snap, true)
        .override_global("WAKE_BYTES", &wake, true)
        .override_global("VXLAN_PORT", &vxlan_port, true)
        .override_global("DEMANDS", &demands, true)
        .override_global("SLOTS", &slots, true)
        .map_max_entries("INTERFACES", slots)
        .override_global(aya_log::LEVEL, &log_level, false);
    for (name, value) in &settings.drops {
        loader.override_global(name, value, true);
    }
    if !settings.debug {
        // The log's ring is part of the object: the smallest one that the kernel makes.
        loader.map_max_entries("AYA_LOGS", 4096);
    }
    let mut object = Cow::Borrowed(OBJECT);
    if let Some(filter) = &settings.filter {
        filter.write_into(object.to_mut())?;
    }
    loader.load(&object).map_err(ObjectError::load)
}

fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ObjectError> {
    ebpf.take_map(name).ok_or(ObjectError::Missing(name))
}

/// Prints what the programs log.
#[derive(Clone, Copy, Debug)]
pub struct StderrLog;

impl log::Log for StderrLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        say!("kflow: bpf: {}: {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// Why the programs cannot be loaded.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// The object is empty.
    #[error("built without eBPF: run `cargo xtask setup`")]
    NotBuilt,
    /// A part that this program relies on is not in the object.
    #[error("the embedded eBPF object has no {0}")]
    Missing(&'static str),
    /// The process may not.
    #[error(
        "the kernel does not permit {operation}, though the process has the capabilities: a user namespace, \
         seccomp or lockdown forbids it, or (before Linux 5.11) the limit on locked memory, `ulimit -l`"
    )]
    NotPermitted {
        /// What was tried.
        operation: &'static str,
    },
    /// The object cannot be read, or the kernel does not take one of its parts.
    #[error("cannot load the eBPF object")]
    Load(#[source] EbpfError),
    /// A map was refused.
    #[error("cannot set up the eBPF map {name}")]
    Map {
        /// Its name.
        name: String,
        /// Why.
        source: MapError,
    },
    /// A map or a program is more than a control group or the machine has memory for.
    #[error(
        "no memory for {part} {name}: lower the buffer with -B, or raise the limit that `kflow doctor` shows"
    )]
    NoMemory {
        /// What it is.
        part: &'static str,
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The verifier refused a program.
    #[error("the kernel refused the eBPF program {name} ({cause}); its verifier says:\n{log}")]
    Verifier {
        /// Its name.
        name: &'static str,
        /// The error number; in the message already.
        cause: io::Error,
        /// The verifier's log.
        log: String,
    },
    /// A program failed for another reason.
    #[error("cannot load the eBPF program {name}")]
    Program {
        /// Its name.
        name: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// The user's filter cannot be a part of the programs.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The log of the programs cannot be read.
    #[error("cannot read the log of the eBPF programs")]
    Log(#[source] aya_log::Error),
}

impl ObjectError {
    fn load(error: EbpfError) -> Self {
        match error {
            EbpfError::MapError(MapError::CreateError { name, io_error }) => {
                Self::map(&name, MapError::CreateError { name: name.clone(), io_error })
            }
            error => Self::Load(error),
        }
    }

    fn map(name: &str, source: MapError) -> Self {
        match source {
            MapError::CreateError { io_error, .. } if is_memory(&io_error) => {
                Self::NoMemory { part: "the eBPF map", name: name.to_owned(), source: io_error }
            }
            source => Self::refused_map(name, source),
        }
    }

    fn refused_map(name: &str, source: MapError) -> Self {
        match &source {
            MapError::CreateError { io_error, .. } if is_permission(io_error) => {
                Self::NotPermitted { operation: "making eBPF maps" }
            }
            _ => Self::Map { name: name.to_owned(), source },
        }
    }

    fn program(name: &'static str, source: ProgramError) -> Self {
        match source {
            ProgramError::LoadError { io_error, verifier_log } => {
                if is_memory(&io_error) {
                    let part = "the eBPF program";
                    return Self::NoMemory { part, name: name.to_owned(), source: io_error };
                }
                let log = tail(&verifier_log.to_string());
                if log.is_empty() && is_permission(&io_error) {
                    Self::NotPermitted { operation: "loading eBPF programs" }
                } else {
                    Self::Verifier { name, cause: io_error, log }
                }
            }
            source => Self::Program { name, source },
        }
    }
}

impl ExitStatus for ObjectError {
    fn exit(&self) -> Exit {
        match self {
            Self::Room(RoomError::TooLong { .. }) => Exit::Usage,
            _ => Exit::Environment,
        }
    }
}

/// The end of a log, where the verdict is: the whole may be many megabytes.
fn tail(log: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

fn is_memory(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

fn is_permission(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EPERM | EACCES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_sizes_are_what_the_kernel_takes() {
        let table = [
            ((0, 128), 64 << 10),
            ((1000, 128), 1 << 20),
            ((8192, 128), 8 << 20),
            ((64, 262_144), 1 << 20),
            ((u32::MAX, 128), 1 << 30),
        ];
        for ((kib, snap), expected) in table {
            assert_eq!(RingSize::at_least(kib, SnapLength(snap)).bytes(), expected, "{kib} KiB, snap {snap}");
        }
    }

    #[test]
    fn missing_object_is_said_in_exactly_these_words() {
        assert_eq!(ObjectError::NotBuilt.to_string(), "built without eBPF: run `cargo xtask setup`");
        assert_eq!(ObjectError::NotBuilt.exit(), Exit::Environment);
    }
}
