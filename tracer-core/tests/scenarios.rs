//! Correlation stories: what was seen where, and the report that follows from it, together in one file each.
//!
//! A story runs the whole core: its packets become bytes, the bytes pcapng, the pcapng a trace, the trace text.
//! With `KFLOW_BLESS=1` in the environment a story's expectation is written anew, to be read before it is kept.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use story::Story;

/// Between what was seen and what is told.
const SEPARATOR: &str = "\n---\n";

#[test]
fn every_story_is_told_as_written() {
    #[expect(clippy::disallowed_methods, reason = "the core may not ask its environment, its tests may")]
    let bless = std::env::var_os("KFLOW_BLESS").is_some();
    let mut wrong = Vec::new();
    for (path, story, expected) in stories() {
        let told = story.tell();
        if bless {
            let text = fs::read_to_string(&path).unwrap();
            let (script, _) = text.split_once(SEPARATOR).unwrap();
            fs::write(&path, format!("{script}{SEPARATOR}{told}")).unwrap();
        } else if told != expected {
            wrong.push(format!("{} expected:\n{expected}\nbut was told:\n{told}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn captures_that_lag_behind_change_no_story() {
    let (none, long) = (Duration::ZERO, Duration::from_secs(5));
    for (path, story, expected) in stories() {
        for lags in [[none, long], [long, none]] {
            assert_eq!(story.tell_delayed(&lags), expected, "{} {lags:?}", path.display());
        }
    }
}

/// Every story with its file and the report expected.
fn stories() -> Vec<(PathBuf, Story, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "stories are missing in {}", folder.display());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        let (script, expected) = text.split_once(SEPARATOR).unwrap_or_else(|| panic!("{name} has no ---"));
        let story = Story::parse(&name, script);
        (path, story, expected.to_owned())
    };
    paths.into_iter().map(read).collect()
}
