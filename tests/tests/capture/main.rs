//! `kflow capture` on real interfaces: the packets that tcpdump sees, every end, and nothing left behind.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod pair;
mod process;
mod second_pair_of_eyes;

use std::fs::File;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use aya::programs::tc::{NlOptions, TcAttachOptions, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};
use nix::sys::signal::Signal;
use pair::{FAR, NEAR_INTERFACE, Pair, send_raw};
use process::{Capture, Outcome, Said, command};
use second_pair_of_eyes::{Packet, Tcpdump};
use tests::lab::topology::{K8S_NODE1, POD_DEST, POD_SRC};
use tests::traffic::Ping;
use tests::{Lab, LabConfig, Overlay};
use tracer::kernel::object::{self, RingSize, Settings};
use tracer_core::capture::{CaptureReader, Frame, Item, LinkLayer};
use tracer_core::units::{Direction, SnapLength};

const PORT: u16 = 7000;
const SNAP: u32 = 96;

type Tested = Result<(), Box<dyn std::error::Error>>;

fn near(words: &[&'static str]) -> Vec<&'static str> {
    [&["-i", NEAR_INTERFACE], words].concat()
}

/// The frames as tcpdump would have written them.
fn packets<'a>(frames: impl Iterator<Item = &'a Frame<'static>>) -> Vec<Packet> {
    frames.map(|frame| Packet { original_len: frame.original_len, data: frame.data.to_vec() }).collect()
}

fn assert_adds_up(outcome: &Outcome, interface: &str) {
    let statistics = outcome.statistics(interface);
    let (id, _) = outcome.interface(interface);
    let written = outcome.frames().filter(|frame| frame.interface == id).count() as u64;
    assert_eq!(statistics.written, written, "{interface}");
    assert_eq!(statistics.matched, statistics.written + statistics.lost, "{interface}");
    assert!(statistics.seen >= statistics.matched, "{interface}");
}

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

#[test]
fn only_matching_packets_are_recorded_and_all_are_counted() {
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&["--host", "10.9.0.2:7000/udp"]));
    pair.udp(FAR, PORT, 10, 30);
    pair.udp(FAR, PORT + 1, 15, 30);
    let outcome = capture.stop();
    let statistics = outcome.statistics(NEAR_INTERFACE);
    assert_eq!((statistics.seen, statistics.matched, statistics.written, statistics.lost), (50, 20, 20, 0));
    assert_adds_up(&outcome, NEAR_INTERFACE);
    assert!(
        outcome
            .stderr
            .ends_with("20 packets captured\n20 packets received by filter\n0 packets dropped by kernel\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn silence_comes_with_its_reason() {
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&["--host", "10.1.1.1"]));
    pair.udp(FAR, PORT, 10, 30);
    let outcome = capture.stop();
    assert_eq!(outcome.code(), Some(3));
    assert!(
        outcome.stderr.ends_with("20 packets passed near0, and none of them matched the filter\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn full_ring_is_counted_and_told() {
    const FLOOD: u32 = 3000;
    let pair = Pair::new();
    let mut capture = Capture::start(&pair, &near(&["-s", "128", "-B", "64", "--host", "10.9.0.2:7000/udp"]));
    capture.signal(Signal::SIGSTOP);
    pair.flood(PORT, FLOOD);
    capture.signal(Signal::SIGCONT);
    // A live reader learns of losses while the capture goes on.
    capture.wait_for("a loss", |said| matches!(said, Said::Statistics(_, statistics) if statistics.lost > 0));
    pair.udp(FAR, PORT, 1, 30);
    let outcome = capture.stop();
    let statistics = outcome.statistics(NEAR_INTERFACE);
    assert_eq!(statistics.seen, u64::from(FLOOD) + 2);
    assert_eq!(statistics.matched, statistics.seen);
    assert!(statistics.lost > 0 && statistics.written > 2, "{statistics:?}");
    assert_adds_up(&outcome, NEAR_INTERFACE);
    let told: u64 = outcome.frames().map(|frame| frame.lost_before).sum();
    assert!(0 < told && told <= statistics.lost, "{told} of {statistics:?}");
    assert_eq!(outcome.code(), Some(3));
}

#[test]
fn interfaces_are_followed() {
    let pair = Pair::new();
    let mut capture = Capture::start(&pair, &["-i", "near*"]);
    let described = |name: &'static str| move |said: &Said| matches!(said, Said::Interface(_, interface) if interface.name == name);
    let (near_address, far_address) = (Ipv4Addr::new(10, 9, 1, 1), Ipv4Addr::new(10, 9, 1, 2));
    // It appears.
    pair.link("near1", "far1");
    capture.wait_for("near1", described("near1"));
    capture.wait_for("that it is attached", |said| matches!(said, Said::Statistics(..)));
    pair.addresses("near1", "far1", near_address, far_address);
    pair.udp(far_address, PORT, 3, 30);
    capture.wait_for_frames(6);
    // It gets another name.
    pair.near("link set near1 down");
    pair.near("link set near1 name near2");
    pair.near("link set near2 up");
    pair.near(&format!("neigh replace {far_address} lladdr 02:00:00:00:00:02 dev near2 nud permanent"));
    capture.wait_for("near2", described("near2"));
    pair.udp(far_address, PORT, 2, 30);
    capture.wait_for_frames(4);
    // It gets a name that was not asked for.
    pair.near("link set near2 down");
    pair.near("link set near2 name other");
    pair.near("link set other up");
    pair.near(&format!("neigh replace {far_address} lladdr 02:00:00:00:00:02 dev other nud permanent"));
    pair.udp(far_address, PORT, 2, 30);
    // Another one appears and goes.
    pair.link("near3", "far3");
    capture.wait_for("near3", described("near3"));
    pair.near("link del near3");
    capture.wait_for("the end of near3", |said| matches!(said, Said::Statistics(..)));
    let outcome = capture.stop();
    assert_eq!(outcome.statistics("near1").written, 6);
    assert_eq!(outcome.statistics("near2").written, 4);
    assert_eq!(outcome.statistics("near3").seen, 0);
    assert!(outcome.heard.iter().all(|said| !described("other")(said)));
    for name in [NEAR_INTERFACE, "near1", "near2", "near3"] {
        assert_adds_up(&outcome, name);
    }
    assert_ne!(outcome.interface("near1").1.ifindex, outcome.interface("near3").1.ifindex);
    assert_eq!(outcome.interface("near1").1.ifindex, outcome.interface("near2").1.ifindex);
}

/// Our programs on the near interface by TCX, both directions.
fn tcx_programs(pair: &Pair) -> usize {
    pair.in_near(|| {
        [TcAttachType::Ingress, TcAttachType::Egress]
            .into_iter()
            .map(|direction| SchedClassifier::query_tcx(NEAR_INTERFACE, direction).unwrap().1.len())
            .sum()
    })
}

/// Our filters on the near interface by clsact, both directions.
fn filters(pair: &Pair) -> usize {
    let show = |direction| {
        let mut tc = Command::new("tc");
        tc.args(["filter", "show", "dev", NEAR_INTERFACE, direction]);
        let output = pair.in_near(|| tc.output()).unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().matches("kflow-").count()
    };
    show("ingress") + show("egress")
}

#[test]
fn nothing_stays_after_sigkill_with_tcx() {
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&["--attach", "tcx"]));
    assert_eq!(tcx_programs(&pair), 2);
    capture.signal(Signal::SIGKILL);
    assert_eq!(capture.wait().code(), None);
    assert_eq!(tcx_programs(&pair), 0);
}

