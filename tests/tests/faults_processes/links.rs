//! Interfaces and namespaces that go, come and change their names while they are captured on.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    Lab, LabConfig, Overlay,
    aftermath::Aftermath,
    attached, kflow,
    lab::topology::{K8S_NODE1, POD_PORT, POD_SRC},
    pair::{self, NEAR_INTERFACE, Pair},
    traffic::{HttpGet, HttpServer},
    truth::random::Random,
};

use crate::{
    file::{Contents, assert_readable},
    moments::random,
    numbers::{self, Numbers},
    running::{Folder, Running},
    traces,
};

/// Datagrams between two changes, and what the number of the first of them is a multiple of.
const BURST: u64 = 20;
const EPOCH: u64 = 1000;
/// Interfaces at most, and names for them.
const PLACES: usize = 3;
const NAMES: usize = 8;
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn names_are_right_while_interfaces_go_come_and_change_names() {
    change(15);
}

#[test]
#[ignore = "a minute: `cargo xtask test faults` runs it"]
fn names_are_right_while_interfaces_go_come_and_change_names_300_times() {
    change(300);
}

/// The interfaces that there are, by their place, and what kflow has to have said.
struct Scene<'a> {
    pair: &'a Pair,
    capture: Running,
    names: [Option<usize>; PLACES],
    said: BTreeMap<String, usize>,
}

fn change(times: u64) {
    let mut random = random("changes of interfaces");
    let pair = Pair::up().unwrap();
    let folder = Folder::new(&format!("{}-links", pair.near.name()));
    let file = folder.0.join("links.pcapng");
    let _sink = pair.far.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, numbers::PORT)).unwrap()).unwrap();
    let mut aftermath = Aftermath::of([&pair.near]).unwrap();
    let mut command = aftermath.command(kflow::program());
    command.args(["capture", "-i", "brief*", "-i", NEAR_INTERFACE, "--netns"]).arg(pair.near.path());
    let mut capture = Running::start(command.arg("-w").arg(&file));
    capture.wait_for("capturing on near0", 1);
    let mut scene = Scene { pair: &pair, capture, names: [None; PLACES], said: BTreeMap::new() };
    let mut expected = BTreeMap::new();
    for epoch in 0..times {
        let place = random.between(0, PLACES);
        scene.change(place, &mut random);
        if let Some(name) = scene.names[place] {
            scene.send(place, epoch);
            expected.insert(epoch, format!("brief{name}"));
        }
    }
    aftermath.look();
    println!("{:?}", scene.said);
    let outcome = scene.capture.stop();
    aftermath.check().unwrap();
    let contents = Contents::of(&file);
    let mut found: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for packet in &contents.packets {
        let name = contents.interfaces[packet.interface].0.as_str();
        *found.entry((packet.number / EPOCH, name)).or_default() += 1;
    }
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(epoch, name)| ((*epoch, name.as_str()), BURST)).collect();
    assert_eq!(found, expected, "{outcome:?}");
    let [captured, received, dropped] = outcome.three();
    assert_eq!((captured, received, dropped), (BURST * expected.len() as u64, captured, 0), "{outcome:?}");
    let written: u64 = contents.interfaces.iter().filter_map(|(_, told)| told.map(|told| told.written)).sum();
    assert_eq!((outcome.code, written), (Some(0), captured), "{outcome:?}");
    assert_readable(&file, &contents);
}

impl Scene<'_> {
    fn change(&mut self, place: usize, random: &mut Random) {
        let (near, free) = (&self.pair.near, self.free(random));
        match (self.names[place], random.between(0, 3)) {
            (None, _) => self.come(place, free),
            // Another interface under the same name: it comes before kflow has heard that the first one went.
            (Some(name), 0) => {
                pair::ip(near, &format!("link del brief{name}")).unwrap();
                self.expect(&format!("no longer capturing on brief{name}"));
                self.come(place, name);
            }
            (Some(name), 1) => {
                pair::ip(near, &format!("link set brief{name} down")).unwrap();
                pair::ip(near, &format!("link set brief{name} name brief{free}")).unwrap();
                pair::ip(near, &format!("link set brief{free} up")).unwrap();
                // Its neighbours went when it was down.
                let far = format!("neigh replace {} lladdr 02:00:00:00:00:02 dev brief{free}", far(place));
                pair::ip(near, &format!("{far} nud permanent")).unwrap();
                self.names[place] = Some(free);
                self.expect(&format!("brief{name} is now brief{free}"));
            }
            (Some(name), _) => {
                pair::ip(near, &format!("link del brief{name}")).unwrap();
                self.names[place] = None;
                self.expect(&format!("no longer capturing on brief{name}"));
            }
        }
        for (words, times) in &self.said {
            self.capture.wait_for(words, *times);
        }
    }

    fn come(&mut self, place: usize, name: usize) {
        let (near, far_name) = (format!("brief{name}"), format!("far{}", place + 1));
        self.pair.link(&near, &far_name).unwrap();
        self.pair.addresses(&near, &far_name, [own(place), far(place)]).unwrap();
        self.names[place] = Some(name);
        self.expect(&format!("also capturing on {near}"));
    }

    fn expect(&mut self, words: &str) {
        *self.said.entry(words.to_owned()).or_default() += 1;
    }

    fn free(&self, random: &mut Random) -> usize {
        let free: Vec<usize> = (0..NAMES).filter(|name| !self.names.contains(&Some(*name))).collect();
        free[random.between(0, free.len())]
    }

    fn send(&self, place: usize, epoch: u64) {
        let socket = self.pair.near.run(|| UdpSocket::bind((own(place), 0)).unwrap()).unwrap();
        for number in 0..BURST {
            let datagram = numbers::datagram(epoch * EPOCH + number);
            socket.send_to(&datagram, (far(place), numbers::PORT)).unwrap();
        }
    }
}

