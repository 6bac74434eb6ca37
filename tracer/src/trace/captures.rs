//! Where a trace's captures come from: children of this process, or agents on nodes.

use tokio::sync::mpsc::Sender;

use super::TraceError;
use super::cluster::ClusterError;
use super::plan::{Place, TracePlan, Wanted};
use super::stream::{Message, Stream, StreamError};
use super::witness::Witnesses;
use crate::cluster::fleet::{Fleet, FleetPlan, Needs, Order, Task};

/// Where captures come from.
pub(super) enum Captures {
    /// Children of this process.
    Children,
    /// Agents on the nodes of a cluster.
    Agents(Box<Fleet>),
}

impl Captures {
    /// Makes ready what a plan needs.
    pub(super) fn of(plan: &TracePlan) -> Result<Self, TraceError> {
        let Some(on) = &plan.cluster else { return Ok(Self::Children) };
        let args = &plan.args;
        let wanted = FleetPlan {
            access: args.cluster.clone(),
            agents: args.agents.clone(),
            needs: Needs { pod_side: args.pod_side },
            duration: args.duration,
        };
        let fleet = Fleet::start(&on.cluster, &wanted).map_err(ClusterError::from)?;
        for note in fleet.notes() {
            say!("kflow: {note}");
        }
        Ok(Self::Agents(Box::new(fleet)))
    }

    /// Starts the capture of a place as stream number `number`.
    pub(super) fn start(
        &self,
        number: usize,
        place: &Place,
        wanted: &Wanted,
        plan: &TracePlan,
        sender: Sender<Message>,
    ) -> Result<Stream, StreamError> {
        let (arguments, line) = wanted.arguments(place, &plan.args);
        let Self::Agents(fleet) = self else { return Stream::start(number, place, arguments, sender) };
        let capture = fleet.capture(Order { node: place.node.clone(), task: Task::Capture, arguments });
        let stream = Stream::remote(number, place, capture, sender);
        if let Some(line) = line {
            stream.tell(line);
        }
        Ok(stream)
    }

    /// Calls the witness of a place.
    pub(super) fn call(
        &self,
        witnesses: &mut Witnesses,
        place: &Place,
        wanted: &Wanted,
        sender: Sender<Message>,
    ) {
        let arguments = wanted.evidence(place);
        match self {
            Self::Children => witnesses.call(place, arguments, sender),
            Self::Agents(fleet) => {
                let order = Order { node: place.node.clone(), task: Task::Evidence, arguments };
                witnesses.call_remote(place, fleet.capture(order), sender);
            }
        }
    }

    /// Removes what was placed on the cluster.
    pub(super) fn remove(self) {
        if let Self::Agents(fleet) = self {
            for left in fleet.remove() {
                say!("kflow: {left}");
            }
        }
    }
}
