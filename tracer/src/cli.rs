//! The command line: flags as typed become a plan that cannot be wrong.

pub mod capture;
pub mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Exit, ExitStatus, chain};

/// Follow packets through a Kubernetes network.
#[derive(Debug, Parser)]
#[command(name = "kflow", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Capture(capture::Arguments),
    Trace(trace::TraceArgs),
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let exit = match Arguments::parse().command {
        Command::Capture(arguments) => report(capture::run(arguments)),
        Command::Trace(arguments) => report(crate::trace::run(arguments)),
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
