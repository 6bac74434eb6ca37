//! Other people's programs, run to their end, with what they said when they failed.

use std::{
    io::{self, Write as _},
    process::{Command, ExitStatus, Stdio},
};

use thiserror::Error;

use crate::{Namespace, NamespaceError};

/// A program that did not do what it was started for.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The program is not there or may not be executed.
    #[error("cannot run `{command}`")]
    Start {
        /// The program and its arguments.
        command: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program ended with a failure.
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error.
        stderr: String,
    },
    /// The namespace to run it in cannot be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
}

/// Runs `program` in `ns` with `input` on its standard input, and returns its standard output.
pub fn run<S: AsRef<str>>(
    ns: &Namespace,
    program: &str,
    args: &[S],
    input: &str,
) -> Result<String, CommandError> {
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    ns.run(|| run_here(program, &args, input))?
}

/// As [`run`], in the namespace of the calling thread.
pub(crate) fn run_here(program: &str, args: &[&str], input: &str) -> Result<String, CommandError> {
    let command = || [&[program], args].concat().join(" ");
    let start = |source| CommandError::Start { command: command(), source };
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    // A program that ends early closes the pipe; its status tells more than the broken pipe does.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(start)?;
    if !output.status.success() {
        return Err(CommandError::Failed {
            command: command(),
            status: output.status,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
