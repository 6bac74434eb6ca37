//! The lab itself: what it raises works in every mode, looks on the wire as it should, and goes.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use tests::{
    Lab, LabConfig, Namespace, Overlay,
    lab::topology::{
        K8S_MASTER, K8S_NODE1, K8S_NODE2, NODES, POD_DEST, POD_PORT, POD_SRC, PODS, SVC_CLUSTERIP,
        SVC_NODEPORT,
    },
    traffic::{HttpGet, HttpServer, Ping, TrafficError, UdpEcho, UdpSend},
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const OVERLAYS: [Overlay; 3] = [Overlay::Ipip, Overlay::Vxlan, Overlay::None];
const SHORT: Duration = Duration::from_millis(300);
const LARGE: u64 = 10_000_000;
/// Bytes that hold every header of a packet.
const HEADERS: u32 = 128;

#[test]
fn nothing_is_left_when_a_lab_goes() -> Outcome {
    let lab = lab(Overlay::Ipip)?;
    let names = NODES.map(|node| node.name).into_iter().chain(PODS.map(|pod| pod.name));
    let mut paths: Vec<_> = names.map(|name| lab.of(name).path().to_owned()).collect();
    paths.push(lab.directory().to_owned());
    assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
    let mut inside = lab.pod(POD_SRC.name).spawn(Command::new("sleep").arg("1000"))?;
    let prefix = lab_prefix(lab.pod(POD_SRC.name));

    drop(lab);

    assert!(!inside.wait()?.success(), "a process in the lab outlived it");
    assert!(!paths.iter().any(|path| path.exists()), "{paths:?}");
    let left: Vec<_> = fs::read_dir("/run/netns")?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn labs_stand_side_by_side() -> Outcome {
    let labs = [lab(Overlay::Ipip)?, lab(Overlay::Vxlan)?];
    let servers = labs.each_ref().map(serve);
    for (lab, server) in labs.iter().zip(servers) {
        let _server = server?;
        get(lab.pod(POD_SRC.name), POD_DEST.address, POD_PORT)?;
    }
    Ok(())
}

#[test]
fn http_reaches_the_pod_in_every_mode() -> Outcome {
    for overlay in OVERLAYS {
        let lab = lab(overlay)?;
        let _server = serve(&lab)?;
        let (source, master) = (lab.pod(POD_SRC.name), lab.node(K8S_MASTER.name));
        get(source, POD_DEST.address, POD_PORT)?;
        get(source, SVC_CLUSTERIP.cluster_ip, POD_PORT)?;
        get(master, K8S_NODE2.address, node_port())?;
        get(master, K8S_NODE1.address, node_port())?;
        get(master, SVC_NODEPORT.cluster_ip, POD_PORT)?;
    }
    Ok(())
}

#[test]
fn ping_and_udp_come_back_in_every_mode() -> Outcome {
    for overlay in OVERLAYS {
        let lab = lab(overlay)?;
        let _echo = UdpEcho::start(lab.pod(POD_DEST.name), POD_PORT)?;
        let source = lab.pod(POD_SRC.name);
        let report = Ping { count: 3, ..Ping::new(POD_DEST.address) }.send(source)?;
        assert_eq!((report.sent, report.round_trips.len()), (3, 3), "{overlay:?}");
        let reply = UdpSend { len: 1000, ..UdpSend::new((POD_DEST.address, POD_PORT)) }.send(source)?;
        assert_eq!((reply.len, reply.client.ip()), (1000, POD_SRC.address.into()), "{overlay:?}");
        // Larger than a packet of any mode, and so in fragments.
        let large = Ping { payload_len: 4000, ..Ping::new(POD_DEST.address) }.send(source)?;
        assert_eq!(large.round_trips.len(), 1, "{overlay:?}");
    }
    Ok(())
}

/// The bytes of the module, read by tshark: inner and outer addresses, TTL and DF inherited, checksum right.
#[test]
fn ipip_is_on_the_wire() -> Outcome {
    let lab = lab(Overlay::Ipip)?;
    let _server = serve(&lab)?;
    let capture = lab.tcpdump(lab.node(K8S_NODE2.name), "eth0", "ip proto 4")?;
    get(lab.pod(POD_SRC.name), SVC_CLUSTERIP.cluster_ip, POD_PORT)?;

    let packets = tshark(
        &capture.stop()?,
        "ip.proto==4",
        &["ip.src", "ip.dst", "ip.proto", "ip.ttl", "ip.flags.df", "ip.checksum.status", "tcp.flags.str"],
    )?;

    let expected = "172.18.0.3,10.244.111.72\t172.18.0.2,10.244.131.5\t4,6\t63,63\t1,1\t1,1\t··········S·";
    assert_eq!(packets.first().map(String::as_str), Some(expected), "{packets:#?}");
    let answer = "172.18.0.2,10.244.131.5\t172.18.0.3,10.244.111.72\t4,6\t63,63\t1,1\t1,1\t·······A··S·";
    assert_eq!(packets.get(1).map(String::as_str), Some(answer), "{packets:#?}");
    Ok(())
}

#[test]
fn node_port_leaves_with_the_tunnel_address() -> Outcome {
    let lab = lab(Overlay::Ipip)?;
    let _server = serve(&lab)?;
    let wire = lab.tcpdump(lab.node(K8S_NODE2.name), "eth0", "ip proto 4 or tcp")?;
    let pod = lab.tcpdump(lab.node(K8S_NODE1.name), POD_DEST.interface, "tcp")?;
    get(lab.node(K8S_MASTER.name), K8S_NODE2.address, node_port())?;

    let fields = ["ip.src", "ip.dst", "tcp.dstport"];
    let wire = tshark(&wire.stop()?, "tcp.flags==0x002", &fields)?;
    let pod = tshark(&pod.stop()?, "tcp.flags==0x002", &fields)?;

    let plain = "172.18.0.4\t172.18.0.3\t31080";
    let encapsulated = "172.18.0.3,10.244.111.64\t172.18.0.2,10.244.131.5\t8080";
    assert_eq!(wire, [plain, encapsulated]);
    assert_eq!(pod, ["10.244.111.64\t10.244.131.5\t8080"]);
    Ok(())
}

#[test]
fn vxlan_is_on_the_wire() -> Outcome {
    let lab = lab(Overlay::Vxlan)?;
    let _server = serve(&lab)?;
    let capture = lab.tcpdump(lab.node(K8S_NODE2.name), "eth0", "udp port 4789")?;
    get(lab.pod(POD_SRC.name), POD_DEST.address, POD_PORT)?;

    let fields = ["ip.src", "ip.dst", "udp.dstport", "vxlan.vni"];
    let packets = tshark(&capture.stop()?, "tcp.flags==0x002", &fields)?;

    assert_eq!(packets, ["172.18.0.3,10.244.111.72\t172.18.0.2,10.244.131.5\t4789\t4096"]);
    Ok(())
}

#[test]
fn a_large_transfer_passes_with_offloads_on_and_off() -> Outcome {
    for overlay in OVERLAYS {
        let lab = lab(overlay)?;
        let _server = serve(&lab)?;
        let request = HttpGet { body_len: LARGE, ..HttpGet::new((POD_DEST.address, POD_PORT)) };
        for on in [true, false] {
            lab.set_offloads(on)?;
            let capture = lab.tcpdump_snapped(lab.node(K8S_NODE1.name), "eth0", "greater 1600", HEADERS)?;
            assert_eq!(request.send(lab.pod(POD_SRC.name))?.body_len, LARGE, "{overlay:?} {on}");
            let segments = tshark(&capture.stop()?, "frame", &["frame.len"])?;
            assert_eq!(!segments.is_empty(), on, "{overlay:?}: segments larger than a packet");
        }
    }
    Ok(())
}

#[test]
fn a_drop_rule_drops_until_it_is_deleted() -> Outcome {
    let lab = lab(Overlay::Ipip)?;
    let _server = serve(&lab)?;
    let source = lab.pod(POD_SRC.name);
    let request = HttpGet { timeout: SHORT, ..HttpGet::new((POD_DEST.address, POD_PORT)) };

    lab.iptables(K8S_NODE1.name, "-I FORWARD -d 10.244.131.5 -p tcp -j DROP")?;
    let dropped = request.send(source);
    let timed_out = matches!(&dropped, Err(TrafficError::Socket { source, .. }) if source.kind() == io::ErrorKind::TimedOut);
    assert!(timed_out, "{dropped:?}");

    lab.iptables(K8S_NODE1.name, "-D FORWARD -d 10.244.131.5 -p tcp -j DROP")?;
    get(source, POD_DEST.address, POD_PORT)
}

/// `/proc` of a process that was killed knows nothing of its labs; only names are left.
#[test]
fn a_killed_owner_is_swept() -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    let mut owner = command.arg("up").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(owner.stdout.take().ok_or("no pipe")?);
    let mut line = String::new();
    while !line.contains("pod-dest ") {
        line.clear();
        assert_ne!(said.read_line(&mut line)?, 0, "the lab did not come up");
    }
    let path = line.split_whitespace().nth(1).ok_or("no path")?;
    assert!(Path::new(path).exists(), "{path}");
    owner.kill()?;
    owner.wait()?;

    Lab::sweep_stale()?;

    assert!(!Path::new(path).exists(), "{path}");
    Ok(())
}

