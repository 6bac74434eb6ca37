//! `kflow capture` on a cluster: packets of pods and nodes, wherever they are, as one capture.
//!
//! Each node concerned runs a capture of its own, whose pcapng comes here as a stream. [`merge`] puts the streams into
//! the order of their times, [`output`] makes one capture of them, and [`session`] follows the cluster and the ends.

mod agents;
mod exclude;
mod heads;
mod merge;
mod node;
mod order;
mod output;
mod peer;
mod place;
mod plan;
mod queue;
mod reader;
pub mod replay;
mod session;
mod signals;
mod summary;
mod targets;
mod wake;

use std::io::{self, Write as _};
use std::time::Duration;

use thiserror::Error;
use tracer_core::resolve::{ClusterState, Names};
use tracer_core::units::Timestamp;

use self::order::Orders;
use self::output::{Manner, Output};
use self::session::{Beginning, News, Session};
use self::signals::Signals;
use super::pipeline::{self, Pipeline};
use super::{FilterError, Product, Verbosity};
use crate::cli::cluster::{AgentArgs, ClusterArgs};
use crate::cluster::access::{AccessError, Permission, preflight};
use crate::cluster::fleet::{Fleet, FleetError, FleetPlan, Needs};
use crate::cluster::state::{Directory, StateReadError, Updates};
use crate::cluster::{Cluster, ConnectError};
use crate::error::{Exit, ExitStatus};
use crate::sink::{self, PrivilegeError, SinkError};
pub use plan::RemotePlan;
pub use summary::{NodeSummary, RemoteSummary};
pub use targets::{TargetError, Targets};

/// Why there is no capture on a cluster.
#[derive(Debug, Error)]
pub enum RemoteFailure {
    /// There is no way to it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It does not tell its state.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// It does not allow what is needed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Agents cannot be had.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// What is to be captured is not there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The filter cannot be used.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Another user cannot be become.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The system refused an ordinary call.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl RemoteFailure {
    fn system(operation: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::System { operation, source }
    }
}

impl ExitStatus for RemoteFailure {
    fn exit(&self) -> Exit {
        match self {
            Self::Connect(error) => error.exit(),
            Self::State(error) => error.exit(),
            Self::Access(error) => error.exit(),
            Self::Fleet(error) => error.exit(),
            Self::Filter(error) => error.exit(),
            Self::Sink(error) => error.exit(),
            Self::Target(TargetError::Resolve(error)) if error.is_usage() => Exit::Usage,
            Self::Target(TargetError::Outside(_)) => Exit::Usage,
            Self::Target(_) | Self::Privileges(_) | Self::System { .. } => Exit::Failed,
        }
    }
}

/// Captures until an end comes, or tells what would be done.
pub fn run(plan: &RemotePlan, access: &ClusterArgs, agents: &AgentArgs) -> Result<Exit, RemoteFailure> {
    if let Product::Capture(target, _) = &plan.product {
        sink::check(target)?;
    }
    // Before there is another thread, so that none of them takes what is for this one.
    let signals = Signals::take().map_err(RemoteFailure::system("take signals"))?;
    let preparing = signals.let_through();
    let cluster = Cluster::connect(access)?;
    let permissions = Permission::agents(&agents.agent_namespace);
    let wants = plan.targets.wants(cluster.namespace());
    let directory = Directory::list_for_agents(&cluster, wants, &permissions)?;
    say(plan, directory.notes());
    let state = directory.state();
    let chosen = plan.targets.places(cluster.namespace(), &state)?;
    say(plan, &chosen.notes);
    let orders = Orders::new(plan, &chosen.places, &state)?;
    if plan.dry_run {
        let told = orders.dry_run(&chosen.places, agents);
        return match io::stdout().write_all(told.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(RemoteFailure::System { operation: "write to standard output", source: error })
            }
            _ => Ok(Exit::Complete),
        };
    }
    preflight(&cluster, &permissions)?;
    say(plan, &orders.notes());
    drop(preparing);
    let fleet = Fleet::start(
        &cluster,
        &FleetPlan {
            access: access.clone(),
            agents: agents.clone(),
            needs: Needs { pod_side: false },
            duration: plan.limits.duration,
        },
    )?;
    say(plan, fleet.notes());
    let updates = directory.watch(&cluster);
    let summary =
        capture(plan, &fleet, &orders, chosen.places, (&state, updates, cluster.namespace()), &signals);
    for left in fleet.remove() {
        say!("kflow: {left}");
    }
    let summary = summary?;
    if plan.verbosity > Verbosity::Quiet {
        say!("{summary}");
    }
    Ok(summary.exit())
}

/// The cluster as it was, as it changes, and the namespace of names that have none.
type Known<'a> = (&'a ClusterState, Updates, &'a str);

fn capture(
    plan: &RemotePlan,
    mut fleet: &Fleet,
    orders: &Orders<'_>,
    places: place::Places,
    (state, mut updates, namespace): Known<'_>,
    signals: &Signals,
) -> Result<RemoteSummary, RemoteFailure> {
    let mut output = open(plan, signals)?;
    output.names(&Names::of(state).addresses());
    let mut news = || {
        let state = updates.next(Duration::ZERO)?;
        let places = plan.targets.present(namespace, &state);
        Some(News { places, names: Names::of(&state).addresses() })
    };
    let order = |node: &str, place: &place::Place, kind| orders.order(node, place, kind);
    let session = Session::start(Beginning {
        output,
        agents: &mut fleet,
        order: &order,
        places,
        news: &mut news,
        signals: signals.descriptor(),
        limits: plan.limits,
        are_interfaces_named: !plan.interfaces.is_empty(),
        verbosity: plan.verbosity,
        is_progress_wanted: plan.verbosity > Verbosity::Quiet && matches!(plan.product, Product::Capture(..)),
    });
    let summary = session.and_then(Session::run);
    summary.map_err(RemoteFailure::system("wait for packets"))
}

fn open(plan: &RemotePlan, signals: &Signals) -> Result<Output, RemoteFailure> {
    if let Some(user) = &plan.user {
        sink::drop_privileges(user)?;
    }
    let beginning = pipeline::Beginning {
        section: plan::section(),
        time: now(),
        label: true,
        limit: plan.limits.bytes,
        source: None,
    };
    let pipeline = Pipeline::open(plan.product.clone(), plan.shape, beginning, Some(signals.descriptor()))?;
    let manner = Manner {
        true_link_types: plan.shape.true_link_types,
        packet_buffered: plan.packet_buffered,
        packets: plan.limits.packets,
    };
    Ok(Output::new(pipeline, manner))
}

/// By this machine's clock, which only names of files are made of.
fn now() -> Timestamp {
    let now = jiff::Timestamp::now().as_nanosecond();
    Timestamp(u64::try_from(now).unwrap_or_default())
}

fn say(plan: &RemotePlan, notes: &[String]) {
    if plan.verbosity > Verbosity::Quiet {
        for note in notes {
            say!("kflow: {note}");
        }
    }
}
