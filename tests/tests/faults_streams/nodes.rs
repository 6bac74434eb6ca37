//! What two nodes record of datagrams that go from one to the other and back, made packet by packet, and an API server whose
//! agents send it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::Kflow;
use tests::cluster::{ApiDouble, DoubleConfig, Fate, NodeConfig};
use tests::kflow::{self, KflowError, Outcome};
use tracer_core::capture::{CaptureWriter, Frame, Interface, InterfaceId, LinkLayer, Section, Statistics};
use tracer_core::units::{Direction, SnapLength, Timestamp};

/// 2023-11-14 22:13:20 UTC, in nanoseconds.
pub(crate) const EPOCH: u64 = 1_700_000_000_000_000_000;
/// Between two datagrams, in nanoseconds.
pub(crate) const PERIOD: u64 = 50_000_000;
/// Names of the nodes.
pub(crate) const NODES: [&str; 2] = ["node-a", "node-b"];
/// The pod on each node.
const PODS: [[u8; 4]; 2] = [[10, 244, 1, 2], [10, 244, 2, 2]];
const PORTS: [u16; 2] = [4000, 5000];
/// Interfaces of a node: of the pod, and of the wire.
const INTERFACES: [&str; 2] = ["cali1", "eth0"];

/// Where a datagram is seen: steps from the node that it is sent on, interface, direction, time to live, and how many
/// nanoseconds after it was sent.
const HOPS: [(usize, usize, Direction, u8, u64); 4] = [
    (0, 0, Direction::Ingress, 64, 10_000),
    (0, 1, Direction::Egress, 63, 25_000),
    (1, 1, Direction::Ingress, 63, 225_000),
    (1, 0, Direction::Egress, 62, 240_000),
];

/// What a node records of so many datagrams and their answers, by a clock that shows this at a time since [`EPOCH`].
pub(crate) fn record(node: usize, count: u16, clock: impl Fn(u64) -> u64) -> Vec<u8> {
    paced(node, count, clock).into_iter().flat_map(|(_, part)| part).collect()
}

/// As [`record`], in parts that are there so long after the first.
pub(crate) fn paced(node: usize, count: u16, clock: impl Fn(u64) -> u64) -> Vec<(Duration, Vec<u8>)> {
    let mut parts = Vec::new();
    let section = Section {
        node: Some(NODES[node].to_owned()),
        application: Some("kflow 0.0.0".to_owned()),
        boot_id: Some(format!("boot-of-{}", NODES[node])),
        ..Section::default()
    };
    let mut writer = CaptureWriter::new(Vec::new(), &section, SnapLength(262_144)).unwrap();
    for (name, ifindex) in INTERFACES.into_iter().zip(2..) {
        let (name, link) = (name.to_owned(), LinkLayer::Ethernet);
        let interface = Interface { name, node: None, pod: None, ifindex: Some(ifindex), link, mac: None };
        writer.interface(&interface).unwrap();
    }
    let mut written = [0; 2];
    let tell = |writer: &mut CaptureWriter<Vec<u8>>, written: [u64; 2], time: u64| {
        for (id, written) in (0..).map(InterfaceId).zip(written) {
            let statistics = Statistics { seen: written, matched: written, lost: 0, written };
            writer.statistics(id, Timestamp(EPOCH + clock(time)), &statistics).unwrap();
        }
    };
    tell(&mut writer, written, 0);
    for number in 0..count {
        let begin = u64::from(number) * PERIOD;
        for sender in [0, 1] {
            // The answer comes a quarter of a period later.
            let begin = begin + PERIOD / 4 * (sender as u64);
            for (step, interface, direction, ttl, after) in HOPS {
                if (sender + step) % 2 != node {
                    continue;
                }
                let data = datagram(number, ttl, sender);
                let frame = Frame {
                    interface: InterfaceId(u32::try_from(interface).unwrap()),
                    time: Timestamp(EPOCH + clock(begin + after)),
                    direction: Some(direction),
                    original_len: u32::try_from(data.len()).unwrap(),
                    data: data.into(),
                    gso: None,
                    mark: 0,
                    lost_before: 0,
                    comment: None,
                };
                writer.frame(&frame).unwrap();
                written[interface] += 1;
            }
        }
        if number % 4 == 3 {
            tell(&mut writer, written, begin + PERIOD / 2);
        }
        parts.push((Duration::from_nanos(begin + PERIOD / 2), std::mem::take(writer.get_mut())));
    }
    let end = u64::from(count) * PERIOD;
    tell(&mut writer, written, end);
    parts.push((Duration::from_nanos(end), writer.into_inner()));
    parts
}

/// A datagram of one pod to the other, or an answer.
fn datagram(number: u16, ttl: u8, sender: usize) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    bytes.extend([0x45, 0, 0, 20 + 8 + 8, high, low, 0x40, 0, ttl, 17, 0, 0]);
    bytes.extend([PODS[sender], PODS[1 - sender]].concat());
    bytes.extend([PORTS[sender].to_be_bytes(), PORTS[1 - sender].to_be_bytes(), [0, 16], [0, 0]].concat());
    bytes.extend([b"datagram".as_slice()].concat());
    bytes[42..44].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Agents that send these bytes at once.
pub(crate) fn at_once(streams: [Vec<u8>; 2]) -> [Fate; 2] {
    streams.map(|stream| Fate::Replays(Arc::new(stream)))
}

/// An API server of a cluster with the two nodes, and its kubeconfig in a directory.
pub(crate) struct Cluster {
    _double: ApiDouble,
    kubeconfig: PathBuf,
}

impl Cluster {
    pub(crate) fn of(directory: &Path, fates: [Fate; 2]) -> Self {
        let nodes = NODES
            .into_iter()
            .zip(fates)
            .map(|(name, fate)| (name.to_owned(), NodeConfig { fate, ..NodeConfig::default() }));
        let objects = [0, 1].into_iter().flat_map(|number| [node(number), pod(number)]);
        let config =
            DoubleConfig { nodes: nodes.collect(), objects: objects.collect(), ..DoubleConfig::default() };
        let double = ApiDouble::start(config).unwrap();
        let kubeconfig = directory.join("kubeconfig");
        double.kubeconfig(&kubeconfig).unwrap();
        Self { _double: double, kubeconfig }
    }

    /// Words of a command on this cluster.
    pub(crate) fn words(&self, command: &str, words: &str) -> Vec<String> {
        let kubeconfig = self.kubeconfig.display().to_string();
        let head = [command.to_owned(), "--kubeconfig".to_owned(), kubeconfig];
        head.into_iter().chain(words.split_whitespace().map(str::to_owned)).collect()
    }

    /// Traces between the two pods for so many seconds.
    pub(crate) fn trace(&self, seconds: u32) -> Result<Outcome, KflowError> {
        let words = format!("-o json --no-evidence --duration {seconds} pod-0 pod-1");
        Kflow::run(&kflow::program(), self.words("trace", &words))
    }

    /// Captures on both pods for so many seconds.
    pub(crate) fn capture(&self, seconds: u32, to: &Path) -> Result<Outcome, KflowError> {
        let words = format!("--duration {seconds} -w {} pod-0 pod-1", to.display());
        Kflow::run(&kflow::program(), self.words("capture", &words))
    }
}

fn node(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": NODES[number] },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": format!("172.19.0.{}", number + 1) }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn pod(number: usize) -> Value {
    let address = PODS[number].map(|byte| byte.to_string()).join(".");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("pod-{number}"), "namespace": "default" },
        "spec": { "nodeName": NODES[number], "containers": [{ "name": "c", "image": "c" }] },
        "status": { "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }] },
    })
}
