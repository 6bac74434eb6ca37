//! Drops beside packets: which flow they are of, how often they count, and what they prove.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::PacketBuilder;

use crate::capture::{Frame, Interface, InterfaceId, Item, LinkLayer, Section, Statistics};
use crate::drops::{INTERFACE, interface_of};
use crate::identity::HashKey;
use crate::packet::Decoder;
use crate::report::{FlowReport, Report};
use crate::resolve::{ClusterState, Names};
use crate::trace::{Budget, SourceId, SourceSpec, TraceOptions, Tracer};
use crate::units::{Direction, Gso, Timestamp};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 9);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
const RULE: &str = "dropped in nf_hook_slow+0xc6 reason NETFILTER_DROP on eth1 netns 4026531840";
const NETNS: u64 = 4_026_531_840;
const SECOND: u64 = 1_000_000_000;
/// Numbers of interfaces in each capture: observed ones, then drops.
const IN: InterfaceId = InterfaceId(0);
const OUT: InterfaceId = InterfaceId(1);
const OWN: InterfaceId = InterfaceId(2);

/// A trace of captures that each observe `eth0` and `eth1` of a node.
struct Scene {
    tracer: Tracer,
    sources: Vec<SourceId>,
}

impl Scene {
    /// One capture for each node and namespace.
    fn new(captures: &[(&str, u64)]) -> Self {
        Self::with(captures, Names::default())
    }

    fn with(captures: &[(&str, u64)], names: Names) -> Self {
        let options = TraceOptions {
            window: Duration::from_secs(1),
            hash_key: HashKey([7; 16]),
            decoder: Decoder::default(),
            keep_frames: false,
            keep_journeys: false,
            is_merged: true,
            budget: Budget::default(),
        };
        let mut tracer = Tracer::new(options, None, names);
        let spec = |node: &str| SourceSpec { node: node.to_owned(), tells_gso: true };
        let sources: Vec<_> = captures.iter().map(|(node, _)| tracer.source(&spec(node))).collect();
        let mut scene = Self { tracer, sources };
        for (number, (node, netns)) in captures.iter().enumerate() {
            let section = Section {
                node: Some((*node).to_owned()),
                boot_id: Some("one".to_owned()),
                netns: Some(*netns),
                ..Section::default()
            };
            scene.take(number, &Item::Section(section));
            let foreign = interface_of(99);
            for (id, name) in (0..).zip(["eth0", "eth1", INTERFACE, &foreign]) {
                scene.take(number, &Item::Interface(InterfaceId(id), interface(name)));
            }
        }
        scene
    }

    fn take(&mut self, capture: usize, item: &Item<'_>) {
        self.tracer.take(self.sources[capture], item, Timestamp(0));
    }

    fn seen(&mut self, id: InterfaceId, time: u64, data: &[u8]) {
        self.frame(0, id, time, data, None, None);
    }

    fn dropped(&mut self, capture: usize, time: u64, data: &[u8], comment: &str) {
        self.frame(capture, OWN, time, data, Some(comment), None);
    }

    fn frame(
        &mut self,
        capture: usize,
        interface: InterfaceId,
        time: u64,
        data: &[u8],
        comment: Option<&str>,
        gso: Option<Gso>,
    ) {
        let direction = if interface == OUT { Direction::Egress } else { Direction::Ingress };
        let frame = Frame {
            interface,
            time: Timestamp(SECOND + time),
            direction: Some(direction),
            original_len: u32::try_from(data.len()).unwrap(),
            data: Cow::Borrowed(data),
            gso,
            mark: 0,
            lost_before: 0,
            comment: comment.map(Cow::Borrowed),
        };
        self.take(capture, &Item::Frame(frame));
    }

    fn report(self) -> Report {
        self.tracer.finish().0
    }

    fn flow(self) -> FlowReport {
        let mut report = self.report();
        assert_eq!(report.flows.len(), 1, "{:#?}", report.flows);
        report.flows.remove(0)
    }
}

