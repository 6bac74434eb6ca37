//! `kflow doctor`.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;
use thiserror::Error;

use crate::cli::capture::BUFFER_KIB;
use crate::doctor::{self, Style};
use crate::error::{Exit, ExitStatus};

/// Say what works on this machine, what is degraded, what is missing and how to get it.
///
/// Features of the kernel are found out by using them for a moment. Exits 0 where `kflow capture` works, 4 where it
/// does not.
#[derive(Args, Clone, Copy, Debug)]
pub struct DoctorArgs {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Size of the buffer that the limits on memory are compared with.
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", default_value_t = BUFFER_KIB)]
    buffer: u32,
}

/// Why `kflow doctor` failed.
#[derive(Debug, Error)]
pub enum DoctorError {
    /// Standard output.
    #[error("cannot write the findings")]
    Write(#[source] io::Error),
}

impl ExitStatus for DoctorError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Examines this machine and prints the findings.
pub fn run(args: &DoctorArgs) -> Result<Exit, DoctorError> {
    let report = doctor::examine(args.buffer);
    let mut out = io::stdout().lock();
    let style = style(out.is_terminal());
    let written = if args.json { report.write_json(&mut out) } else { report.write_text(&mut out, style) };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(DoctorError::Write(error)),
        _ => Ok(if report.can_capture() { Exit::Complete } else { Exit::Environment }),
    }
}

/// Colour is for terminals, and for nobody who has set `NO_COLOR` to anything (no-color.org).
fn style(is_terminal: bool) -> Style {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_terminal && !is_refused { Style::Colour } else { Style::Plain }
}
