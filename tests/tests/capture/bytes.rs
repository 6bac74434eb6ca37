//! What is written: the bytes, times and facts of packets, beside tcpdump.

use crate::pair::{FAR, NEAR_INTERFACE, Pair, send_raw};
use crate::process::{Capture, Said, command};
use crate::second_pair_of_eyes::Tcpdump;
use crate::{PORT, SNAP, Tested, assert_adds_up, near, packets};
use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;
use tests::lab::topology::{K8S_NODE1, POD_DEST, POD_SRC};
use tests::traffic::Ping;
use tests::{Lab, LabConfig, Overlay};
use tracer_core::capture::{CaptureReader, Item, LinkLayer};
use tracer_core::units::Direction;

#[test]
fn packets_are_those_that_tcpdump_sees() {
    let pair = Pair::new();
    for (length, mode) in [(30, "tcx"), (1400, "tcx"), (30, "clsact")] {
        let tcpdump = Tcpdump::start(&pair, NEAR_INTERFACE, SNAP, 40, "udp");
        let capture = Capture::start(&pair, &near(&["-s", "96", "--host", "10.9.0.2/udp", "--attach", mode]));
        pair.udp(FAR, PORT, 20, length);
        let outcome = capture.stop();
        assert_eq!(packets(outcome.frames()), tcpdump.packets(), "{length} bytes, {mode}");
        assert!(outcome.frames().all(|frame| frame.direction.is_some() && frame.gso.is_none()));
        let sent = outcome.frames().filter(|frame| frame.direction == Some(Direction::Egress)).count();
        assert_eq!(sent, 20);
        assert_adds_up(&outcome, NEAR_INTERFACE);
        assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
    }
}

#[test]
fn times_are_wall_time_and_ascend() {
    let pair = Pair::new();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let capture = Capture::start(&pair, &near(&[]));
    let before = now();
    pair.udp(FAR, PORT, 10, 30);
    let after = now();
    let outcome = capture.stop();
    let times: Vec<_> = outcome.frames().map(|frame| u128::from(frame.time.0)).collect();
    assert_eq!(times.len(), 20);
    assert!(times.is_sorted(), "{times:?}");
    assert!(before <= times[0] && times[19] <= after, "{before} {times:?} {after}");
}

/// A tag that comes in is taken off the packet by the kernel; one that goes out is in its bytes.
#[test]
fn vlan_tags_are_where_tcpdump_has_them() {
    let pair = Pair::new();
    let frame = |number: u8, tags: &[u8]| {
        let mut frame = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]].concat();
        frame.extend(tags);
        frame.extend([0x08, 0x00, 0x45, 0, 0, 60, 0, number, 0, 0, 64, 17, 0, 0, 10, 9, 5, 1, 10, 9, 5, 2]);
        frame.extend([0x1b, 0x58, 0x1b, 0x58, 0, 40, 0, 0]);
        frame.resize(frame.len() + 32, number);
        frame
    };
    let frames = [
        frame(1, &[0x81, 0x00, 0x60, 5]),
        frame(2, &[0x88, 0xa8, 0x00, 6, 0x81, 0x00, 0x00, 7]),
        frame(3, &[]),
    ];
    let tcpdump = Tcpdump::start(&pair, NEAR_INTERFACE, SNAP, 6, "");
    let hosts = ["--host", "10.9.5.1:7000/udp", "--attach", "tcx", "-s", "96"];
    let capture = Capture::start(&pair, &near(&hosts));
    pair.in_far(|| send_raw("far0", &frames));
    pair.in_near(|| send_raw(NEAR_INTERFACE, &frames));
    let outcome = capture.stop();
    let expected = tcpdump.packets();
    assert_eq!(packets(outcome.frames()), expected);
    assert_eq!(
        expected.iter().map(|packet| packet.data.clone()).collect::<Vec<_>>(),
        [&frames[..], &frames].concat()
    );
}

