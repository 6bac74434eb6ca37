//! How fast kflow is, beside the tool that does the same, in the same run.

mod live;
mod measure;
mod trace;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Tracing captures, beside tshark.
    Trace,
    /// Live captures, beside tcpdump.
    Capture,
}

impl Part {
    /// By its name on the command line.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "trace" => Some(Self::Trace),
            "capture" => Some(Self::Capture),
            _ => None,
        }
    }
}

/// Measures one part or all, prints tables, and fails where a requirement is missed.
pub(crate) fn bench(workspace: &Workspace, part: Option<Part>) -> Result<()> {
    let wants = |one| part.is_none_or(|part| part == one);
    let mut missed = Vec::new();
    if wants(Part::Capture) {
        missed.extend(live::bench(workspace)?);
    }
    if wants(Part::Trace) {
        missed.extend(trace::bench(workspace)?);
    }
    if !missed.is_empty() {
        bail!("{}", missed.join("; "));
    }
    Ok(())
}
