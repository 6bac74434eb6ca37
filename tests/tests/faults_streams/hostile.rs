//! Files that are made to break who reads them: bounded memory and time, an end that is told, and no packet before the end
//! lost.

use std::fs;
use std::process::{Command, Stdio};

use crate::capture::kflow;
use crate::pcapng::{
    INTERFACE, NAMES, PACKET, SECTION, SIMPLE_PACKET, STATISTICS, block, datagram, ethernet, interface, ip4,
    ip6, named, option, packet, packet_of, section, sized, udp,
};
use crate::running::Outcome;
use crate::scene::Scene;

/// Bytes that a kflow may address. One that reads an ordinary file takes half of it, most of it its own program.
const ADDRESSES: u64 = 1 << 30;
/// Seconds of a processor, beyond which the kernel ends it.
const SECONDS: u32 = 60;

/// Runs `kflow` with these words, within bounds of memory and time.
fn bounded(scene: &Scene, words: &str) -> Outcome {
    let inner = kflow(scene, words);
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={ADDRESSES}")).arg(format!("--cpu={SECONDS}")).arg("--core=0").arg("--");
    command.arg(inner.get_program()).args(inner.get_args()).env("TZ", "UTC").stdin(Stdio::null());
    Outcome::of(command.output().unwrap())
}

/// What a file is to be read as.
struct Hostile {
    name: &'static str,
    bytes: Vec<u8>,
    /// Packets that are read.
    packets: usize,
    /// What is said where it is not read to its end.
    said: Option<&'static str>,
}

fn begin() -> Vec<u8> {
    [section(&[]), named("eth0")].concat()
}

/// A section with an interface, these blocks, and a packet behind them unless the end is told before it.
fn file(name: &'static str, blocks: &[u8], packets: usize, said: Option<&'static str>) -> Hostile {
    let bytes = [&begin(), &packet(1, &datagram(64, 1)), blocks, &packet(9, &datagram(64, 9))].concat();
    let packets = 1 + packets + usize::from(said.is_none());
    Hostile { name, bytes, packets, said }
}

/// Lengths of blocks, options and packets that are not true.
fn lengths() -> Vec<Hostile> {
    const LONG: Option<&str> = Some("a block longer than any");
    const IMPOSSIBLE: Option<&str> = Some("a block of impossible length");
    const CUT: Option<&str> = Some("ends in the middle of a packet or block");
    const SHORT: Option<&str> = Some("a block too short for what it holds");
    let data = datagram(64, 5);
    let len = u32::try_from(data.len()).unwrap();
    vec![
        file("packet of 4 GiB", &sized(PACKET, 0xffff_fffc, &[0; 64]), 0, LONG),
        file("interface of 4 GiB", &sized(INTERFACE, 0xffff_fffc, &[0; 64]), 0, LONG),
        file("statistics of 4 GiB", &sized(STATISTICS, 0xffff_fffc, &[0; 64]), 0, LONG),
        file(
            "section of 4 GiB",
            &sized(SECTION, 0xffff_fffc, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]),
            0,
            LONG,
        ),
        file("names of 4 GiB", &sized(NAMES, 0xffff_fffc, &[0; 64]), 0, CUT),
        file("unknown block of 4 GiB", &sized(0x0bad, 0xffff_fffc, &[0; 64]), 0, CUT),
        file("length that is odd", &sized(PACKET, 0xffff_ffff, &[0; 64]), 0, IMPOSSIBLE),
        file("block of no length", &sized(0x0bad, 0, &[]), 0, IMPOSSIBLE),
        file("block of 8 bytes", &sized(0x0bad, 8, &[]), 0, IMPOSSIBLE),
        file("packet longer than its block", &packet_of(0, 5, [len + 400, len + 400], &data), 0, SHORT),
        file("packet of 4 GiB in its block", &packet_of(0, 5, [u32::MAX, u32::MAX], &data), 0, SHORT),
        file("packet longer than it was", &packet_of(0, 5, [len, 1], &data), 1, None),
        file("packet that was 4 GiB", &packet_of(0, 5, [len, u32::MAX], &data), 1, None),
        file("packet without bytes", &packet_of(0, 5, [0, u32::MAX], &[]), 1, None),
        file(
            "simple packet that was 4 GiB",
            &block(SIMPLE_PACKET, &[&[0xff; 4], data.as_slice()].concat()),
            1,
            None,
        ),
        file(
            "interface that is not described",
            &packet_of(7, 5, [len, len], &data),
            0,
            Some("names interface 7"),
        ),
        file(
            "interface with the last number",
            &packet_of(u32::MAX, 5, [len, len], &data),
            0,
            Some("names interface"),
        ),
    ]
}

