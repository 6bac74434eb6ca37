//! One command per intent, the same by hand and in CI: `cargo xtask COMMAND`.
#![forbid(unsafe_code)]

mod accuracy;
mod bench;
mod demo;
mod diagnose;
mod dist;
mod e2e;
mod fuzz;
mod lint;
mod setup;
mod soak;
mod step;
mod tarball;
mod test;
mod vm_test;
mod workspace;

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use crate::workspace::Workspace;

const COMMANDS: &str = "\
usage: cargo xtask COMMAND

  setup          find or install what builds the eBPF object and what demo and test run
  demo           trace three requests across a two-node lab with the released kflow (root)
  test [FILTER]  set up, build, run the unit tests and those on the lab (root)
  test faults    what breaks while kflow runs, each fault as often as it takes to trust it (root)
  soak [SECONDS] capture 50,000 packets a second for an hour, or so long, and tell whether memory stays flat (root)
  vm-test [--kernel VERSION]... [--feature NAME]... [--binaries FOLDER] [--write]
                 boot kernels of distributions in QEMU, try every feature there, compare with docs/kernels.md
  accuracy       compare what kflow tells with what happened, in simulated networks and on the lab (root)
  diagnose [FAULT...] [--variants N] [--jobs N] [--healthy N]
                 inject faults into the lab, and compare the cause and the place that kflow names (root)
  bench [PART...] [--keep] [--short]
                 what kflow costs, as tables and JSON below target/bench, compared with docs/performance.json (root):
                 floor (clock and copies), capture (beside tcpdump), pods (1,000 interfaces), nodes (64 agents and one
                 client), trace (files, beside tshark); --keep makes it the run that others are compared with
  fuzz [SECONDS] [--target NAME]... [--keep]
                 run the fuzz targets, each for so long (60 s of the processor); --keep: what was found worth trying
                 again becomes the corpora in tracer-core/fuzz/corpus
  dist [--target TRIPLE]... [--releases URL]
                 what is shipped, below target/dist: static binaries, images, manifests, checksums
  dist --check-reproducible [--target TRIPLE]
                 build the program of HEAD twice, in two directories, and compare
  e2e [--load COMMAND] [--kubeconfig FILE] [--context NAME] [--kflow PROGRAM] [--only STORY] [--keep]
                 the stories of a cluster, on the one of KUBECONFIG; COMMAND brings the image in the file {} to its nodes
  lint           formats, clippy of host and eBPF crates and fuzz targets, dependency direction, licences
  ci             lint, then test
";

/// How long a soak takes.
const SOAK_SECONDS: u32 = 3600;

/// A command line that says what to do.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Setup,
    Demo,
    Test { scope: test::Scope },
    Soak { seconds: u32 },
    Accuracy,
    Diagnose { words: Vec<String> },
    Bench(bench::Options),
    Fuzz(fuzz::Options),
    Dist(dist::Options),
    EndToEnd(e2e::Options),
    VmTest(vm_test::Options),
    Lint,
    Ci,
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(command) = parse(&args) else {
        eprintln!("no such command: {}\n\n{COMMANDS}", args.join(" "));
        return ExitCode::from(2);
    };
    match run(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nfailed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Option<Command> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "-h" | "--help"] => Some(Command::Help),
        ["setup"] => Some(Command::Setup),
        ["demo"] => Some(Command::Demo),
        ["test"] => Some(Command::Test { scope: test::Scope::All }),
        ["test", word] => Some(Command::Test { scope: test::Scope::named(word) }),
        ["soak"] => Some(Command::Soak { seconds: SOAK_SECONDS }),
        ["soak", seconds] => at_least_one(seconds).map(|seconds| Command::Soak { seconds }),
        ["accuracy"] => Some(Command::Accuracy),
        ["diagnose", words @ ..] => {
            Some(Command::Diagnose { words: words.iter().map(|&word| word.to_owned()).collect() })
        }
        ["bench", words @ ..] => bench::Options::parse(words).map(Command::Bench),
        ["fuzz", words @ ..] => fuzz::Options::parse(words).map(Command::Fuzz),
        ["dist", words @ ..] => dist::Options::parse(words).map(Command::Dist),
        ["e2e", words @ ..] => e2e::Options::parse(words).map(Command::EndToEnd),
        ["vm-test", words @ ..] => vm_test::Options::parse(words).map(Command::VmTest),
        ["lint"] => Some(Command::Lint),
        ["ci"] => Some(Command::Ci),
        _ => None,
    }
}

