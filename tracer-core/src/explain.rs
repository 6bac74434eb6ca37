//! What a node makes of packets to a service, to a pod or to an address, and what is wrong with it.
//!
//! The cluster's word ([`ClusterState`]) and what the kernel of a node does about it ([`Snapshot`]) are put side by side: a
//! packet is sent through the node's rules and routes in thought, on every way that it may take, and where that leads is
//! compared with where the cluster says it should.

mod address;
mod client;
mod course;
mod judge;
mod listen;
mod pod;
mod problem;
mod proxy;
mod service;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod world;

use serde::Serialize;

pub use address::AddressStory;
pub use client::{Client, ClientKind, Entry};
pub use course::{Course, End, Stage, StageKind};
pub use listen::Listener;
pub use pod::{PodLink, PodStory};
pub use problem::{Problem, ProblemKind};
pub use proxy::Proxy;
pub use service::{EndpointStory, FrontStory, PingStory, PortStory, ServiceStory};

use crate::evidence::{Missing, Snapshot};
use crate::resolve::{ClusterState, Subject};
use world::World;

/// What is asked, and what is known.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is to be explained.
    pub subject: &'a Subject,
    /// The same in the words of whoever asks.
    pub label: &'a str,
    /// Who sends the packets; absent for somebody typical: a pod of the node, else the node itself.
    pub client: Option<&'a Client>,
    /// The cluster's word.
    pub state: &'a ClusterState,
    /// The node that is asked first, then others as far as they could be asked.
    pub nodes: &'a [Snapshot],
    /// Network namespaces of pods, as far as they could be entered.
    pub pods: &'a [Snapshot],
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What was asked about, in the words of whoever asked.
    pub subject: String,
    /// The node whose rules and routes it is by.
    pub node: String,
    /// The kernel of that node.
    pub kernel: String,
    /// What carries services on the node.
    pub proxy: Proxy,
    /// What it is, and where its packets go.
    pub story: Story,
    /// What is wrong, the worst first.
    pub problems: Vec<Problem>,
    /// What a person should know besides.
    pub notes: Vec<String>,
    /// What could not be read, and so is not part of it.
    pub missing: Vec<Missing>,
}

/// What it is that was asked about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Story {
    /// A service.
    Service(ServiceStory),
    /// A pod.
    Pod(Box<PodStory>),
    /// A node, or an address that none of them has.
    Address(AddressStory),
}

/// Explains; absent only where not a single node could be asked.
pub fn explain(question: &Question<'_>) -> Option<Explanation> {
    let world = World::of(question)?;
    let mut findings = Findings::default();
    let story = match question.subject {
        Subject::Service { facts, ports } => {
            Story::Service(service::tell(&world, facts, ports, &mut findings))
        }
        Subject::Pod(pod) => Story::Pod(Box::new(pod::tell(&world, pod, &mut findings))),
        Subject::Node(node) => Story::Address(address::tell_node(&world, node, &mut findings)),
        Subject::Address(address, port) => {
            Story::Address(address::tell(&world, *address, *port, &mut findings))
        }
    };
    let Findings { mut problems, notes } = findings;
    problems.sort_by_key(|problem| problem.kind);
    Some(Explanation {
        subject: question.label.to_owned(),
        node: world.node.node.clone(),
        kernel: world.node.kernel.clone(),
        proxy: Proxy::of(world.node),
        story,
        problems,
        notes,
        missing: world.missing(),
    })
}

/// What is found on the way.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Findings {
    fn problem(&mut self, kind: ProblemKind, text: String, remedy: impl Into<String>) {
        let problem = Problem { kind, text, remedy: remedy.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}
