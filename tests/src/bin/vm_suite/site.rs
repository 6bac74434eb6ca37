//! A lab, a request across it, and the way that kflow tells of it.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use serde_json::Value;
use tests::{
    CommandError, Kflow, Lab, LabConfig, Namespace, Overlay,
    kflow::{Outcome, Told},
    lab::topology::{POD_DEST, POD_PORT},
    run,
    traffic::{HttpGet, HttpServer},
};

use crate::found::{Failure, ensure};

/// What `ip link add` says where a kernel has no such device.
const NO_DEVICE: [&str; 2] = ["Unknown device type", "Operation not supported"];

/// A lab with a web server in pod-dest.
pub(crate) struct Site {
    pub(crate) lab: Lab,
    _server: HttpServer,
}

/// A request, and how its trace is to be called.
pub(crate) struct Request<'a> {
    /// Who asks.
    pub(crate) from: &'a Namespace,
    /// Whom.
    pub(crate) to: (Ipv4Addr, u16),
    /// The two ends, and what else `kflow trace` has to know.
    pub(crate) words: &'a [&'a str],
}

impl Site {
    pub(crate) fn up(overlay: Overlay) -> Result<Self, Failure> {
        let lab = Lab::up(&LabConfig { overlay, ..LabConfig::default() })?;
        let server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
        Ok(Self { lab, _server: server })
    }

    /// Starts `kflow trace -o json` with what it has to know of the lab and these words.
    pub(crate) fn trace(&self, kflow: &Path, words: &[&str]) -> Result<Kflow, Failure> {
        let fixed = ["trace", "-o", "json"].into_iter().map(OsString::from);
        let words = words.iter().map(OsString::from);
        Ok(Kflow::tracing(kflow, fixed.chain(self.lab.kflow_node_args()).chain(words))?)
    }

    /// Traces a request that is answered; all of its packets have to be delivered, along these interfaces there, and along
    /// the same ones back. Returns the flow.
    pub(crate) fn whole(
        &self,
        kflow: &Path,
        request: &Request<'_>,
        interfaces: &[&str],
    ) -> Result<Value, Failure> {
        let trace = self.trace(kflow, request.words)?;
        let reply = HttpGet::new(SocketAddr::from(request.to)).send(request.from);
        let outcome = trace.stop()?;
        let reply = reply?;
        ensure(reply.status == 200, || format!("the request was answered with {}", reply.status))?;
        let told = complete(&outcome)?;
        let [flow] = &told.flows[..] else {
            return Err(format!("{} flows of one request", told.flows.len()).into());
        };
        let there: Vec<&str> = interfaces.to_vec();
        let back = interfaces.iter().rev().copied().collect();
        for (direction, expected) in [("forward", there), ("reply", back)] {
            delivered(direction, &flow[direction], &expected)?;
        }
        Ok(flow.clone())
    }
}

/// What a trace told that missed nothing.
pub(crate) fn complete(outcome: &Outcome) -> Result<Told, Failure> {
    let told = outcome.told()?;
    ensure(outcome.code == Some(0) && told.summary["complete"] == true, || {
        format!("incomplete, code {:?}: {} {}", outcome.code, outcome.stderr.trim(), told.summary)
    })?;
    Ok(told)
}

/// Whether every packet of a direction went along these interfaces, was seen at each, and arrived or is told to be dropped.
pub(crate) fn delivered(direction: &str, lane: &Value, expected: &[&str]) -> Result<(), Failure> {
    let hops = lane["hops"].as_array().map(Vec::as_slice).unwrap_or_default();
    let way: Vec<&str> = hops.iter().map(|hop| hop["interface"].as_str().unwrap_or("?")).collect();
    ensure(way == expected, || format!("{direction}: the way is {}", way.join(" ")))?;
    let count = |value: &Value| value["packets"].as_u64().unwrap_or_default();
    let packets = count(lane);
    // On a slow machine TCP sends again what is only late, and the receiving kernel drops what it has already.
    let drops = lane["drops"].as_array().into_iter().flatten();
    let dropped: u64 = drops.filter(|drop| drop["is_benign"] == false).map(count).sum();
    let arrived = lane["delivered"].as_u64().unwrap_or_default();
    let is_whole = arrived > 0
        && [packets, packets.saturating_sub(dropped)].contains(&arrived)
        && hops.iter().all(|hop| count(hop) == packets);
    ensure(is_whole, || format!("{direction}: not all delivered: {lane}"))
}

/// Whether a hop there says that a translation was made.
pub(crate) fn has_change(flow: &Value, kind: &str) -> bool {
    let hops = flow["forward"]["hops"].as_array().map(Vec::as_slice).unwrap_or_default();
    hops.iter().any(|hop| hop["changes"].to_string().contains(kind))
}

/// Tells of a failure that there is no such device from all others.
pub(crate) fn lacks_device(error: &CommandError) -> bool {
    let CommandError::Failed { stderr, .. } = error else { return false };
    NO_DEVICE.iter().any(|words| stderr.contains(words))
}

/// `ip` with these words.
pub(crate) fn ip(ns: &Namespace, words: &str) -> Result<String, CommandError> {
    run(ns, "ip", &words.split_whitespace().collect::<Vec<_>>(), "")
}
