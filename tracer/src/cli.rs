//! The command line: flags as typed become a plan that cannot be wrong.

pub mod agent;
pub mod agents;
pub mod capture;
pub mod cluster;
pub mod completion;
pub mod doctor;
pub mod evidence;
pub mod explain;
pub mod ifaces;
pub mod install;
pub mod man;
pub mod name;
pub mod state;
pub mod trace;
pub mod version;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cluster::janitor;
use crate::error::{Exit, ExitStatus, chain};
use crate::kernel::watchdog;

/// Follow packets through a Kubernetes network.
#[derive(Debug, Parser)]
#[command(name = name::NAME, version = version::SHORT, long_version = version::long(), max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(agent::WaitArgs),
    Agents(agents::AgentsArgs),
    Capture(Box<capture::Arguments>),
    Completion(completion::CompletionArgs),
    Doctor(doctor::DoctorArgs),
    Evidence(evidence::EvidenceArgs),
    Explain(Box<explain::ExplainArgs>),
    Ifaces(Box<ifaces::IfacesArgs>),
    Install(Box<install::InstallArgs>),
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Remove the agents of a run that is gone when standard input ends.
    #[command(name = janitor::COMMAND, hide = true)]
    RemoveAgents(janitor::JanitorArgs),
    State(Box<state::StateArgs>),
    Trace(Box<trace::TraceArgs>),
    Uninstall(install::UninstallArgs),
    /// Take away filters of processes that are gone when standard input ends.
    #[command(name = watchdog::COMMAND, hide = true)]
    SweepWhenClosed {
        /// Name of the filters.
        name: String,
    },
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let arguments = parse().unwrap_or_else(|error| {
        let is_capture = std::env::args_os().nth(1).is_some_and(|command| command == "capture");
        if is_capture { capture::habits::advise(error) } else { error }.exit()
    });
    let exit = match arguments.command {
        Command::Agent(arguments) => report(agent::run(arguments)),
        Command::Agents(arguments) => report(agents::run(&arguments)),
        Command::Capture(arguments) => report(capture::run(*arguments)),
        Command::Completion(arguments) => report(completion::run(arguments)),
        Command::Doctor(arguments) => report(doctor::run(&arguments)),
        Command::Evidence(arguments) => report(evidence::run(arguments)),
        Command::Explain(arguments) => report(crate::explain::run(&arguments)),
        Command::Ifaces(arguments) => report(crate::ifaces::run(&arguments)),
        Command::Install(arguments) => report(install::install(&arguments)),
        Command::Man(arguments) => report(man::run(&arguments)),
        Command::SweepWhenClosed { name } => {
            report(watchdog::sweep_when_closed(&name).map(|_| Exit::Complete))
        }
        Command::RemoveAgents(arguments) => report(janitor::remove_when_closed(&arguments)),
        Command::State(arguments) => report(state::run(&arguments)),
        Command::Trace(arguments) => report(crate::trace::run(*arguments)),
        Command::Uninstall(arguments) => report(install::uninstall(&arguments)),
    };
    exit.into()
}

/// Every command and flag, of a program that is called by this name.
fn command(called: &str) -> clap::Command {
    Arguments::command().bin_name(called)
}

fn parse() -> Result<Arguments, clap::Error> {
    let mut command = command(&name::called(std::env::args_os().next().as_deref()));
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Arguments::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Prints an error for a person, and says which exit code it is.
fn report<E: ExitStatus>(result: Result<Exit, E>) -> Exit {
    result.unwrap_or_else(|error| {
        say!("kflow: {}", chain(&error));
        error.exit()
    })
}