fn interface(name: &str) -> Interface {
    Interface {
        name: name.to_owned(),
        node: None,
        pod: None,
        ifindex: None,
        link: LinkLayer::Ethernet,
        mac: None,
    }
}

fn syn(destination: Ipv4Addr, sequence: u32) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([0; 6], [0; 6]).ipv4(CLIENT.octets(), destination.octets(), 64);
    let builder = builder.tcp(4000, 80, sequence, 1000).syn();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

fn data(sequence: u32, len: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([0; 6], [0; 6]).ipv4(CLIENT.octets(), SERVER.octets(), 64);
    let mut bytes = Vec::new();
    builder.tcp(4000, 80, sequence, 1000).ack(1).write(&mut bytes, &vec![1; len]).unwrap();
    bytes
}

#[test]
fn a_drop_behind_a_translation_is_of_the_packet_before_it_and_proves_its_loss() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.seen(IN, 10, &syn(SERVICE, 1));
    scene.dropped(0, 20, &syn(SERVER, 1), RULE);
    let flow = scene.flow();
    let [drop] = &flow.forward.drops[..] else { panic!("{flow:#?}") };
    assert_eq!(
        (drop.function.as_deref(), drop.reason.as_deref()),
        (Some("nf_hook_slow"), Some("NETFILTER_DROP"))
    );
    assert_eq!((drop.packets, drop.is_benign, drop.netns), (1, false, Some(NETNS)));
    assert_eq!(drop.tuple.destination.address, SERVER);
    assert_eq!(drop.after.as_ref().map(|after| after.interface.as_str()), Some("eth0"));
    let [stop] = &flow.forward.stopped[..] else { panic!("{flow:#?}") };
    assert_eq!((stop.packets, &stop.uncertain, stop.before.is_none()), (1, &None, true));
    assert_eq!((flow.forward.unknown, flow.forward.packets), (0, 1));
}

#[test]
fn what_no_hop_saw_is_a_flow_without_hops() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    for sequence in [1, 2] {
        scene.dropped(0, 20, &syn(SERVER, sequence), RULE);
    }
    let flow = scene.flow();
    assert!(flow.forward.hops.is_empty() && flow.forward.packets == 0);
    assert!(flow.tcp.as_ref().is_some_and(|tcp| tcp.opened));
    let [drop] = &flow.forward.drops[..] else { panic!("{flow:#?}") };
    assert_eq!((drop.packets, &drop.after), (2, &None));
}

#[test]
fn benign_drops_lose_nothing_and_make_no_flow() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.dropped(0, 20, &data(500, 10), "dropped in tcp_data_queue reason TCP_OLD_DATA");
    assert!(scene.report().flows.is_empty());
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.seen(IN, 10, &data(500, 10));
    scene.dropped(0, 20, &data(500, 10), "dropped in tcp_data_queue reason TCP_OLD_DATA");
    let flow = scene.flow();
    assert!(flow.forward.stopped.is_empty() && flow.forward.drops[0].is_benign, "{flow:#?}");
}

#[test]
fn a_copy_that_is_dropped_is_nothing_where_the_packet_goes_on() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.seen(IN, 10, &data(500, 10));
    scene.dropped(0, 15, &data(500, 10), &format!("{RULE} clone"));
    scene.seen(OUT, 20, &data(500, 10));
    let flow = scene.flow();
    assert_eq!(flow.forward.drops, []);
    // Not marked as one, it was another packet that was the same.
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.seen(IN, 10, &data(500, 10));
    scene.dropped(0, 15, &data(500, 10), RULE);
    scene.seen(OUT, 20, &data(500, 10));
    let flow = scene.flow();
    assert_eq!((flow.forward.drops.len(), flow.forward.stopped.len()), (1, 0), "{flow:#?}");
}

