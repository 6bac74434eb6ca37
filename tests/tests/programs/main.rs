//! The eBPF programs on packets made by hand: what matches, what is recorded, what is counted.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod filters;
mod kernel;
mod loops;
mod packet;
mod scene;

use std::net::IpAddr;

use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use kernel::{Kernel, VXLAN_PORT};
use packet::{
    ICMP, ICMPV6, Packet, Payload, SCTP, TCP, UDP, echo, frame, geneve, gre, inside_ip, ipv4, ipv6, sctp,
    tcp, udp, unreachable, vxlan,
};
use scene::{Ends, PORT, SOURCE_PORT, address, between, nodes4, nodes6, only, pods4, pods6, rule};
use tracer::kernel::filter::{AddressSet, Layers, PortRule};
use tracer::kernel::interfaces::LinkType;
use tracer_core::units::Direction;

/// Whether a packet matches a set of one address.
fn hits(kernel: &mut Kernel, packet: &Packet, set: AddressSet) -> bool {
    kernel.filter(set);
    kernel.matches(&packet.1)
}

/// Every encapsulation of a TCP packet between pods, with its name, the pods and the addresses that carry it.
fn encapsulations() -> Vec<(&'static str, Packet, Ends, Vec<IpAddr>)> {
    let tcp = || tcp(SOURCE_PORT, PORT);
    let pod4 = || between(&pods4(), &tcp());
    let pod6 = || between(&pods6(), &tcp());
    let on4 = |payload: &Payload| frame(&between(&nodes4(), payload), &[]);
    let on6 = |payload: &Payload| frame(&between(&nodes6(), payload), &[]);
    let four = || vec![nodes4().source, nodes4().destination];
    let six = || vec![nodes6().source, nodes6().destination];
    let ext = |number: u8| (number, vec![1, 4, 0, 0, 0, 0]);
    let with_extensions = |payload: &Payload, extensions: &[(u8, Vec<u8>)]| {
        frame(&ipv6(pods6().source, pods6().destination, payload, extensions), &[])
    };
    let options =
        |packet: &Payload| frame(&ipv4(pods4().source, pods4().destination, packet, &[1; 40], 0), &[]);
    let inner_frame = || frame(&pod4(), &[]);
    let mut all = vec![
        ("IPv4", frame(&pod4(), &[]), pods4(), vec![]),
        ("IPv6", frame(&pod6(), &[]), pods6(), vec![]),
        ("IPv4 with 40 bytes of options", options(&tcp()), pods4(), vec![]),
        ("802.1Q", frame(&pod4(), &[(0x8100, 5)]), pods4(), vec![]),
        ("802.1Q, IPv6", frame(&pod6(), &[(0x8100, 5)]), pods6(), vec![]),
        ("QinQ", frame(&pod4(), &[(0x88a8, 5), (0x8100, 6)]), pods4(), vec![]),
        ("hop-by-hop options", with_extensions(&tcp(), &[ext(0)]), pods6(), vec![]),
        (
            "all extension headers",
            with_extensions(
                &tcp(),
                &[ext(0), ext(60), ext(43), (44, vec![0, 1, 0, 0, 0, 9]), (51, vec![0; 22]), ext(60)],
            ),
            pods6(),
            vec![],
        ),
        ("IPIP", on4(&inside_ip(&pod4())), pods4(), four()),
        ("6in4", on4(&inside_ip(&pod6())), pods6(), four()),
        ("4in6", on6(&inside_ip(&pod4())), pods4(), six()),
        ("6in6", on6(&inside_ip(&pod6())), pods6(), six()),
        ("GRE", on4(&gre(&pod4(), 0, &[])), pods4(), four()),
        ("GRE over IPv6", on6(&gre(&pod6(), 0, &[])), pods6(), six()),
        ("GRE with checksum, key and sequence", on4(&gre(&pod4(), 0xb000, &[0; 12])), pods4(), four()),
        ("GRE with key, Ethernet", on4(&gre(&inner_frame(), 0x2000, &[0; 4])), pods4(), four()),
        ("VXLAN", on4(&vxlan(&inner_frame(), 4789)), pods4(), four()),
        ("VXLAN, Linux' port", on4(&vxlan(&inner_frame(), 8472)), pods4(), four()),
        ("VXLAN, the port of the settings", on4(&vxlan(&inner_frame(), VXLAN_PORT)), pods4(), four()),
        ("VXLAN over IPv6", on6(&vxlan(&frame(&pod6(), &[(0x8100, 7)]), 4789)), pods6(), six()),
        ("Geneve, Ethernet", on4(&geneve(&inner_frame(), &[])), pods4(), four()),
        ("Geneve with options, IPv6", on4(&geneve(&pod6(), &[0; 252])), pods6(), four()),
    ];
    // One tunnel in another.
    let mut carriers = four();
    carriers.extend(six());
    let twice = on4(&vxlan(&frame(&between(&nodes6(), &gre(&pod4(), 0, &[])), &[]), 4789));
    all.push(("GRE in VXLAN", twice, pods4(), carriers.clone()));
    let tagged =
        frame(&between(&nodes4(), &inside_ip(&between(&nodes6(), &inside_ip(&pod6())))), &[(0x8100, 1)]);
    all.push(("6in6 in 6in4 in 802.1Q", tagged, pods6(), carriers));
    all
}

