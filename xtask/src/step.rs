//! The parts of a command, each announced and timed on stderr.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

/// Does `work` under the heading `what` and says how it ended and how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("\n=== {what}");
    let start = Instant::now();
    let result = work();
    let end = if result.is_ok() { "done" } else { "failed" };
    eprintln!("=== {what}: {end} after {:.1} s", start.elapsed().as_secs_f64());
    result
}

/// Runs `command` with its output where ours goes, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| cannot_run(command))?;
    ensure!(status.success(), "`{}`: {status}", line(command));
    Ok(())
}

/// Runs `command` and returns what it printed; when it fails, the error holds all that it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    // rustup prints its own backtrace where this asks for one.
    command.env_remove("RUST_BACKTRACE");
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_run(command))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "`{}`: {}\n{text}{}",
        line(command),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

fn cannot_run(command: &Command) -> String {
    format!("cannot run `{}`", command.get_program().display())
}

/// The command as one would type it, the program without its directory.
fn line(command: &Command) -> String {
    let path: &std::path::Path = command.get_program().as_ref();
    let program = path.file_name().unwrap_or(command.get_program());
    let words: Vec<String> =
        std::iter::once(program).chain(command.get_args()).map(|word| word.display().to_string()).collect();
    words.join(" ")
}
