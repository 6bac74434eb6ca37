//! Packets into files, one after another.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use jiff::tz::TimeZone;
use nix::sys::signalfd::SignalFd;
use tracer_core::capture::{Frame, Interface, InterfaceId, Statistics};
use tracer_core::units::Timestamp;

use super::commands::Commands;
use super::encoder::Encoder;
use super::output::{Failure, Output};
use super::rotation::{Current, Rotation, Turn};
use super::{FileId, Format, Setup, SinkError, Target};

/// Blocks are collected to this size, so that a burst costs few system calls.
const BUFFER: usize = 64 << 10;
/// What the block that fills the buffer may take beyond it, short of a super-packet.
const SLACK: usize = 16 << 10;

/// What was written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// Files begun, a pipe being one.
    pub files: u32,
    /// Packets, those of files that a ring overwrote included.
    pub packets: u64,
    /// Bytes, likewise.
    pub bytes: u64,
    /// The last file; absent for standard output and Wireshark.
    pub last: Option<PathBuf>,
    /// Failures of `-z`, each of which was told on standard error.
    pub failed_commands: Vec<String>,
}

/// Writes a capture, whatever it goes to.
///
/// A failure of an output ends everything: calls after it succeed and do nothing. Only [`SinkError::MixedLinkTypes`]
/// leaves the capture as it was, without the interface.
pub struct Recorder {
    format: Format,
    encoder: Encoder,
    /// Absent after a failure.
    output: Option<Output>,
    rotation: Option<Rotation>,
    is_rotating: bool,
    commands: Commands,
    source: Option<FileId>,
    signals: Option<Rc<SignalFd>>,
    limit: u64,
    is_full: bool,
    /// The present file is the last of as many as there may be.
    was_last: bool,
    /// Packets and bytes before those of the present file.
    packets_before: u64,
    bytes_before: u64,
    /// Its `bytes` are those that left the buffer.
    written: Written,
}

impl Recorder {
    /// Opens the first file, or starts Wireshark. `signals` are those that a pipe is not waited for against.
    pub fn open(setup: Setup, signals: Option<Rc<SignalFd>>) -> Result<Self, SinkError> {
        let Setup { target, format, section, snap, begin, limit, source } = setup;
        super::check(&target)?;
        let encoder = Encoder::new(format, section, snap, BUFFER + SLACK)?;
        let (output, rotation, is_rotating, command) = match target {
            Target::Stdout => (Output::stdout(source, signals.clone())?, None, false, None),
            Target::CompressedStdout => {
                (Output::stdout(source, signals.clone())?.compressed()?, None, false, None)
            }
            Target::Wireshark => (Output::wireshark(signals.clone())?, None, false, None),
            Target::Files(plan) => {
                let rotation = Rotation::new(&plan, begin, TimeZone::system());
                let output = Output::create(&rotation.name(), source, signals.clone())?;
                (output, Some(rotation), plan.is_rotating(), plan.postrotate)
            }
        };
        let last = output.path().map(Path::to_owned);
        Ok(Self {
            format,
            encoder,
            output: Some(output),
            rotation,
            is_rotating,
            commands: Commands::new(command),
            source,
            signals,
            limit: limit.unwrap_or(u64::MAX),
            is_full: false,
            was_last: false,
            packets_before: 0,
            bytes_before: 0,
            written: Written { files: 1, last, ..Written::default() },
        })
    }

    /// Describes an interface, in this file and those that follow. Numbers go on over all files.
    pub fn interface(&mut self, interface: &Interface) -> Result<InterfaceId, SinkError> {
        self.interface_of(interface, None)
    }

    /// Describes an interface likewise, and the pod at its other end.
    pub fn interface_of(
        &mut self,
        interface: &Interface,
        peer: Option<&str>,
    ) -> Result<InterfaceId, SinkError> {
        let id = self.encoder.interface(interface, peer)?;
        self.write_if_full()?;
        Ok(id)
    }

    /// Tells names of addresses, in this file and those that follow; those that were told already are not told again.
    pub fn names(&mut self, names: &BTreeMap<IpAddr, Vec<String>>) -> Result<(), SinkError> {
        self.encoder.names(names)?;
        self.write_if_full()
    }

    /// Tells that an interface is gone, or has another name: files that follow describe it only if they have packets of
    /// it.
    pub fn retire(&mut self, interface: InterfaceId) {
        self.encoder.retire(interface);
    }

    /// Writes a packet, into another file if that is due. Returns whether it was written: one for which there is no room
    /// left ends the capture in good order, see [`Recorder::is_full`].
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<bool, SinkError> {
        if self.is_full || self.output.is_none() {
            return Ok(false);
        }
        if self.is_rotating && !self.make_turn(frame.time)? {
            return Ok(false);
        }
        let local = self.encoder.describe(frame.interface)?;
        let before = self.encoder.buffered();
        self.encoder.frame(frame, local)?;
        if self.bytes() > self.limit {
            self.encoder.buffer().truncate(before);
            self.is_full = true;
            return Ok(false);
        }
        self.written.packets += 1;
        self.write_if_full()?;
        Ok(true)
    }

