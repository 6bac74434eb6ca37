//! The way of each request, hop by hop: as tshark reads it from the pcapng, and as the JSON Lines tell it.

use std::{collections::BTreeMap, net::Ipv4Addr, net::SocketAddrV4, path::Path};

use serde_json::Value;
use tests::{
    Overlay,
    kflow::Told,
    lab::topology::{K8S_MASTER, K8S_NODE2, POD_SRC},
    wireshark,
};

use crate::support::{
    DEST, JSON, POD_TO_POD, POD_TO_SERVICE, SERVICE, Site, Test, assert_delivered, list, node_port, place,
    word,
};

/// A request, the words that trace it, and what its packets look like at each hop: where, in or out of the
/// interface, outer addresses in brackets, source and destination, and what changed.
///
/// `CLIENT` and `SNAT` are ports that nobody knows before.
struct Story {
    overlay: Overlay,
    from: &'static str,
    to: (Ipv4Addr, u16),
    words: [&'static str; 2],
    there: &'static [&'static str],
    back: &'static [&'static str],
}

#[test]
fn pod_to_pod_through_ipip() -> Test {
    check(&Story {
        overlay: Overlay::Ipip,
        from: POD_SRC.name,
        to: DEST,
        words: POD_TO_POD,
        there: &[
            "pod-src:eth0 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:calib8c6d5407e3 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:tunl0 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:eth0 out [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080: encapsulated in IPIP 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:eth0 in [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node1:tunl0 in 10.244.111.72:CLIENT > 10.244.131.5:8080: decapsulated from IPIP 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:calia5814ebbae9 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "pod-dest:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
        ],
        back: &[
            "pod-dest:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:calia5814ebbae9 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:tunl0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:eth0 out [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT: encapsulated in IPIP 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:eth0 in [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:tunl0 in 10.244.131.5:8080 > 10.244.111.72:CLIENT: decapsulated from IPIP 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:calib8c6d5407e3 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "pod-src:eth0 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
        ],
    })
}

#[test]
fn cluster_ip_through_ipip() -> Test {
    check(&Story {
        overlay: Overlay::Ipip,
        from: POD_SRC.name,
        to: SERVICE,
        words: POD_TO_SERVICE,
        there: &[
            "pod-src:eth0 out 10.244.111.72:CLIENT > 10.107.94.97:8080",
            "k8s-node2:calib8c6d5407e3 in 10.244.111.72:CLIENT > 10.107.94.97:8080",
            "k8s-node2:tunl0 out 10.244.111.72:CLIENT > 10.244.131.5:8080: DNAT 10.107.94.97:8080 => 10.244.131.5:8080",
            "k8s-node2:eth0 out [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080: encapsulated in IPIP 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:eth0 in [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node1:tunl0 in 10.244.111.72:CLIENT > 10.244.131.5:8080: decapsulated from IPIP 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:calia5814ebbae9 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "pod-dest:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
        ],
        back: &[
            "pod-dest:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:calia5814ebbae9 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:tunl0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:eth0 out [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT: encapsulated in IPIP 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:eth0 in [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:tunl0 in 10.244.131.5:8080 > 10.244.111.72:CLIENT: decapsulated from IPIP 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:calib8c6d5407e3 out 10.107.94.97:8080 > 10.244.111.72:CLIENT: reverse of DNAT 10.244.131.5:8080 => 10.107.94.97:8080",
            "pod-src:eth0 in 10.107.94.97:8080 > 10.244.111.72:CLIENT",
        ],
    })
}

