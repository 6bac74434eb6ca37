//! Reads a story and runs it through the core.
//!
//! A line is a word and its arguments; `#` begins a comment:
//!
//! ```text
//! node NAME ADDRESS [tunnel ADDRESS]
//! pod NAME NODE ADDRESS
//! service NAME ADDRESS:PORT POD-ADDRESS:PORT [node-port PORT]
//! clock NODE OFFSET                      the node has a clock of its own, off by this much
//! lost NODE INTERFACE COUNT              its recorder lost so many
//! trace SOURCE DESTINATION
//! packet NAME tcp|udp|echo|reply [FLAGS] [seq N] [ack N] [len N] [id N]
//! TIME NODE INTERFACE in|out PACKET SOURCE > DESTINATION ttl N [ipip A > B] [vxlan VNI A > B] [gso N]
//! ```
//!
//! Times are microseconds. `POD:eth0` as interface is inside the pod's namespace.

mod frame;

use std::collections::BTreeMap;
use std::time::Duration;

use frame::{PacketSpec, Sight};
use serde_json::{Value, json};
use tracer_core::capture::{
    CaptureReader, CaptureWriter, Frame, Interface, Item, LinkLayer, Section, Statistics,
};
use tracer_core::identity::HashKey;
use tracer_core::output::text::{self, Colour};
use tracer_core::packet::Decoder;
use tracer_core::resolve::{ClusterState, Names, Party, Scope};
use tracer_core::trace::{Budget, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::{SnapLength, Timestamp};

/// When the stories take place.
const EPOCH: u64 = 1_700_000_000_000_000_000;
/// How long after the last packet the captures end.
const SETTLE: u64 = 1_000_000_000;

#[derive(Default)]
pub(crate) struct Story {
    items: Vec<Value>,
    nodes: Vec<String>,
    pods: Vec<String>,
    clocks: BTreeMap<String, i64>,
    lost: BTreeMap<(String, String), u64>,
    ends: Option<(String, String)>,
    packets: BTreeMap<String, PacketSpec>,
    sights: Vec<Sight>,
}

impl Story {
    pub(crate) fn parse(name: &str, script: &str) -> Self {
        let mut story = Self::default();
        for (number, line) in script.lines().enumerate() {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            if !words.is_empty() {
                story.line(&words).unwrap_or_else(|| panic!("{name}:{}: cannot read {line:?}", number + 1));
            }
        }
        story
    }

    fn line(&mut self, words: &[&str]) -> Option<()> {
        match *words {
            ["node", name, address, ref rest @ ..] => self.node(name, address, rest),
            ["pod", name, node, address] => {
                self.pods.push(name.to_owned());
                self.items.push(json!({
                    "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
                    "spec": {"nodeName": node}, "status": {"podIP": address},
                }));
            }
            ["service", name, front, endpoint, ref rest @ ..] => self.service(name, front, endpoint, rest)?,
            ["clock", node, offset] => {
                self.clocks.insert(node.to_owned(), offset.parse::<i64>().ok()? * 1000);
            }
            ["lost", node, interface, count] => {
                self.lost.insert((node.to_owned(), interface.to_owned()), count.parse().ok()?);
            }
            ["trace", source, destination] => {
                self.ends = Some((source.to_owned(), destination.to_owned()));
            }
            ["packet", name, ref rest @ ..] => {
                self.packets.insert(name.to_owned(), PacketSpec::parse(rest)?);
            }
            _ => self.sights.push(Sight::parse(words, &self.packets)?),
        }
        Some(())
    }

    fn node(&mut self, name: &str, address: &str, rest: &[&str]) {
        let annotations = match rest {
            ["tunnel", tunnel] => json!({"projectcalico.org/IPv4IPIPTunnelAddr": tunnel}),
            _ => json!({}),
        };
        self.nodes.push(name.to_owned());
        self.items.push(json!({
            "kind": "Node", "metadata": {"name": name, "annotations": annotations},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        }));
    }

    fn service(&mut self, name: &str, front: &str, endpoint: &str, rest: &[&str]) -> Option<()> {
        let (address, port) = front.rsplit_once(':')?;
        let (target, target_port) = endpoint.rsplit_once(':')?;
        let mut service_port = json!({"protocol": "TCP", "port": port.parse::<u16>().ok()?});
        if let ["node-port", node_port] = rest {
            service_port["nodePort"] = json!(node_port.parse::<u16>().ok()?);
        }
        self.items.push(json!({
            "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterIP": address, "ports": [service_port]},
        }));
        let labels = json!({"kubernetes.io/service-name": name});
        self.items.push(json!({
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "endpoints": [{"addresses": [target]}],
            "ports": [{"protocol": "TCP", "port": target_port.parse::<u16>().ok()?}],
        }));
        Some(())
    }

    /// The report when every capture is delivered as it is written.
    pub(crate) fn tell(&self) -> String {
        self.tell_delayed(&[Duration::ZERO])
    }

    /// The report when the captures lag behind by these times in turn, once they are attached.
    pub(crate) fn tell_delayed(&self, lags: &[Duration]) -> String {
        let mut tracer = self.tracer();
        let mut arrivals = Vec::new();
        for (node, lag) in self.nodes.iter().zip(lags.iter().cycle()) {
            let id = tracer.source(&SourceSpec { node: node.clone(), tells_gso: true });
            let offset = self.clocks.get(node).copied().unwrap_or_default();
            let mut latest = Timestamp(EPOCH);
            for item in items(&self.capture(node)) {
                if let Item::Frame(Frame { time, .. }) | Item::Statistics(_, time, _) = &item {
                    latest = latest.max(time.offset(-offset));
                }
                let is_late = latest > Timestamp(EPOCH);
                let lag = if is_late { i64::try_from(lag.as_nanos()).unwrap() } else { 0 };
                arrivals.push((latest.offset(lag), id, Some(item)));
            }
            arrivals.push((latest.offset(i64::try_from(lag.as_nanos()).unwrap()), id, None));
        }
        arrivals.sort_by_key(|(arrival, _, _)| *arrival);
        for (now, id, item) in arrivals {
            match item {
                Some(item) => tracer.take(id, &item, now),
                None => tracer.ended(id, now),
            }
            tracer.advance(now);
        }
        let (report, _, _) = tracer.finish();
        let mut told = Vec::new();
        text::report(&mut told, &report, Colour::Never).unwrap();
        String::from_utf8(told).unwrap()
    }

    fn tracer(&self) -> Tracer {
        let json = json!({"kind": "List", "items": self.items}).to_string();
        let state = ClusterState::from_json(json.as_bytes()).unwrap();
        let (source, destination) = self.ends.as_ref().expect("a story says what it traces");
        let party = |word: &str| Party::resolve(word, "default", &state).unwrap();
        let scope = Scope { source: party(source), destination: Some(party(destination)) };
        let options = TraceOptions {
            window: Duration::from_millis(200),
            hash_key: HashKey([3; 16]),
            decoder: Decoder::default(),
            keep_frames: false,
            keep_journeys: false,
            is_merged: false,
            budget: Budget::default(),
        };
        Tracer::new(options, Some(scope), Names::of(&state))
    }

    /// What the node's recorder writes: the marks that all is attached, its packets, its counters.
    fn capture(&self, node: &str) -> Vec<u8> {
        let boot_id = if self.clocks.contains_key(node) { node } else { "shared" };
        let section = Section { boot_id: Some(boot_id.to_owned()), ..Section::default() };
        let mut writer = CaptureWriter::new(Vec::new(), &section, SnapLength(128)).unwrap();
        let sights: Vec<&Sight> = self.sights.iter().filter(|sight| sight.node == node).collect();
        let mut ids = BTreeMap::new();
        for sight in &sights {
            if !ids.contains_key(&sight.interface) {
                let id = writer.interface(&self.interface(node, &sight.interface)).unwrap();
                writer.statistics(id, self.time(node, 0), &Statistics::default()).unwrap();
                ids.insert(sight.interface.clone(), id);
            }
        }
        for sight in &sights {
            let bytes = sight.bytes();
            let frame = Frame {
                interface: ids[&sight.interface],
                time: self.time(node, sight.time),
                direction: Some(sight.direction),
                original_len: u32::try_from(bytes.len()).unwrap(),
                data: bytes.into(),
                gso: sight.gso,
                mark: 0,
                lost_before: 0,
                comment: None,
            };
            writer.frame(&frame).unwrap();
        }
        let last = self.sights.iter().map(|sight| sight.time).max().unwrap_or_default();
        for (interface, id) in ids {
            let seen = sights.iter().filter(|sight| sight.interface == interface).count() as u64;
            let missed = self.lost.get(&(node.to_owned(), interface)).copied().unwrap_or_default();
            let all = seen + missed;
            let counters = Statistics { seen: all, matched: all, lost: missed, written: seen };
            writer.statistics(id, self.time(node, last + SETTLE), &counters).unwrap();
        }
        writer.into_inner()
    }

    fn interface(&self, node: &str, name: &str) -> Interface {
        let (pod, name) = match name.split_once(':') {
            Some((pod, name)) => {
                assert!(self.pods.iter().any(|known| known == pod), "no pod {pod}");
                (Some(format!("default/{pod}")), name)
            }
            None => (None, name),
        };
        Interface {
            name: name.to_owned(),
            node: Some(node.to_owned()),
            pod,
            ifindex: None,
            link: LinkLayer::Ethernet,
            mac: None,
        }
    }

    fn time(&self, node: &str, nanoseconds: u64) -> Timestamp {
        Timestamp(EPOCH + nanoseconds).offset(self.clocks.get(node).copied().unwrap_or_default())
    }
}

fn items(capture: &[u8]) -> Vec<Item<'static>> {
    let mut reader = CaptureReader::new(capture).unwrap();
    let mut items = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        items.push(item.into_owned());
    }
    items
}
