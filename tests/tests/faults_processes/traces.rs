//! `kflow trace` on the lab: the client or one of its children is killed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    Lab, LabConfig, Namespace, Overlay,
    aftermath::Aftermath,
    kflow,
    lab::topology::{NODES, POD_DEST, POD_PORT, POD_SRC, PODS, SVC_CLUSTERIP},
    traffic::{HttpGet, HttpServer},
    truth::random::Random,
};

use crate::{
    file::Contents,
    moments::{self, pass, random},
};

/// Moments are within so many times what a trace takes to begin.
const TIMES: u32 = 2;
/// How long a trace may take to begin, or to say why it does not.
const PATIENCE: Duration = Duration::from_mins(1);
const READY: &str = "tracing ";

#[test]
fn a_trace_whose_processes_are_killed_says_so_and_leaves_nothing() {
    kill_traces(2);
}

#[test]
#[ignore = "minutes, half an hour on a busy machine: `cargo xtask test faults` runs it"]
fn a_trace_whose_processes_are_killed_at_50_moments_says_so_and_leaves_nothing() {
    kill_traces(50);
}

#[test]
fn a_witness_that_is_killed_is_told_of() {
    let lab = Lab::up(&LabConfig::default()).unwrap();
    let mut aftermath = Aftermath::of(namespaces(&lab)).unwrap();
    let mut client = start(&aftermath, &lab, lab.directory());
    begin(&mut client, lab.directory());
    let is_witness = |process: &u32| command_line(*process).get(1).is_some_and(|word| word == "evidence");
    let witness = aftermath.processes().into_iter().find(is_witness).unwrap();
    let command = command_line(witness);
    aftermath.look();
    kill(Pid::from_raw(witness.cast_signed()), Signal::SIGKILL).unwrap();
    let status = end(&mut client);
    let stdout = fs::read_to_string(lab.directory().join("stdout")).unwrap();
    let summary: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let missing = &summary["missing_evidence"][0];
    assert_eq!(missing["what"], "evidence at the end", "{status:?}: {summary}");
    assert_eq!(missing["why"], "`kflow evidence` ended early", "{summary}");
    assert!(place(&command).ends_with(missing["places"][0].as_str().unwrap()), "{command:?}: {summary}");
    aftermath.check().unwrap();
}

fn kill_traces(times: usize) {
    let mut random = random("moments of traces");
    let lab = Lab::up(&LabConfig { overlay: Overlay::Ipip, ..LabConfig::default() }).unwrap();
    let _server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT).unwrap();
    let aftermath = Aftermath::of(namespaces(&lab)).unwrap();
    let most = moments::start(&mut command(&aftermath, &lab, lab.directory()), READY) * TIMES;
    aftermath.check().unwrap();
    let mut killed = BTreeMap::new();
    for round in 0..times {
        let folder = lab.directory().join(format!("killed-{round}"));
        fs::create_dir(&folder).unwrap();
        let what = kill_one(&lab, &folder, round % 3 == 0, most, &mut random);
        *killed.entry(what).or_insert(0) += 1;
    }
    println!("killed: {killed:?}");
}

/// Kills the client, or a child of it; returns which.
fn kill_one(lab: &Lab, folder: &Path, is_client: bool, most: Duration, random: &mut Random) -> String {
    let mut aftermath = Aftermath::of(namespaces(lab)).unwrap();
    let mut client = start(&aftermath, lab, folder);
    pass(random, most);
    // Between its making and its beginning a child is a second client.
    let is_child = |process: &u32| command_line(*process).get(1).is_some_and(|word| word != "trace");
    let children: Vec<u32> = aftermath.processes().into_iter().filter(is_child).collect();
    aftermath.look();
    let victim = if is_client || children.is_empty() {
        client.id()
    } else {
        children[random.between(0, children.len())]
    };
    let command = command_line(victim);
    kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
    let what = if victim == client.id() {
        assert_eq!(client.wait().unwrap().signal(), Some(9));
        "client".to_owned()
    } else {
        begin(&mut client, folder);
        let to = SocketAddr::from((SVC_CLUSTERIP.cluster_ip, POD_PORT));
        HttpGet::new(to).send(lab.pod(POD_SRC.name)).unwrap();
        let status = end(&mut client);
        assert_told(folder, &command, status);
        command[1].clone()
    };
    aftermath.look();
    aftermath.check().unwrap_or_else(|left| panic!("{command:?}: {left}"));
    let file = folder.join("trace.pcapng");
    if file.exists() {
        let contents = Contents::of(&file);
        assert!(contents.cut.is_none() || what == "client", "{contents:?}");
    }
    what
}

