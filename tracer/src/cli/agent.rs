//! `kflow agent`.

use std::time::Duration;

use clap::Args;

use crate::agent::{self, AgentError};
use crate::error::Exit;

/// Wait in a pod for captures to be started beside it.
///
/// This is what the pod of an agent runs, as process 1 of its container. It captures nothing itself and listens on no
/// port: captures are started in its container by `exec`. It ends when there was none for a while, and at once on SIGTERM,
/// together with those that run.
#[derive(Args, Clone, Copy, Debug)]
pub struct WaitArgs {
    /// End when no other process was there for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "45", value_parser = super::capture::seconds)]
    idle: Duration,
    /// Stay, whoever is there.
    #[arg(long, conflicts_with = "idle")]
    stay: bool,
}

/// Waits until it is over.
pub fn run(arguments: WaitArgs) -> Result<Exit, AgentError> {
    agent::run((!arguments.stay).then_some(arguments.idle)).map(|()| Exit::Complete)
}
