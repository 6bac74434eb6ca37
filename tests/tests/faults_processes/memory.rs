//! A control group of 64 MiB.

use std::{
    ffi::OsString,
    fs::{self, File},
    net::SocketAddr,
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::Value;

use tests::{
    Lab, LabConfig, Overlay,
    aftermath::Aftermath,
    cgroup::Cgroup,
    kflow,
    lab::topology::{K8S_NODE1, POD_DEST, POD_PORT, POD_SRC},
    pair::{NEAR_INTERFACE, Pair},
    traffic::{HttpGet, HttpServer},
};

use crate::{
    file::{Contents, assert_readable, gaps},
    numbers::Numbers,
    running::{Folder, Running},
    traces,
};

const LIMIT: u64 = 64 << 20;
/// Of a thousand bytes each: more than the group's memory.
const PACKETS: u64 = 100_000;
/// Bytes of an answer.
const BODY: u64 = 20_000_000;

#[test]
fn a_flood_is_captured_within_64_mib() {
    let pair = Pair::up().unwrap();
    let folder = Folder::new(&format!("{}-memory", pair.near.name()));
    let file = folder.0.join("flood.pcapng");
    let group = Cgroup::with_memory(LIMIT).unwrap();
    let mut aftermath = Aftermath::of([&pair.near]).unwrap();
    let mut command = group.command(kflow::program());
    command.args(["capture", "-i", NEAR_INTERFACE, "--netns"]).arg(pair.near.path()).arg("-w").arg(&file);
    let mut capture = Running::start(aftermath.claim(&mut command));
    capture.wait_for("capturing on", 1);
    let numbers = Numbers::start(&pair, 100, 1000);
    while numbers.next() < PACKETS {
        thread::sleep(Duration::from_millis(1));
    }
    let sent = numbers.end();
    aftermath.look();
    let outcome = capture.stop();
    let [captured, received, dropped] = outcome.three();
    println!("{sent} sent, {captured} captured, {dropped} dropped, {:?} bytes at most", group.peak());
    assert_eq!((received, captured + dropped), (sent, sent), "{outcome:?}");
    assert_eq!(outcome.code, Some(if dropped > 0 { 3 } else { 0 }), "{outcome:?}");
    assert_eq!(group.kills().unwrap(), 0, "{outcome:?}");
    aftermath.check().unwrap();
    let contents = Contents::of(&file);
    assert_eq!(contents.packets.len() as u64, captured);
    assert!(gaps(&contents) <= dropped, "{outcome:?}");
    assert_readable(&file, &contents);
}

#[test]
fn a_buffer_that_is_too_large_is_refused_with_what_to_lower() {
    let pair = Pair::up().unwrap();
    let group = Cgroup::with_memory(LIMIT).unwrap();
    let mut aftermath = Aftermath::of([&pair.near]).unwrap();
    let mut command = group.command(kflow::program());
    command.args(["capture", "-i", NEAR_INTERFACE, "-B", "131072", "-w", "/dev/null", "--netns"]);
    let refused = Running::start(aftermath.claim(command.arg(pair.near.path()))).wait();
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("lower the buffer with -B"), "{refused:?}");
    aftermath.look();
    assert_eq!(group.kills().unwrap(), 0, "{refused:?}");
    aftermath.check().unwrap();
}

#[test]
fn a_node_is_traced_within_64_mib() {
    let lab = Lab::up(&LabConfig { overlay: Overlay::Ipip, ..LabConfig::default() }).unwrap();
    let _server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT).unwrap();
    let group = Cgroup::with_memory(LIMIT).unwrap();
    let mut aftermath = Aftermath::of(traces::namespaces(&lab)).unwrap();
    let mut command = group.command(kflow::program());
    let node = format!("{}=netns:{}", K8S_NODE1.name, lab.node(K8S_NODE1.name).path().display());
    command.arg("trace").arg("--state").arg(lab.state_path()).args(["--node", &node, "-o", "json"]);
    let told = lab.directory().join("told.json");
    command.args([POD_SRC.name, POD_DEST.name]).stdout(File::create(&told).unwrap());
    let mut trace = Running::start(aftermath.claim(&mut command));
    trace.wait_for("tracing ", 1);
    let to = SocketAddr::from((POD_DEST.address, POD_PORT));
    HttpGet { body_len: BODY, ..HttpGet::new(to) }.send(lab.pod(POD_SRC.name)).unwrap();
    aftermath.look();
    let outcome = trace.stop();
    assert_eq!(group.kills().unwrap(), 0, "{outcome:?}");
    let told = fs::read_to_string(told).unwrap();
    let summary: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let interfaces = summary["loss"]["interfaces"].as_array().unwrap();
    let lost: u64 = interfaces.iter().filter_map(|interface| interface["lost"].as_u64()).sum();
    println!("{lost} lost, {:?} bytes at most", group.peak());
    // The other node is not watched.
    assert_eq!((outcome.code, &summary["complete"]), (Some(3), &Value::Bool(lost == 0)), "{summary}");
    assert!(told.contains("\"type\":\"flow\""), "{told}");
    aftermath.check().unwrap();
}

#[test]
fn a_trace_of_more_than_fits_is_refused_with_what_would() {
    let lab = Lab::up(&LabConfig::default()).unwrap();
    let group = Cgroup::with_memory(LIMIT).unwrap();
    let aftermath = Aftermath::of(traces::namespaces(&lab)).unwrap();
    let node = format!("{}=netns:{}", K8S_NODE1.name, lab.node(K8S_NODE1.name).path().display());
    let state = lab.state_path().display().to_string();
    let one: Vec<OsString> = ["--state", &state, "--node", &node, "-B", "65536"].map(Into::into).into();
    for (arguments, words) in [
        (lab.kflow_node_args(), "watch no more than 1 (--node, --pod)"),
        (one, "lower the buffer with -B 8192"),
    ] {
        let mut command = group.command(kflow::program());
        command.arg("trace").args(arguments).args([POD_SRC.name, POD_DEST.name]).stdout(Stdio::null());
        let refused = Running::start(aftermath.claim(&mut command)).wait();
        assert_eq!(refused.code, Some(4), "{refused:?}");
        assert!(refused.stderr.contains("allows 64 MiB") && refused.stderr.contains(words), "{refused:?}");
        aftermath.check().unwrap();
    }
    assert_eq!(group.kills().unwrap(), 0);
}
