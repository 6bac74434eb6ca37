//! How fast kflow is, beside the tools that do the same, in the same run; compared with the run that is kept.

mod figure;
mod floor;
mod growth;
mod kept;
mod live;
mod machine;
mod measure;
mod nodes;
mod page;
mod pods;
mod trace;

use std::fs;

use anyhow::{Context as _, Result, bail};

use self::figure::Outcome;
use self::kept::Run;
use crate::workspace::Workspace;

/// The run that is kept, below the root of the workspace, and the page that explains it.
const KEPT: &str = "docs/performance.json";
const PAGE: &str = "docs/performance.md";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// What the machine takes at least.
    Floor,
    /// Live captures, beside tcpdump.
    Capture,
    /// A node with many pods.
    Pods,
    /// Many nodes that stream to one client.
    Nodes,
    /// Tracing captures, beside tshark.
    Trace,
}

impl Part {
    const ALL: [(&str, Self); 5] = [
        ("floor", Self::Floor),
        ("capture", Self::Capture),
        ("pods", Self::Pods),
        ("nodes", Self::Nodes),
        ("trace", Self::Trace),
    ];
}

/// How often things are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rounds {
    /// As often as figures need that are kept.
    #[default]
    Whole,
    /// Once, and the smaller ones: to see that it works.
    Short,
}

impl Rounds {
    fn many(self) -> usize {
        if self == Self::Whole { 5 } else { 1 }
    }

    /// Of what takes long.
    fn few(self) -> usize {
        if self == Self::Whole { 3 } else { 1 }
    }

    /// The sizes that are measured, of all.
    fn some(self, all: &[u64]) -> &[u64] {
        if self == Self::Whole { all } else { &all[..all.len().min(3)] }
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// All where there is none.
    parts: Vec<Part>,
    rounds: Rounds,
    /// Whether this run is to be the kept one.
    keep: bool,
}

impl Options {
    /// Absent where a word is none of these.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "--keep" => options.keep = true,
                "--short" => options.rounds = Rounds::Short,
                word => {
                    let (_, part) = Part::ALL.iter().find(|(name, _)| *name == word)?;
                    options.parts.push(*part);
                }
            }
        }
        // What was measured once is not worth keeping.
        (!options.keep || options.rounds == Rounds::Whole).then_some(options)
    }
}

/// Measures parts or all, prints tables, compares them with the kept run, and fails where a requirement is missed.
pub(crate) fn bench(workspace: &Workspace, options: &Options) -> Result<()> {
    let load = machine::load();
    let mut outcome = Outcome::default();
    for (_, part) in Part::ALL {
        if options.parts.is_empty() || options.parts.contains(&part) {
            let rounds = options.rounds;
            outcome.extend(match part {
                Part::Floor => floor::bench(workspace)?,
                Part::Capture => live::bench(workspace, rounds)?,
                Part::Pods => pods::bench(workspace, rounds)?,
                Part::Nodes => nodes::bench(workspace, rounds)?,
                Part::Trace => trace::bench(workspace, rounds)?,
            });
        }
    }
    let run = Run { about: machine::about(workspace, load)?, figures: outcome.figures };
    tell(workspace, options, run, &outcome.tables, &outcome.missed)
}

fn tell(
    workspace: &Workspace,
    options: &Options,
    run: Run,
    tables: &[(String, String)],
    missed: &[String],
) -> Result<()> {
    let mut text = format!("{}\n", run.described());
    for (title, table) in tables {
        text.extend(["\n### ", title, "\n\n", table, "\n"]);
    }
    if !missed.is_empty() {
        text.extend(["\n### Missed\n\n* ", &missed.join("\n* "), "\n"]);
    }
    let path = workspace.root().join(KEPT);
    let kept = Run::read(&path)?;
    let folder = workspace.target().join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    run.write(&folder.join("performance.json"))?;
    fs::write(folder.join("performance.md"), &text).context("cannot write the tables")?;
    println!("\n{text}");
    if let Some(kept) = &kept {
        let (table, worse) = kept::compare(&run.figures, &kept.figures);
        println!(
            "Beside the kept run: {}\n\n{table}\n\n{worse} are worse by more than their noise",
            kept.described()
        );
    }
    if options.keep {
        let path_of_page = workspace.root().join(PAGE);
        let page = fs::read_to_string(&path_of_page).with_context(|| format!("cannot read {PAGE}"))?;
        let run_table = ("Run".to_owned(), run.described());
        let tables: Vec<_> = tables.iter().cloned().chain([run_table]).collect();
        fs::write(&path_of_page, page::with_tables(&page, &tables))
            .with_context(|| format!("cannot write {PAGE}"))?;
        run.over(kept).write(&path)?;
        println!("kept in {KEPT}, and its tables in {PAGE}");
    }
    if !missed.is_empty() {
        bail!("{}", missed.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_flags() {
        let options = |words: &[&str]| Options::parse(words);
        assert_eq!(options(&[]), Some(Options::default()));
        let both = options(&["trace", "--keep", "nodes"]);
        let parts = vec![Part::Trace, Part::Nodes];
        assert_eq!(both, Some(Options { parts, keep: true, ..Options::default() }));
        assert_eq!(options(&["--short", "--keep"]), None);
        assert_eq!(options(&["everything"]), None);
    }
}
