//! What is written, and in which order.

use std::{fmt::Write as _, io};

use tests::{kflow, wireshark};

use crate::{
    file::{Order, Unit, link, pcap, plain},
    support::{
        COUNT, Folder, TWO_NODES, Test, assert_said, hops, only_flow, received, sent, two_nodes, word,
    },
};

#[test]
fn the_merged_pcapng_is_of_one_link_type_and_traces_again() -> Test {
    let folder = Folder::new()?;
    folder.write("node1_eth0.pcap", &pcap(Order::Big, Unit::Nanoseconds, link::SLL2, &sent()))?;
    folder.write("node2_tun0.pcap", &pcap(Order::Little, Unit::Microseconds, link::RAW, &received()))?;
    let outcome = folder.trace("-r DIR/node1_eth0.pcap -r DIR/node2_tun0.pcap -w DIR/out.pcapng -o json")?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_said(&outcome, &["10 packets written to "]);
    let before = hops(&only_flow(&outcome.told()?)["forward"]);

    let file = folder.path("out.pcapng");
    let infos = wireshark::capinfos(&file)?;
    assert!(infos.contains("File encapsulation:  Ethernet"), "{infos}");
    assert_eq!(wireshark::tcpdump(&file)?.len(), 10);
    let rows = wireshark::fields(&file, "udp", ["frame.interface_name", "ip.src", "udp.dstport"])?;
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[0], ["node1:if7", "10.0.0.1", "5000"].map(str::to_owned));

    let (told, code) = folder.told("-r DIR/out.pcapng")?;
    assert_eq!(hops(&only_flow(&told)["forward"]), before);
    assert_eq!(code, Some(0));
    Ok(())
}

#[test]
fn pcapng_goes_to_standard_output_and_text_to_standard_error() -> Test {
    let folder = Folder::new()?;
    two_nodes(&folder)?;
    for output in ["-o pcapng", "-w -"] {
        let words = format!("trace {TWO_NODES} {output}").replace("DIR", &word(&folder.path("")));
        let output = std::process::Command::new(kflow::program()).args(words.split(' ')).output()?;
        let said = String::from_utf8(output.stderr)?;
        assert!(said.contains("10.0.0.1:4000 -> 10.0.0.2:5000"), "{said}");
        let file = folder.write("out.pcapng", &output.stdout)?;
        assert_eq!(wireshark::tcpdump(&file)?.len(), 10, "{said}");
        assert_eq!(output.status.code(), Some(0), "{said}");
    }
    Ok(())
}

#[test]
fn a_snap_length_cuts_what_is_written() -> Test {
    let folder = Folder::new()?;
    two_nodes(&folder)?;
    for (words, len) in [("", "46"), ("-s 0", "46"), ("-s 42", "42")] {
        let outcome = folder.trace(&format!("{TWO_NODES} -w DIR/out.pcapng {words}"))?;
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let rows = wireshark::fields(&folder.path("out.pcapng"), "frame", ["frame.cap_len", "frame.len"])?;
        assert!(rows.iter().all(|row| row == &[len.to_owned(), "46".to_owned()]), "{words}: {rows:?}");
    }
    Ok(())
}

/// Packets from another port: another flow.
fn of_port(bytes: &[u8], port: u8, packets: usize) -> Vec<u8> {
    const HEADERS: usize = 16 + 14 + 20;
    let packet = (bytes.len() - 24) / sent().len();
    let mut bytes = bytes[..24 + packets * packet].to_vec();
    for n in 0..packets {
        bytes[24 + n * packet + HEADERS + 1] = port;
    }
    bytes
}

#[test]
fn every_flow_is_told_and_the_largest_first() -> Test {
    let folder = Folder::new()?;
    let mut words = String::new();
    for (port, packets) in [(1, 2), (2, 5), (3, 1), (4, 4)] {
        let name = |node: u8| format!("node{node}_eth0.pcap{port}");
        folder.write(&name(1), &of_port(&plain(&sent()), port, packets))?;
        folder.write(&name(2), &of_port(&plain(&received()), port, packets))?;
        write!(words, " -r DIR/{} -r DIR/{}", name(1), name(2))?;
    }
    let (told, code) = folder.told(&words)?;
    let packets: Vec<_> = told.flows.iter().map(|flow| flow["forward"]["packets"].as_u64()).collect();
    assert_eq!(packets, [Some(5), Some(4), Some(2), Some(1)]);
    assert_eq!(code, Some(0));

    let few = folder.trace(&format!("{words} --max-flows 2"))?;
    assert_eq!(few.stdout.lines().filter(|line| line.starts_with("flow ")).count(), 2, "{}", few.stdout);
    assert!(few.stdout.contains("2 more flows: --max-flows 0 prints all"), "{}", few.stdout);
    assert_eq!(few.code, Some(0), "{few:?}");
    let all = folder.trace(&format!("{words} --max-flows 0"))?;
    assert_eq!(all.stdout.lines().filter(|line| line.starts_with("flow ")).count(), 4, "{}", all.stdout);
    assert!(!all.stdout.contains("more flows"), "{}", all.stdout);
    // Flows of one end, in the order in which they appeared, with what happened.
    let one = folder.trace(&format!("{words} 10.0.0.1"))?;
    assert!(one.stdout.contains("seen first"), "{}", one.stdout);
    Ok(())
}

#[test]
fn packets_out_of_order_are_traced_as_those_in_order() -> Test {
    let folder = Folder::new()?;
    let mut swapped = sent();
    swapped.swap(1, 3);
    folder.write("node1_eth0.pcap", &plain(&swapped))?;
    folder.write("node2_eth0.pcap", &plain(&received()))?;
    let (told, code) = folder.told(TWO_NODES)?;
    let lane = &only_flow(&told)["forward"];
    assert_eq!(hops(lane), [format!("node1/eth0 {COUNT}"), format!("node2/eth0 {COUNT}")]);
    assert_eq!(code, Some(0), "{:#}", told.summary);
    Ok(())
}

#[test]
fn a_closed_pipe_is_an_ordinary_end() -> Test {
    let folder = Folder::new()?;
    two_nodes(&folder)?;
    for output in ["-o json", "-o pcapng", "-o text"] {
        let words = format!("trace {TWO_NODES} {output}").replace("DIR", &word(&folder.path("")));
        let (reader, writer) = io::pipe()?;
        drop(reader);
        let mut command = std::process::Command::new(kflow::program());
        let output = command.args(words.split(' ')).stdout(writer).output()?;
        assert_eq!(output.status.code(), Some(0), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
