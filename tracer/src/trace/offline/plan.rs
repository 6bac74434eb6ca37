//! Flags as typed to a plan that cannot be wrong.

use tracer_core::resolve::{ClusterState, Names, Scope};

use super::OfflineError;
use super::input::{Input, InputError};
use crate::cli::trace::TraceArgs;
use crate::trace::TraceError;
use crate::trace::plan::{self, PlanError};

/// What a trace of files does.
pub(super) struct OfflinePlan {
    /// The two ends; absent where every flow is traced.
    pub(super) scope: Option<Scope>,
    /// Names of addresses.
    pub(super) names: Names,
    /// The cluster; empty where none is known.
    pub(super) state: ClusterState,
    /// The files.
    pub(super) inputs: Vec<Input>,
    /// The flags that need no second look.
    pub(super) args: TraceArgs,
}

impl OfflinePlan {
    /// Reads the cluster's state and resolves every name.
    pub(super) fn of(args: TraceArgs) -> Result<Self, TraceError> {
        plan::check_recording(&args)?;
        let inputs = inputs(&args).map_err(OfflineError::Input)?;
        let state = plan::state(&args)?;
        for input in &inputs {
            check_place(input, &state)?;
        }
        let scope = plan::scope(&args, &state)?;
        Ok(Self { scope, names: Names::of(&state), state, inputs, args })
    }
}

fn inputs(args: &TraceArgs) -> Result<Vec<Input>, InputError> {
    let inputs = args.read.iter().map(|value| Input::parse(value, args.namespace()));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    if inputs.iter().filter(|input| input.is_standard_input()).count() > 1 {
        return Err(InputError::StandardInputTwice);
    }
    Ok(inputs)
}

/// Fails where the cluster's state does not know a node or pod that `-r` names.
fn check_place(input: &Input, state: &ClusterState) -> Result<(), PlanError> {
    let known: Vec<String> = state.node_names().map(str::to_owned).collect();
    if known.is_empty() {
        return Ok(());
    }
    if let Some(node) = input.given.node.as_ref().filter(|node| !known.contains(node)) {
        return Err(PlanError::UnknownNode { name: node.clone(), known });
    }
    match input.given.pod.as_ref().filter(|pod| state.node_of_pod(pod).is_none()) {
        Some(pod) => Err(PlanError::UnknownPod(pod.clone())),
        None => Ok(()),
    }
}
