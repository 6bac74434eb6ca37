use std::collections::VecDeque;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use tracer_core::capture::{
    CaptureReader, CaptureWriter, Frame, Interface, InterfaceId, Item, LinkLayer, SNAP_WHOLE, Section,
    Statistics,
};
use tracer_core::units::{Direction, Timestamp};

use super::super::agents::Steer;
use super::super::output::Manner;
use super::super::signals::Signals;
use super::*;
use crate::capture::pipeline::{self, Pipeline};
use crate::capture::{Keep, Product, Shape};
use crate::error::Exit;
use crate::sink::{FilePlan, Format, Target};

const MS: u64 = 1_000_000;

/// What a capture of a test does.
#[derive(Clone, Default)]
struct Act {
    /// Packets at one interface: time in milliseconds, source, destination.
    packets: Vec<(u64, [u8; 4], [u8; 4])>,
    /// How it ends by itself; it goes on until it is stopped otherwise.
    breaks: Option<RemoteEnd>,
    /// It never says anything.
    is_missing: bool,
}

/// What was done with captures, in its order.
type Log = Arc<Mutex<Vec<String>>>;

/// Captures as they are told to be, one after another.
struct Stage {
    acts: BTreeMap<String, VecDeque<Act>>,
    log: Log,
}

struct Strings {
    node: String,
    log: Log,
    /// Dropped where it is to end.
    running: Mutex<Option<Sender<()>>>,
}

impl Steer for Strings {
    fn tell(&self, line: String) {
        self.log.lock().unwrap().push(format!("{} told {line}", self.node));
    }

    fn stop(&self) {
        self.log.lock().unwrap().push(format!("{} stopped", self.node));
        *self.running.lock().unwrap() = None;
    }

    fn kill(&self) {
        *self.running.lock().unwrap() = None;
    }
}

impl Agents for Stage {
    fn capture(&mut self, order: Order) -> Running {
        let line = format!("{} {}", order.node, order.arguments.join(" "));
        self.log.lock().unwrap().push(line);
        let act = self.acts.get_mut(&order.node).and_then(VecDeque::pop_front).unwrap_or_default();
        let (running, stopped) = channel();
        let stdout = Script { bytes: bytes(&act).into(), act: act.clone(), stopped, is_over: false };
        let end = act.breaks.unwrap_or(RemoteEnd { code: Some(0), reason: None });
        let control = Strings { node: order.node, log: self.log.clone(), running: Mutex::new(Some(running)) };
        Running {
            stdout: Box::new(stdout),
            stderr: Box::new(&b"kflow: a word\n"[..]),
            control: Box::new(control),
            end: Box::new(move || end),
        }
    }
}

/// Bytes, then silence until the capture is stopped, then counters.
struct Script {
    bytes: VecDeque<u8>,
    act: Act,
    stopped: Receiver<()>,
    is_over: bool,
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && !self.is_over && self.act.breaks.is_none() {
            self.is_over = true;
            let _ = self.stopped.recv();
            self.bytes = counters(&self.act).into();
        }
        self.bytes.read(buffer)
    }
}

fn bytes(act: &Act) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new(), &Section::default(), SNAP_WHOLE).unwrap();
    if act.is_missing {
        return Vec::new();
    }
    let id = writer.interface(&cali()).unwrap();
    for (time, source, destination) in &act.packets {
        writer.frame(&frame(id, time * MS, *source, *destination)).unwrap();
    }
    // All is delivered.
    let counted = Statistics { written: act.packets.len() as u64, ..Statistics::default() };
    writer.statistics(id, Timestamp(1_000_000 * MS), &counted).unwrap();
    writer.into_inner()
}

/// The block alone: what comes before it is there already.
fn counters(act: &Act) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new(), &Section::default(), SNAP_WHOLE).unwrap();
    let id = writer.interface(&cali()).unwrap();
    writer.get_mut().clear();
    let count = act.packets.len() as u64;
    let statistics = Statistics { seen: count + 7, matched: count, lost: 0, written: count };
    writer.statistics(id, Timestamp(1_000_001 * MS), &statistics).unwrap();
    if act.is_missing { Vec::new() } else { writer.into_inner() }
}

