//! What the kernel drops: whether the program at `skb:kfree_skb` loads and sees it, with what reason, and what a trace
//! makes of it.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use tests::{
    Overlay,
    lab::topology::{K8S_NODE1, POD_DEST, POD_PORT, POD_SRC},
    traffic::HttpGet,
};
use tracer_core::{
    capture::{CaptureReader, Item},
    drops::Notice,
};

use crate::{
    capture::{Capture, quiet},
    found::{Failure, Found, Known, ensure},
    site::Site,
};

const PORT: u16 = 7001;
const DATAGRAMS: usize = 5;
/// Less than the time after which the first SYN is sent again.
const SHORT: Duration = Duration::from_millis(900);

/// The program is loaded, attached, and tells each datagram to a port without a socket once, with the function that dropped
/// it.
pub(crate) fn program(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let notices = refused_datagrams(kflow)?;
    ensure(notices.len() == DATAGRAMS, || format!("{} drops of {DATAGRAMS} are told", notices.len()))?;
    let functions: Vec<String> = notices.iter().filter_map(|notice| notice.function.clone()).collect();
    ensure(functions.len() == DATAGRAMS, || format!("no function is told: {notices:?}"))?;
    Ok(Found::ok(format!("dropped in {}", functions[0])))
}

/// The reason, by its name.
pub(crate) fn reasons(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let notices = refused_datagrams(kflow)?;
    let reasons: Vec<&str> = notices.iter().filter_map(|notice| notice.reason.as_deref()).collect();
    if reasons.is_empty() && !notices.is_empty() {
        return Ok(Found::none("functions are told instead"));
    }
    ensure(reasons == vec!["NO_SOCKET"; DATAGRAMS], || format!("the reasons are {reasons:?}"))?;
    Ok(Found::ok(reasons[0]))
}

/// Datagrams to a port of loopback where nobody listens, and what is told of them.
fn refused_datagrams(kflow: &Path) -> Result<Vec<Notice>, Failure> {
    let ns = quiet("drops")?;
    let file = std::env::temp_dir().join(format!("{}.pcapng", ns.name()));
    let name = file.to_string_lossy().into_owned();
    let capture = Capture::running(kflow, &ns, &["-i", "lo", "--drops", "-w", &name])?;
    ns.run(|| {
        for _ in 0..DATAGRAMS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.send_to(b"nobody is there", (Ipv4Addr::LOCALHOST, PORT))?;
        }
        Ok::<_, std::io::Error>(())
    })??;
    let ended = capture.stop()?;
    ensure(ended.code == Some(0), || format!("code {:?}: {}", ended.code, ended.said.trim()))?;
    let bytes = std::fs::read(&file)?;
    let _ = std::fs::remove_file(&file);
    let mut reader = CaptureReader::new(&bytes[..])?;
    let mut notices = Vec::new();
    while let Some(item) = reader.next_item()? {
        // Packets at interfaces have no comment. The ICMP errors that come back have no socket either.
        if let Item::Frame(frame) = item
            && let Some(comment) = &frame.comment
            && frame.original_len < 70
        {
            notices.push(comment.parse()?);
        }
    }
    Ok(notices)
}

/// A rule of the destination's node that drops: the trace names cause, place and rule. With reasons the kernel itself says
/// that it was netfilter.
pub(crate) fn verdict(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let site = Site::up(Overlay::None)?;
    site.lab.iptables(K8S_NODE1.name, "-I FORWARD -p tcp --dport 8080 -j DROP")?;
    let trace = site.trace(kflow, &[POD_SRC.name, POD_DEST.name, "--why"])?;
    let to = SocketAddr::from((POD_DEST.address, POD_PORT));
    let request = HttpGet { timeout: SHORT, ..HttpGet::new(to) };
    let reply = request.send(site.lab.pod(POD_SRC.name));
    // What was last seen shortly before the end is taken for on its way.
    std::thread::sleep(SHORT);
    let outcome = trace.stop()?;
    ensure(reply.is_err(), || "the rule drops nothing".to_owned())?;
    let told = outcome.told()?;
    let [flow] = &told.flows[..] else {
        return Err(format!("{} flows: {}", told.flows.len(), outcome.stderr.trim()).into());
    };
    let verdict = &flow["verdict"];
    let is_right = verdict["cause"] == "firewall-drop" && verdict["at"]["node"] == K8S_NODE1.name;
    ensure(is_right, || format!("{verdict} {}", told.summary))?;
    let drops = flow["forward"]["drops"].as_array().map(Vec::as_slice).unwrap_or_default();
    let here: Vec<&Value> = drops.iter().filter(|drop| drop["node"] == K8S_NODE1.name).collect();
    ensure(!here.is_empty(), || format!("the kernel's drop is not told: {}", flow["forward"]))?;
    let summary = verdict["summary"].as_str().unwrap_or_default();
    if here.iter().all(|drop| drop["reason"] == "NETFILTER_DROP") {
        return Ok(Found::ok(summary));
    }
    let is_told = told.summary["missing_evidence"].to_string().contains("drop reasons");
    ensure(is_told, || format!("not told that reasons are missing: {}", told.summary))?;
    Ok(Found::degraded(format!("without the reason: {summary}")))
}