#[test]
fn ipv6_is_off_unless_asked_for() -> Outcome {
    for ipv6 in [false, true] {
        let lab = Lab::up(&LabConfig { ipv6, ..LabConfig::default() })?;
        let addresses = tests::run(lab.pod(POD_SRC.name), "ip", &["-6", "addr", "show", "dev", "eth0"], "")?;
        assert_eq!(addresses.contains("fe80::"), ipv6, "{addresses}");
    }
    Ok(())
}

#[test]
fn the_state_file_is_what_kubectl_prints() -> Outcome {
    let lab = lab(Overlay::Ipip)?;
    let state: serde_json::Value = serde_json::from_str(&fs::read_to_string(lab.state_path())?)?;
    let items = state["items"].as_array().ok_or("no items")?;
    let kinds: Vec<_> = items.iter().filter_map(|item| item["kind"].as_str()).collect();
    let expected = [("Node", 3), ("Pod", 2), ("Service", 2), ("EndpointSlice", 2)];
    let expected: Vec<_> = expected.into_iter().flat_map(|(kind, count)| vec![kind; count]).collect();
    assert_eq!(kinds, expected);
    assert_eq!(items[2]["metadata"]["annotations"]["projectcalico.org/IPv4IPIPTunnelAddr"], "10.244.111.64");
    assert_eq!(items[3]["status"]["podIP"], "10.244.111.72");
    Ok(())
}

fn lab(overlay: Overlay) -> Result<Lab, tests::LabError> {
    Lab::up(&LabConfig { overlay, ..LabConfig::default() })
}

fn serve(lab: &Lab) -> Result<HttpServer, TrafficError> {
    HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)
}

fn get(from: &Namespace, address: Ipv4Addr, port: u16) -> Outcome {
    let request = HttpGet::new(SocketAddr::from((address, port)));
    let reply = request.send(from)?;
    assert_eq!((reply.status, reply.body_len), (200, request.body_len), "{address}:{port}");
    Ok(())
}

fn node_port() -> u16 {
    SVC_NODEPORT.node_port.unwrap_or_default()
}

/// `kflow-PID-NUMBER-`, which all namespaces of a lab begin with.
fn lab_prefix(pod: &Namespace) -> String {
    pod.name().trim_end_matches(POD_SRC.name).to_owned()
}

/// The fields of every packet that `filter` lets through, a line each.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "ip.check_checksum:TRUE", "-Y", filter, "-T", "fields", "-r"]).arg(file);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}
