//! The stories, each by itself: what a person does and what they must see.

mod access;
mod capture;
mod failure;
mod manage;
mod trace;

use anyhow::Result;

use super::stage::Stage;

/// A story of the table.
pub(super) struct Story {
    pub(super) name: &'static str,
    pub(super) play: fn(&Stage) -> Result<Seen>,
}

/// What came of it.
pub(super) enum Seen {
    /// As it should be, with what was measured.
    What(String),
    /// It cannot be played here, for this reason.
    Skipped(String),
}

const fn story(name: &'static str, play: fn(&Stage) -> Result<Seen>) -> Story {
    Story { name, play }
}

/// In the order in which they are played: what others rely on first.
pub(super) const ALL: &[Story] = &[
    story("trace: a dry run makes nothing", trace::dry_run),
    story("trace: pod to pod on two nodes", trace::two_nodes),
    story("trace: pod to pod on one node", trace::one_node),
    story("trace: ClusterIP with three endpoints", trace::cluster_ip),
    story("trace: NodePort from outside", trace::node_port),
    story("trace: deployment to service", trace::deployment),
    story("trace: into a restricted namespace", trace::restricted),
    story("trace: inside of pods", trace::pod_side),
    story("trace: pod deleted and recreated meanwhile", failure::recreated),
    story("trace: an agent killed meanwhile", failure::agent_killed),
    story("trace: the API connection cut", failure::connection_cut),
    story("trace: Ctrl-C", failure::interrupted),
    story("trace: SIGKILL", failure::killed),
    story("access: the minimal Role is enough", access::minimal),
    story("access: without it, a clear refusal", access::refused),
    story("capture: a deployment in one file", capture::deployment),
    story("capture: a node", capture::node),
    story("state: names for later", manage::state),
    story("install: agents there before they are needed", manage::install),
    story("kubectl: the plugin", manage::plugin),
];
