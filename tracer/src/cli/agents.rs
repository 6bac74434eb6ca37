//! `kflow agents`.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use thiserror::Error;
use tracer_core::output::Screen;

use crate::cli::cluster::ClusterArgs;
use crate::cluster::agents::{self, AgentEntry};
use crate::cluster::{Cluster, ConnectError};
use crate::error::{Exit, ExitStatus};

/// List the agents on the nodes: their version, the node's kernel, what works there.
#[derive(Args, Clone, Debug)]
pub struct AgentsArgs {
    #[command(flatten)]
    access: ClusterArgs,
    /// Namespace of the agents
    #[arg(long, value_name = "NAMESPACE", default_value = "kflow")]
    agent_namespace: String,
    /// How to print them
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Table,
}

/// Why `kflow agents` failed.
#[derive(Debug, Error)]
pub enum AgentsError {
    /// No cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// They cannot be listed.
    #[error("cannot list the pods of the namespace {namespace}: {message}")]
    List {
        /// Namespace of the agents.
        namespace: String,
        /// Why.
        message: String,
    },
    /// Standard output.
    #[error("cannot write the list")]
    Write(#[source] io::Error),
}

impl ExitStatus for AgentsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Connect(error) => error.exit(),
            Self::List { .. } => Exit::Environment,
            Self::Write(_) => Exit::Failed,
        }
    }
}

/// Lists the agents.
pub fn run(args: &AgentsArgs) -> Result<Exit, AgentsError> {
    let cluster = Cluster::connect(&args.access)?;
    let space = &args.agent_namespace;
    let entries = cluster
        .wait(agents::list(&cluster.client(), space))
        .map_err(|message| AgentsError::List { namespace: space.clone(), message })?;
    let mut out = io::stdout().lock();
    let written = match args.output {
        Format::Json => json(&mut out, &entries),
        Format::Table => table(&mut out, &entries, space),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(AgentsError::Write(error)),
        _ => Ok(Exit::Complete),
    }
}

fn json(out: &mut impl io::Write, entries: &[AgentEntry]) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, entries)?;
    writeln!(out)
}

fn table(out: &mut impl io::Write, entries: &[AgentEntry], space: &str) -> io::Result<()> {
    let out = &mut Screen(out);
    if entries.is_empty() {
        return writeln!(
            out,
            "no agents in the namespace {space}: kflow makes them when it needs them, or `kflow install` does"
        );
    }
    let heads = ["NODE", "POD", "READY", "VERSION", "KERNEL", "FEATURES"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(heads).chain(entries.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
        writeln!(out, "{}", cells.join("   ").trim_end())?;
    }
    Ok(())
}

fn row(entry: &AgentEntry) -> [String; 6] {
    let unknown = || "-".to_owned();
    let doctor = entry.doctor.as_ref();
    let kernel = doctor.and_then(|doctor| doctor["kernel"].as_str()).map_or_else(unknown, str::to_owned);
    [
        entry.node.clone().unwrap_or_else(unknown),
        entry.pod.clone(),
        if entry.ready { "yes" } else { "no" }.to_owned(),
        entry.version.clone().unwrap_or_else(unknown),
        kernel,
        entry.reason.clone().unwrap_or_else(|| features(entry)),
    ]
}

/// What works on its node, of `kflow doctor`'s abilities.
fn features(entry: &AgentEntry) -> String {
    let abilities = entry.doctor.as_ref().and_then(|doctor| doctor["abilities"].as_array());
    let works = abilities.into_iter().flatten().filter(|ability| ability["works"] == true);
    let mut names: Vec<_> = works.filter_map(|ability| ability["name"].as_str()).collect();
    if entry.pod_side {
        names.push("pod-side");
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_is_as_wide_as_what_is_in_it() {
        let doctor = json!({"kernel": "6.1.0", "abilities": [
            {"name": "capture", "works": true}, {"name": "other", "works": false},
        ]});
        let good = AgentEntry {
            node: Some("a-long-name".to_owned()),
            pod: "kflow-agent-x".to_owned(),
            ready: true,
            version: Some("0.1.0".to_owned()),
            pod_side: true,
            doctor: Some(doctor),
            ..AgentEntry::default()
        };
        let bad = AgentEntry {
            pod: "p".to_owned(),
            reason: Some("the scheduler refuses".to_owned()),
            ..AgentEntry::default()
        };
        let mut text = Vec::new();
        table(&mut text, &[good, bad], "kflow").unwrap();
        let expected = "\
NODE          POD             READY   VERSION   KERNEL   FEATURES
a-long-name   kflow-agent-x   yes     0.1.0     6.1.0    capture, pod-side
-             p               no      -         -        the scheduler refuses
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let mut text = Vec::new();
        table(&mut text, &[], "kflow").unwrap();
        assert!(String::from_utf8(text).unwrap().starts_with("no agents in the namespace kflow"));
    }
}
