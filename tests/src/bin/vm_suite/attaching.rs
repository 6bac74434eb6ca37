//! Whether the verifier takes the programs, and whether they see packets by either way of attaching.

use std::path::Path;

use aya::programs::{TcAttachType, tc::SchedClassifier};
use tests::{Namespace, run};

use crate::{
    capture::{Capture, Ended, Started, ping, quiet},
    found::{Failure, Found, Known, ensure},
};

/// Echo requests; each has an answer.
const REQUESTS: u16 = 3;
const LOOPBACK: [&str; 4] = ["-i", "lo", "-w", "/dev/null"];

/// The programs without a filter, with addresses, with a snap length of the least and of the most.
pub(crate) fn programs(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let both = u64::from(2 * REQUESTS);
    let variants: [(&[&str], u64); 5] = [
        (&[], both),
        (&["--host", "127.0.0.1"], both),
        (&["--host", "127.0.0.1", "-s", "64"], both),
        (&["-s", "0"], both),
        (&["--inner", "--host", "127.0.0.1"], both),
    ];
    let ns = quiet("programs")?;
    sees_all(kflow, &ns, &variants)
}

/// Filter expressions, which become a part of the programs.
pub(crate) fn filter(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let (both, one) = (u64::from(2 * REQUESTS), u64::from(REQUESTS));
    let variants: [(&[&str], u64); 5] = [
        (&["-f", "icmp and host 127.0.0.1"], both),
        (&["-f", "icmp[0] = 8"], one),
        (&["--inner", "-f", "icmp[0] = 8"], one),
        (&["-f", "tcp port 80 or (ip6 and udp portrange 1-1024) or icmp"], both),
        (&["--host", "127.0.0.1", "-f", "not tcp and ip[8] > 1"], both),
    ];
    let ns = quiet("filter")?;
    sees_all(kflow, &ns, &variants)
}

fn sees_all(kflow: &Path, ns: &Namespace, variants: &[(&[&str], u64)]) -> Result<Found, Failure> {
    for (words, count) in variants {
        let all = [&LOOPBACK, *words].concat();
        let capture = Capture::running(kflow, ns, &all)?;
        ping(ns, REQUESTS)?;
        is_seen(&words.join(" "), &capture.stop()?, *count)?;
    }
    Ok(Found::ok(format!("{} variants", variants.len())))
}

fn is_seen(what: &str, ended: &Ended, count: u64) -> Result<(), Failure> {
    ensure(ended.code == Some(0) && ended.packets() == Some(count), || {
        format!("`{what}`: not {count} packets, code {:?}: {}", ended.code, ended.said.trim())
    })
}

/// Attaching by a link, before all filters (Linux 6.6).
pub(crate) fn tcx(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let ns = quiet("tcx")?;
    let words = [&LOOPBACK[..], &["--attach", "tcx"]].concat();
    let capture = match Capture::start(kflow, &ns, &words)? {
        Started::Running(capture) => capture,
        Started::Refused(ended) => {
            let is_told = ended.code == Some(4) && ended.said.contains("has no TCX");
            ensure(is_told, || format!("code {:?}: {}", ended.code, ended.said.trim()))?;
            ensure(tcx_programs(&ns)?.is_none(), || "the kernel has TCX".to_owned())?;
            return Ok(Found::none(ended.last()));
        }
    };
    ensure(tcx_programs(&ns)? == Some(1), || "no program is attached by TCX".to_owned())?;
    ping(&ns, REQUESTS)?;
    is_seen("--attach tcx", &capture.stop()?, u64::from(2 * REQUESTS))?;
    ensure(tcx_programs(&ns)? == Some(0), || "a program is still attached".to_owned())?;
    Ok(Found::ok(""))
}

/// Attaching by a filter.
pub(crate) fn clsact(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let ns = quiet("clsact")?;
    let words = [&LOOPBACK[..], &["--attach", "clsact"]].concat();
    let capture = Capture::running(kflow, &ns, &words)?;
    ensure(!filters(&ns)?.is_empty(), || "no filter is attached".to_owned())?;
    ping(&ns, REQUESTS)?;
    is_seen("--attach clsact", &capture.stop()?, u64::from(2 * REQUESTS))?;
    let left = filters(&ns)?;
    ensure(left.is_empty(), || format!("still attached: {left}"))?;
    Ok(Found::ok(""))
}

/// Programs on the loopback's ingress by TCX; absent where the kernel has none.
fn tcx_programs(ns: &Namespace) -> Result<Option<usize>, Failure> {
    let query = || SchedClassifier::query_tcx("lo", TcAttachType::Ingress).ok();
    Ok(ns.run(query)?.map(|(_, programs)| programs.len()))
}

/// Filters on the loopback's ingress, as `tc` prints them.
pub(crate) fn filters(ns: &Namespace) -> Result<String, Failure> {
    let qdiscs = run(ns, "tc", &["qdisc", "show", "dev", "lo", "clsact"], "")?;
    if !qdiscs.contains("clsact") {
        return Ok(String::new());
    }
    Ok(run(ns, "tc", &["filter", "show", "dev", "lo", "ingress"], "")?.trim().to_owned())
}
