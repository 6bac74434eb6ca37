//! What kflow can do on the running kernel, feature by feature: `vm_suite KFLOW [FEATURE...]`.
//!
//! Each feature is a line of JSON on standard output: `{"feature":"vxlan","result":"ok","detail":"..."}`. As the first
//! process of a virtual machine (`cargo xtask vm-test` puts it there) it prepares the machine, writes the lines to the
//! second serial port and ends the machine.

mod attaching;
mod capture;
mod degraded;
mod doctor;
mod dropping;
mod floor;
mod found;
mod init;
mod leftovers;
mod overlays;
mod requests;
mod services;
mod site;

use std::{
    env,
    io::{self, Write as _},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use found::{Failure, Found, Grade, Known};

/// What tries one feature, with the `kflow` to use and what is known by now.
type Try = fn(&Path, &Known) -> Result<Found, Failure>;

/// Every feature, in the order in which they are tried; the last compares with the others.
const FEATURES: [(&str, Try); 18] = [
    ("programs", attaching::programs),
    ("filter", attaching::filter),
    ("drop program", dropping::program),
    ("clsact", attaching::clsact),
    ("tcx", attaching::tcx),
    ("requests", requests::requests),
    ("ipip", overlays::ipip),
    ("vxlan", overlays::vxlan),
    ("geneve", overlays::geneve),
    ("wireguard", overlays::wireguard),
    ("bridge", overlays::bridge),
    ("ipvs", services::ipvs),
    ("nftables", services::nftables),
    ("drop reasons", dropping::reasons),
    ("firewall verdict", dropping::verdict),
    ("detach", leftovers::detach),
    ("without BTF", degraded::without_btf),
    ("doctor", doctor::agrees),
];

/// What is tried on a kernel that is too old.
const BELOW_FLOOR: [(&str, Try); 1] = [("refused", floor::refused)];

fn main() -> ExitCode {
    if std::process::id() == 1 {
        return init::run();
    }
    let mut args = env::args_os().skip(1);
    let Some(kflow) = args.next().map(PathBuf::from) else {
        eprintln!("usage: vm_suite KFLOW [FEATURE...]");
        return ExitCode::from(2);
    };
    let wanted: Vec<String> = args.map(|word| word.to_string_lossy().into_owned()).collect();
    match suite(&kflow, &wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vm_suite: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tries all that is wanted, or everything; whether none failed.
fn suite(kflow: &Path, wanted: &[String]) -> io::Result<bool> {
    let features: &[(&str, Try)] = if floor::is_below() { &BELOW_FLOOR } else { &FEATURES };
    let mut known = Known::default();
    tell(&serde_json::json!({ "kernel": floor::release() }))?;
    for (name, attempt) in features {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        let start = Instant::now();
        let tried = panic::catch_unwind(AssertUnwindSafe(|| attempt(kflow, &known)));
        let found = match tried {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => Found { grade: Grade::Failed, detail: found::chain(failure.as_ref()) },
            Err(_) => Found { grade: Grade::Failed, detail: "the suite itself panicked".to_owned() },
        };
        tell(&serde_json::json!({
            "feature": name,
            "result": found.grade.name(),
            "detail": found.detail,
            "seconds": start.elapsed().as_secs(),
        }))?;
        known.add(name, found);
    }
    tell(&serde_json::json!({ "complete": true }))?;
    Ok(!known.has_failed())
}

fn tell(line: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
