//! The stories of kflow on a real cluster: what a person would do, and what they would check.
//!
//! It needs a cluster (`KUBECONFIG`, or `--kubeconfig`), `kubectl`, and a command that brings an image to its nodes, since
//! nothing is pulled. Everything it makes is in namespaces of its own, which it removes.

mod cluster;
mod kflow;
mod leftover;
mod proxy;
mod stage;
mod stories;
mod table;
mod told;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use self::cluster::Cluster;
use self::kflow::Kflow;
use self::stage::Stage;
use self::table::{Row, Table};
use crate::dist::{self, Commit, Image, Layer, Target};
use crate::setup;
use crate::step::{run, step};
use crate::workspace::Workspace;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Shell command that brings an image to the nodes; `{}` stands for its file. Without, the images are there.
    load: Option<String>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    /// The program to test in place of the one that is shipped.
    kflow: Option<PathBuf>,
    /// Only stories whose name contains this.
    only: Option<String>,
    /// Whether what the stories talk to is left in the cluster.
    keep: bool,
}

impl Options {
    /// From the words after `e2e`; none if they make no sense.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(|word| (*word).to_owned());
            match *word {
                "--load" => options.load = Some(value()?),
                "--kubeconfig" => options.kubeconfig = Some(value()?.into()),
                "--context" => options.context = Some(value()?),
                "--kflow" => options.kflow = Some(value()?.into()),
                "--only" => options.only = Some(value()?),
                "--keep" => options.keep = true,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Runs the stories and prints a table of them. Fails if one does.
pub(crate) fn e2e(workspace: &Workspace, options: &Options) -> Result<()> {
    let kubectl = setup::program("kubectl", "kubernetes-client", "asks the cluster what is there")?;
    let directory = workspace.target().join("e2e");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let cluster =
        Cluster::connect(&kubectl, options.kubeconfig.as_deref(), options.context.as_deref(), &directory)?;
    eprintln!("{}", cluster.description());
    let target = Target::of(cluster.architecture())
        .with_context(|| format!("nothing is built for nodes of {}", cluster.architecture()))?;
    let program = images(workspace, options, target, &directory)?;
    let kflow = Kflow::new(options.kflow.clone().unwrap_or(program), cluster.kubeconfig().to_owned());
    let stage = step("the stage", || Stage::raise(cluster, kflow))?;
    let table = play(&stage, options.only.as_deref());
    if !options.keep {
        step("the stage is removed", || stage.strike())?;
    }
    print!("\n{}\n{table}", stage.cluster.description());
    match table.failures() {
        0 if table.is_empty() => bail!("no story has that in its name"),
        0 => Ok(()),
        failures => bail!("{failures} of {} stories failed", table.len()),
    }
}

/// Builds kflow and the image of what the stories talk to, and brings both to the nodes. Returns the program.
fn images(workspace: &Workspace, options: &Options, target: Target, directory: &Path) -> Result<PathBuf> {
    let Some(load) = &options.load else {
        let program = options.kflow.clone();
        return program.context(
            "without `--load COMMAND` the images are there, and `--kflow PROGRAM` says what to test",
        );
    };
    let commit = Commit::of(workspace)?;
    let (program, image) = dist::one(workspace, target, &commit, directory)?;
    let talk = step("the image of what the stories talk to", || talk(workspace, target, &commit, directory))?;
    for file in [&image, &talk] {
        step(&format!("{} is loaded", file.display()), || {
            let command = load.replace("{}", &file.display().to_string());
            ensure!(command != *load, "`--load` has no {{}}, which stands for the image's file");
            run(Command::new("sh").args(["-c", &command]))
        })?;
    }
    Ok(program)
}

/// The program needs nothing but the standard library, so that the compiler alone builds it.
fn talk(workspace: &Workspace, target: Target, commit: &Commit, directory: &Path) -> Result<PathBuf> {
    let program = directory.join("talk");
    let mut rustc = workspace.command("rustc");
    rustc.args(["--edition", "2024", "-O", "-C", "strip=symbols", "--target", target.triple()]);
    let linker = target.toolchain()?.compiler;
    rustc.arg("-C").arg(format!("linker={}", linker.display())).arg("-o").arg(&program);
    run(rustc.arg(workspace.root().join("tests/src/bin/talk.rs")))?;
    let image = Image {
        target,
        layer: Layer::of(&[("talk", &program)])?,
        entrypoint: vec!["/talk".to_owned()],
        command: vec!["serve".to_owned(), stage::PORT.to_string()],
        labels: Vec::new(),
        created: commit.time.clone(),
    };
    let file = directory.join("talk.tar");
    dist::write_image(&file, stage::IMAGE, &[image])?;
    Ok(file)
}

fn play(stage: &Stage, only: Option<&str>) -> Table {
    let mut table = Table::default();
    for story in stories::ALL.iter().filter(|story| only.is_none_or(|only| story.name.contains(only))) {
        eprintln!("\n=== {}", story.name);
        let start = Instant::now();
        let seen = (story.play)(stage);
        // Looked at after a failure as well: the next story begins with nothing.
        let left = leftover::none(stage).or_else(|left| stage.remove_agents().and(Err(left)));
        let result = seen.and_then(|seen| left.map(|()| seen));
        let row = Row { name: story.name, result, took: start.elapsed() };
        eprintln!("=== {row}");
        table.push(row);
    }
    table
}