/// Options, numbers and sections that contradict one another.
fn contradictions() -> Vec<Hostile> {
    let long = option(2, u16::MAX, b"eth1");
    let resolution = |value: u8| interface(0, &option(9, 1, &[value]));
    let offset = |seconds: i64| interface(0, &option(14, 8, &seconds.to_le_bytes()));
    let times = |description: Vec<u8>| {
        let ticks = [0, u64::MAX, 1, u64::MAX - 1, 1 << 63, 0]
            .map(|ticks| packet_of(1, ticks, [50, 50], &datagram(64, 7)));
        [description, ticks.concat()].concat()
    };
    let mut all: Vec<Hostile> = vec![
        file("option longer than its block", &interface(0, &long), 0, None),
        file("options without an end", &interface(0, &option(1, 4, b"abcd").repeat(10_000)), 0, None),
        file("resolution without a value", &interface(0, &option(9, 0, &[])), 0, None),
        file("offset that is too short", &interface(0, &option(14, 3, &[1, 2, 3])), 0, None),
        file("two interfaces of one name", &[named("eth0"), named("eth0")].concat(), 0, None),
        file("two sections", &[section(&[]), section(&[]), named("eth0")].concat(), 0, None),
        file("section that forgets its interface", &section(&[]), 0, Some("names interface 0")),
        file("snap length 0", &interface(0, &[]), 0, None),
        file("snap length 4 GiB", &interface(u32::MAX, &[]), 0, None),
        file("snap length below the packets", &interface(1, &[]), 0, None),
    ];
    for (name, value) in [("10^0", 0), ("10^-127", 127), ("2^0", 128), ("2^-127", 255), ("2^-63", 191)] {
        let name: &'static str = name;
        all.push(file(name, &times(resolution(value)), 6, None));
    }
    for (name, seconds) in [("earliest offset", i64::MIN), ("latest offset", i64::MAX), ("offset -1", -1)] {
        all.push(file(name, &times(offset(seconds)), 6, None));
    }
    all
}

/// Packets that go on and on.
fn packets() -> Vec<Hostile> {
    let option_header = |next: u8| vec![next, 0, 1, 4, 0, 0, 0, 0];
    // 60 is destination options, 0 hop-by-hop options, 43 routing, 44 a fragment.
    let chain = |kind: u8, count: usize| ethernet(0x86dd, &ip6(kind, &option_header(kind).repeat(count)));
    let mut nested4 = udp(4000, 5000, b"inside");
    let mut protocol = 17;
    for number in 0..500 {
        nested4 = ip4(protocol, 64, number, &nested4);
        protocol = 4;
    }
    let mut nested6 = ip6(17, &udp(4000, 5000, b"inside"));
    for _ in 0..300 {
        nested6 = ip6(41, &nested6);
    }
    let mut vxlan = datagram(64, 1);
    for number in 0..300 {
        let payload = [&[8, 0, 0, 0, 0, 0, 1, 0], vxlan.as_slice()].concat();
        vxlan = ethernet(0x0800, &ip4(17, 64, number, &udp(50_000, 4789, &payload)));
    }
    let mut gre = ip4(17, 64, 1, &udp(4000, 5000, b"inside"));
    for number in 0..300 {
        gre = ip4(47, 64, number, &[&[0, 0, 8, 0], gre.as_slice()].concat());
    }
    let tags = [[0x81, 0x00, 0x00, 0x01].repeat(5000), vec![0x08, 0x00]].concat();
    let tagged = [&[2; 12], tags.as_slice(), &ip4(17, 64, 1, &udp(4000, 5000, b"inside"))].concat();
    let quoting: Vec<u8> = [3, 4, 0, 0, 0, 0, 5, 0x78].repeat(2000);
    let one = |name, data: &[u8]| file(name, &packet(5, data), 1, None);
    vec![
        one("endless destination options", &chain(60, 8000)),
        one("endless hop-by-hop options", &chain(0, 8000)),
        one("endless routing headers", &chain(43, 8000)),
        one("endless fragment headers", &chain(44, 8000)),
        one("IPv4 in IPv4, 500 deep", &ethernet(0x0800, &nested4)),
        one("IPv6 in IPv6, 300 deep", &ethernet(0x86dd, &nested6)),
        one("VXLAN, 300 deep", &vxlan),
        one("GRE, 300 deep", &ethernet(0x0800, &gre)),
        one("5,000 VLAN tags", &tagged),
        one("ICMP error of ICMP errors", &ethernet(0x0800, &ip4(1, 64, 1, &quoting))),
        one("header length 0", &ethernet(0x0800, &[0x40; 60])),
        one("header longer than the packet", &ethernet(0x0800, &[0x4f; 24])),
        one("TCP header of no length", &ethernet(0x0800, &ip4(6, 64, 1, &[0; 20]))),
    ]
}

