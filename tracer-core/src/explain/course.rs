//! One packet's ways through the rules and routes of a node, and of the nodes and pods after it.
//!
//! In the order in which the kernel does it (`ip_rcv`, `ip_forward`, `ip_output`): rules before routing, routing, rules
//! of the way in, through or out, rules after routing, tunnel. Rules that draw lots make several ways of one.

mod cross;
mod outer;

use serde::Serialize;

use super::client::Entry;
use super::listen::Listener;
use super::world::World;
use crate::evidence::{Snapshot, Step};
use crate::flow::{Endpoint, FlowKey};

pub(super) use cross::{front_door, route_text};

/// Ways of one packet that are followed, at most.
const MAX_COURSES: usize = 128;
/// Network namespaces that one packet passes, at most: client, its node, the other node, the pod, and one around a corner.
const MAX_PLACES: usize = 5;

/// Where something happens to a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageKind {
    /// Rules before routing.
    Prerouting,
    /// Rules for what the place itself sends.
    Output,
    /// Routes.
    Routing,
    /// Rules for what is for the place itself.
    Input,
    /// Virtual servers.
    Ipvs,
    /// Rules for what passes.
    Forward,
    /// Rules after routing.
    Postrouting,
    /// Encapsulation.
    Tunnel,
}

/// What happened at one of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stage {
    /// The node.
    pub node: String,
    /// The pod in whose namespace it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Where.
    pub at: StageKind,
    /// Rules that did something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What was decided, where it was not by rules: the route, the tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What the packet is after it.
    pub packet: FlowKey,
    /// Its mark after it.
    #[serde(skip_serializing_if = "is_zero")]
    pub mark: u32,
    /// Conditions that are not understood, and were taken as not holding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// Where a packet ends, as far as it can be followed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// The place has the address: it is delivered to whoever listens.
    Delivered {
        /// Whether somebody does.
        listener: Listener,
    },
    /// It leaves for a pod of the node, by the pod's link.
    Handed {
        /// The link.
        link: String,
        /// The pod, if it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        pod: Option<String>,
    },
    /// It leaves for somewhere else.
    Sent {
        /// The link.
        link: String,
        /// Outer address of a tunnel, else gateway, else destination; absent where a device knows it and does not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        next_hop: Option<std::net::IpAddr>,
        /// The node that has that address.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// A rule, or a chain's policy, drops it.
    Dropped {
        /// Which.
        rule: String,
        /// The network policy that the rule is of.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
    },
    /// A rule refuses it.
    Rejected {
        /// Which.
        rule: String,
        /// With what, in the words of iptables.
        with: String,
    },
    /// The place does not forward what comes in by this interface.
    NotForwarded {
        /// The interface.
        interface: String,
    },
    /// A route, or a routing rule, lets it vanish or refuses it.
    RouteRefuses {
        /// `blackhole`, `unreachable`, `prohibit`.
        how: &'static str,
        /// Which.
        route: String,
    },
    /// There is no route.
    NoRoute,
    /// The interface that it would leave by is down.
    LinkDown {
        /// The interface.
        link: String,
    },
    /// Nobody answers for the next hop.
    NeighbourFailed {
        /// The interface.
        link: String,
        /// The next hop.
        next_hop: std::net::IpAddr,
    },
    /// It cannot be told.
    Unknown {
        /// Why.
        why: String,
    },
}

/// One way of a packet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// With which probability it is taken, from 0 to 1.
    pub probability: f64,
    /// What happens, in order.
    pub stages: Vec<Stage>,
    /// Where it ends.
    #[serde(flatten)]
    pub end: End,
    /// The node that it ends at.
    pub node: String,
    /// The pod in whose namespace it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The packet as it is at the end.
    pub packet: FlowKey,
    /// Whether its source was translated; `packet` has the old one where the new one is not known.
    pub is_masqueraded: bool,
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Flight<'a> {
    place: &'a Snapshot,
    entry: Entry,
    key: FlowKey,
    original: FlowKey,
    mark: u32,
    /// Mark of the connection; absent where rules make something of it that is not understood.
    connection_mark: Option<u32>,
    is_untracked: bool,
    probability: f64,
    stages: Vec<Stage>,
    places: usize,
    is_masqueraded: bool,
}

impl<'a> Flight<'a> {
    pub(super) fn new(place: &'a Snapshot, entry: Entry, key: FlowKey) -> Self {
        Self {
            place,
            entry,
            key,
            original: key,
            mark: 0,
            connection_mark: Some(0),
            is_untracked: false,
            probability: 1.0,
            stages: vec![],
            places: 1,
            is_masqueraded: false,
        }
    }

    fn stage(&self, at: StageKind) -> Stage {
        Stage {
            node: self.place.node.clone(),
            pod: self.place.pod.clone(),
            at,
            steps: vec![],
            text: None,
            packet: self.key,
            mark: self.mark,
            doubts: vec![],
        }
    }

    fn tell(&mut self, at: StageKind, text: String) {
        let stage = Stage { text: Some(text), ..self.stage(at) };
        self.stages.push(stage);
    }

    fn end(self, end: End) -> Course {
        Course {
            probability: self.probability,
            stages: self.stages,
            end,
            node: self.place.node.clone(),
            pod: self.place.pod.clone(),
            packet: self.key,
            is_masqueraded: self.is_masqueraded,
        }
    }
}

impl Course {
    /// What a front's destination was translated to first; absent where it was not.
    pub fn translated(&self, front: Endpoint) -> Option<Endpoint> {
        self.stages.iter().map(|stage| stage.packet.destination).find(|to| *to != front)
    }

    /// Rules that did something, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }

    /// Whether a condition on its way is not understood.
    pub fn is_doubtful(&self) -> bool {
        matches!(self.end, End::Unknown { .. }) || self.stages.iter().any(|stage| !stage.doubts.is_empty())
    }
}

/// Follows a packet from place to place.
pub(super) fn run(world: &World<'_>, flight: Flight<'_>) -> Vec<Course> {
    let mut waiting = vec![flight];
    let mut courses = Vec::new();
    while let Some(flight) = waiting.pop() {
        for (flight, end) in cross::cross(world, flight) {
            if waiting.len() + courses.len() >= MAX_COURSES {
                return courses;
            }
            match onward(world, &flight, &end) {
                Some(next) => waiting.push(next),
                None => courses.push(flight.end(end)),
            }
        }
    }
    // The one that was first to part is the last to be followed.
    courses.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    courses
}

/// The packet as it comes in at the next place, where that is known.
fn onward<'a>(world: &World<'a>, flight: &Flight<'a>, end: &End) -> Option<Flight<'a>> {
    let place = match end {
        End::Handed { pod: Some(pod), .. } => world.of_pod(pod)?,
        // Out of a pod by its only link: the node that it is on.
        End::Sent { .. } if flight.place.pod.is_some() => world.of_node(&flight.place.node)?,
        End::Sent { to: Some(node), .. } => world.of_node(node)?,
        _ => return None,
    };
    if flight.places >= MAX_PLACES || std::ptr::eq(place, flight.place) {
        return None;
    }
    let entry = match place.pod {
        Some(_) => front_door(place, flight.key.destination.address)?,
        None => super::world::way_in(place, flight.key.source.address)?,
    };
    // What is made of the mark beyond this kernel's rules is another kernel's, or another namespace's.
    Some(Flight {
        entry,
        stages: flight.stages.clone(),
        probability: flight.probability,
        places: flight.places + 1,
        is_masqueraded: flight.is_masqueraded,
        ..Flight::new(place, Entry::Local, flight.key)
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(mark: &u32) -> bool {
    *mark == 0
}