#[test]
fn capture_says_who_where_and_of_which_clock() {
    let pair = Pair::new();
    let capture =
        Capture::start(&pair, &near(&["--node", "k8s-node1", "--pod", "default/pod-src", "-s", "100"]));
    let outcome = capture.stop();
    let Some(Said::Section(section)) = outcome.heard.first() else { panic!("{:?}", outcome.heard) };
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(section.node.as_deref(), Some("k8s-node1"));
    assert_eq!(section.boot_id.as_deref(), Some(boot_id.trim()));
    assert!(section.os.as_deref().is_some_and(|os| os.starts_with("Linux ")));
    assert!(section.application.as_deref().is_some_and(|application| application.starts_with("kflow ")));
    let (_, interface) = outcome.interface(NEAR_INTERFACE);
    assert_eq!(interface.pod.as_deref(), Some("default/pod-src"));
    assert_eq!((interface.link, interface.mac), (LinkLayer::Ethernet, Some([2, 0, 0, 0, 0, 1])));
}

/// `tunl0` of the lab, in the direction that tcpdump sees there; its packets have no link-layer header.
#[test]
fn packets_without_link_layer_get_a_header_and_keep_their_bytes() -> Tested {
    let lab = Lab::up(&LabConfig { overlay: Overlay::Ipip, ..LabConfig::default() })?;
    let node = lab.node(K8S_NODE1.name);
    let file = lab.directory().join("tunl0.pcapng");
    let mut capture = command(&["-i", "tunl0", "--until-stdin-closes"])
        .arg("--netns")
        .arg(node.path())
        .arg("-w")
        .arg(&file)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It says so when the programs are in place.
    let mut stderr = capture.stderr.take().unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"\n") {
        let mut byte = [0];
        stderr.read_exact(&mut byte)?;
        said.extend(byte);
    }
    let tcpdump = lab.tcpdump(node, "tunl0", "icmp")?;
    Ping { count: 5, ..Ping::new(POD_DEST.address) }.send(lab.pod(POD_SRC.name))?;
    let expected = tcpdump.stop()?;
    drop(capture.stdin.take());
    assert!(capture.wait()?.success());

    let mut reader = CaptureReader::new(File::open(&file)?)?;
    let (mut ingress, mut egress) = (Vec::new(), 0);
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Interface(_, interface) => {
                assert_eq!(interface.link, LinkLayer::SyntheticEthernet);
            }
            Item::Frame(frame) => {
                assert_eq!(frame.data[..14], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00]);
                assert_eq!(frame.original_len as usize, frame.data.len());
                match frame.direction {
                    Some(Direction::Ingress) => ingress.push(frame.data[14..].to_vec()),
                    _ => egress += 1,
                }
            }
            _ => {}
        }
    }
    let mut bytes = Vec::new();
    File::open(expected)?.read_to_end(&mut bytes)?;
    let mut rest = &bytes[24..];
    let mut seen = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes(header[8..12].try_into()?) as usize;
        seen.push(after[..length].to_vec());
        rest = &after[length..];
    }
    assert_eq!(ingress.len(), 5);
    assert_eq!(egress, 5);
    assert!(ingress.iter().all(|packet| seen.contains(packet)));
    Ok(())
}

#[test]
fn super_packets_are_whole() {
    const BYTES: usize = 4 << 20;
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&["-s", "0", "--host", "10.9.0.2:7000/tcp", "-B", "65536"]));
    pair.tcp(PORT, BYTES);
    let outcome = capture.stop();
    assert_adds_up(&outcome, NEAR_INTERFACE);
    assert_eq!(outcome.statistics(NEAR_INTERFACE).lost, 0);
    let largest = outcome.frames().map(|frame| frame.original_len).max().unwrap();
    assert!(largest > 32_768, "{largest}: segmentation offload is not at work");
    assert!(outcome.frames().all(|frame| frame.data.len() == frame.original_len as usize));
    assert!(outcome.frames().any(|frame| frame.gso.is_some_and(|gso| gso.size > 1000 && gso.segments > 1)));
}