fn cali() -> Interface {
    Interface {
        name: "cali1".to_owned(),
        node: None,
        pod: None,
        ifindex: Some(7),
        link: LinkLayer::Ethernet,
        mac: None,
    }
}

fn frame(interface: InterfaceId, time: u64, source: [u8; 4], destination: [u8; 4]) -> Frame<'static> {
    let mut data = vec![0; 12];
    data.extend([0x08, 0x00, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0]);
    data.extend(source.iter().chain(&destination));
    Frame {
        interface,
        time: Timestamp(time),
        direction: Some(Direction::Ingress),
        original_len: 34,
        data: data.into(),
        gso: None,
        mark: 0,
        lost_before: 0,
        comment: None,
    }
}

/// A session on a stage.
struct Scene {
    acts: BTreeMap<String, VecDeque<Act>>,
    places: Places,
    news: VecDeque<Places>,
    limits: Limits,
}

impl Scene {
    fn new(acts: &[(&str, &[Act])], limits: Limits) -> Self {
        let queue = |(node, acts): &(&str, &[Act])| ((*node).to_owned(), acts.iter().cloned().collect());
        let places = acts.iter().zip(1..).map(|((node, _), last)| ((*node).to_owned(), place(&[last])));
        Self {
            acts: acts.iter().map(queue).collect(),
            places: places.collect(),
            news: VecDeque::new(),
            limits,
        }
    }

    /// Plays it to its end. Returns the summary, what was done with captures, and the file.
    fn play(self, name: &str) -> (RemoteSummary, Vec<String>, Vec<u8>) {
        let path = std::env::temp_dir().join(format!("kflow-{}-{name}", std::process::id()));
        let signals = Signals::take().unwrap();
        let shape = Shape { keep: Keep::Bytes(SNAP_WHOLE), segment: false, true_link_types: false };
        let beginning = pipeline::Beginning {
            section: Section::default(),
            time: Timestamp(0),
            label: true,
            limit: None,
            source: None,
        };
        let product = Product::Capture(Target::Files(FilePlan::single(&path)), Format::Pcapng);
        let pipeline = Pipeline::open(product, shape, beginning, None).unwrap();
        let manner = Manner { true_link_types: false, packet_buffered: false, packets: self.limits.packets };
        let mut output = Output::new(pipeline, manner);
        output.names(&[(IpAddr::from([10, 0, 0, 1]), vec!["demo.pod1".to_owned()])].into());
        let log = Log::default();
        let mut stage = Stage { acts: self.acts, log: Arc::clone(&log) };
        let mut news = self.news;
        let mut next = || news.pop_front().map(|places| News { places, names: BTreeMap::new() });
        let order = |node: &str, place: &Place, kind| {
            (Order { node: node.to_owned(), arguments: place.words(kind), ..Order::default() }, None)
        };
        let session = Session::start(Beginning {
            output,
            agents: &mut stage,
            order: &order,
            places: self.places,
            news: &mut next,
            signals: signals.descriptor(),
            limits: self.limits,
            are_interfaces_named: false,
            verbosity: Verbosity::Quiet,
            is_progress_wanted: false,
        });
        let summary = session.unwrap().run().unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let log = log.lock().unwrap().clone();
        (summary, log, bytes)
    }
}

fn place(pods: &[u8]) -> Place {
    let pod = |last: &u8| (format!("demo/pod{last}"), vec![IpAddr::from([10, 0, 0, *last])]);
    Place { pods: pods.iter().map(pod).collect(), ..Place::default() }
}

fn packets(times: &[u64], from: u8) -> Act {
    let packets = times.iter().map(|time| (*time, [10, 0, 0, from], [10, 9, 9, 9])).collect();
    Act { packets, ..Act::default() }
}

const THREE: Limits = Limits { duration: None, packets: Some(3), bytes: None, stdin: false };

