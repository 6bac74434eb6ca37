//! What other programs say about the files.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::wireshark::{accepted, capinfos, fields, tcpdump};
use tracer::sink::{FilePlan, Format, Recorder, SinkError};
use tracer_core::capture::{InterfaceId, LinkLayer, Statistics};

use super::support::{Scratch, at, eth0, files, frame, interface, packet, record};

const PACKETS: u32 = 3000;

fn opens_everywhere(path: &Path) -> usize {
    capinfos(path).unwrap();
    let shown = fields(path, "udp.srcport == 12345", ["frame.number"]).unwrap();
    let printed = tcpdump(path).unwrap();
    assert_eq!(shown.len(), printed.len(), "{}", path.display());
    printed.len()
}

#[test]
fn every_file_of_a_rotation_opens() {
    for format in [Format::Pcapng, Format::Pcap] {
        let directory = Scratch::new();
        let plan = FilePlan { size: Some(400_000), ..FilePlan::single(directory.join("f")) };
        record(files(plan, format), PACKETS).unwrap();
        let names = directory.names();
        assert!(names.len() > 3, "{names:?}");
        let packets: usize = names.iter().map(|name| opens_everywhere(&directory.join(name))).sum();
        assert_eq!(packets, PACKETS as usize, "{format:?}");
    }
}

#[test]
fn pcap_has_nanoseconds() {
    let directory = Scratch::new();
    let path = directory.join("f");
    record(files(FilePlan::single(&path), Format::Pcap), 3).unwrap();
    let said = capinfos(&path).unwrap();
    assert!(said.contains("nanosecond"), "{said}");
    assert!(said.contains("file hdr: 262144 bytes"), "{said}");
    let mut command = Command::new("tcpdump");
    command.args(["-Z", "root", "--nano", "-n", "-tt", "-r"]).arg(&path);
    let printed = accepted("tcpdump", &path, command.output().unwrap()).unwrap();
    let times: Vec<_> = printed.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(times, ["1700000000.000000000", "1700000000.001000001", "1700000000.002000002"]);
}

/// libpcap 1.10 takes two interfaces of this type in one pcapng for two types, Wireshark does not.
#[test]
fn raw_packets_are_raw_in_both_formats() {
    for (format, names) in [
        (Format::Pcapng, vec!["tunl0"]),
        (Format::Pcapng, vec!["tunl0", "tun1"]),
        (Format::Pcap, vec!["tunl0", "tun1"]),
    ] {
        let directory = Scratch::new();
        let path = directory.join("f");
        let mut recorder = Recorder::open(files(FilePlan::single(&path), format), None).unwrap();
        for name in &names {
            recorder.interface(&interface(name, LinkLayer::Other(101))).unwrap();
        }
        for number in 0..10 {
            recorder.frame(&frame(number, &packet(number)[14..])).unwrap();
        }
        recorder.finish().unwrap();
        assert_eq!(fields(&path, "udp.srcport == 12345", ["frame.number"]).unwrap().len(), 10);
        if format == Format::Pcap || names.len() == 1 {
            assert_eq!(tcpdump(&path).unwrap().len(), 10);
        }
        let said = capinfos(&path).unwrap();
        assert!(said.contains("Raw IP"), "{said}");
    }
}

#[test]
fn a_mix_of_link_types_is_refused_in_pcap_alone() {
    let directory = Scratch::new();
    let path = directory.join("f");
    let tunl0 = interface("tunl0", LinkLayer::Other(101));
    let mut recorder = Recorder::open(files(FilePlan::single(&path), Format::Pcap), None).unwrap();
    recorder.interface(&eth0()).unwrap();
    let refused = recorder.interface(&tunl0).unwrap_err();
    assert!(matches!(refused, SinkError::MixedLinkTypes { .. }));
    let told = refused.to_string();
    assert!(told.contains("eth0 is of type 1 and tunl0 of type 101"), "{told}");
    // It goes on without that interface.
    recorder.frame(&frame(0, &packet(0))).unwrap();
    recorder.finish().unwrap();
    assert_eq!(opens_everywhere(&path), 1);

    let mut recorder = Recorder::open(files(FilePlan::single(&path), Format::Pcapng), None).unwrap();
    recorder.interface(&eth0()).unwrap();
    recorder.interface(&tunl0).unwrap();
    recorder.finish().unwrap();
    capinfos(&path).unwrap();
}

#[test]
fn captures_without_packets_open() {
    for (format, interfaces) in
        [(Format::Pcapng, 0), (Format::Pcapng, 1), (Format::Pcap, 0), (Format::Pcap, 1)]
    {
        let directory = Scratch::new();
        let path = directory.join("f");
        let mut recorder = Recorder::open(files(FilePlan::single(&path), format), None).unwrap();
        for _ in 0..interfaces {
            recorder.interface(&eth0()).unwrap();
        }
        let written = recorder.finish().unwrap();
        assert_eq!((written.files, written.packets), (1, 0));
        assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
        capinfos(&path).unwrap();
    }
}

/// Statistics and interfaces of the second file, as tshark and capinfos tell them.
#[test]
fn a_further_file_tells_all_about_its_interfaces() {
    let directory = Scratch::new();
    let plan = FilePlan { size: Some(1000), ..FilePlan::single(directory.join("f")) };
    let mut recorder = Recorder::open(files(plan, Format::Pcapng), None).unwrap();
    let names = ["gone", "eth1"];
    let ids = names.map(|name| recorder.interface(&interface(name, LinkLayer::Ethernet)).unwrap());
    recorder.retire(ids[0]);
    let statistics = Statistics { seen: 9, matched: 5, lost: 2, written: 3 };
    for number in 0..40 {
        recorder.remember(ids[1], at(1), &statistics);
        let data = packet(number);
        let frame = tracer_core::capture::Frame { interface: InterfaceId(1), ..frame(number, &data) };
        recorder.frame(&frame).unwrap();
    }
    recorder.finish().unwrap();
    let second = directory.join("f1");
    let said = capinfos(&second).unwrap();
    assert!(said.contains("Number of interfaces in file: 1"), "{said}");
    assert!(said.contains("Name = eth1"), "{said}");
    assert!(said.contains("Number of stat entries = 1"), "{said}");
    assert!(fields(&second, "frame.interface_name == \"eth1\"", ["frame.number"]).unwrap().len() > 1);
}
