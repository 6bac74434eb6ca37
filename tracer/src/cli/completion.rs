//! `kflow completion`.

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use clap_complete::aot::{Shell, generate};
use thiserror::Error;

use super::name::NAME;
use crate::error::{Exit, ExitStatus};

/// Print what makes a shell complete the words of kflow.
///
/// bash: `source <(kflow completion bash)`, with the package bash-completion installed. zsh:
/// `kflow completion zsh > DIRECTORY/_kflow` in a directory of `fpath`. fish:
/// `kflow completion fish > ~/.config/fish/completions/kflow.fish`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionArgs {
    /// The shell.
    shell: Kind,
}

/// A shell that is known.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Bash,
    Fish,
    Zsh,
}

/// Why there is no script.
#[derive(Debug, Error)]
pub enum CompletionError {
    /// Standard output.
    #[error("cannot write the completions")]
    Write(#[source] io::Error),
}

impl ExitStatus for CompletionError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Prints the script.
pub fn run(args: CompletionArgs) -> Result<Exit, CompletionError> {
    // The generators panic where their writer fails.
    let mut script = Vec::new();
    generate(args.shell.shell(), &mut super::command(NAME), NAME, &mut script);
    match io::stdout().write_all(&script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CompletionError::Write(error)),
        _ => Ok(Exit::Complete),
    }
}

impl Kind {
    const fn shell(self) -> Shell {
        match self {
            Self::Bash => Shell::Bash,
            Self::Fish => Shell::Fish,
            Self::Zsh => Shell::Zsh,
        }
    }
}