    /// Writes an interface's counters as of `time`.
    pub fn statistics(
        &mut self,
        interface: InterfaceId,
        time: Timestamp,
        statistics: &Statistics,
    ) -> Result<(), SinkError> {
        self.encoder.statistics(interface, time, statistics)?;
        self.write_if_full()
    }

    /// Keeps an interface's counters as of `time`: a file that another one follows ends with the last known.
    pub fn remember(&mut self, interface: InterfaceId, time: Timestamp, statistics: &Statistics) {
        self.encoder.remember(interface, time, statistics);
    }

    /// Hands over what was written to the file or the reader of the pipe.
    pub fn flush(&mut self) -> Result<(), SinkError> {
        let Self { encoder, output, written, format, .. } = self;
        let buffer = encoder.buffer();
        let Some(open) = output else {
            buffer.clear();
            return Ok(());
        };
        if buffer.is_empty() {
            return Ok(());
        }
        let len = buffer.len() as u64;
        let result = open.write(buffer, *format);
        buffer.clear();
        let Err(Failure { error, kept, lost_packets }) = result else {
            written.bytes += len;
            return Ok(());
        };
        *output = None;
        written.bytes += kept;
        written.packets = written.packets.saturating_sub(lost_packets);
        if let SinkError::Partial { path, .. } = &error {
            written.last = Some(path.clone());
        }
        Err(error)
    }

    /// Whether there is no room for a packet that came, by the number of periods or by the number of bytes.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether there may be several files.
    pub const fn is_rotating(&self) -> bool {
        self.is_rotating
    }

    /// What can be waited on for a reader that goes away; absent for a file.
    pub fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref()?.stream()
    }

    /// Bytes so far, over all files.
    pub fn bytes(&self) -> u64 {
        self.written.bytes + self.encoder.buffered() as u64
    }

    /// Bytes that the present file or pipe took: of what is compressed, what is left of it.
    pub fn sent(&self) -> u64 {
        self.output.as_ref().map_or(0, Output::sent)
    }

    /// Packets so far, over all files.
    pub const fn packets(&self) -> u64 {
        self.written.packets
    }

    /// Writes what is left, closes the file, and waits for what `-z` started; a further signal ends the wait.
    ///
    /// As in tcpdump, `-z` is for files that another one follows and for the last one of `-G` with `-W`.
    pub fn finish(mut self) -> Result<Written, SinkError> {
        let ended = self.end();
        self.written.failed_commands = self.commands.finish(self.signals.as_deref());
        ended.map(|()| self.written)
    }

    fn end(&mut self) -> Result<(), SinkError> {
        self.encoder.end_file()?;
        self.encoder.end()?;
        self.flush()?;
        if let Some(closed) = self.close()?
            && self.was_last
        {
            self.commands.run(&closed);
        }
        Ok(())
    }

    /// Returns whether the packet is to be written.
    fn make_turn(&mut self, time: Timestamp) -> Result<bool, SinkError> {
        let Some(rotation) = &mut self.rotation else { return Ok(true) };
        let current = Current {
            size: self.written.bytes + self.encoder.buffered() as u64 - self.bytes_before,
            has_packets: self.written.packets > self.packets_before,
        };
        match rotation.turn(time, current) {
            Turn::Stay => Ok(true),
            Turn::End => {
                self.is_full = true;
                self.was_last = true;
                Ok(false)
            }
            Turn::Next(path) => self.rotate(&path).map(|()| true),
        }
    }

    fn rotate(&mut self, next: &Path) -> Result<(), SinkError> {
        self.encoder.end_file()?;
        self.flush()?;
        if let Some(closed) = self.close()? {
            self.commands.run(&closed);
        }
        self.output = Some(Output::create(next, self.source, self.signals.clone())?);
        self.packets_before = self.written.packets;
        self.bytes_before = self.written.bytes;
        self.written.files += 1;
        self.written.last = Some(next.to_owned());
        Ok(self.encoder.begin_file()?)
    }

    /// Closes the output, and names it where it is a file.
    fn close(&mut self) -> Result<Option<PathBuf>, SinkError> {
        let Some(output) = self.output.take() else { return Ok(None) };
        let path = output.path().map(Path::to_owned);
        output.close().map(|()| path)
    }

    fn write_if_full(&mut self) -> Result<(), SinkError> {
        if self.encoder.buffered() < BUFFER { Ok(()) } else { self.flush() }
    }
}
