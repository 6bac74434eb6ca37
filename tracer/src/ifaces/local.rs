//! The interfaces of this machine.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::json;
use tracer_core::evidence::Missing;
use tracer_core::ifaces::Survey;
use tracer_core::resolve::ClusterState;

use super::{IfacesError, collect};
use crate::audit::Log;
use crate::cli::capture::host_name;
use crate::cli::ifaces::IfacesArgs;
use crate::cluster::state::{Directory, Wants};
use crate::cluster::{Cluster, ConnectError};
use crate::error::chain;
use crate::trace::read_state;

/// Inode of the first PID namespace of every kernel (`PROC_PID_INIT_INO`, `linux/proc_ns.h`).
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Looks around on this machine.
pub(super) fn survey(args: &IfacesArgs) -> Result<Survey, IfacesError> {
    if args.here {
        let survey = here();
        if let Some(mut log) = Log::of_environment("ifaces", args.for_user.as_deref()) {
            log.note("end", json!({"node": survey.node, "namespaces": survey.namespaces.len()}));
        }
        return Ok(survey);
    }
    let state = args.state.as_deref().map(read_state).transpose()?;
    // The cluster is asked from the namespace that kflow was started in.
    let state = match state {
        Some(state) => Ok(Some(state)),
        None => from_cluster(args),
    };
    let mut survey = match &args.netns {
        Some(netns) => {
            netns.enter()?;
            collect::around(host_name())
        }
        None => collect::everywhere(host_name()),
    };
    match state {
        Ok(Some(state)) => survey.name(&state),
        Ok(None) => {}
        Err(why) => survey.missing.push(Missing { what: "names of pods".to_owned(), why }),
    }
    Ok(survey)
}

/// As an agent sees its node: its own namespace, and those that it may look into besides.
fn here() -> Survey {
    let are_processes_seen =
        fs::metadata("/proc/self/ns/pid").is_ok_and(|file| file.ino() == FIRST_PID_NAMESPACE);
    let mut survey = collect::as_agent(host_name(), are_processes_seen);
    if !are_processes_seen {
        survey.unseen.push(Missing {
            what: "processes and containers".to_owned(),
            why: "the agent is not in the node's PID namespace".to_owned(),
        });
    }
    let far = |link: &tracer_core::evidence::Link| link.is_peer_elsewhere && link.peer_netns.is_none();
    let hidden =
        survey.namespaces.iter().flat_map(|room| &room.interfaces).filter(|one| far(&one.link)).count();
    if hidden > 0 {
        survey.unseen.push(Missing {
            what: "network namespaces".to_owned(),
            why: format!(
                "the far ends of {hidden} links are told by their numbers only: the agent does not see the namespaces of pods; \
                 --pod-side lets it look into those that have names on the node"
            ),
        });
    }
    survey
}

/// Who has which address, if a cluster is configured; why not, where one is and does not tell.
fn from_cluster(args: &IfacesArgs) -> Result<Option<ClusterState>, String> {
    if args.local {
        return Ok(None);
    }
    let cluster = match Cluster::connect(&args.cluster) {
        Err(ConnectError::NoConfig) => return Ok(None),
        connected => connected.map_err(|error| chain(&error))?,
    };
    let namespaces = Directory::namespaces(&cluster).map_err(|error| chain(&error))?;
    let directory = Directory::list(&cluster, Wants { namespaces, ..Wants::default() });
    directory.map(|directory| Some(directory.state())).map_err(|error| chain(&error))
}
