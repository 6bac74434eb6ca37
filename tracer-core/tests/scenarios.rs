//! Correlation stories: what was seen where, and the report that follows from it, together in one file each.
//!
//! A story runs the whole core: its packets become bytes, the bytes pcapng, the pcapng a trace, the trace text.
//! Its report stands behind a line `---`. Behind `--- events` stands what is told while the trace runs, in stories
//! that are about it, and behind `--- foreign` what captures of other tools tell, in stories of which they cannot
//! tell the same.
//!
//! With `KFLOW_BLESS=1` in the environment a story's expectations are written anew, to be read before they are kept.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod schema;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use story::Story;

/// Between what was seen and what is told.
const SEPARATOR: &str = "\n---\n";
const EVENTS: &str = "--- events\n";
const FOREIGN: &str = "--- foreign\n";

/// A story's file.
struct Written {
    path: PathBuf,
    script: String,
    report: String,
    events: Option<String>,
    foreign: Option<String>,
}

impl Written {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let (script, told) =
            text.split_once(SEPARATOR).unwrap_or_else(|| panic!("{} has no ---", path.display()));
        let (told, foreign) = section(told, FOREIGN);
        let (report, events) = section(told, EVENTS);
        Self { path, script: script.to_owned(), report: report.to_owned(), events, foreign }
    }

    fn story(&self) -> Story {
        Story::parse(&self.path.display().to_string(), &self.script)
    }

    fn write(&self) {
        let mut text = format!("{}{SEPARATOR}{}", self.script, self.report);
        for (mark, section) in [(EVENTS, &self.events), (FOREIGN, &self.foreign)] {
            if let Some(section) = section {
                text += mark;
                text += section;
            }
        }
        fs::write(&self.path, text).unwrap();
    }
}

/// What comes before a mark, and what behind it.
fn section<'a>(text: &'a str, mark: &str) -> (&'a str, Option<String>) {
    match text.split_once(mark) {
        Some((before, behind)) => (before, Some(behind.to_owned())),
        None => (text, None),
    }
}

#[test]
fn every_story_is_told_as_written() {
    #[expect(clippy::disallowed_methods, reason = "the core may not ask its environment, its tests may")]
    let bless = std::env::var_os("KFLOW_BLESS").is_some();
    let mut wrong = Vec::new();
    for mut written in stories() {
        let story = written.story();
        let told = story.tell(&[Duration::ZERO]);
        let mut check = |expected: &mut String, told: String| {
            if bless {
                *expected = told;
            } else if told != *expected {
                let path = written.path.display();
                wrong.push(format!("{path} expected:\n{expected}\nbut was told:\n{told}"));
            }
        };
        check(&mut written.report, told.report());
        if let Some(events) = &mut written.events {
            check(events, told.events());
        }
        if let Some(foreign) = &mut written.foreign {
            check(foreign, story.tell_foreign().report());
        }
        if bless {
            written.write();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn captures_that_lag_behind_change_no_story() {
    let (none, long) = (Duration::ZERO, Duration::from_secs(5));
    for written in stories() {
        let story = written.story();
        for lags in [[none, long], [long, none]] {
            let told = story.tell(&lags);
            assert_eq!(told.report(), written.report, "{} {lags:?}", written.path.display());
            if let Some(events) = &written.events {
                assert_eq!(told.events(), *events, "{} {lags:?}", written.path.display());
            }
        }
    }
}

#[test]
fn captures_of_other_tools_tell_the_same() {
    let mut wrong = Vec::new();
    for written in stories() {
        let story = written.story();
        let (own, foreign) = (story.tell(&[Duration::ZERO]).normal(), story.tell_foreign().normal());
        let path = written.path.display();
        if written.foreign.is_none() && own != foreign {
            wrong.push(format!("{path} expected:\n{own}\nbut other tools' captures told:\n{foreign}"));
        }
        if written.foreign.is_some() && own == foreign {
            wrong.push(format!("{path}: other tools' captures tell the same, the section is not needed"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Every story.
fn stories() -> Vec<Written> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 50, "stories are missing in {}", folder.display());
    paths.into_iter().map(Written::read).collect()
}