fn at_least_one(seconds: &str) -> Option<u32> {
    seconds.parse().ok().filter(|seconds| *seconds > 0)
}

fn run(command: &Command) -> Result<()> {
    if *command == Command::Help {
        print!("{COMMANDS}");
        return Ok(());
    }
    let workspace = Workspace::find()?;
    match command {
        Command::Help => Ok(()),
        Command::Setup => setup::setup(&workspace),
        Command::Demo => demo::demo(&workspace),
        Command::Test { scope } => test::test(&workspace, scope),
        Command::Soak { seconds } => soak::soak(&workspace, *seconds),
        Command::Accuracy => accuracy::accuracy(&workspace),
        Command::Diagnose { words } => diagnose::diagnose(&workspace, words),
        Command::Bench(options) => bench::bench(&workspace, options),
        Command::Fuzz(options) => fuzz::fuzz(&workspace, options),
        Command::Dist(options) => dist::dist(&workspace, options),
        Command::EndToEnd(options) => e2e::e2e(&workspace, options),
        Command::VmTest(options) => vm_test::vm_test(&workspace, options),
        Command::Lint => lint::lint(&workspace),
        Command::Ci => lint::lint(&workspace).and_then(|()| test::test(&workspace, &test::Scope::All)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let filtered = Command::Test { scope: test::Scope::Named("node_port".to_owned()) };
        let table: &[(&[&str], Option<Command>)] = &[
            (&[], Some(Command::Help)),
            (&["--help"], Some(Command::Help)),
            (&["setup"], Some(Command::Setup)),
            (&["test"], Some(Command::Test { scope: test::Scope::All })),
            (&["test", "faults"], Some(Command::Test { scope: test::Scope::Faults })),
            (&["test", "node_port"], Some(filtered)),
            (&["test", "two", "filters"], None),
            (&["diagnose"], Some(Command::Diagnose { words: Vec::new() })),
            (&["diagnose", "loop"], Some(Command::Diagnose { words: vec!["loop".to_owned()] })),
            (&["bench"], Some(Command::Bench(bench::Options::default()))),
            (&["bench", "everything"], None),
            (&["fuzz", "5"], fuzz::Options::parse(&["5"]).map(Command::Fuzz)),
            (&["fuzz", "0"], None),
            (&["fuzz", "forever"], None),
            (&["soak"], Some(Command::Soak { seconds: 3600 })),
            (&["soak", "60"], Some(Command::Soak { seconds: 60 })),
            (&["soak", "0"], None),
            (&["dist"], Some(Command::Dist(dist::Options::default()))),
            (&["dist", "--target", "riscv64"], None),
            (&["dist", "--target"], None),
            (&["dist", "--check-reproducible=no"], None),
            (&["e2e"], Some(Command::EndToEnd(e2e::Options::default()))),
            (&["e2e", "--load"], None),
            (&["e2e", "pod"], None),
            (&["vm-test"], Some(Command::VmTest(vm_test::Options::default()))),
            (&["vm-test", "--kernel", "2.6"], None),
            (&["vm-test", "--kernel"], None),
            (&["setup", "--force"], None),
            (&["destroy"], None),
        ];
        for (words, expected) in table {
            let args: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(parse(&args), *expected, "{words:?}");
        }
    }
}