#[test]
fn two_nodes_become_one_capture() {
    let acts = [("kn1", &[packets(&[10, 30, 50], 1)][..]), ("kn2", &[packets(&[20, 40], 2)][..])];
    let limits = Limits { packets: Some(5), ..THREE };
    let (summary, log, bytes) = Scene::new(&acts, limits).play("merged");
    assert_eq!(
        log[..2],
        ["kn1 --link-of 10.0.0.1 --host 10.0.0.1", "kn2 --link-of 10.0.0.2 --host 10.0.0.2"]
    );
    assert_eq!(summary.end, End::Packets);
    assert_eq!((summary.total().written, summary.total().matched, summary.total().seen), (5, 5, 19));
    assert_eq!(summary.exit(), Exit::Complete, "{summary}");
    let mut reader = CaptureReader::new(bytes.as_slice()).unwrap();
    let (mut interfaces, mut frames, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Interface(_, interface) => {
                interfaces.push(format!("{} {}", interface.node.unwrap(), interface.name));
            }
            Item::Frame(frame) => frames.push((frame.interface.0, frame.time.0 / MS)),
            Item::Statistics(id, _, statistics) => counters.push((id.0, statistics.written)),
            _ => {}
        }
    }
    assert_eq!(interfaces, ["kn1 cali1", "kn2 cali1"]);
    assert_eq!(frames, [(0, 10), (1, 20), (0, 30), (1, 40), (0, 50)]);
    assert_eq!(counters, [(0, 3), (1, 2)]);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("peer=demo/pod1") && text.contains("peer=demo/pod2") && text.contains("demo.pod1"));
}

#[test]
fn a_node_that_cannot_be_had_is_named_and_the_rest_goes_on() {
    let reason = RemoteEnd { code: None, reason: Some("image cannot be pulled".to_owned()) };
    let missing = Act { is_missing: true, breaks: Some(reason), ..Act::default() };
    let acts = [("kn1", &[packets(&[10, 20, 30], 1)][..]), ("kn2", &[missing.clone()][..])];
    let (summary, log, _) = Scene::new(&acts, THREE).play("missing");
    assert_eq!(summary.exit(), Exit::Incomplete);
    assert!(summary.to_string().contains("kn2 is missing: image cannot be pulled"), "{summary}");
    assert_eq!(log.iter().filter(|line| line.starts_with("kn2 --")).count(), 1, "it is not tried again");
    let (summary, ..) = Scene::new(&[("kn1", &[missing][..])], THREE).play("none");
    assert_eq!((summary.end, summary.exit()), (End::Streams, Exit::Environment));
}

#[test]
fn a_capture_that_broke_is_begun_anew() {
    let cut = RemoteEnd { code: None, reason: Some("the connection broke".to_owned()) };
    let broken = Act { breaks: Some(cut), ..packets(&[10, 20], 1) };
    let acts = [("kn1", &[broken, packets(&[30], 1)][..])];
    let mut scene = Scene::new(&acts, THREE);
    // The node has the same pods after it: the capture that broke must not be taken for the present one.
    scene.news = std::iter::repeat_n(scene.places.clone(), 100).collect();
    let (summary, log, _) = scene.play("broken");
    assert!(!log.iter().any(|line| line.contains("told")), "{log:?}");
    assert_eq!(log.iter().filter(|line| line.starts_with("kn1 --")).count(), 2, "{log:?}");
    assert_eq!((summary.total().written, summary.exit()), (3, Exit::Incomplete));
    assert!(summary.to_string().contains("kn1 is not complete: the connection broke"), "{summary}");
}

#[test]
fn pods_that_come_and_go_are_followed() {
    let acts = [("kn1", &[packets(&[10], 1)][..]), ("kn2", &[packets(&[20], 2)][..])];
    let mut scene =
        Scene::new(&acts, Limits { duration: Some(Duration::from_millis(300)), ..Limits::default() });
    // A pod joins on the first node, the only one of the second goes, one comes on a third.
    let places: Places = [("kn1".to_owned(), place(&[1, 3])), ("kn3".to_owned(), place(&[4]))].into();
    scene.news = [places.clone(), places].into();
    let (summary, log, _) = scene.play("followed");
    assert_eq!(
        log[2..5],
        [
            "kn1 told --link-of 10.0.0.1 --link-of 10.0.0.3 --host 10.0.0.1 --host 10.0.0.3",
            "kn2 told --link-of none --host none",
            "kn3 --link-of 10.0.0.4 --host 10.0.0.4",
        ]
    );
    assert_eq!(summary.exit(), Exit::Complete, "{summary}");
    assert_eq!(summary.end, End::Duration);
}
