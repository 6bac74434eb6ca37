//! `kflow capture`, killed at moments that nobody chose.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tests::{
    Namespace,
    aftermath::Aftermath,
    kflow,
    pair::{NEAR_INTERFACE, Pair},
};

use crate::{
    file::{Contents, assert_nothing_between, assert_readable},
    moments::{self, pass, random},
    numbers::Numbers,
    running::Running,
};

/// What is killed.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    words: &'static [&'static str],
}

/// When.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    /// From its start to its readiness or thereabouts.
    Beginning,
    /// From its readiness on.
    Capturing,
    /// From when its files hold packets on.
    Writing,
}

/// More than what a file begins with.
const HELD: u64 = 16 << 10;

const KINDS: [Kind; 4] = [
    Kind { name: "one file", words: &[] },
    Kind { name: "a ring of files", words: &["-C", "1", "-W", "3"] },
    Kind { name: "filters instead of links", words: &["--attach", "clsact"] },
    Kind { name: "packet by packet", words: &["-U", "-f", "udp port 4321"] },
];

#[test]
fn a_capture_that_is_killed_leaves_files_and_nothing_else() {
    kill_captures(8);
}

#[test]
#[ignore = "two minutes: `cargo xtask test faults` runs it"]
fn a_capture_that_is_killed_at_120_moments_leaves_files_and_nothing_else() {
    kill_captures(120);
}

fn kill_captures(times: usize) {
    let mut random = random("moments of captures");
    let pair = Pair::up().unwrap();
    // A megabyte every 200 ms or so.
    let numbers = Numbers::start(&pair, 5, 1000);
    let mut first = command(&Aftermath::of([&pair.near]).unwrap(), &pair.near);
    let most = moments::start(first.args(["-w", "/dev/null"]), "capturing on");
    let (mut written, mut packets, mut cut) = (0, 0, 0);
    for round in 0..times {
        let kind = KINDS[round / 2 % KINDS.len()];
        let folder = std::env::temp_dir().join(format!("{}-{round}", pair.near.name()));
        fs::create_dir(&folder).unwrap();
        let begin = numbers.next();
        let moment = [Moment::Beginning, Moment::Capturing, Moment::Beginning, Moment::Writing][round % 4];
        kill_one(kind, moment, &pair.near, &folder, || pass(&mut random, most));
        let end = numbers.next();
        let files = files(&folder);
        for (path, contents) in &files {
            assert_readable(path, contents);
            cut += usize::from(contents.cut.is_some());
        }
        let contents: Vec<&Contents> = files.iter().map(|(_, contents)| contents).collect();
        assert_nothing_between(&contents);
        let all: Vec<_> = contents.iter().flat_map(|contents| &contents.packets).collect();
        assert!(all.iter().all(|packet| (begin..end).contains(&packet.number)), "{kind:?}");
        written += usize::from(!all.is_empty());
        packets += all.len();
        fs::remove_dir_all(&folder).unwrap();
    }
    println!(
        "{times} captures killed, {written} of them with packets in their files ({packets}), {cut} files cut"
    );
    assert!(written >= times / 4, "{written} of {times} had written something");
}

fn kill_one(kind: Kind, moment: Moment, near: &Namespace, folder: &Path, pass: impl FnOnce()) {
    let mut aftermath = Aftermath::of([near]).unwrap();
    let mut command = command(&aftermath, near);
    command.args(["-w", "killed.pcapng"]).args(kind.words).current_dir(folder);
    let mut capture = Running::start(&mut command);
    if moment != Moment::Beginning {
        capture.wait_for("capturing on", 1);
    }
    if moment == Moment::Writing {
        capture.wait_until(|| held(folder) > HELD, "packets in a file");
    }
    pass();
    aftermath.look();
    let outcome = capture.kill();
    assert_eq!(outcome.code, None, "{}: it ended by itself: {outcome:?}", kind.name);
    aftermath.check().unwrap_or_else(|left| panic!("{}: {left}", kind.name));
}

fn command(aftermath: &Aftermath<'_>, near: &Namespace) -> Command {
    let mut command = aftermath.command(kflow::program());
    command.args(["capture", "-i", NEAR_INTERFACE, "--netns"]).arg(near.path());
    command
}

/// Bytes in the files of a folder.
fn held(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

/// The files of a folder, with what is in them.
fn files(folder: &Path) -> Vec<(PathBuf, Contents)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), Contents::of(&path))).collect()
}