#[test]
fn node_port_through_ipip() -> Test {
    check(&Story {
        overlay: Overlay::Ipip,
        from: K8S_MASTER.name,
        to: (K8S_NODE2.address, node_port()),
        words: ["node/k8s-master", "svc/svc-nodeport"],
        there: &[
            "k8s-master:eth0 out 172.18.0.4:CLIENT > 172.18.0.3:31080",
            "k8s-node2:eth0 in 172.18.0.4:CLIENT > 172.18.0.3:31080",
            "k8s-node2:tunl0 out 10.244.111.64:SNAT > 10.244.131.5:8080: DNAT 172.18.0.3:31080 => 10.244.131.5:8080; SNAT 172.18.0.4:CLIENT => 10.244.111.64:SNAT",
            "k8s-node2:eth0 out [172.18.0.3 > 172.18.0.2] 10.244.111.64:SNAT > 10.244.131.5:8080: encapsulated in IPIP 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:eth0 in [172.18.0.3 > 172.18.0.2] 10.244.111.64:SNAT > 10.244.131.5:8080",
            "k8s-node1:tunl0 in 10.244.111.64:SNAT > 10.244.131.5:8080: decapsulated from IPIP 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:calia5814ebbae9 out 10.244.111.64:SNAT > 10.244.131.5:8080",
            "pod-dest:eth0 in 10.244.111.64:SNAT > 10.244.131.5:8080",
        ],
        back: &[
            "pod-dest:eth0 out 10.244.131.5:8080 > 10.244.111.64:SNAT",
            "k8s-node1:calia5814ebbae9 in 10.244.131.5:8080 > 10.244.111.64:SNAT",
            "k8s-node1:tunl0 out 10.244.131.5:8080 > 10.244.111.64:SNAT",
            "k8s-node1:eth0 out [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.64:SNAT: encapsulated in IPIP 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:eth0 in [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.64:SNAT",
            "k8s-node2:tunl0 in 10.244.131.5:8080 > 10.244.111.64:SNAT: decapsulated from IPIP 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:eth0 out 172.18.0.3:31080 > 172.18.0.4:CLIENT: reverse of SNAT 10.244.111.64:SNAT => 172.18.0.4:CLIENT; reverse of DNAT 10.244.131.5:8080 => 172.18.0.3:31080",
            "k8s-master:eth0 in 172.18.0.3:31080 > 172.18.0.4:CLIENT",
        ],
    })
}

#[test]
fn pod_to_pod_through_vxlan() -> Test {
    check(&Story {
        overlay: Overlay::Vxlan,
        from: POD_SRC.name,
        to: DEST,
        words: POD_TO_POD,
        there: &[
            "pod-src:eth0 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:calib8c6d5407e3 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:vxlan.calico out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:eth0 out [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080: encapsulated in VXLAN 4096 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:eth0 in [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node1:vxlan.calico in 10.244.111.72:CLIENT > 10.244.131.5:8080: decapsulated from VXLAN 4096 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:calia5814ebbae9 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "pod-dest:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
        ],
        back: &[
            "pod-dest:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:calia5814ebbae9 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:vxlan.calico out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:eth0 out [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT: encapsulated in VXLAN 4096 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:eth0 in [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:vxlan.calico in 10.244.131.5:8080 > 10.244.111.72:CLIENT: decapsulated from VXLAN 4096 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:calib8c6d5407e3 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "pod-src:eth0 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
        ],
    })
}

