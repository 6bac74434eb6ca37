//! What `-w` leaves, and where it may lead.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    process::{Command, Stdio},
};

use tests::{Overlay, lab::topology::POD_SRC, wireshark};

use crate::support::{JSON, POD_TO_SERVICE, SERVICE, Site, Test};

/// Two interfaces of the master, four of each node, and one of each pod, less the master's missing pod.
const INTERFACES: usize = 10;
const DELIVERED: &str = "packets delivered";

#[test]
fn readers_open_the_file_without_complaint() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let file = site.file("trace.pcapng");
    let kflow = site.trace(POD_TO_SERVICE.into_iter().chain(["-w", &file.display().to_string()]))?;
    site.get(SERVICE, 1000)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");

    let frames = wireshark::fields(&file, "frame", ["frame.interface_name", "_ws.malformed"])?;
    let malformed: Vec<_> = frames.iter().filter(|[_, malformed]| !malformed.is_empty()).collect();
    assert!(malformed.is_empty(), "{malformed:?}");
    assert_eq!(wireshark::tcpdump(&file)?.len(), frames.len());
    let written = format!("{} packets written to {}", frames.len(), file.display());
    assert!(outcome.stderr.contains(&written), "{}", outcome.stderr);

    let infos = wireshark::capinfos(&file)?;
    for line in [
        "File timestamp precision:  nanoseconds (9)".to_owned(),
        "File encapsulation:  Ethernet".to_owned(),
        "Strict time order:   True".to_owned(),
        format!("Number of packets:   {}", frames.len()),
        format!("Number of interfaces in file: {INTERFACES}"),
    ] {
        assert!(infos.lines().any(|info| info == line), "no \"{line}\" in {infos}");
    }
    let nanoseconds = infos.lines().filter(|info| info.trim() == "Time resolution = 0x09").count();
    assert_eq!(nanoseconds, INTERFACES, "{infos}");
    assert_eq!(names(&file)?, expected_names());
    Ok(())
}

/// The names that tshark shows for the addresses in a file.
fn names(file: &Path) -> Result<BTreeSet<String>, wireshark::ReaderError> {
    let text =
        wireshark::tshark(file, ["-N", "n", "-T", "fields", "-e", "ip.src_host", "-e", "ip.dst_host"])?;
    Ok(text.split(['\t', ',', '\n']).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn expected_names() -> BTreeSet<String> {
    ["pod-src", "pod-dest", "svc.svc-clusterip", "node.k8s-node1", "node.k8s-node2"].map(str::to_owned).into()
}

#[test]
fn standard_output_pipes_to_tshark() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", "-", "-T", "fields", "-e", "frame.interface_name", "-e", "frame.comment"]);
    let mut tshark = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pipe = tshark.stdin.take().ok_or("no pipe")?;
    let kflow = site.trace_into(POD_TO_SERVICE.into_iter().chain(["-w", "-"]), pipe)?;
    site.get(SERVICE, 1000)?;
    let outcome = kflow.stop()?;

    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains(DELIVERED), "{}", outcome.stderr);
    let lines = wireshark::accepted("tshark", Path::new("-"), tshark.wait_with_output()?)?;
    let last = lines.lines().filter(|line| *line == "pod-src:eth0\tflow 1 <- hop 8/8").count();
    assert!(last >= 3, "{lines}");
    Ok(())
}

#[test]
fn a_closed_pipe_is_an_ordinary_end() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    for words in [&["-o", "text"], &JSON, &["-w", "-"]] {
        let (reader, writer) = io::pipe()?;
        let kflow = site.trace_into([POD_SRC.name].into_iter().chain(words.iter().copied()), writer)?;
        drop(reader);
        site.get(SERVICE, 1000)?;

        // Nobody asks it to: it ends when it finds out.
        let outcome = kflow.wait()?;

        assert_eq!(outcome.code, Some(0), "{words:?}: {outcome:?}");
    }
    Ok(())
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_trace() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let kflow = site.trace(POD_TO_SERVICE.into_iter().chain(["-w", "/dev/full"]))?;
    site.get(SERVICE, 1000)?;
    let outcome = kflow.stop()?;

    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stdout.contains(DELIVERED), "{}", outcome.stdout);
    for words in ["cannot write /dev/full", "holds only what came before", "No space left on device"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("packets written"), "{}", outcome.stderr);
    Ok(())
}