/// Addresses of the two ends of a place's link.
fn own(place: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, u8::try_from(place).unwrap(), 1)
}

fn far(place: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, u8::try_from(place).unwrap(), 2)
}

#[test]
fn a_namespace_that_loses_its_name_is_captured_in_until_the_end() {
    let pair = Pair::up().unwrap();
    let folder = Folder::new(&format!("{}-deleted", pair.near.name()));
    let file = folder.0.join("deleted.pcapng");
    let mut aftermath = Aftermath::of([]).unwrap();
    let mut command = aftermath.command(kflow::program());
    command.args(["capture", "-i", NEAR_INTERFACE, "--netns"]).arg(pair.near.path());
    let mut capture = Running::start(command.arg("-w").arg(&file));
    capture.wait_for("capturing on near0", 1);
    let numbers = Numbers::start(&pair, 1, 100);
    while numbers.next() < BURST {
        thread::yield_now();
    }
    let sent = numbers.end();
    // The far end goes with its namespace, and the near one with it.
    drop(pair);
    capture.wait_for("no longer capturing on near0, and on no other: waiting for one to come", 1);
    aftermath.look();
    let outcome = capture.stop();
    assert_eq!((outcome.code, outcome.three()), (Some(0), [sent, sent, 0]), "{outcome:?}");
    aftermath.check().unwrap();
    let contents = Contents::of(&file);
    assert_eq!(contents.packets.len() as u64, sent);
    assert_readable(&file, &contents);
}

#[test]
fn pods_that_come_and_go_are_in_a_trace() {
    trace_guests(2);
}

#[test]
#[ignore = "a minute: `cargo xtask test faults` runs it"]
fn pods_that_come_and_go_30_times_are_in_a_trace() {
    trace_guests(30);
}

fn trace_guests(times: usize) {
    let lab = Lab::up(&LabConfig { overlay: Overlay::Ipip, ..LabConfig::default() }).unwrap();
    let folder = Folder::new(&format!("{}-guests", lab.node(K8S_NODE1.name).name()));
    let told = folder.0.join("told.json");
    let mut aftermath = Aftermath::of(traces::namespaces(&lab)).unwrap();
    let mut command = aftermath.command(kflow::program());
    command
        .arg("trace")
        .args(lab.kflow_node_args())
        .args(["-o", "json", "-w"])
        .arg(folder.0.join("all.pcapng"));
    let mut trace = Running::start(command.arg(POD_SRC.name).stdout(std::fs::File::create(&told).unwrap()));
    trace.wait_for("tracing ", 1);
    let address = Ipv4Addr::new(10, 244, 131, 21);
    for round in 0..times {
        // The same address behind the same name, or behind another one.
        let interface = format!("caliweb{}", round / 2);
        let guest = lab.add_pod("web", K8S_NODE1.name, address, &interface).unwrap();
        let server = HttpServer::start(guest.namespace(), POD_PORT).unwrap();
        wait_for_programs(&lab, &interface);
        let to = SocketAddr::from((address, POD_PORT));
        HttpGet { body_len: round as u64, ..HttpGet::new(to) }.send(lab.pod(POD_SRC.name)).unwrap();
        drop(server);
        drop(guest);
    }
    aftermath.look();
    let outcome = trace.stop();
    aftermath.check().unwrap();
    let told = std::fs::read_to_string(told).unwrap();
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(outcome.code, Some(0), "{outcome:?}: {}", lines.last().unwrap());
    let flows: Vec<&Value> = lines.iter().filter(|line| line["type"] == "flow").collect();
    assert_eq!(flows.len(), times, "{outcome:?}");
    let mut last: Vec<String> = flows.iter().map(|flow| last_hop(flow)).collect();
    last.sort();
    let mut expected: Vec<String> = (0..times).map(|round| format!("caliweb{}", round / 2)).collect();
    expected.sort();
    assert_eq!(last, expected);
    let contents = Contents::of(&folder.0.join("all.pcapng"));
    assert!(contents.cut.is_none(), "{contents:?}");
    assert_readable(&folder.0.join("all.pcapng"), &contents);
}

/// The interface at which the packets of a flow were seen last.
fn last_hop(flow: &Value) -> String {
    let hops = flow["forward"]["hops"].as_array().unwrap();
    hops.last().unwrap()["interface"].as_str().unwrap().to_owned()
}

/// Waits until kflow's programs are on both directions of an interface of the node.
fn wait_for_programs(lab: &Lab, interface: &str) {
    let end = Instant::now() + PATIENCE;
    let place = format!(":{interface} ");
    loop {
        let attached = attached::within(lab.node(K8S_NODE1.name)).unwrap();
        if attached.iter().filter(|line| line.contains(&place)).count() >= 2 {
            return;
        }
        assert!(Instant::now() < end, "nothing is on {interface}: {attached:#?}");
        thread::sleep(Duration::from_millis(5));
    }
}
