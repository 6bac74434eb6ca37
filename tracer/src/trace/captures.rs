//! Where a trace's captures come from: children of this process, or agents on nodes.

use tokio::sync::mpsc::Sender;

use super::TraceError;
use super::cluster::ClusterError;
use super::plan::{Place, TracePlan, Wanted};
use super::stream::{Message, Stream, StreamError};
use crate::cluster::fleet::{Fleet, FleetPlan, Needs, Order};

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
            eprintln!("kflow: {note}");
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
        let capture = fleet.capture(Order { node: place.node.clone(), arguments });
        let stream = Stream::remote(number, place, capture, sender);
        if let Some(line) = line {
            stream.tell(line);
        }
        Ok(stream)
    }

    /// Removes what was placed on the cluster.
    pub(super) fn remove(self) {
        if let Self::Agents(fleet) = self {
            for left in fleet.remove() {
                eprintln!("kflow: {left}");
            }
        }
    }
}
