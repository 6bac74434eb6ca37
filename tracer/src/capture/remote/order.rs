//! From places to the command lines of agents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use tracer_core::flow::Protocol;
use tracer_core::resolve::{ClusterState, Party, SeedKind};
use tracer_core::units::Direction;

use super::exclude::{Excluded, KUBELET_PORT};
use super::place::{self, Kind, Place, Places};
use super::plan::RemotePlan;
use crate::capture::{Expression, FilterError};
use crate::cli::cluster::AgentArgs;
use crate::cluster::fleet::{Order, Task};

/// The service by which a cluster tells where its API servers are.
const API_SERVERS: &str = "default/svc/kubernetes";

/// Makes orders of places.
pub(super) struct Orders<'a> {
    plan: &'a RemotePlan,
    /// TCP ports of API servers, by their addresses.
    servers: BTreeMap<IpAddr, BTreeSet<u16>>,
    /// Addresses of nodes, by their names.
    nodes: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The filter, by what is left out on a node.
    filters: BTreeMap<Excluded, Option<Expression>>,
    /// The nodes that are captured otherwise than at pods' interfaces.
    wide: Vec<String>,
}

impl<'a> Orders<'a> {
    /// Compiles what the nodes need.
    pub(super) fn new(
        plan: &'a RemotePlan,
        places: &Places,
        state: &ClusterState,
    ) -> Result<Self, FilterError> {
        let mut orders = Self {
            plan,
            servers: servers(state),
            nodes: state.node_names().map(|name| (name.to_owned(), addresses(name, state))).collect(),
            filters: BTreeMap::new(),
            wide: Vec::new(),
        };
        // Nodes that join later need what those have that there are now, or nothing at all.
        let mut all: BTreeSet<Excluded> = [Excluded::default()].into();
        all.extend(orders.nodes.keys().map(|node| orders.excluded(node, Kind::Whole)));
        for excluded in all {
            let filter = excluded.apply(plan.expression.as_ref())?;
            orders.filters.insert(excluded, filter);
        }
        let is_named = !plan.interfaces.is_empty();
        let is_wide = |(node, place): (&String, &Place)| {
            (!orders.excluded(node, place.kind(is_named)).is_empty()).then(|| node.clone())
        };
        orders.wide = places.iter().filter_map(is_wide).collect();
        Ok(orders)
    }

    /// The order for a place, and the first line for its capture.
    pub(super) fn order(&self, node: &str, place: &Place, kind: Kind) -> (Order, Option<String>) {
        let plan = self.plan;
        let (words, line) = place::beginning(place, kind);
        let mut arguments = Vec::new();
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        add("--node", node.to_owned());
        add("-s", plan.snap.clone());
        add("-B", plan.ring_kib.to_string());
        if let Some(direction) = plan.direction {
            add("-Q", if direction == Direction::Ingress { "in" } else { "out" }.to_owned());
        }
        if let Some(port) = plan.vxlan_port {
            add("--vxlan-port", port.to_string());
        }
        if let Some(attach) = plan.attach {
            add("--attach", attach.to_owned());
        }
        if let Some(filter) = self.filter(node, kind) {
            add("--program", filter.portable());
            add("--program-text", plan.expression.as_ref().map_or("", Expression::text).to_owned());
        }
        for interface in self.interfaces(kind) {
            add("-i", interface.clone());
        }
        if self.filter(node, kind).is_some_and(Expression::is_innermost) {
            arguments.push("--inner".to_owned());
        }
        if plan.packet_buffered {
            arguments.push("-U".to_owned());
        }
        if plan.debug {
            arguments.push("--debug-bpf".to_owned());
        }
        arguments.extend(words);
        (Order { node: node.to_owned(), task: Task::Capture, arguments }, line)
    }

    fn interfaces(&self, kind: Kind) -> Vec<String> {
        match kind {
            Kind::Links => Vec::new(),
            _ if self.plan.interfaces.is_empty() => vec!["any".to_owned()],
            _ => self.plan.interfaces.clone(),
        }
    }

