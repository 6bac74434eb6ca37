//! The lab, captured by `kflow` itself: what a trace wrote, and what captures on each node wrote.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use serde_json::Value;
use tests::{
    Kflow, Lab, LabConfig, Namespace, Overlay,
    kflow::{self, Told},
    lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP},
    traffic::{HttpGet, HttpServer, TrafficError},
};
use tracer_core::capture::{CaptureReader, Item};

use crate::support::{Test, hops, list, only_flow};

fn get(lab: &Lab, to: (Ipv4Addr, u16)) -> Result<(), TrafficError> {
    let request = HttpGet { body_len: 5000, ..HttpGet::new(SocketAddr::from(to)) };
    assert_eq!(request.send(lab.of(POD_SRC.name))?.status, 200);
    Ok(())
}

/// A trace of one request while it goes, with its pcapng at `file`.
fn live(
    lab: &Lab,
    to: (Ipv4Addr, u16),
    words: [&str; 2],
    file: &Path,
) -> Result<Told, Box<dyn std::error::Error>> {
    let words = words.into_iter().chain(["-o", "json", "-w"]).map(OsString::from).chain([file.into()]);
    let args = [OsString::from("trace")].into_iter().chain(lab.kflow_node_args()).chain(words);
    let kflow = Kflow::tracing(&kflow::program(), args)?;
    get(lab, to)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    Ok(outcome.told()?)
}

/// What a direction of a flow says that does not depend on when it was read.
fn said(lane: &Value) -> Value {
    let hop = |hop: &Value| {
        let what = [
            "node",
            "pod",
            "interface",
            "direction",
            "packets",
            "source",
            "destination",
            "tunnels",
            "changes",
        ];
        what.into_iter().map(|name| (name.to_owned(), hop[name].clone())).collect::<Value>()
    };
    let what = ["packets", "payload_bytes", "delivered", "unknown", "ordinal", "stopped"];
    let counts = what.map(|name| (name.to_owned(), lane[name].clone()));
    let hops = list(&lane["hops"]).iter().map(hop).collect();
    counts.into_iter().chain([("hops".to_owned(), Value::Array(hops))]).collect()
}

#[test]
fn a_traced_file_gives_the_same_trace_again() -> Test {
    for overlay in [Overlay::Ipip, Overlay::Vxlan] {
        let lab = Lab::up(&LabConfig { overlay, ..LabConfig::default() })?;
        let _server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
        let file = lab.directory().join("trace.pcapng");
        let to = (SVC_CLUSTERIP.cluster_ip, POD_PORT);
        let words = [POD_SRC.name, "svc/svc-clusterip"];
        let before = live(&lab, to, words, &file)?;
        let flow = only_flow(&before);
        assert_eq!(hops(&flow["forward"]).len(), 8, "{flow:#}");

        let state = lab.state_path();
        let read = ["trace", "-o", "json", "-r"].map(OsString::from).into_iter().chain([file.into()]);
        let named = ["--state".into(), state.into_os_string()].into_iter().chain(words.map(OsString::from));
        let with_ends = Kflow::run(&kflow::program(), read.clone().chain(named))?;
        assert_eq!(with_ends.code, Some(0), "{with_ends:?}");
        let told = with_ends.told()?;
        for lane in ["forward", "reply"] {
            assert_eq!(said(&only_flow(&told)[lane]), said(&flow[lane]), "{lane}");
        }
        assert_eq!(only_flow(&told)["tcp"]["opened"], flow["tcp"]["opened"]);

        // Every flow, and without names: the same way.
        let every = Kflow::run(&kflow::program(), read)?;
        let told = every.told()?;
        assert_eq!(hops(&only_flow(&told)["forward"]), hops(&flow["forward"]), "{every:?}");
        assert_eq!(hops(&only_flow(&told)["reply"]), hops(&flow["reply"]), "{every:?}");
    }
    Ok(())
}

/// Hands on what it reads, and writes it to a file.
struct Tee<R>(R, File);

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// A `kflow capture` of one network namespace into a file; its programs are attached when this returns.
struct Capture {
    child: Child,
    reader: JoinHandle<()>,
}

impl Capture {
    fn start(namespace: &Namespace, words: &[&str], file: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let mut command = Command::new(kflow::program());
        command.args(["capture", "--quiet", "-w", "-", "--netns"]).arg(namespace.path()).args(words);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let tee = Tee(child.stdout.take().ok_or("no pipe")?, File::create(file)?);
        let (sender, attached) = channel();
        let reader = thread::spawn(move || {
            let mut reader = CaptureReader::new(tee).unwrap();
            while let Some(item) = reader.next_item().unwrap() {
                if matches!(item, Item::Statistics(..)) {
                    // Only the first one is waited for.
                    let _ = sender.send(());
                }
            }
        });
        attached.recv()?;
        Ok(Self { child, reader })
    }

    fn stop(mut self) -> Test {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGINT)?;
        self.reader.join().unwrap();
        self.child.wait()?;
        Ok(())
    }
}

#[test]
fn captures_of_every_node_and_pod_give_the_trace() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let _server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
    let to = (SVC_CLUSTERIP.cluster_ip, POD_PORT);
    let words = [POD_SRC.name, "svc/svc-clusterip"];
    let before = live(&lab, to, words, &lab.directory().join("trace.pcapng"))?;

    let file = |name: &str| lab.directory().join(format!("{name}.pcapng"));
    let captures = [
        Capture::start(lab.node(K8S_NODE1.name), &["--node", K8S_NODE1.name], &file("a"))?,
        Capture::start(lab.node(K8S_NODE2.name), &["--node", K8S_NODE2.name], &file("b"))?,
        Capture::start(
            lab.pod(POD_SRC.name),
            &["--node", K8S_NODE2.name, "--pod", "default/pod-src"],
            &file("c"),
        )?,
        Capture::start(
            lab.pod(POD_DEST.name),
            &["--node", K8S_NODE1.name, "--pod", "default/pod-dest"],
            &file("d"),
        )?,
    ];
    get(&lab, to)?;
    captures.into_iter().try_for_each(Capture::stop)?;

    let read = ["a", "b", "c", "d"].into_iter().flat_map(|name| ["-r".into(), file(name).into_os_string()]);
    let named = ["--state".into(), lab.state_path().into_os_string()];
    let args = ["trace", "-o", "json"].into_iter().map(OsString::from).chain(read).chain(named);
    let outcome = Kflow::run(&kflow::program(), args.chain(words.map(OsString::from)))?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told = outcome.told()?;
    let places = |lane: &Value| {
        let place = |hop: &Value| {
            [&hop["node"], &hop["pod"], &hop["interface"], &hop["direction"]].map(Value::to_string)
        };
        list(&lane["hops"]).iter().map(place).collect::<Vec<_>>()
    };
    for lane in ["forward", "reply"] {
        let (now, live) = (&only_flow(&told)[lane], &only_flow(&before)[lane]);
        assert_eq!(places(now), places(live), "{lane}");
        assert_eq!(now["delivered"], now["packets"], "{now:#}");
    }
    Ok(())
}