#[test]
fn filters_go_at_the_end_and_stale_ones_at_the_next_start() {
    let pair = Pair::new();
    let killed = Capture::start(&pair, &near(&["--attach", "clsact"]));
    let other = Capture::start(&pair, &near(&["--attach", "clsact"]));
    assert_eq!(filters(&pair), 4);
    killed.signal(Signal::SIGKILL);
    killed.wait();
    assert_eq!(filters(&pair), 4, "without a process nobody can take them away");
    // The next start of either kind does, and leaves those of a live process alone.
    let next = Capture::start(&pair, &near(&["--attach", "tcx"]));
    assert_eq!(filters(&pair), 2);
    pair.udp(FAR, PORT, 1, 30);
    assert_eq!(next.stop().statistics(NEAR_INTERFACE).written, 2);
    let outcome = other.stop();
    assert_eq!(outcome.statistics(NEAR_INTERFACE).written, 2);
    assert_adds_up(&outcome, NEAR_INTERFACE);
    assert_eq!(filters(&pair), 0);
}

#[test]
fn filters_of_others_stay_and_are_told_of_where_they_come_first() {
    let settings = Settings {
        snap: SnapLength(128),
        ring: RingSize::at_least(64, SnapLength(128)),
        vxlan_port: None,
        debug: false,
    };
    for (priority, warned) in [(7, false), (1, true)] {
        let pair = Pair::new();
        let mut other = object::load(&settings).unwrap();
        pair.in_near(|| {
            qdisc_add_clsact(NEAR_INTERFACE).unwrap();
            let options = TcAttachOptions::Netlink(NlOptions { priority, ..NlOptions::default() });
            let program = other.programs.get(Direction::Ingress).unwrap();
            program.attach_with_options(NEAR_INTERFACE, TcAttachType::Ingress, options).unwrap();
        });
        let capture = Capture::start(&pair, &near(&["--attach", "clsact"]));
        pair.udp(FAR, PORT, 5, 30);
        let outcome = capture.stop();
        assert_eq!(outcome.statistics(NEAR_INTERFACE).written, 10);
        assert_eq!(
            outcome.stderr.contains("a program of another owner runs first"),
            warned,
            "{}",
            outcome.stderr
        );
        let mut show = Command::new("tc");
        show.args(["filter", "show", "dev", NEAR_INTERFACE, "ingress"]);
        let left = String::from_utf8(pair.in_near(|| show.output()).unwrap().stdout).unwrap();
        assert!(left.contains("kflow_ingress") && !left.contains("kflow-"), "{left}");
    }
}

