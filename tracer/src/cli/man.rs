//! `kflow man`: the manual, for those who make packages.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
use jiff::civil::Date;
use thiserror::Error;

use super::name::NAME;
use super::version;
use crate::error::{Exit, ExitStatus};

/// Write a page of the manual for each command into a directory.
#[derive(Args, Clone, Debug)]
pub struct ManArgs {
    /// The directory; made if it is not there.
    directory: PathBuf,
    /// Date of the pages
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
}

/// Why there are no pages.
#[derive(Debug, Error)]
pub enum ManError {
    /// The directory cannot be written to.
    #[error("cannot write the manual into {}", directory.display())]
    Write {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ExitStatus for ManError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Writes the pages.
pub fn run(args: &ManArgs) -> Result<Exit, ManError> {
    let directory = &args.directory;
    let date = args.date.map(|date| date.to_string()).unwrap_or_default();
    write(directory, &date).map_err(|source| ManError::Write { directory: directory.clone(), source })?;
    Ok(Exit::Complete)
}

fn write(directory: &Path, date: &str) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (name, page) in pages(date)? {
        std::fs::write(directory.join(format!("{name}.1")), page)?;
    }
    Ok(())
}

/// Name and text of the page of each command that help shows.
fn pages(date: &str) -> io::Result<Vec<(String, String)>> {
    let mut command = super::command(NAME).disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, date, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, date: &str, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let page = Man::new(command.clone())
        .title(name.to_uppercase())
        .date(date)
        .source(format!("{NAME} {}", version::SHORT))
        .manual("General Commands Manual");
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push((name, tidy(&String::from_utf8_lossy(&text))));
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| collect(command, date, pages))
}

/// Without the breaks beside a vertical space or an empty line, which formatters skip and warn of.
fn tidy(page: &str) -> String {
    let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
    let is_space = |line: Option<&&str>| line.is_some_and(|line| line.is_empty() || *line == ".sp");
    let kept = lines.iter().enumerate().filter(|(at, line)| {
        let is_break = **line == ".br";
        !is_break
            || !is_space(lines.get(at + 1)) && !at.checked_sub(1).is_some_and(|at| is_space(lines.get(at)))
    });
    kept.fold(String::new(), |text, (_, line)| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_each_command_that_help_shows() {
        let pages = pages("2026-11-21").expect("pages");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[0], "kflow");
        for name in ["kflow-capture", "kflow-completion", "kflow-doctor", "kflow-trace"] {
            assert!(names.contains(&name), "{names:?}");
        }
        assert!(!names.contains(&"kflow-man"), "{names:?}");
        for (name, page) in &pages {
            let heading = format!(".TH {} 1 2026-11-21 \"kflow {}\"", name.to_uppercase(), version::SHORT);
            assert!(page.contains(&heading), "{heading}: {page}");
        }
    }

    #[test]
    fn breaks_beside_a_space_are_left_out() {
        assert_eq!(tidy("a\n.br\n.sp\n.br\nb\n.br\nc \n"), "a\n.sp\nb\n.br\nc\n");
    }
}