fn command(aftermath: &Aftermath<'_>, lab: &Lab, folder: &Path) -> Command {
    let mut command = aftermath.command(kflow::program());
    command
        .arg("trace")
        .args(lab.kflow_node_args())
        .args(["-o", "json", "-w"])
        .arg(folder.join("trace.pcapng"));
    command.args([POD_SRC.name, "svc/svc-clusterip"]);
    command
}

fn start(aftermath: &Aftermath<'_>, lab: &Lab, folder: &Path) -> Child {
    let file = |name| File::create(folder.join(name)).unwrap();
    let mut command = command(aftermath, lab, folder);
    command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap()
}

/// Until it traces what is left to be traced, or has ended.
fn begin(client: &mut Child, folder: &Path) {
    let until = Instant::now() + PATIENCE;
    let has_begun = || fs::read_to_string(folder.join("stderr")).is_ok_and(|said| said.contains(READY));
    while !has_begun() && client.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it neither begins nor ends");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Ctrl-C, and how it ended.
fn end(client: &mut Child) -> ExitStatus {
    if let Some(status) = client.try_wait().unwrap() {
        return status;
    }
    kill(Pid::from_raw(client.id().cast_signed()), Signal::SIGINT).unwrap();
    client.wait().unwrap()
}

/// The survivor says who is missing, and that what it tells is not all.
fn assert_told(folder: &Path, victim: &[String], status: ExitStatus) {
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let (stdout, stderr) = (read("stdout"), read("stderr"));
    let place = place(victim);
    let told = format!("{victim:?}\n{status:?}\n{stdout}\n{stderr}");
    assert!(matches!(status.code(), Some(0..=4)), "{told}");
    let summary: Option<Value> = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
    let Some(summary) = summary.filter(|summary| summary["type"] == "summary") else {
        // It ended before it began.
        assert!(status.code() == Some(1) && stderr.contains(&place), "{told}");
        return;
    };
    let node = place.rsplit('/').next().unwrap_or_default();
    if victim[1] == "evidence" {
        // Verdicts say less, and no packet is missing.
        let missing = summary["missing_evidence"].to_string();
        assert!(missing.contains("evidence") && missing.contains(node), "{node}: {told}");
        assert_eq!(status.code(), Some(0), "{told}");
    } else {
        let broken = summary["loss"]["broken_streams"].to_string();
        assert!(broken.contains(node), "{node}: {told}");
        assert_eq!((status.code(), &summary["complete"]), (Some(3), &Value::Bool(false)), "{told}");
    }
}

/// The node or pod that a process is at.
fn place(command: &[String]) -> String {
    let after = |flag: &str| command.windows(2).find(|words| words[0] == flag).map(|words| words[1].clone());
    after("--pod").or_else(|| after("--node")).unwrap_or_default()
}

fn command_line(process: u32) -> Vec<String> {
    let line = fs::read(PathBuf::from(format!("/proc/{process}/cmdline"))).unwrap_or_default();
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter(|word| !word.is_empty()).collect()
}

/// Every namespace in which a trace of the lab attaches something.
pub(crate) fn namespaces(lab: &Lab) -> Vec<&Namespace> {
    let nodes = NODES.iter().map(|node| lab.node(node.name));
    nodes.chain(PODS.iter().map(|pod| lab.pod(pod.name))).collect()
}
