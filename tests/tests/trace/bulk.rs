//! Much traffic, other traffic, and two traces of the same traffic.

use std::{fs, path::Path};

use serde_json::Value;
use tests::{
    Lab, Overlay,
    kflow::Told,
    lab::topology::{POD_DEST, POD_PORT, POD_SRC},
    traffic::{Ping, UdpEcho, UdpSend},
    wireshark,
};

use crate::support::{JSON, POD_TO_POD, POD_TO_SERVICE, SERVICE, Site, Test, assert_delivered, word};

const LARGE: u64 = 10_000_000;
/// In KiB; room for every record of a large transfer.
const BUFFER: &str = "16384";
/// Longer than any packet on the wire.
const LONG: &str = "frame.len > 1600";

#[test]
fn every_segment_of_a_large_transfer_is_delivered() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    limit_window(&site.lab)?;
    for on in [true, false] {
        site.lab.set_offloads(on)?;
        let file = site.file("trace.pcapng");
        let path = file.display().to_string();
        let words = POD_TO_SERVICE.into_iter().chain(JSON).chain(["-B", BUFFER, "-w", &path]);
        let kflow = site.trace(words)?;
        site.get(SERVICE, LARGE)?;
        let outcome = kflow.stop()?;

        let told = outcome.told()?;
        assert_eq!(outcome.code, Some(0), "offloads {on}: {:#}", told.summary);
        assert_eq!(told.summary["loss"]["ambiguous"], 0, "{:#}", told.summary);
        let flow = only_flow(&told);
        assert_delivered(&flow["forward"], 8);
        assert_delivered(&flow["reply"], 8);
        let payload = flow["reply"]["payload_bytes"].as_u64();
        assert!(payload > Some(LARGE), "{payload:?}");
        // Segments of the wire are counted, not what offloads make of them.
        assert!(flow["reply"]["packets"].as_u64() > Some(LARGE / 1440), "{}", flow["reply"]["packets"]);
        let long = wireshark::fields(&file, LONG, ["frame.interface_name", "frame.comment"])?;
        let unnamed = long.iter().find(|[_, comment]| !comment.contains("wire segments"));
        assert_eq!(unnamed, None);
        // TCP always makes long ones, and the kernel cuts them behind the hook where the link cannot.
        let is_beyond = long.iter().any(|[interface, _]| interface != "pod-dest:eth0");
        assert_eq!(is_beyond, on, "offloads {on}");
    }
    Ok(())
}

/// Keeps what is on its way below what the kernel queues for an interface: nothing may really be lost.
fn limit_window(lab: &Lab) -> Test {
    let set = || fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 131072 262144");
    Ok(lab.pod(POD_SRC.name).run(set)??)
}

#[test]
fn udp_and_ping_are_followed_there_and_back() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let _echo = UdpEcho::start(site.lab.pod(POD_DEST.name), POD_PORT)?;
    let source = site.lab.pod(POD_SRC.name);
    let kflow = site.trace(POD_TO_POD.into_iter().chain(JSON))?;
    let reply = UdpSend { len: 1000, ..UdpSend::new((POD_DEST.address, POD_PORT)) }.send(source)?;
    let pings = Ping { count: 3, ..Ping::new(POD_DEST.address) }.send(source)?;
    assert_eq!((reply.len, pings.round_trips.len()), (1000, 3));
    let outcome = kflow.stop()?;

    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let mut told = outcome.told()?;
    told.flows.sort_by_key(|flow| word(&flow["protocol"]).to_owned());
    let [icmp, udp] = &told.flows[..] else { panic!("{:#?}", told.flows) };
    for (flow, protocol, packets) in [(icmp, "ICMP", 3), (udp, "UDP", 1)] {
        assert_eq!(flow["protocol"], protocol);
        for lane in [&flow["forward"], &flow["reply"]] {
            assert_delivered(lane, 8);
            assert_eq!(lane["packets"], packets, "{protocol}");
        }
    }
    assert_eq!(udp["source"]["port"], reply.client.port());
    assert_eq!(udp["forward"]["payload_bytes"], 1000);
    Ok(())
}

#[test]
fn two_traces_see_the_same() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let files = ["first.pcapng", "second.pcapng"].map(|name| site.file(name));
    let start = |file: &Path| {
        site.trace(POD_TO_SERVICE.into_iter().chain(JSON).chain(["-w", &file.display().to_string()]))
    };
    let traces = [start(&files[0])?, start(&files[1])?];
    site.get(SERVICE, 1000)?;
    let mut seen = Vec::new();
    for (kflow, file) in traces.into_iter().zip(&files) {
        let outcome = kflow.stop()?;
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let mut flow = only_flow(&outcome.told()?).clone();
        forget_times(&mut flow);
        let mut frames =
            wireshark::fields(file, "tcp", ["frame.interface_name", "ip.id", "tcp.flags", "frame.comment"])?;
        frames.sort();
        seen.push((flow, frames));
    }
    assert_eq!(seen[0], seen[1]);
    Ok(())
}

fn only_flow(told: &Told) -> &Value {
    let [flow] = &told.flows[..] else { panic!("{:#?}", told.flows) };
    flow
}

/// Each trace has programs of its own, which read the clock one after the other.
fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in
                ["first_ns", "handshake_ns", "last_ns", "latency", "outliers", "round_trip", "verdict"]
            {
                fields.remove(name);
            }
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_times),
        _ => {}
    }
}