#[test]
fn cluster_ip_through_vxlan() -> Test {
    check(&Story {
        overlay: Overlay::Vxlan,
        from: POD_SRC.name,
        to: SERVICE,
        words: POD_TO_SERVICE,
        there: &[
            "pod-src:eth0 out 10.244.111.72:CLIENT > 10.107.94.97:8080",
            "k8s-node2:calib8c6d5407e3 in 10.244.111.72:CLIENT > 10.107.94.97:8080",
            "k8s-node2:vxlan.calico out 10.244.111.72:CLIENT > 10.244.131.5:8080: DNAT 10.107.94.97:8080 => 10.244.131.5:8080",
            "k8s-node2:eth0 out [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080: encapsulated in VXLAN 4096 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:eth0 in [172.18.0.3 > 172.18.0.2] 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node1:vxlan.calico in 10.244.111.72:CLIENT > 10.244.131.5:8080: decapsulated from VXLAN 4096 172.18.0.3 -> 172.18.0.2",
            "k8s-node1:calia5814ebbae9 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "pod-dest:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
        ],
        back: &[
            "pod-dest:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:calia5814ebbae9 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:vxlan.calico out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:eth0 out [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT: encapsulated in VXLAN 4096 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:eth0 in [172.18.0.2 > 172.18.0.3] 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:vxlan.calico in 10.244.131.5:8080 > 10.244.111.72:CLIENT: decapsulated from VXLAN 4096 172.18.0.2 -> 172.18.0.3",
            "k8s-node2:calib8c6d5407e3 out 10.107.94.97:8080 > 10.244.111.72:CLIENT: reverse of DNAT 10.244.131.5:8080 => 10.107.94.97:8080",
            "pod-src:eth0 in 10.107.94.97:8080 > 10.244.111.72:CLIENT",
        ],
    })
}

#[test]
fn pod_to_pod_without_overlay() -> Test {
    check(&Story {
        overlay: Overlay::None,
        from: POD_SRC.name,
        to: DEST,
        words: POD_TO_POD,
        there: &[
            "pod-src:eth0 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:calib8c6d5407e3 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node2:eth0 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node1:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node1:calia5814ebbae9 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "pod-dest:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
        ],
        back: &[
            "pod-dest:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:calia5814ebbae9 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:eth0 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:calib8c6d5407e3 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "pod-src:eth0 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
        ],
    })
}

#[test]
fn cluster_ip_without_overlay() -> Test {
    check(&Story {
        overlay: Overlay::None,
        from: POD_SRC.name,
        to: SERVICE,
        words: POD_TO_SERVICE,
        there: &[
            "pod-src:eth0 out 10.244.111.72:CLIENT > 10.107.94.97:8080",
            "k8s-node2:calib8c6d5407e3 in 10.244.111.72:CLIENT > 10.107.94.97:8080",
            "k8s-node2:eth0 out 10.244.111.72:CLIENT > 10.244.131.5:8080: DNAT 10.107.94.97:8080 => 10.244.131.5:8080",
            "k8s-node1:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "k8s-node1:calia5814ebbae9 out 10.244.111.72:CLIENT > 10.244.131.5:8080",
            "pod-dest:eth0 in 10.244.111.72:CLIENT > 10.244.131.5:8080",
        ],
        back: &[
            "pod-dest:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:calia5814ebbae9 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node1:eth0 out 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:eth0 in 10.244.131.5:8080 > 10.244.111.72:CLIENT",
            "k8s-node2:calib8c6d5407e3 out 10.107.94.97:8080 > 10.244.111.72:CLIENT: reverse of DNAT 10.244.131.5:8080 => 10.107.94.97:8080",
            "pod-src:eth0 in 10.107.94.97:8080 > 10.244.111.72:CLIENT",
        ],
    })
}

fn check(story: &Story) -> Test {
    let site = Site::up(story.overlay)?;
    let file = site.file("trace.pcapng");
    let write = ["-w", &file.display().to_string()].map(str::to_owned);
    let words = story.words.into_iter().chain(JSON).chain(write.iter().map(String::as_str));
    let kflow = site.trace(words)?;
    let reply = site.get_from(story.from, story.to, 64)?;
    let outcome = kflow.stop()?;

    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let ports = Ports { client: reply.client.port() };
    check_lines(story, &outcome.told()?, ports);
    check_file(story, &file, ports)
}

/// Ports that have a name in the tables.
#[derive(Clone, Copy)]
struct Ports {
    client: u16,
}

impl Ports {
    /// `address:port` with the name of the port, where it has one.
    fn name(self, address: &str, port: &str) -> String {
        if port == self.client.to_string() {
            format!("{address}:CLIENT")
        } else if address == K8S_NODE2.tunnel.to_string() {
            format!("{address}:SNAT")
        } else {
            format!("{address}:{port}")
        }
    }

