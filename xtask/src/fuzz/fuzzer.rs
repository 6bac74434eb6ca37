//! The built targets, and runs of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::corpus;
use super::log;
use super::target::Target;
use crate::step::{output, run};
use crate::workspace::Workspace;

/// What `cargo fuzz build` hands to the compiler: the coverage that libFuzzer follows, and checks that panic.
const COVERAGE: &str = "--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
const ADDRESS_SANITIZER: &str = "-Zsanitizer=address";
/// Seconds for one input, and megabytes for all that a target does: more is a loop, or memory without bound.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=1024"];
/// The same seconds, of the processor, and how a target ends after those on the wall (`-timeout_exitcode`).
const PATIENCE: f64 = 10.0;
const TIMED_OUT: i32 = 70;
/// Freed memory that the sanitizer holds back, which counts as the target's: little, for the limit's sake.
const SANITIZER: &str = "quarantine_size_mb=32";
/// Seconds on the wall of one run: after it, what it took of the processor is looked at.
const ROUND: u64 = 300;

pub(super) fn manifest(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tracer-core/fuzz/Cargo.toml")
}

/// What a target did.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Of the processor.
    pub(super) seconds: f64,
    /// Inputs that were tried.
    pub(super) inputs: u64,
    /// Edges of the program that were reached.
    pub(super) covered: String,
    /// Inputs that are worth keeping, and their bytes.
    pub(super) corpus: String,
    /// Greatest resident memory in megabytes.
    pub(super) memory: u64,
    /// What it found: the run's end, and the whole of what it wrote.
    pub(super) found: Option<(ExitStatus, String)>,
}

impl Outcome {
    fn add(&mut self, log: &str, seconds: f64) {
        self.seconds += seconds;
        self.inputs += log::statistic(log, "number_of_executed_units").unwrap_or_default();
        self.memory = self.memory.max(log::statistic(log, "peak_rss_mb").unwrap_or_default());
        log::last(log, "cov").unwrap_or("?").clone_into(&mut self.covered);
        log::last(log, "corp").unwrap_or("?").clone_into(&mut self.corpus);
    }
}

pub(super) struct Fuzzer {
    manifest: PathBuf,
    /// Below cargo's target directory: what is built, the seeds, the corpora, what was found.
    folder: PathBuf,
    /// The machine's, as the compiler writes it: without it, the flags would be those of build scripts as well.
    host: String,
    is_sanitized: bool,
}

impl Fuzzer {
    pub(super) fn new(workspace: &Workspace) -> Result<Self> {
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

    pub(super) fn build(&self, workspace: &Workspace) -> Result<()> {
        let sanitizer = if self.is_sanitized { ADDRESS_SANITIZER } else { "" };
        let mut cargo = workspace.cargo("build --locked --release --bins --target");
        cargo.arg(&self.host).arg("--manifest-path").arg(&self.manifest);
        cargo.env("CARGO_TARGET_DIR", self.folder.join("build"));
        cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", format!("{COVERAGE} {sanitizer}"));
        run(&mut cargo)
    }

    /// They are made by an ordinary program, with what was built for the tests.
    pub(super) fn seeds(&self, workspace: &Workspace) -> Result<()> {
        let mut cargo = workspace.cargo("run --locked --quiet --example seeds --manifest-path");
        cargo.arg(&self.manifest).arg("--").arg(self.folder.join("seeds"));
        run(cargo.env("CARGO_TARGET_DIR", workspace.target()))
    }

    /// Adds the inputs that the repository keeps to those of runs before.
    pub(super) fn unpack(&self, workspace: &Workspace, target: &Target) -> Result<()> {
        corpus::unpack(&corpus::archive(workspace, target.name), &self.corpus(target))
    }

    /// Keeps in the repository what reaches as much with the fewest inputs.
    pub(super) fn keep(&self, workspace: &Workspace, target: &Target) -> Result<()> {
        let least = self.folder.join("least").join(target.name);
        if least.exists() {
            fs::remove_dir_all(&least).with_context(|| format!("cannot empty {}", least.display()))?;
        }
        fs::create_dir_all(&least).with_context(|| format!("cannot make {}", least.display()))?;
        let mut command = self.command(target);
        command.arg("-merge=1").arg(&least).arg(self.corpus(target)).arg(self.of_seeds(target));
        let mut child = self.spawn(command, target)?;
        let (status, _) = wait(&mut child)?;
        ensure!(status.success(), "{}: {status}: {}", target.name, self.log(target).display());
        let archive = corpus::archive(workspace, target.name);
        let count = corpus::pack(&least, &archive)?;
        let bytes = fs::metadata(&archive).map_or(0, |file| file.len());
        eprintln!("{}: {count} inputs kept, {} KiB", target.name, bytes / 1024);
        Ok(())
    }

    /// Runs a target until it has had so many seconds of the processor, or has found something.
    pub(super) fn run(&self, target: &Target, seconds: u32) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let wanted = f64::from(seconds);
        while outcome.seconds < wanted && outcome.found.is_none() {
            let rest = std::time::Duration::from_secs_f64(wanted - outcome.seconds).as_secs() + 1;
            let mut command = self.command(target);
            command.arg(self.corpus(target)).arg(self.of_seeds(target));
            command.arg(format!("-max_total_time={}", rest.min(ROUND))).arg("-print_final_stats=1");
            let mut child = self.spawn(command, target)?;
            let (status, taken) = wait(&mut child)?;
            let log = fs::read_to_string(self.log(target)).unwrap_or_default();
            outcome.add(&log, taken);
            if !status.success() && !self.was_held_up(target, status, &log)? {
                outcome.found = Some((status, log));
            }
        }
        Ok(outcome)
    }

