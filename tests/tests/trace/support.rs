//! What the tests of `kflow trace` have in common.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
};

use serde_json::Value;
use tests::{
    Kflow, Lab, LabConfig, Overlay,
    kflow::{self, KflowError},
    lab::topology::{POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT},
    traffic::{HttpGet, HttpReply, HttpServer, TrafficError},
};

pub(crate) type Test = Result<(), Box<dyn std::error::Error>>;

/// The trace of the first two stories.
pub(crate) const POD_TO_POD: [&str; 2] = [POD_SRC.name, POD_DEST.name];
pub(crate) const POD_TO_SERVICE: [&str; 2] = [POD_SRC.name, "svc/svc-clusterip"];
pub(crate) const JSON: [&str; 2] = ["-o", "json"];

/// A lab with a web server in pod-dest.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    _server: HttpServer,
}

impl Site {
    pub(crate) fn up(overlay: Overlay) -> Result<Self, Box<dyn std::error::Error>> {
        let lab = Lab::up(&LabConfig { overlay, ..LabConfig::default() })?;
        let server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
        Ok(Self { lab, _server: server })
    }

    /// Starts `kflow trace` with what it has to know of the lab and these words.
    pub(crate) fn trace<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Result<Kflow, KflowError> {
        Kflow::tracing(&kflow::program(), self.arguments(words))
    }

    /// As [`Site::trace`], with standard output where `stdout` leads.
    pub(crate) fn trace_into<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
        stdout: impl Into<Stdio>,
    ) -> Result<Kflow, KflowError> {
        Kflow::tracing_into(&kflow::program(), self.arguments(words), stdout.into())
    }

    /// `trace`, the lab, and these words.
    pub(crate) fn arguments<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
        let words = words.into_iter().map(OsString::from);
        ["trace".into()].into_iter().chain(self.lab.kflow_node_args()).chain(words).collect()
    }

    /// A file of the lab's own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.lab.directory().join(name)
    }

    /// A request of pod-src that is answered.
    pub(crate) fn get(&self, to: (Ipv4Addr, u16), body_len: u64) -> Result<HttpReply, TrafficError> {
        self.get_from(POD_SRC.name, to, body_len)
    }

    /// A request of a pod or node that is answered.
    pub(crate) fn get_from(
        &self,
        from: &str,
        to: (Ipv4Addr, u16),
        body_len: u64,
    ) -> Result<HttpReply, TrafficError> {
        let request = HttpGet { body_len, ..HttpGet::new(SocketAddr::from(to)) };
        let reply = request.send(self.lab.of(from))?;
        assert_eq!((reply.status, reply.body_len), (200, body_len), "{to:?}");
        Ok(reply)
    }
}

pub(crate) const DEST: (Ipv4Addr, u16) = (POD_DEST.address, POD_PORT);
pub(crate) const SERVICE: (Ipv4Addr, u16) = (SVC_CLUSTERIP.cluster_ip, POD_PORT);

pub(crate) fn node_port() -> u16 {
    SVC_NODEPORT.node_port.unwrap_or_default()
}

/// `node:interface` or `pod:interface`, as `kflow` names an interface in its pcapng.
pub(crate) fn place(hop: &Value) -> String {
    let pod = hop["pod"].as_str().and_then(|pod| pod.strip_prefix("default/"));
    format!("{}:{}", pod.unwrap_or_else(|| word(&hop["node"])), word(&hop["interface"]))
}

pub(crate) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of a JSON array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Asserts that every packet of this direction was seen at all of so many hops and arrived.
pub(crate) fn assert_delivered(lane: &Value, hops: usize) {
    let packets = &lane["packets"];
    assert!(packets.as_u64() > Some(0), "no packets: {lane:#}");
    assert_eq!(&lane["delivered"], packets, "{lane:#}");
    assert_eq!(lane["unknown"], 0, "{lane:#}");
    assert_eq!(lane["ordinal"], 0, "{lane:#}");
    assert!(list(&lane["stopped"]).is_empty(), "{lane:#}");
    assert_eq!(list(&lane["hops"]).len(), hops, "{lane:#}");
    assert!(list(&lane["hops"]).iter().all(|hop| &hop["packets"] == packets), "{lane:#}");
}