/// More than there may be, of what is remembered.
fn many() -> Vec<Hostile> {
    const MILLION: usize = 1_000_000;
    const MOST: usize = 65_536;
    let numbered = |number: usize| named(&format!("veth{number:07}"));
    let interfaces: Vec<u8> = (0..MILLION).flat_map(numbered).collect();
    let sections: Vec<u8> =
        (0..MILLION).flat_map(|number| [section(&[]), numbered(number)].concat()).collect();
    let empty: Vec<u8> =
        (0..MILLION).flat_map(|number| section(&option(3, 12, format!("{number:012}").as_bytes()))).collect();
    let nodes: Vec<u8> = (0..MOST / 2)
        .flat_map(|number| interface(0, &option(3, 12, format!("node={number:07}").as_bytes())))
        .collect();
    let fragments: Vec<u8> = (0..50_000_u32)
        .flat_map(|number| {
            let [_, place, high, low] = number.to_be_bytes();
            let mut data = datagram(64, u16::from_be_bytes([high, low]));
            // More fragments follow, and none of them is the first.
            (data[20], data[21], data[29]) = (0x20, 1, place);
            packet(u64::from(number) + 2, &data)
        })
        .collect();
    vec![
        file("a million interfaces", &interfaces, 0, Some("describes more than 65536 interfaces")),
        file("a million sections", &sections, 0, Some("describes more than 65536 interfaces")),
        file("a million empty sections", &[empty, named("eth0")].concat(), 0, None),
        file("30,000 nodes", &nodes, 0, None),
        file("50,000 fragments of nothing", &fragments, 50_000, None),
    ]
}

/// Both commands read so many packets, say the same of the end, and stay within their bounds.
fn check(scene: &Scene, hostile: &Hostile) {
    let Hostile { name, bytes, packets, said } = hostile;
    fs::write(scene.path("hostile"), bytes).unwrap();
    let code = if said.is_some() { 3 } else { 0 };
    let plural = if *packets == 1 { "" } else { "s" };
    for words in ["-w DIR/out --segment", "-e -X -v"] {
        let outcome = bounded(scene, &format!("capture -r DIR/hostile {words}"));
        assert_eq!(outcome.code, Some(code), "{name}, {words}: {}", outcome.stderr);
        let line = format!("{packets} packet{plural} read, {packets} matched");
        assert!(outcome.stderr.contains(&line), "{name}, {words}: {}", outcome.stderr);
        let told = said.is_none_or(|said| outcome.stderr.contains(said) && outcome.stderr.contains("byte "));
        assert!(told, "{name}: {}", outcome.stderr);
    }
    let outcome = bounded(scene, "trace -o json -r DIR/hostile");
    // What cannot be decoded is counted, and makes a trace incomplete.
    let codes: &[i32] = if said.is_some() { &[3] } else { &[0, 3] };
    assert!(outcome.code.is_some_and(|code| codes.contains(&code)), "{name}: {outcome:?}");
    let text = outcome.text();
    assert!(said.is_none_or(|said| text.contains(said) && text.contains("byte ")), "{name}: {text}");
    assert!(outcome.stderr.contains(&format!(", {packets} packets:")), "{name}: {}", outcome.stderr);
}