    /// A sentence with the names of the ports that are in it.
    fn name_all(self, text: &str) -> String {
        let named = |word: &str| {
            let (endpoint, end) = word.strip_suffix(';').map_or((word, ""), |endpoint| (endpoint, ";"));
            match endpoint.parse::<SocketAddrV4>() {
                Ok(socket) => self.name(&socket.ip().to_string(), &socket.port().to_string()) + end,
                Err(_) => word.to_owned(),
            }
        };
        text.split(' ').map(named).collect::<Vec<_>>().join(" ")
    }
}

fn check_lines(story: &Story, told: &Told, ports: Ports) {
    assert_eq!(told.summary["complete"], true, "{:#}", told.summary);
    assert_eq!(told.summary["loss"]["broken_streams"], serde_json::json!([]));
    assert_eq!(told.flows.len(), 1, "{:#?}", told.flows);
    let flow = &told.flows[0];
    for (lane, expected) in [(&flow["forward"], story.there), (&flow["reply"], story.back)] {
        let hops: Vec<String> = list(&lane["hops"]).iter().map(|hop| line_of_hop(hop, ports)).collect();
        assert_eq!(hops, expected);
        assert_delivered(lane, expected.len());
    }
    let tcp = &flow["tcp"];
    assert_eq!((&tcp["opened"], &tcp["answered"]), (&Value::Bool(true), &Value::Bool(true)), "{tcp}");
    assert_eq!(tcp["fin"], serde_json::json!(["forward", "reply"]));
    let events: Vec<&str> = told.events.iter().map(|event| word(&event["event"])).collect();
    assert_eq!(events, ["appeared", "established", "closed"]);
}

/// A hop of the JSON Lines as the tables have it.
fn line_of_hop(hop: &Value, ports: Ports) -> String {
    let way = if hop["direction"] == "ingress" { "in" } else { "out" };
    let outer = list(&hop["tunnels"])
        .iter()
        .map(|tunnel| format!("[{} > {}] ", word(&tunnel["source"]), word(&tunnel["destination"])));
    let end = |end: &Value| ports.name(word(&end["address"]), &end["port"].to_string());
    let changes: Vec<String> = list(&hop["changes"]).iter().map(|change| words_of(change, &end)).collect();
    let after = if changes.is_empty() { String::new() } else { format!(": {}", changes.join("; ")) };
    let (source, destination) = (end(&hop["source"]), end(&hop["destination"]));
    format!("{} {way} {}{source} > {destination}{after}", place(hop), outer.collect::<String>())
}

fn words_of(change: &Value, end: &impl Fn(&Value) -> String) -> String {
    let translated = |what: &str| format!("{what} {} => {}", end(&change["from"]), end(&change["to"]));
    let kind = match change["vni"].as_u64() {
        Some(vni) => format!("VXLAN {vni}"),
        None => word(&change["kind"]).to_uppercase(),
    };
    let tunnel = format!("{kind} {} -> {}", word(&change["source"]), word(&change["destination"]));
    match word(&change["change"]) {
        "dnat" => translated("DNAT"),
        "snat" => translated("SNAT"),
        "un-dnat" => translated("reverse of DNAT"),
        "un-snat" => translated("reverse of SNAT"),
        "encapsulated" => format!("encapsulated in {tunnel}"),
        "decapsulated" => format!("decapsulated from {tunnel}"),
        other => panic!("unknown change {other}"),
    }
}

/// One frame of the pcapng as tshark reads it.
#[derive(Debug)]
struct Seen {
    /// As in the tables.
    line: String,
    /// Place and total of `hop PLACE/TOTAL` in the comment.
    hop: (usize, usize),
    time: String,
    flags: String,
}

