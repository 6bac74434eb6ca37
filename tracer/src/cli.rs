//! The command line: flags as typed become a plan that cannot be wrong.

pub mod capture;
pub mod doctor;
pub mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Exit, ExitStatus, chain};
use crate::kernel::watchdog;

/// Follow packets through a Kubernetes network.
#[derive(Debug, Parser)]
#[command(name = "kflow", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Capture(Box<capture::Arguments>),
    Doctor(doctor::DoctorArgs),
    Trace(Box<trace::TraceArgs>),
    /// Take away filters of processes that are gone when standard input ends.
    #[command(name = watchdog::COMMAND, hide = true)]
    SweepWhenClosed {
        /// Name of the filters.
        name: String,
    },
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let is_capture = std::env::args_os().nth(1).is_some_and(|command| command == "capture");
        if is_capture { capture::habits::advise(error) } else { error }.exit()
    });
    let exit = match arguments.command {
        Command::Capture(arguments) => report(capture::run(*arguments)),
        Command::Doctor(arguments) => report(doctor::run(&arguments)),
        Command::SweepWhenClosed { name } => {
            report(watchdog::sweep_when_closed(&name).map(|_| Exit::Complete))
        }
        Command::Trace(arguments) => report(crate::trace::run(*arguments)),
    };
    exit.into()
}

/// Prints an error for a person, and says which exit code it is.
fn report<E: ExitStatus>(result: Result<Exit, E>) -> Exit {
    result.unwrap_or_else(|error| {
        eprintln!("kflow: {}", chain(&error));
        error.exit()
    })
}
