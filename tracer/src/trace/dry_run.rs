//! What a trace on a cluster would do, without doing it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use tracer_core::output::printable_lines;

use super::cluster::pods;
use super::output::OutputError;
use super::plan::{Side, TracePlan, Wanted};
use crate::cli::trace::Format;
use crate::cluster::fleet::{Needs, capabilities};

/// The plan, as it is printed.
#[derive(Serialize)]
struct Plan<'a> {
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    nodes: Vec<Node<'a>>,
    /// What the kernel looks for, as arguments of `kflow capture`.
    filter: String,
    agents: Agents<'a>,
}

/// A node that would be watched.
#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    interfaces: Vec<String>,
}

/// The pods that would be created.
#[derive(Serialize)]
struct Agents<'a> {
    namespace: &'a str,
    image: &'a str,
    nodes: Vec<&'a str>,
    capabilities: Vec<&'static str>,
}

/// Prints the plan to standard output.
pub(super) fn print(plan: &TracePlan) -> Result<(), OutputError> {
    let text = match plan.args.output {
        Format::Json => serde_json::to_string(&of(plan)).unwrap_or_default() + "\n",
        Format::Text | Format::Pcapng => printable_lines(&text(&of(plan))).into_owned(),
    };
    io::stdout().lock().write_all(text.as_bytes()).map_err(OutputError::Text)
}

fn of(plan: &TracePlan) -> Plan<'_> {
    let args = &plan.args;
    let mut nodes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for place in &plan.places {
        let interfaces = nodes.entry(&place.node).or_default();
        match (&place.pod, &place.side) {
            (Some(pod), _) => interfaces.push(format!("all inside {pod}")),
            (None, Side::Agent(_)) if args.interfaces.is_empty() => {
                interfaces.extend(of_way(plan, &place.node));
            }
            (None, _) => interfaces.extend(args.interfaces.iter().cloned()),
        }
    }
    let names: Vec<&str> = nodes.keys().copied().collect();
    Plan {
        source: &plan.scope.source.label,
        destination: plan.scope.destination.as_ref().map(|end| end.label.as_str()),
        nodes: nodes.into_iter().map(|(name, interfaces)| Node { name, interfaces }).collect(),
        filter: Wanted::of(&plan.scope).filter(),
        agents: Agents {
            namespace: &args.agents.agent_namespace,
            image: &args.agents.image,
            nodes: names,
            capabilities: capabilities(Needs { pod_side: args.pod_side }),
        },
    }
}

/// The interfaces that an agent chooses by its node's links and routes.
fn of_way(plan: &TracePlan, node: &str) -> Vec<String> {
    let mut chosen: Vec<String> = pods(&plan.scope)
        .filter(|pod| pod.node.as_deref() == Some(node))
        .map(|pod| format!("host side of {}", pod.name))
        .collect();
    chosen.dedup();
    chosen.push("bridges, tunnels and uplinks".to_owned());
    chosen
}

fn text(plan: &Plan<'_>) -> String {
    let other = plan.destination.map(|end| format!(" -> {end}")).unwrap_or_default();
    let nodes = plan.nodes.iter().map(|node| format!("node {}: {}\n", node.name, node.interfaces.join(", ")));
    let Agents { namespace, image, nodes: on, capabilities } = &plan.agents;
    format!(
        "would trace {}{other}; nothing was created\n{}packets: {}\npods: one each on {} in namespace {namespace}, \
         image {image}, host network, capabilities {}; removed at the end\n",
        plan.source,
        nodes.collect::<String>(),
        plan.filter,
        on.join(", "),
        capabilities.join(", ")
    )
}