    /// Whether an input took long for want of a processor: libFuzzer looks at the wall's clock. Then it is tried once more.
    fn was_held_up(&self, target: &Target, status: ExitStatus, log: &str) -> Result<bool> {
        let (Some(TIMED_OUT), Some(input)) = (status.code(), log::input(log)) else { return Ok(false) };
        let mut command = Command::new(self.program(target));
        command.arg("-timeout=600").arg(input).env("ASAN_OPTIONS", SANITIZER);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("cannot run {}", target.name))?;
        let (status, seconds) = wait(&mut child)?;
        let is_quick = status.success() && seconds < PATIENCE;
        if is_quick {
            eprintln!(
                "{}: an input had to wait for the processor, and takes {seconds:.1} s of it",
                target.name
            );
            fs::remove_file(input).with_context(|| format!("cannot remove {input}"))?;
        }
        Ok(is_quick)
    }

    /// Says what was found, and how to see it again.
    pub(super) fn tell(&self, target: &Target, status: ExitStatus, log: &str) {
        let found = log::finding(log);
        eprintln!("{found}\n{}: {status}; all of it: {}", target.name, self.log(target).display());
        if let Some(input) = log::input(log) {
            eprintln!("once more: {} {input}", self.program(target).display());
        }
    }

    fn command(&self, target: &Target) -> Command {
        let mut command = Command::new(self.program(target));
        command.args(LIMITS).arg(format!("-max_len={}", target.longest));
        let prefix = self.folder.join(format!("{}-", target.name));
        command.arg(format!("-artifact_prefix={}", prefix.display()));
        if target.has_dictionary {
            let dictionary = self.manifest.with_file_name(format!("dictionaries/{}.dict", target.name));
            command.arg(format!("-dict={}", dictionary.display()));
        }
        command.env("ASAN_OPTIONS", SANITIZER).env("RUST_BACKTRACE", "1");
        command
    }

    fn spawn(&self, mut command: Command, target: &Target) -> Result<Child> {
        let path = self.log(target);
        let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().with_context(|| format!("cannot run {}", target.name))
    }

    fn program(&self, target: &Target) -> PathBuf {
        self.folder.join("build").join(&self.host).join("release").join(target.name)
    }

    fn corpus(&self, target: &Target) -> PathBuf {
        self.folder.join("corpus").join(target.name)
    }

    fn of_seeds(&self, target: &Target) -> PathBuf {
        self.folder.join("seeds").join(target.name)
    }

    fn log(&self, target: &Target) -> PathBuf {
        self.folder.join(format!("{}.log", target.name))
    }
}

fn has_sanitizer(libraries: &Path) -> bool {
    let Ok(entries) = fs::read_dir(libraries) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with("_rt.asan.a"))
}

/// Waits for the end of a process, and returns the seconds of the processor that it took besides: the kernel knows them until
/// its parent has taken note of the end.
fn wait(child: &mut Child) -> Result<(ExitStatus, f64)> {
    let pid = Pid::from_child(child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        .with_context(|| format!("cannot wait for process {}", child.id()))?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).context("what a process took")?;
    let ticks = ticks(&stat).with_context(|| format!("/proc/{}/stat says {stat:?}", child.id()))?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of hours")]
    let seconds = ticks as f64 / clock_ticks_per_second() as f64;
    Ok((child.wait()?, seconds))
}

/// `utime` and `stime` of `/proc/PID/stat` (`proc_pid_stat(5)`), the fields 14 and 15; the second one may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_a_process() -> Result<()> {
        let stat = "7 (a ) b) Z 1 7 7 0 -1 4 5 0 0 0 12 30 0 0 20 0 1 0 99 0 0";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) Z 1"), None);
        let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
        let (status, seconds) = wait(&mut child)?;
        assert_eq!(status.code(), Some(3));
        assert!(seconds >= 0.0);
        Ok(())
    }

    #[test]
    fn rounds_add_up() {
        let log = |inputs: u32, cov: u32| {
            format!(
                "#9\tDONE cov: {cov} ft: 4 corp: 2/4Kb\nstat::number_of_executed_units: {inputs}\nstat::peak_rss_mb: {cov}\n"
            )
        };
        let mut outcome = Outcome::default();
        outcome.add(&log(10, 50), 1.5);
        outcome.add(&log(20, 40), 2.0);
        let expected = Outcome {
            seconds: 3.5,
            inputs: 30,
            covered: "40".to_owned(),
            corpus: "2/4Kb".to_owned(),
            memory: 50,
            found: None,
        };
        assert_eq!(outcome, expected);
    }
}