#[test]
fn addresses_match_in_every_encapsulation() {
    let mut kernel = Kernel::load(128, 64);
    for (name, packet, ends, carriers) in encapsulations() {
        for (address, port, other) in
            [(ends.source, SOURCE_PORT, PORT), (ends.destination, PORT, SOURCE_PORT)]
        {
            let expected = [
                (only(address, Layers::Any, None), true),
                (only(address, Layers::Innermost, None), true),
                (only(address, Layers::Any, rule(port, Some(TCP))), true),
                (only(address, Layers::Any, rule(port, None)), true),
                (only(address, Layers::Innermost, rule(port, None)), true),
                // The port is the address's own.
                (only(address, Layers::Any, rule(other, None)), false),
                (only(address, Layers::Any, rule(port, Some(UDP))), false),
            ];
            for (set, expected) in expected {
                assert_eq!(hits(&mut kernel, &packet, set.clone()), expected, "{name}: {set:?}");
            }
        }
        for carrier in carriers {
            assert!(hits(&mut kernel, &packet, only(carrier, Layers::Any, None)), "{name}: {carrier}");
            assert!(!hits(&mut kernel, &packet, only(carrier, Layers::Innermost, None)), "{name}: {carrier}");
        }
        for stranger in ["10.244.1.8", "fd00:10::8", "192.168.50.13"].map(address) {
            assert!(!hits(&mut kernel, &packet, only(stranger, Layers::Any, None)), "{name}: {stranger}");
        }
    }
}

#[test]
fn packets_without_link_layer_match_too() {
    let mut kernel = Kernel::load(128, 64);
    kernel.start(LinkType::Ip);
    for (ends, carriers) in [(pods4(), nodes4()), (pods6(), nodes6())] {
        let packet = between(&ends, &udp(SOURCE_PORT, PORT, b"payload"));
        let tunnel = between(&carriers, &inside_ip(&packet));
        for packet in [packet, tunnel] {
            assert!(hits(&mut kernel, &packet, only(ends.source, Layers::Any, rule(SOURCE_PORT, Some(UDP)))));
            assert!(!hits(&mut kernel, &packet, only(ends.source, Layers::Any, rule(PORT, Some(UDP)))));
        }
    }
}

#[test]
fn ports_and_identifiers_of_every_protocol() {
    let mut kernel = Kernel::load(128, 64);
    let table = [
        (pods4(), udp(SOURCE_PORT, PORT, b"payload"), UDP, true),
        (pods6(), sctp(SOURCE_PORT, PORT), SCTP, true),
        (pods4(), echo(ICMP, SOURCE_PORT), ICMP, false),
        (pods6(), echo(ICMPV6, SOURCE_PORT), ICMPV6, false),
    ];
    for (ends, payload, protocol, has_ports) in table {
        let packet = frame(&between(&ends, &payload), &[]);
        let source = |rule| only(ends.source, Layers::Any, rule);
        assert!(hits(&mut kernel, &packet, source(rule(SOURCE_PORT, Some(protocol)))), "{protocol}");
        assert!(!hits(&mut kernel, &packet, source(rule(SOURCE_PORT + 1, Some(protocol)))), "{protocol}");
        assert!(!hits(&mut kernel, &packet, source(rule(SOURCE_PORT, Some(TCP)))), "{protocol}");
        // An identifier is no port, unless the rule says ICMP.
        assert_eq!(hits(&mut kernel, &packet, source(rule(SOURCE_PORT, None))), has_ports, "{protocol}");
        let any_port = Some(PortRule { port: None, protocol: Some(protocol) });
        assert!(hits(&mut kernel, &packet, source(any_port)), "{protocol}");
    }
}