    fn filter(&self, node: &str, kind: Kind) -> Option<&Expression> {
        self.filters.get(&self.excluded(node, kind))?.as_ref()
    }

    /// The ports of the connections by which a node's packets travel here.
    fn excluded(&self, node: &str, kind: Kind) -> Excluded {
        // Packets from or to pods only: none of these connections is a pod's.
        let has_own = match kind {
            Kind::Links => false,
            Kind::Addresses | Kind::Whole => !self.plan.own_traffic,
        };
        if !has_own {
            return Excluded::default();
        }
        let own = self.nodes.get(node).into_iter().flatten();
        let servers = own.filter_map(|address| self.servers.get(address)).flatten();
        Excluded(servers.copied().chain([KUBELET_PORT]).collect())
    }

    /// What a person has to know of what is captured.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(node) = self.wide.first() {
            let excluded = self.excluded(node, Kind::Whole);
            notes.push(format!(
                "left out on {}: {excluded}, by which the packets themselves come here (--own-traffic has them, too)",
                self.wide.join(", ")
            ));
        }
        notes
    }

    /// What would be done.
    pub(super) fn dry_run(&self, places: &Places, agents: &AgentArgs) -> String {
        let mut text = String::new();
        for (node, place) in places {
            let kind = place.kind(!self.plan.interfaces.is_empty());
            // Writing to a string does not fail.
            let _ = writeln!(text, "node {node}");
            for (pod, addresses) in place.pods.iter().chain(&place.host_pods) {
                let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
                let _ = writeln!(text, "  pod {pod} ({})", addresses.join(", "));
            }
            let interfaces = match kind {
                Kind::Links => "the host interfaces of these pods".to_owned(),
                Kind::Addresses | Kind::Whole => self.interfaces(kind).join(", "),
            };
            let _ = writeln!(text, "  interfaces: {interfaces}");
            let _ = writeln!(text, "  filter: {}", self.filter_text(node, place, kind));
            let _ = writeln!(
                text,
                "  pod to create: one in the namespace {} with the image {}",
                agents.agent_namespace, agents.image
            );
        }
        text
    }

    fn filter_text(&self, node: &str, place: &Place, kind: Kind) -> String {
        let mut parts = Vec::new();
        match kind {
            Kind::Whole => {}
            Kind::Links => parts.push("packets from or to these pods".to_owned()),
            Kind::Addresses if place.host_pods.is_empty() => {
                parts.push("packets from or to these pods, inside of tunnels as well".to_owned());
            }
            Kind::Addresses => parts.push(
                "packets from or to these pods and this node, those in its tunnels only where they are a pod's"
                    .to_owned(),
            ),
        }
        parts.extend(self.plan.expression.as_ref().map(|expression| expression.text().to_owned()));
        let excluded = self.excluded(node, kind);
        if !excluded.is_empty() {
            parts.push(format!("not ({excluded})"));
        }
        if parts.is_empty() { "all packets".to_owned() } else { parts.join("; and ") }
    }
}

/// Where API servers are, by the endpoints of their service.
fn servers(state: &ClusterState) -> BTreeMap<IpAddr, BTreeSet<u16>> {
    let mut servers: BTreeMap<IpAddr, BTreeSet<u16>> = BTreeMap::new();
    // A cluster without this service, or one that does not show it, tells no port.
    let Ok(party) = Party::resolve(API_SERVERS, "default", state) else { return servers };
    for seed in party.seeds.iter().filter(|seed| seed.kind != SeedKind::Service) {
        if let Some((Protocol::TCP, port)) = seed.port {
            servers.entry(seed.address).or_default().insert(port);
        }
    }
    servers
}

fn addresses(node: &str, state: &ClusterState) -> BTreeSet<IpAddr> {
    let party = Party::resolve(&format!("node/{node}"), "default", state);
    party.map(|party| party.seeds.iter().map(|seed| seed.address).collect()).unwrap_or_default()
}
