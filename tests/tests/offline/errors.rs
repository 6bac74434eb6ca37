//! What cannot be read, and what can be read in part.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use tests::kflow;

use crate::{
    file::{Order, Unit, link, pcap, pcapng, plain},
    support::{
        COUNT, Folder, TWO_NODES, Test, assert_said, hops, list, only_flow, received, sent, two_nodes,
    },
};

/// Words of a command line, its exit code, and what standard error has to say; `DIR` is the folder.
const REFUSALS: [(&str, i32, &[&str]); 17] = [
    ("-r DIR/none.pcap", 1, &["cannot open ", "/none.pcap: No such file or directory"]),
    ("-r node1/eth0=DIR/none.pcap", 1, &["cannot open ", "/none.pcap: No such file or directory"]),
    ("-r DIR", 1, &["cannot read the capture: Is a directory"]),
    ("-r DIR/empty.pcap", 1, &["/empty.pcap: the capture is empty"]),
    ("-r DIR/text.pcap", 1, &["/text.pcap: this is no capture: it begins neither as pcap nor as pcapng"]),
    (
        "-r DIR/packed.pcap.gz",
        1,
        &["/packed.pcap.gz: the capture is compressed", "gzip -dc FILE | kflow trace -r -"],
    ),
    (
        "-r DIR/head.pcap",
        1,
        &["/head.pcap: the capture ends in the middle of a packet or block, which begins at byte 0"],
    ),
    // One that cannot be read is enough, and nothing is written.
    ("-r DIR/good.pcap -r DIR/text.pcap -w DIR/out.pcapng", 1, &["/text.pcap: this is no capture"]),
    (
        "-r DIR/good.pcap -w DIR/good.pcap",
        2,
        &["/good.pcap is to be read and cannot be written at the same time"],
    ),
    ("-r - -r -", 2, &["-r - is given twice"]),
    ("-r node1/=DIR/good.pcap", 2, &["\"node1/\" is no place", "NODE/IFACE=FILE"]),
    ("", 2, &["required arguments were not provided", "<SRC>"]),
    ("-r DIR/good.pcap --node a=netns:/x 10.0.0.1", 2, &["cannot be used with"]),
    ("-r DIR/good.pcap --duration 1", 2, &["cannot be used with"]),
    (
        "-r DIR/good.pcap DIR/text.pcap",
        2,
        &["text.pcap\" is a file and no end to trace: each file needs a -r of its own"],
    ),
    ("-r DIR/good.pcap pod-src", 2, &["\"pod-src\" is a name", "--state FILE"]),
    (
        "-r DIR/good.pcap -o pcapng -w DIR/out.pcapng",
        2,
        &["-o pcapng writes to standard output", "leave one of them out"],
    ),
];

#[test]
fn what_is_wrong_is_said() -> Test {
    let folder = Folder::new()?;
    folder.write("good.pcap", &plain(&sent()))?;
    folder.write("empty.pcap", b"")?;
    folder.write("text.pcap", b"#!/bin/sh\n")?;
    folder.write("packed.pcap.gz", &[0x1f, 0x8b, 8, 0, 0, 0])?;
    folder.write("head.pcap", &plain(&[])[..20])?;
    for (words, code, said) in &REFUSALS {
        let outcome = folder.trace(words)?;
        assert_eq!(outcome.code, Some(*code), "{words}: {outcome:?}");
        assert_said(&outcome, said);
        assert_eq!(outcome.stdout, "", "{words}");
    }
    assert_eq!(fs::read(folder.path("good.pcap"))?, plain(&sent()));
    assert!(!folder.path("out.pcapng").exists());
    Ok(())
}

