//! What kind of cluster the double is.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;

use super::{access::User, play::Play};

/// How the server tells which pods are behind a service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Slices {
    /// `discovery.k8s.io/v1`, since Kubernetes 1.21.
    #[default]
    V1,
    /// `discovery.k8s.io/v1beta1`, with the node in the topology: Kubernetes 1.17.
    V1beta1,
    /// `Endpoints` only.
    None,
}

/// What becomes of an agent's pod on a node.
#[derive(Clone, Debug, Default)]
pub enum Fate {
    /// It runs, and so do the programs that are called for in it.
    #[default]
    Runs,
    /// Its image cannot be pulled.
    ImagePull,
    /// Its image is not on the node, and is not to be pulled.
    ImageNever,
    /// The node has a taint that it does not tolerate.
    Tainted,
    /// Creating it is refused: the quota of its namespace is used up.
    Quota,
    /// The node's kubelet never says anything about it.
    Silent,
    /// Its program ends with this code as soon as it runs.
    Crashes(u8),
    /// Its program is not in the image.
    NoProgram,
    /// It runs without the capabilities that it asked for.
    NoCapability,
    /// What is called for in it says this on its standard error and ends with this code.
    Says(String, u8),
    /// Calling programs in it is refused.
    ExecForbidden,
    /// The connection of what is called for in it breaks after so many bytes of its standard output.
    CutAfter(usize),
    /// As [`Fate::CutAfter`], but nothing tells of it: neither side hears of the other any more.
    FrozenAfter(usize),
    /// What is called for in it writes these bytes, and goes on until its standard input ends.
    Replays(Arc<Vec<u8>>),
    /// As [`Fate::Replays`], each part at its time.
    Plays(Arc<Play>),
}

/// One node as a place for agents.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// The network namespace that its programs run in; that of this process where there is none.
    pub netns: Option<PathBuf>,
    /// What becomes of pods there.
    pub fate: Fate,
    /// How long its kubelet takes to start a container.
    pub start: Duration,
}

/// What kind of cluster the double is.
#[derive(Clone, Debug)]
pub struct DoubleConfig {
    /// The program that containers have as `/kflow`.
    pub program: PathBuf,
    /// Nodes by their names.
    pub nodes: BTreeMap<String, NodeConfig>,
    /// What is there at the beginning; namespaces are made as needed.
    pub objects: Vec<Value>,
    /// Who may ask; the first is the one of the kubeconfig's current context.
    pub users: Vec<User>,
    /// Who asks without a token, as kubectl does where there is no TLS; refused where absent.
    pub anonymous: Option<User>,
    /// How services tell their endpoints.
    pub slices: Slices,
    /// How often a watch tells its version when nothing happens.
    pub bookmarks: Duration,
    /// Whether exec speaks `v4.channel.k8s.io` only, as before Kubernetes 1.29.
    pub only_v4: bool,
    /// Whether every continued list is told that its token has expired.
    pub expires_lists: bool,
}

impl Default for DoubleConfig {
    fn default() -> Self {
        Self {
            program: crate::kflow::program(),
            nodes: BTreeMap::new(),
            objects: Vec::new(),
            users: vec![User::admin()],
            anonymous: None,
            slices: Slices::default(),
            // A real server waits for about a minute.
            bookmarks: Duration::from_mins(1),
            only_v4: false,
            expires_lists: false,
        }
    }
}