fn check_file(story: &Story, file: &Path, ports: Ports) -> Test {
    let packets = packets(file, ports)?;
    let lines = |flags: &str, is_forward: bool| -> Vec<&str> {
        let chosen =
            packets.iter().filter(|((forward, _), seen)| *forward == is_forward && seen[0].flags == flags);
        chosen.flat_map(|(_, seen)| seen.iter().map(|seen| seen.line.as_str())).collect()
    };
    assert_eq!(lines("0x0002", true), story.there, "the SYN");
    assert_eq!(lines("0x0012", false), story.back, "the answer to the SYN");
    // SYN, ACK, request, FIN there; SYN, answer, FIN back: whatever ACKs come with them.
    assert!(packets.len() >= 7, "{packets:#?}");
    for ((is_forward, _), seen) in &packets {
        let expected = if *is_forward { story.there } else { story.back };
        let hops: Vec<(usize, usize)> = seen.iter().map(|seen| seen.hop).collect();
        let all: Vec<(usize, usize)> = (1..=expected.len()).map(|hop| (hop, expected.len())).collect();
        assert_eq!(hops, all, "{seen:#?}");
        assert!(seen.iter().map(|seen| &seen.line).eq(expected.iter().copied()), "{seen:#?}");
        assert!(seen.is_sorted_by_key(|seen| &seen.time), "{seen:#?}");
        assert!(seen.iter().all(|other| other.flags == seen[0].flags), "{seen:#?}");
    }
    Ok(())
}

/// The frames of each packet, in the order of the file. A packet is known by its direction and its innermost IP
/// identification, which Linux counts up along a connection.
type Packets = BTreeMap<(bool, String), Vec<Seen>>;

/// What tshark is asked for, in the order of [`Row`].
const FIELDS: [&str; 10] = [
    "frame.comment",
    "frame.interface_name",
    "frame.packet_flags_direction",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "ip.id",
    "tcp.flags",
    "frame.time_epoch",
];
type Row = [String; FIELDS.len()];

fn packets(file: &Path, ports: Ports) -> Result<Packets, Box<dyn std::error::Error>> {
    let mut packets = Packets::new();
    for row in wireshark::fields(file, "tcp", FIELDS)? {
        let is_forward = row[0].starts_with("flow 1 -> ");
        let (_, id) = split_outer(&row[7]);
        let id = id.to_owned();
        packets.entry((is_forward, id)).or_default().push(seen(row, ports)?);
    }
    Ok(packets)
}

fn seen(row: Row, ports: Ports) -> Result<Seen, Box<dyn std::error::Error>> {
    let [comment, interface, direction, sources, source_port, destinations, destination_port, _, flags, time] =
        row;
    // `flow 1 -> hop 3/8: DNAT ...`
    let (hop, changes) = match comment.split_once(": ") {
        Some((hop, changes)) => (hop, format!(": {}", ports.name_all(changes))),
        None => (comment.as_str(), String::new()),
    };
    let hop = hop.strip_prefix("flow 1 -> hop ").or_else(|| hop.strip_prefix("flow 1 <- hop "));
    let (hop, hops) = hop.and_then(|hop| hop.split_once('/')).ok_or_else(|| format!("comment {comment}"))?;
    let way = match direction.as_str() {
        "0x00000001" => "in",
        "0x00000002" => "out",
        other => return Err(format!("direction {other}").into()),
    };
    let ((from, source), (to, destination)) = (split_outer(&sources), split_outer(&destinations));
    let outer = from.zip(to).map(|(from, to)| format!("[{from} > {to}] ")).unwrap_or_default();
    let source = ports.name(source, &source_port);
    let destination = ports.name(destination, &destination_port);
    Ok(Seen {
        line: format!("{interface} {way} {outer}{source} > {destination}{changes}"),
        hop: (hop.parse()?, hops.parse()?),
        time,
        flags,
    })
}

/// The outer value of a field, where there are two, and the inner one.
fn split_outer(values: &str) -> (Option<&str>, &str) {
    values.rsplit_once(',').map_or((None, values), |(outer, inner)| (Some(outer), inner))
}