#[test]
fn last_of_eight_rules_counts() {
    let mut kernel = Kernel::load(128, 64);
    let packet = frame(&between(&pods4(), &tcp(SOURCE_PORT, PORT)), &[]);
    let set = |last: u16| {
        let mut set = AddressSet::nothing();
        for port in (1..8).chain([last]) {
            set.add(pods4().destination, Layers::Any, rule(port, Some(TCP))).unwrap();
        }
        set
    };
    assert!(hits(&mut kernel, &packet, set(PORT)));
    assert!(!hits(&mut kernel, &packet, set(PORT + 1)));
}

#[test]
fn errors_match_by_what_they_quote() {
    let mut kernel = Kernel::load(128, 64);
    for (ends, router) in [(pods4(), nodes4()), (pods6(), nodes6())] {
        let quoted = between(&ends, &tcp(SOURCE_PORT, PORT));
        let error = frame(&between(&router, &unreachable(&quoted)), &[]);
        let quoted_port = rule(PORT, Some(TCP));
        assert!(hits(&mut kernel, &error, only(ends.destination, Layers::Any, quoted_port)));
        assert!(hits(&mut kernel, &error, only(ends.source, Layers::Innermost, None)));
        assert!(hits(&mut kernel, &error, only(router.source, Layers::Any, None)));
        assert!(!hits(&mut kernel, &error, only(router.source, Layers::Innermost, None)));
    }
    // "Fragmentation needed" about a tunnel's packet.
    let pod_packet = between(&pods4(), &tcp(SOURCE_PORT, PORT));
    let carried = between(&nodes4(), &inside_ip(&pod_packet));
    let router = Ends { source: address("192.168.50.1"), destination: nodes4().source };
    let error = frame(&between(&router, &unreachable(&carried)), &[]);
    assert!(hits(&mut kernel, &error, only(pods4().source, Layers::Any, rule(SOURCE_PORT, Some(TCP)))));
}

#[test]
fn later_fragments_match_by_address_and_protocol() {
    let mut kernel = Kernel::load(128, 64);
    let Ends { source, destination } = pods4();
    let later = frame(&ipv4(source, destination, &(UDP, vec![0xff; 64]), &[], 0x00b9), &[]);
    let six = |extension| {
        let ends = pods6();
        frame(&ipv6(ends.source, ends.destination, &(UDP, vec![0xff; 64]), &[(44, extension)]), &[])
    };
    for (packet, source) in [(later, source), (six(vec![0x05, 0xc8, 0, 0, 0, 1]), pods6().source)] {
        assert!(hits(&mut kernel, &packet, only(source, Layers::Any, None)));
        assert!(hits(&mut kernel, &packet, only(source, Layers::Innermost, None)));
        assert!(hits(&mut kernel, &packet, only(source, Layers::Any, rule(PORT, Some(UDP)))), "port unknown");
        assert!(!hits(&mut kernel, &packet, only(source, Layers::Any, rule(PORT, Some(TCP)))));
    }
    // Of a tunnel: what it carries is unknown, so it is no packet of the carriers.
    let carried = frame(&ipv4(source, destination, &(4, vec![0xff; 64]), &[], 0x00b9), &[]);
    assert!(hits(&mut kernel, &carried, only(source, Layers::Any, None)));
    assert!(!hits(&mut kernel, &carried, only(source, Layers::Innermost, None)));
}

#[test]
fn bytes_that_make_no_sense_are_filtered() {
    let mut kernel = Kernel::load(128, 64);
    let ends = pods4();
    let good = frame(&between(&ends, &tcp(SOURCE_PORT, PORT)), &[]).1;
    // The kernel refuses to run a program on too short an IP packet, unless it does not see that it is one.
    let tagged = frame(&between(&ends, &tcp(SOURCE_PORT, PORT)), &[(0x8100, 1)]).1;
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let table = [
        ("other ethertype", with(12, 0x07)),
        ("802.3 length", with(12, 0x00)),
        ("IP version 5", with(14, 0x55)),
        ("IP header of 16 bytes", with(14, 0x44)),
        ("ended in the IP header", tagged[..37].to_vec()),
        ("ended before the IP header", tagged[..18].to_vec()),
        ("ended in the tag", tagged[..16].to_vec()),
    ];
    kernel.filter(only(ends.source, Layers::Any, None));
    assert!(kernel.matches(&good));
    for (name, bytes) in table {
        assert!(!kernel.matches(&bytes), "{name}");
    }
    // VXLAN's port without its flag, GRE of another version: the carrier is all there is.
    let mut no_flag = frame(&between(&nodes4(), &vxlan(&(0x6558, good.clone()), 4789)), &[]);
    no_flag.1[42] = 0;
    let pptp = frame(&between(&nodes4(), &gre(&between(&ends, &tcp(1, 2)), 0x0001, &[])), &[]);
    for packet in [no_flag, pptp] {
        assert!(!hits(&mut kernel, &packet, only(ends.source, Layers::Any, None)));
        assert!(hits(&mut kernel, &packet, only(nodes4().source, Layers::Innermost, None)));
    }
    // A TCP header cut short: no port to see.
    kernel.filter(only(ends.source, Layers::Any, rule(PORT + 1, Some(TCP))));
    assert!(kernel.matches(&tagged[..40]));
}

