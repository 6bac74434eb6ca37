//! Bytes of anybody's making: the targets of `tracer-core/fuzz`, each for some time.
//!
//! They are built as `cargo fuzz` builds them, by the toolchain of everything else: a release compiler takes the
//! flags that are unstable where `RUSTC_BOOTSTRAP` is set. So a fresh machine needs neither a nightly nor
//! cargo-fuzz, with which the targets run as well.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::setup::program;
use crate::step::{output, run, step};
use crate::workspace::Workspace;

/// The targets, and the longest input of each in bytes: a packet's headers, a small file, 128 steps of a script.
const TARGETS: [(&str, u32); 4] = [("decode", 512), ("capture", 4096), ("print", 512), ("correlate", 1700)];
/// What `cargo fuzz build` hands to the compiler: the coverage that libFuzzer follows, and checks that panic.
const COVERAGE: &str = "--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
const ADDRESS_SANITIZER: &str = "-Zsanitizer=address";
/// Seconds for one input, and megabytes for all that a target does: more is a loop, or memory without bound.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=1024"];
/// Freed memory that the sanitizer holds back, which counts as the target's: little, for the limit's sake.
const SANITIZER: &str = "quarantine_size_mb=32";
/// Lines of a target's output that are shown when it found something.
const SHOWN: usize = 30;

/// Formats and clippy: what is a workspace of its own is in no check of the other one.
pub(crate) fn lint(workspace: &Workspace) -> Result<()> {
    provide_compiler()?;
    let fuzz = |words: &str| {
        let mut cargo = workspace.cargo(words);
        cargo.arg("--manifest-path").arg(manifest(workspace));
        cargo.env("CARGO_TARGET_DIR", workspace.target().join("lint"));
        cargo
    };
    run(fuzz("fmt").arg("--check"))?;
    run(fuzz("clippy --locked --all-targets").args(["--", "-D", "warnings"]))
}

/// Builds all targets and runs them side by side for so many seconds each.
pub(crate) fn fuzz(workspace: &Workspace, seconds: u32) -> Result<()> {
    step("setup", provide_compiler)?;
    let fuzzer = Fuzzer::new(workspace)?;
    step("build the fuzz targets", || fuzzer.build(workspace))?;
    step("make their seeds", || fuzzer.seeds(workspace))?;
    let names = TARGETS.map(|(name, _)| name).join(", ");
    step(&format!("fuzz {names} for {seconds} s each"), || fuzzer.run_all(seconds))
}

fn provide_compiler() -> Result<()> {
    program("c++", "g++", "libFuzzer is built with it").map(|_path| ())
}

fn manifest(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tracer-core/fuzz/Cargo.toml")
}

struct Fuzzer {
    manifest: PathBuf,
    /// Below cargo's target directory: what is built, the seeds, what was found.
    folder: PathBuf,
    /// The machine's, as the compiler writes it: without it, the flags would be those of build scripts as well.
    host: String,
    is_sanitized: bool,
}

impl Fuzzer {
    fn new(workspace: &Workspace) -> Result<Self> {
        let rustc = |question: &str| output(workspace.command("rustc").args(["--print", question]));
        let libraries = rustc("target-libdir")?;
        let is_sanitized = has_sanitizer(Path::new(libraries.trim()));
        if !is_sanitized {
            eprintln!("without AddressSanitizer, whose runtime this toolchain lacks: {}", libraries.trim());
        }
        Ok(Self {
            manifest: manifest(workspace),
            folder: workspace.target().join("fuzz"),
            host: rustc("host-tuple")?.trim().to_owned(),
            is_sanitized,
        })
    }

    fn build(&self, workspace: &Workspace) -> Result<()> {
        let sanitizer = if self.is_sanitized { ADDRESS_SANITIZER } else { "" };
        let mut cargo = workspace.cargo("build --locked --release --bins --target");
        cargo.arg(&self.host).arg("--manifest-path").arg(&self.manifest);
        cargo.env("CARGO_TARGET_DIR", self.folder.join("build"));
        cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", format!("{COVERAGE} {sanitizer}"));
        run(&mut cargo)
    }

    /// They are made by an ordinary program, with what was built for the tests.
    fn seeds(&self, workspace: &Workspace) -> Result<()> {
        let mut cargo = workspace.cargo("run --locked --quiet --example seeds --manifest-path");
        cargo.arg(&self.manifest).arg("--").arg(self.folder.join("seeds"));
        run(cargo.env("CARGO_TARGET_DIR", workspace.target()))
    }

