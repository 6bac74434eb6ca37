//! The three requests of the demo, in one trace over all: by pod address, by ClusterIP, by NodePort.

use std::{net::SocketAddr, path::Path};

use tests::{
    Overlay,
    lab::topology::{K8S_MASTER, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT},
    traffic::HttpGet,
};

use crate::{
    found::{Failure, Found, Known, ensure},
    site::{Site, complete, delivered},
};

const FROM_POD: [&str; 8] =
    ["eth0", POD_SRC.interface, "tunl0", "eth0", "eth0", "tunl0", POD_DEST.interface, "eth0"];
const FROM_MASTER: [&str; 8] = ["eth0", "eth0", "tunl0", "eth0", "eth0", "tunl0", POD_DEST.interface, "eth0"];

/// Traces them; every packet has to be seen at all eight hops, both ways.
pub(crate) fn requests(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::Ipip)?;
    let node_port = SVC_NODEPORT.node_port.unwrap_or_default();
    let stories = [
        (POD_SRC.name, (POD_DEST.address, POD_PORT), FROM_POD),
        (POD_SRC.name, (SVC_CLUSTERIP.cluster_ip, POD_PORT), FROM_POD),
        (K8S_MASTER.name, (K8S_NODE2.address, node_port), FROM_MASTER),
    ];
    let trace = site.trace(kflow, &[POD_DEST.name])?;
    for (from, to, _) in stories {
        let reply = HttpGet::new(SocketAddr::from(to)).send(site.lab.of(from))?;
        ensure(reply.status == 200, || format!("{to:?} answered {}", reply.status))?;
    }
    let told = complete(&trace.stop()?)?;
    ensure(told.flows.len() == stories.len(), || format!("{} flows of three requests", told.flows.len()))?;
    let mut packets = 0;
    for (_, to, there) in stories {
        let is_meant = |flow: &&serde_json::Value| {
            flow["destination"]["address"] == to.0.to_string() && flow["destination"]["port"] == to.1
        };
        let flow = told.flows.iter().find(is_meant).ok_or_else(|| format!("no flow to {to:?}"))?;
        delivered("forward", &flow["forward"], &there)?;
        let back: Vec<&str> = there.into_iter().rev().collect();
        delivered("reply", &flow["reply"], &back)?;
        let count = |lane: &str| flow[lane]["packets"].as_u64().unwrap_or_default();
        packets += count("forward") + count("reply");
    }
    Ok(Found::ok(format!("{packets} packets at 8 hops each")))
}