#[test]
fn header_chains_end() {
    let mut kernel = Kernel::load(128, 64);
    let ends = pods6();
    let endless: Vec<_> = (0..60).map(|_| (60, vec![0; 6])).collect();
    let packet = frame(&ipv6(ends.source, ends.destination, &tcp(SOURCE_PORT, PORT), &endless), &[]);
    assert!(!hits(&mut kernel, &packet, only(ends.source, Layers::Any, rule(SOURCE_PORT, Some(TCP)))));
    assert!(hits(&mut kernel, &packet, only(ends.source, Layers::Any, None)));
}

#[test]
fn set_changes_while_the_programs_run() {
    let mut kernel = Kernel::load(128, 64);
    let packet = frame(&between(&pods4(), &tcp(SOURCE_PORT, PORT)), &[]);
    assert!(!hits(&mut kernel, &packet, AddressSet::nothing()));
    assert!(hits(&mut kernel, &packet, AddressSet::everything()));
    assert!(hits(&mut kernel, &packet, only(pods4().source, Layers::Any, None)));
    assert!(!hits(&mut kernel, &packet, only(pods6().source, Layers::Any, None)));
    let arp = (0x6558, packet::join(&[&[0xff; 6], &[2; 6], &[0x08, 0x06], &[0; 28]]));
    assert!(hits(&mut kernel, &arp, AddressSet::everything()));
    assert!(!hits(&mut kernel, &arp, only(pods4().source, Layers::Any, None)));
}

#[test]
fn records_have_the_packet_up_to_the_snap_length() {
    for snap in [64, 128, 129, 1000, 262_144] {
        let mut kernel = Kernel::load(snap, 64);
        kernel.filter(AddressSet::everything());
        for length in [14, 15, 60, 128, 129, 256, 257, 512, 513, 1024, 1025, 1514, 1537, 3000] {
            let packet: Vec<u8> = (0..length).map(|at: usize| at.to_le_bytes()[0] ^ 0x5a).collect();
            for direction in [Direction::Ingress, Direction::Egress] {
                kernel.run(direction, &packet, 1);
                let records = kernel.records();
                let [(header, data)] = &records[..] else { panic!("{} records", records.len()) };
                assert_eq!(header.original_len as usize, length);
                assert_eq!(data, &packet[..length.min(snap as usize)], "snap {snap}, {length} bytes");
                assert_eq!(header.ifindex, 1);
                assert_eq!(header.direction, u8::from(direction == Direction::Egress));
            }
        }
    }
}

fn stay_on_this_processor() {
    let mut one = CpuSet::new();
    one.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
}

#[test]
fn every_packet_is_counted_when_the_ring_is_full() {
    const ROUNDS: u32 = 5000;
    // Each processor tells of its own losses, and a run of the kernel's may go on on another one after some rounds.
    stay_on_this_processor();
    let mut kernel = Kernel::load(128, 64);
    let packet = frame(&between(&pods4(), &tcp(SOURCE_PORT, PORT)), &[]).1;
    let stranger = frame(&between(&nodes4(), &tcp(SOURCE_PORT, PORT)), &[]).1;
    kernel.filter(only(pods4().source, Layers::Any, None));
    kernel.run(Direction::Ingress, &packet, ROUNDS);
    kernel.run(Direction::Ingress, &stranger, ROUNDS);
    let written = kernel.records().len() as u64;
    let counters = kernel.counters();
    assert_eq!(counters.seen, 2 * u64::from(ROUNDS));
    assert_eq!(counters.filtered, u64::from(ROUNDS));
    assert_eq!(counters.written, written);
    assert_eq!(counters.ring_full, u64::from(ROUNDS) - written);
    assert!(counters.ring_full > 0 && written > 0, "{counters:?}");
    // The next record says how many there were.
    kernel.run(Direction::Ingress, &packet, 1);
    let records = kernel.records();
    assert_eq!(u64::from(records[0].0.lost_before), counters.ring_full);
}
