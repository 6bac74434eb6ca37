//! Super-packets of a pod in IPIP, as the lab's nodes send them.

use std::net::UdpSocket;

use tests::lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC};
use tests::traffic::{HttpGet, HttpServer};
use tests::{Lab, LabConfig, Overlay, run};

use crate::watch::{self, Points};

pub(crate) type Test = Result<(), Box<dyn std::error::Error>>;

const UPLINK: &str = "eth0";
const BODY: u64 = 600_000;

/// The page comes from the pod behind the first node, whose uplink has no offloads.
pub(crate) fn ipip() -> Test {
    let lab = Lab::up(&LabConfig { overlay: Overlay::Ipip, ..LabConfig::default() })?;
    let (near, far) = (lab.node(K8S_NODE1.name), lab.node(K8S_NODE2.name));
    run(near, "ethtool", &["-K", UPLINK, "tso", "off", "gso", "off", "tx", "off"], "")?;
    let _server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
    let socket = near.run(|| UdpSocket::bind("0.0.0.0:0"))??;
    let points = Points {
        near: (near.path(), UPLINK),
        far: (far.path(), UPLINK),
        mark: &|words| assert_eq!(socket.send_to(words, (K8S_NODE2.address, 9)).unwrap(), words.len()),
    };
    let comparison = watch::during(&points, || {
        let get = HttpGet { body_len: BODY, ..HttpGet::new((POD_DEST.address, POD_PORT)) };
        assert_eq!(get.send(lab.pod(POD_SRC.name)).unwrap().body_len, BODY);
    });
    comparison.check("IPIP", 300);
    Ok(())
}
