//! One run of the lab, captured by all at once.

use std::{
    ffi::OsString,
    io,
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use tests::{
    Lab, LabConfig, Overlay,
    kflow::{self, Kflow, Told},
    lab::topology::{K8S_NODE1, POD_DEST, POD_PORT, POD_SRC},
    traffic::{HttpGet, HttpServer, Ping, UdpEcho, UdpSend},
    truth::{
        recorder::{Recorder, RecorderOptions},
        way::Way,
    },
};

use crate::{
    compare,
    sniffers::{self, Sniffer},
};

pub(crate) type Test = Result<(), Box<dyn std::error::Error>>;

/// What the last datagram says, there and back.
pub(crate) const MARK: &str = "the last packet of this run";
/// The engine takes what was last seen shortly before the end of a capture for packets on their way: the mark comes
/// that much later.
const SETTLE: Duration = Duration::from_millis(400);
/// Less than the time after which an echo request is given up.
const SHORT: Duration = Duration::from_millis(300);
const BUFFER_KIB: u32 = 32 * 1024;
/// Every second echo request, and now and then a part of a page.
const DROPS: [&str; 2] = [
    "FORWARD -p icmp --icmp-type echo-request -m statistic --mode nth --every 2 --packet 1 -j DROP",
    "FORWARD -p tcp -s 10.244.131.5 -m length --length 500: -m statistic --mode nth --every 9 --packet 3 -j DROP",
];

/// The traces of one run.
pub(crate) struct Scene {
    lab: Lab,
    ours: Told,
    /// By the name of who captured.
    theirs: Vec<(&'static str, Told)>,
    mark: SocketAddr,
}

impl Scene {
    /// Captures some traffic with everybody, and traces what each captured.
    pub(crate) fn run(overlay: Overlay, offloads: bool) -> Result<Self, Box<dyn std::error::Error>> {
        let lab = Lab::up(&LabConfig { overlay, udp: true, ..LabConfig::default() })?;
        lab.set_offloads(offloads)?;
        let program = kflow::program();
        let options = RecorderOptions { program: &program, buffer_kib: BUFFER_KIB, name: "kflow" };
        let recorder = Recorder::start(&lab, options)?;
        let sets = [
            ("tcpdump", sniffers::tcpdump_each(&lab)?),
            ("tcpdump -i any", sniffers::tcpdump_any(&lab)?),
            ("dumpcap", sniffers::dumpcap(&lab)?),
        ];
        let server = lab.pod(POD_DEST.name);
        // Until nobody captures any more: their end is a datagram to themselves.
        let _servers = (HttpServer::start(server, POD_PORT)?, UdpEcho::start(server, POD_PORT)?);
        let mark = traffic(&lab)?;
        let mut theirs = Vec::new();
        for (name, sniffers) in sets {
            let files = sniffers.into_iter().map(Sniffer::stop).collect::<io::Result<Vec<_>>>()?;
            theirs.push((name, trace(&lab, files)?));
        }
        let files = recorder.stop()?.into_iter().map(|recording| recording.path.into_os_string());
        let ours = trace(&lab, files.collect())?;
        Ok(Self { lab, ours, theirs, mark })
    }

    /// Asserts that all traces tell the same.
    pub(crate) fn compare(&self) -> Test {
        let names = compare::interface_names(&self.lab)?;
        // Where the lab has no ipip device, tcpdump's tap does not see what leaves by `tunl0`: a program takes it
        // from the device's egress hook, before the tap, and hands it to `eth0`.
        let hidden = (self.lab.config().overlay == Overlay::Ipip).then_some("tunl0 egress");
        let ours = compare::flows(&self.ours, &names, self.mark, hidden);
        assert_eq!(ours.len(), 4, "{:#?}", self.ours);
        compare::assert_eventful(&ours);
        for (name, told) in &self.theirs {
            let theirs = compare::flows(told, &names, self.mark, hidden);
            compare::assert_same(name, &ours, &theirs);
        }
        Ok(())
    }
}

/// Pages, pings and datagrams, of which some are dropped. Returns the client of the mark.
fn traffic(lab: &Lab) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    for rule in DROPS {
        lab.iptables(K8S_NODE1.name, &format!("-I {rule}"))?;
    }
    for (way, body_len) in [(Way::ClusterIp, 400_000), (Way::NodePort, 100_000)] {
        let reply = HttpGet { body_len, ..HttpGet::new(way.target()) }.send(way.origin(lab))?;
        assert_eq!((reply.status, reply.body_len), (200, body_len), "{way:?}");
    }
    let source = lab.pod(POD_SRC.name);
    let pings = Ping { count: 4, timeout: SHORT, ..Ping::new(POD_DEST.address) }.send(source)?;
    assert_eq!(pings.round_trips.len(), 2);
    UdpSend { len: 1000, ..UdpSend::new(Way::ClusterIp.target()) }.send(source)?;
    thread::sleep(SETTLE);
    Ok(source.run(mark)??)
}

/// One datagram there and back that says that nothing comes after it.
fn mark() -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind((POD_SRC.address, 0))?;
    socket.connect((POD_DEST.address, POD_PORT))?;
    socket.set_read_timeout(Some(SHORT))?;
    socket.send(MARK.as_bytes())?;
    let mut answer = [0; MARK.len()];
    socket.recv(&mut answer)?;
    assert_eq!(answer, MARK.as_bytes());
    Ok(SocketAddr::from((POD_SRC.address, socket.local_addr()?.port())))
}

/// `kflow trace -r` of all files.
fn trace(lab: &Lab, files: Vec<OsString>) -> Result<Told, Box<dyn std::error::Error>> {
    let state = ["--state".into(), lab.state_path().into_os_string()];
    let files = files.into_iter().flat_map(|file| ["-r".into(), file]);
    let words = ["trace", "-o", "json"].map(OsString::from).into_iter().chain(state).chain(files);
    let outcome = Kflow::run(&kflow::program(), words)?;
    if outcome.code != Some(0) {
        return Err(format!("kflow trace -r ended with {:?}: {}", outcome.code, outcome.stderr).into());
    }
    Ok(outcome.told()?)
}
