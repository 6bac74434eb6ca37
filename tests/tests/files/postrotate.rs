//! `-z`.

use std::fs;
use std::path::Path;
use std::process::Command;

use tracer::sink::{FilePlan, Format};

use super::support::{Scratch, files, packets, record, set_mode};

const SIZE: u64 = 100_000;
const PACKETS: u32 = 800;

fn plan(directory: &Scratch, program: impl AsRef<Path>) -> FilePlan {
    let postrotate = Some(program.as_ref().as_os_str().to_owned());
    FilePlan { size: Some(SIZE), postrotate, ..FilePlan::single(directory.join("f")) }
}

fn script(directory: &Scratch, text: &str) -> std::path::PathBuf {
    let path = directory.join("command");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    set_mode(&path, 0o755);
    path
}

#[test]
fn files_that_another_one_follows_are_compressed_when_it_ends() {
    let directory = Scratch::new();
    let written = record(files(plan(&directory, "gzip"), Format::Pcapng), PACKETS).unwrap();
    let names = directory.names();
    let last = names.len() - 1;
    let expected: Vec<_> = (0..=last)
        .map(|number| match number {
            0 => "f.gz".to_owned(),
            number if number == last => format!("f{number}"),
            number => format!("f{number}.gz"),
        })
        .collect();
    assert_eq!(names, expected);
    assert!(last > 2, "{names:?}");
    assert!(written.failed_commands.is_empty(), "{:?}", written.failed_commands);
    let unpacked = Command::new("gzip").arg("-d").args((0..last).map(|n| directory.join(&names[n]))).status();
    assert!(unpacked.unwrap().success());
    let packets: usize = directory.names().iter().map(|name| packets(&directory.join(name)).len()).sum();
    assert_eq!(packets, PACKETS as usize);
}

/// The program goes on when it has the priority that it should have, or after some time.
#[test]
fn commands_have_the_lowest_priority() {
    let (directory, told) = (Scratch::new(), Scratch::new());
    let text = format!(
        "n=0; while [ \"$(nice)\" != 19 ] && [ $n -lt 1000 ]; do n=$((n + 1)); done\n\
         nice > \"{}/$(basename \"$1\")\"",
        told.path().display()
    );
    let command = script(&told, &text);
    let written = record(files(plan(&directory, command), Format::Pcapng), PACKETS).unwrap();
    let mut names = directory.names();
    let last = written.last.unwrap();
    names.retain(|name| !last.ends_with(name));
    assert!(!names.is_empty());
    for name in names {
        assert_eq!(fs::read_to_string(told.join(&name)).unwrap(), "19\n", "{name}");
    }
}

#[test]
fn commands_that_fail_are_named_and_the_capture_goes_on() {
    let directory = Scratch::new();
    let fails = script(&directory, "exit 3");
    for (program, reason) in
        [(fails.as_path(), "exit status: 3"), (Path::new("/no/such"), "cannot be started")]
    {
        let written = record(files(plan(&directory, program), Format::Pcapng), PACKETS).unwrap();
        assert_eq!(written.packets, u64::from(PACKETS));
        assert_eq!(written.failed_commands.len() + 1, written.files as usize);
        // Commands run side by side: which one ends first is not known.
        let begin = format!("`{} {}` failed: {reason}", program.display(), directory.join("f").display());
        let failed = &written.failed_commands;
        assert!(failed.iter().any(|one| one.starts_with(&begin)), "{failed:?}");
    }
}
