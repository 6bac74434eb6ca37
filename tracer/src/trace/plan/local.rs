//! Network namespaces of this machine, as `--node` and `--pod` name them.

use std::path::PathBuf;

use tracer_core::resolve::ClusterState;

use super::{Place, PlanError, Side};
use crate::cli::trace::TraceArgs;

/// The namespaces to watch; this machine's own where no node was named.
pub(super) fn places(args: &TraceArgs, state: &ClusterState) -> Result<Vec<Place>, PlanError> {
    let mut places: Vec<Place> = Vec::new();
    for value in &args.nodes {
        let (name, path) = name_and_path("node", value)?;
        let known: Vec<String> = state.node_names().map(str::to_owned).collect();
        if !known.is_empty() && !known.iter().any(|node| node == name) {
            return Err(PlanError::UnknownNode { name: name.to_owned(), known });
        }
        if places.iter().any(|place| place.node == name) {
            return Err(PlanError::Twice(name.to_owned()));
        }
        places.push(Place { node: name.to_owned(), pod: None, side: Side::Path(path) });
    }
    if places.is_empty() {
        places.push(Place { node: crate::cli::capture::host_name(), pod: None, side: Side::Own });
    }
    for value in &args.pods {
        let (name, path) = name_and_path("pod", value)?;
        let full = if name.contains('/') { name.to_owned() } else { format!("{}/{name}", args.namespace()) };
        let node = state.node_of_pod(&full).ok_or_else(|| PlanError::UnknownPod(full.clone()))?;
        places.push(Place { node: node.to_owned(), pod: Some(full), side: Side::Path(path) });
    }
    Ok(places)
}

fn name_and_path<'a>(flag: &'static str, value: &'a str) -> Result<(&'a str, PathBuf), PlanError> {
    named_netns(value).ok_or_else(|| PlanError::Place { flag, value: value.to_owned() })
}

/// The two parts of NAME=netns:PATH; absent where it has another form.
pub(crate) fn named_netns(value: &str) -> Option<(&str, PathBuf)> {
    let parts = value.split_once("=netns:").filter(|(name, path)| !name.is_empty() && !path.is_empty());
    parts.map(|(name, path)| (name, PathBuf::from(path)))
}