#[test]
fn a_drop_that_two_captures_of_one_namespace_tell_counts_once() {
    let mut scene = Scene::new(&[("node", NETNS), ("node", NETNS)]);
    scene.seen(IN, 10, &syn(SERVER, 1));
    scene.dropped(0, 20, &syn(SERVER, 1), RULE);
    scene.dropped(1, 21, &syn(SERVER, 1), RULE);
    assert_eq!(scene.flow().forward.drops[0].packets, 1);
}

/// A packet may wait long for its neighbour's address.
#[test]
fn a_drop_that_comes_late_is_of_the_journey_that_had_ended() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.seen(IN, 10, &syn(SERVICE, 1));
    scene.tracer.advance(Timestamp(4 * SECOND));
    let late = "dropped in arp_error_report reason NEIGH_FAILED on eth1 netns 4026531840";
    scene.dropped(0, 3 * SECOND, &syn(SERVER, 1), late);
    scene.tracer.advance(Timestamp(8 * SECOND));
    let flow = scene.flow();
    let [drop] = &flow.forward.drops[..] else { panic!("{flow:#?}") };
    assert_eq!(drop.after.as_ref().map(|after| after.interface.as_str()), Some("eth0"));
}

#[test]
fn a_super_packet_counts_as_its_wire_segments() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    let gso = Some(Gso { size: 1000, segments: 3 });
    scene.frame(0, IN, 10, &data(500, 2500), None, gso);
    scene.frame(0, OWN, 20, &data(500, 2500), Some(RULE), gso);
    let flow = scene.flow();
    assert_eq!((flow.forward.drops[0].packets, flow.forward.stopped[0].packets), (3, 3), "{flow:#?}");
}

#[test]
fn a_refusal_leaves_the_packet_delivered() {
    let state = r#"{"kind": "List", "apiVersion": "v1", "items": [
        {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "node"}},
        {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "default"}, "spec": {"nodeName": "node"},
         "status": {"phase": "Running", "podIP": "10.0.1.2", "podIPs": [{"ip": "10.0.1.2"}]}}]}"#;
    let state = ClusterState::from_json(state.as_bytes()).unwrap();
    for (comment, delivered, stopped) in [
        ("dropped in tcp_v4_rcv+0x1 reason NO_SOCKET on eth0 netns 99", 1, 0),
        ("dropped in nf_hook_slow+0x1 reason NETFILTER_DROP on eth0 netns 99", 0, 1),
    ] {
        let mut scene = Scene::with(&[("node", NETNS)], Names::of(&state));
        scene.seen(IN, 5, &syn(SERVER, 1));
        scene.seen(OUT, 10, &syn(SERVER, 1));
        // In the pod's namespace, which no capture was started in.
        scene.frame(0, InterfaceId(3), 20, &syn(SERVER, 1), Some(comment), None);
        let lane = scene.flow().forward;
        assert_eq!((lane.delivered, lane.stopped.len()), (delivered, stopped), "{comment} {lane:#?}");
        assert_eq!((lane.drops[0].pod.as_deref(), lane.drops[0].netns), (Some("default/a"), Some(99)));
    }
}

#[test]
fn a_namespace_that_is_nobodys_says_nothing() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.frame(0, InterfaceId(3), 20, &syn(SERVER, 1), Some(RULE), None);
    assert!(scene.report().flows.is_empty());
}

#[test]
fn lost_drops_make_a_report_incomplete_and_cloud_nothing() {
    let mut scene = Scene::new(&[("node", NETNS)]);
    scene.seen(IN, 10, &data(500, 10));
    scene.seen(OUT, 20, &data(500, 10));
    let counted = Statistics { seen: 9, matched: 5, lost: 4, written: 1 };
    scene.take(0, &Item::Statistics(OWN, Timestamp(2 * SECOND), counted));
    let report = scene.report();
    assert!(!report.is_complete());
    let lost = report.loss.interfaces.iter().find(|interface| interface.interface == INTERFACE);
    assert_eq!(lost.and_then(|lost| lost.lost), Some(4));
}