fn check_all(all: Vec<Hostile>) {
    let scene = Scene::new(0);
    for hostile in all {
        check(&scene, &hostile);
    }
}

#[test]
fn lengths_that_are_not_true() {
    check_all(lengths());
}

#[test]
fn options_and_numbers_that_contradict_one_another() {
    check_all(contradictions());
}

#[test]
fn packets_without_an_end() {
    check_all(packets());
}

#[test]
#[ignore = "files of some hundred megabytes: some minutes where kflow is not optimised"]
fn more_than_there_may_be() {
    check_all(many());
}

/// Objects of a cluster as nobody has them.
fn states() -> Vec<(&'static str, String, i32)> {
    const DEEP: usize = 100_000;
    let list = |items: &str| format!(r#"{{"kind": "List", "items": [{items}]}}"#);
    let pod = |name: &str, rest: &str| {
        format!(r#"{{"kind": "Pod", "metadata": {{"name": "{name}", "namespace": "n"{rest}}}}}"#)
    };
    let objects = r#"{"a":"#.repeat(DEEP) + "1" + &"}".repeat(DEEP);
    let items: Vec<String> = (0..20_000).map(|number| pod(&format!("pod-{number}"), "")).collect();
    vec![
        ("arrays, 100,000 deep", "[".repeat(DEEP) + &"]".repeat(DEEP), 1),
        ("arrays without an end", "[".repeat(DEEP), 1),
        ("objects, 100,000 deep", objects.clone(), 1),
        ("a label, 100,000 deep", list(&pod("p", &format!(r#", "labels": {{"a": {objects}}}"#))), 1),
        ("a list of lists", r#"{"kind": "List", "items": ["#.repeat(DEEP), 1),
        ("a name of 2 MB", list(&pod(&"x".repeat(2_000_000), "")), 0),
        ("20,000 pods", list(&items.join(",")), 0),
        ("100,000 numbers", list(&vec!["1"; 100_000].join(",")), 0),
        ("numbers for names", list(r#"{"kind": "Pod", "metadata": {"name": 1e400}}"#), 1),
    ]
}

#[test]
fn states_of_clusters_that_nobody_has() {
    let scene = Scene::new(0);
    fs::write(scene.path("capture"), [begin(), packet(1, &datagram(64, 1))].concat()).unwrap();
    for (name, state, code) in states() {
        fs::write(scene.path("state"), state).unwrap();
        for words in ["trace -r node-a=DIR/capture --state DIR/state", "capture -D --state DIR/state"] {
            let outcome = bounded(&scene, words);
            assert_eq!(outcome.code, Some(code), "{name}, {words}: {}", outcome.stderr);
            assert!(code == 0 || outcome.stderr.contains("state"), "{name}, {words}: {}", outcome.stderr);
        }
    }
}

/// What agents tell as evidence is as little to be trusted: the trace goes on without it.
#[test]
fn evidence_that_nobody_has() {
    use crate::nodes::{Cluster, NODES, at_once};
    for evidence in ["[".repeat(100_000), "{}\n".repeat(100_000)] {
        let scene = Scene::new(0);
        let streams = [evidence.clone().into_bytes(), evidence.into_bytes()];
        let cluster = Cluster::of(scene.directory(), at_once(streams));
        let words = cluster.words("trace", "-o json --duration 1 pod-0 pod-1").join(" ");
        let outcome = bounded(&scene, &words);
        // Nothing can be watched.
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let said = format!("{}{}", outcome.stderr, outcome.text());
        assert!(NODES.iter().all(|node| said.contains(node)), "{said}");
        assert!(said.contains("this is no capture"), "{said}");
    }
}