#[test]
fn every_end_is_in_good_order() {
    let pair = Pair::new();
    // Enough packets; not one more.
    let capture = Capture::start(&pair, &near(&["--max-packets", "3"]));
    pair.udp(FAR, PORT, 5, 30);
    let outcome = capture.wait();
    assert_eq!((outcome.frames().count(), outcome.code()), (3, Some(0)));
    // The time is over.
    let outcome = Capture::start(&pair, &near(&["--duration", "0.2"])).wait();
    assert_eq!(outcome.code(), Some(3), "no packet came: {}", outcome.stderr);
    // Standard input ends.
    let mut capture = Capture::start(&pair, &near(&["--until-stdin-closes", "--quiet"]));
    pair.udp(FAR, PORT, 2, 30);
    drop(capture.stdin());
    let outcome = capture.wait();
    assert_eq!((outcome.frames().count(), outcome.code()), (4, Some(0)));
    assert_eq!(outcome.stderr, "");
    assert_adds_up(&outcome, NEAR_INTERFACE);
    // SIGTERM.
    let capture = Capture::start(&pair, &near(&[]));
    pair.udp(FAR, PORT, 1, 30);
    capture.signal(Signal::SIGTERM);
    assert_eq!(capture.wait().code(), Some(0));
    assert_eq!(tcx_programs(&pair), 0);
}

#[test]
fn closed_output_is_an_end_like_any_other() {
    let pair = Pair::new();
    let mut child = command(&near(&[]))
        .arg("--netns")
        .arg(pair.near_path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    drop(stdout);
    // Without any packet.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(tcx_programs(&pair), 0);
}

#[test]
fn reader_that_stopped_reading_cannot_hold_the_capture() {
    let pair = Pair::new();
    let mut child = command(&near(&["-s", "0"]))
        .arg("--netns")
        .arg(pair.near_path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    pair.udp(FAR, PORT, 200, 60_000);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("the reader of the output takes no more packets"), "{stderr}");
    assert_eq!(tcx_programs(&pair), 0);
}

#[test]
fn mistakes_are_told_apart() {
    let pair = Pair::new();
    let netns = pair.near_path().into_os_string().into_string().unwrap();
    let table: [(&[&str], i32, &str); 6] = [
        (
            &["-i", "nera0", "--netns", &netns],
            1,
            "there is no interface nera0 (did you mean near0?); there are lo, near0",
        ),
        (&["--netns", "/run/netns/no-such"], 1, "there is no network namespace /run/netns/no-such"),
        (&["--netns", "/etc/passwd"], 1, "/etc/passwd is no network namespace"),
        (&["--netns", "4194304"], 1, "there is no process 4194304"),
        (&["--host", "pod-a"], 2, "expected an address"),
        (&["-i", "a["], 2, "`a[` is no pattern of interface names"),
    ];
    for (arguments, code, words) in table {
        let output = command(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn missing_capability_is_named() {
    let kflow = tests::kflow::program();
    let output = Command::new("setpriv")
        .args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
        .arg(&kflow)
        .args(["capture", "-i", "lo"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("CAP_NET_ADMIN") && stderr.contains("setcap cap_bpf,cap_net_admin,cap_perfmon+ep")
    );
}