#[test]
fn what_comes_before_the_end_of_a_killed_capture_is_traced() -> Test {
    let all: Vec<_> = received().into_iter().map(|seen| (0, seen)).collect();
    let whole = [
        pcap(Order::Little, Unit::Microseconds, link::ETHERNET, &received()),
        pcapng(Order::Big, &[(link::ETHERNET, "eth0")], &all),
    ];
    for bytes in whole {
        let folder = Folder::new()?;
        two_nodes(&folder)?;
        folder.write("node2_eth0.pcap", &bytes[..bytes.len() - 3])?;
        let outcome = folder.trace(&format!("{TWO_NODES} -o json"))?;
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let told = outcome.told()?;
        let lane = &only_flow(&told)["forward"];
        assert_eq!(hops(lane), [format!("node1/eth0 {COUNT}"), format!("node2/eth0 {}", COUNT - 1)]);
        // Nobody can say whether it arrived.
        let certain: Vec<_> =
            list(&lane["stopped"]).iter().filter(|stop| stop["uncertain"].is_null()).collect();
        assert!(certain.is_empty(), "{certain:#?}");
        let [broken] = list(&told.summary["loss"]["broken_streams"]) else { panic!("{:#}", told.summary) };
        let reason = broken["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("node2_eth0.pcap: the capture ends in the middle of a packet"), "{reason}");
        assert_eq!(broken["node"], "node2");
    }
    Ok(())
}

#[test]
fn damage_in_the_middle_is_told_with_its_place() -> Test {
    let folder = Folder::new()?;
    let mut bytes = plain(&sent());
    // The captured length of the third packet.
    let packet = (bytes.len() - 24) / sent().len();
    let third = 24 + 2 * packet;
    bytes[third + 8..third + 12].fill(0xff);
    folder.write("node1_eth0.pcap", &bytes)?;
    let outcome = folder.trace("-r DIR/node1_eth0.pcap")?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let said = format!("node1_eth0.pcap: the capture is damaged at byte {third}: a packet longer than any");
    assert!(outcome.stdout.contains(&said), "{}", outcome.stdout);
    assert_said(&outcome, &["node1/eth0: 2 packets"]);
    Ok(())
}

#[test]
fn silence_comes_with_what_each_file_held() -> Test {
    let folder = Folder::new()?;
    two_nodes(&folder)?;
    folder.write("node3_eth0.pcap", &plain(&[]))?;
    let outcome = folder.trace(&format!("{TWO_NODES} -r DIR/node3_eth0.pcap 10.9.9.9"))?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stdout.contains("no packet of what was asked for was seen"), "{}", outcome.stdout);
    assert_said(
        &outcome,
        &[
            "traced 3 files, 10 packets:",
            "node1_eth0.pcap: node1/eth0: 5 packets, 22:13:20.000 to 22:13:20.004 UTC, 5 decoded",
            "node3_eth0.pcap: node3/eth0: 0 packets",
        ],
    );
    Ok(())
}

#[test]
fn a_file_without_packets_matches_nothing() -> Test {
    let folder = Folder::new()?;
    folder.write("node1_eth0.pcap", &plain(&[]))?;
    let outcome = folder.trace("-r DIR/node1_eth0.pcap")?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert_said(&outcome, &["traced 1 file, 0 packets:", "node1/eth0: 0 packets"]);
    Ok(())
}

#[test]
fn a_signal_ends_reading_and_what_was_read_is_told() -> Test {
    let mut command = Command::new(kflow::program());
    command.args(["trace", "-r", "node1/eth0=-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    // More than a pipe holds: when this is written, kflow has read a part of it and waits for more.
    let many: Vec<_> = sent().into_iter().cycle().take(2000).collect();
    stdin.write_all(&plain(&many))?;
    stdin.flush()?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT)?;
    let output = child.wait_with_output()?;
    drop(stdin);
    let (said, told) = (String::from_utf8(output.stderr)?, String::from_utf8(output.stdout)?);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("traced 1 file, "), "{said}");
    assert!(told.contains("standard input: not read to its end, a signal came"), "{told}");
    assert!(told.contains("10.0.0.1:4000 -> 10.0.0.2:5000"), "{told}");
    Ok(())
}