    fn run_all(&self, seconds: u32) -> Result<()> {
        let running = TARGETS.map(|(target, longest)| (target, self.start(target, longest, seconds)));
        let mut failed = Vec::new();
        for (target, child) in running {
            let status = child?.wait().with_context(|| format!("cannot wait for {target}"))?;
            let log = fs::read_to_string(self.log(target)).unwrap_or_default();
            eprintln!("{}", summary(target, &log));
            if !status.success() {
                failed.push(target);
                self.tell(target, status, &log);
            }
        }
        ensure!(failed.is_empty(), "{} found something", failed.join(", "));
        Ok(())
    }

    fn start(&self, target: &str, longest: u32, seconds: u32) -> Result<Child> {
        let corpus = self.folder.join("corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        let log = self.log(target);
        let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(self.program(target));
        command.arg(corpus).arg(self.folder.join("seeds").join(target));
        command.args(LIMITS).arg(format!("-max_len={longest}"));
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
        command.arg(format!("-artifact_prefix={}", self.folder.join(format!("{target}-")).display()));
        command.env("ASAN_OPTIONS", SANITIZER).env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().with_context(|| format!("cannot run {target}"))
    }

    fn program(&self, target: &str) -> PathBuf {
        self.folder.join("build").join(&self.host).join("release").join(target)
    }

    fn log(&self, target: &str) -> PathBuf {
        self.folder.join(format!("{target}.log"))
    }

    fn tell(&self, target: &str, status: ExitStatus, log: &str) {
        eprintln!("{}\n{target}: {status}; all of it: {}", finding(log), self.log(target).display());
        if let Some(input) = log.split("Test unit written to ").nth(1).and_then(|rest| rest.lines().next()) {
            eprintln!("once more: {} {input}", self.program(target).display());
        }
    }
}

fn has_sanitizer(libraries: &Path) -> bool {
    let Ok(entries) = fs::read_dir(libraries) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with("_rt.asan.a"))
}

/// The panic, or what libFuzzer or the sanitizer complain of, with the first lines of the stack.
fn finding(log: &str) -> String {
    let is_first = |line: &&str| line.contains(" panicked at ") || line.contains("ERROR: ");
    let lines = log.lines().skip_while(|line| !is_first(line)).take(SHOWN);
    lines.collect::<Vec<_>>().join("\n")
}

/// How many inputs were tried, how much of the program they reached, how many of them are worth keeping.
fn summary(target: &str, log: &str) -> String {
    let statistic = |name: &str| {
        let value = log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        value.map_or("?", |value| value.trim_start_matches(':').trim())
    };
    let last = log.lines().rfind(|line| line.contains(" cov: ")).unwrap_or_default();
    let words: Vec<&str> = last.split_whitespace().collect();
    let after = |name: &str| {
        let place = words.iter().position(|word| *word == name);
        place.and_then(|place| words.get(place + 1)).unwrap_or(&"?")
    };
    format!(
        "{target}: {} inputs, {} a second, {} edges covered, corpus {}, {} MB",
        statistic("number_of_executed_units"),
        statistic("average_exec_per_sec"),
        after("cov:"),
        after("corp:"),
        statistic("peak_rss_mb"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: Seed: 1\n#2\tINITED cov: 10 ft: 10 corp: 2/9b exec/s: 0 rss: 30Mb\n\
                       #99\tDONE   cov: 321 ft: 400 corp: 20/4Kb lim: 8 exec/s: 3 rss: 31Mb\n\
                       stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     3\n\
                       stat::peak_rss_mb:              31\n###### End.\n";

    #[test]
    fn a_log_in_a_line() {
        assert_eq!(
            summary("decode", LOG),
            "decode: 99 inputs, 3 a second, 321 edges covered, corpus 20/4Kb, 31 MB"
        );
        assert_eq!(
            summary("decode", "thread panicked"),
            "decode: ? inputs, ? a second, ? edges covered, corpus ?, ? MB"
        );
    }

    #[test]
    fn a_finding_begins_with_the_panic() {
        let log = format!("{LOG}\nthread '<unnamed>' panicked at src/decode.rs:56:5:\nmore payload\n");
        assert_eq!(finding(&log), "thread '<unnamed>' panicked at src/decode.rs:56:5:\nmore payload");
        assert_eq!(finding("==1== ERROR: libFuzzer: timeout"), "==1== ERROR: libFuzzer: timeout");
    }
}
