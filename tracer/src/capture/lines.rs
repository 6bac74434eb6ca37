//! Packets as lines on standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::rc::Rc;

use jiff::tz::TimeZone;
use nix::sys::signalfd::SignalFd;
use nix::sys::stat::{SFlag, fstat};
use tracer_core::capture::{Frame, LinkLayer};
use tracer_core::drops::Notice;
use tracer_core::output::line::{LineOptions, LinePrinter};
use tracer_core::output::printable;
use tracer_core::units::Timestamp;

use crate::sink::SinkError;
use crate::sink::pipe::Pipe;

const BUFFER: usize = 64 << 10;

/// Prints packets.
pub(super) struct Lines {
    printer: LinePrinter,
    out: BufWriter<Stdout>,
    clock: TimeOfDay,
    packets: u64,
}

impl Lines {
    /// `signals` are those that a pipe is not waited for against.
    pub(super) fn new(options: LineOptions, signals: Option<Rc<SignalFd>>) -> Result<Self, SinkError> {
        let stdout = Stdout::open(signals).map_err(failed)?;
        Ok(Self {
            printer: LinePrinter::new(options),
            out: BufWriter::with_capacity(BUFFER, stdout),
            clock: TimeOfDay::new(TimeZone::system()),
            packets: 0,
        })
    }

    pub(super) fn frame(&mut self, frame: &Frame<'_>, label: &str, link: LinkLayer) -> Result<(), SinkError> {
        let clock = self.clock.text(frame.time);
        self.packets += 1;
        self.printer.print(&mut self.out, clock, label, frame, link).map_err(failed)?;
        match frame.comment.as_ref().and_then(|comment| comment.parse::<Notice>().ok()) {
            Some(notice) => writeln!(self.out, "\t{}", printable(&notice.to_string())).map_err(failed),
            None => Ok(()),
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), SinkError> {
        self.out.flush().map_err(failed)
    }

    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    /// Absent once it took no more.
    pub(super) fn stream(&self) -> Option<BorrowedFd<'_>> {
        match self.out.get_ref() {
            Stdout::Pipe(pipe) => Some(pipe.as_fd()),
            Stdout::File(file) => Some(file.as_fd()),
            Stdout::Failed => None,
        }
    }
}

/// A pipe to a pager that is not read on must not make the capture deaf; a terminal that was stopped goes on with Ctrl-C.
enum Stdout {
    Pipe(Pipe),
    File(File),
    /// It took no more: what is left in the buffer is not tried again.
    Failed,
}

impl Stdout {
    fn open(signals: Option<Rc<SignalFd>>) -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let kind = SFlag::from_bits_truncate(fstat(&file)?.st_mode & SFlag::S_IFMT.bits());
        let is_pipe = kind == SFlag::S_IFIFO || kind == SFlag::S_IFSOCK;
        Ok(if is_pipe { Self::Pipe(Pipe::new(file, signals)) } else { Self::File(file) })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Self::Pipe(pipe) => pipe.write_all(bytes).map(|()| bytes.len()),
            Self::File(file) => file.write(bytes),
            Self::Failed => Ok(bytes.len()),
        };
        if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            *self = Self::Failed;
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(source: io::Error) -> SinkError {
    if source.kind() == io::ErrorKind::BrokenPipe {
        SinkError::Closed
    } else {
        SinkError::Write { name: "standard output".to_owned(), source }
    }
}

/// The local time of day in microseconds, as tcpdump prints it. Hours are asked for once a second.
pub(super) struct TimeOfDay {
    zone: TimeZone,
    second: Option<u64>,
    text: String,
}

/// Characters of hours, minutes and seconds.
const SECONDS_LEN: usize = "15:04:05".len();

impl TimeOfDay {
    pub(super) fn new(zone: TimeZone) -> Self {
        Self { zone, second: None, text: String::new() }
    }

    pub(super) fn text(&mut self, time: Timestamp) -> &str {
        const SECOND: u64 = 1_000_000_000;
        let second = time.0 / SECOND;
        if self.second != Some(second) {
            let local =
                i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            let local = local.unwrap_or_default().to_zoned(self.zone.clone());
            self.text = local.strftime("%H:%M:%S").to_string();
            self.second = Some(second);
        }
        self.text.truncate(SECONDS_LEN);
        self.text.push('.');
        let microseconds = u32::try_from(time.0 % SECOND / 1000).unwrap_or_default();
        let digit = |power| char::from_digit(microseconds / 10_u32.pow(power) % 10, 10);
        self.text.extend((0..6).rev().filter_map(digit));
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_day_in_microseconds() {
        let mut clock = TimeOfDay::new(TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(clock.text(Timestamp(1_700_000_000_000_001_999)), "00:13:20.000001");
        assert_eq!(clock.text(Timestamp(1_700_000_000_999_999_999)), "00:13:20.999999");
        assert_eq!(clock.text(Timestamp(1_700_000_001_000_000_000)), "00:13:21.000000");
    }
}
