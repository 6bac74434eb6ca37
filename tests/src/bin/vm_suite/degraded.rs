//! A kernel without type information (`CONFIG_DEBUG_INFO_BTF`): drops cannot be told, all else works.

use std::{fs, path::Path};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tests::{
    Overlay,
    lab::topology::{POD_DEST, POD_PORT, POD_SRC},
    traffic::HttpGet,
};

use crate::{
    found::{Failure, Found, Known, ensure},
    site::{Site, delivered},
};

const BTF: &str = "/sys/kernel/btf";
const WAY: [&str; 6] = ["eth0", POD_SRC.interface, "eth0", "eth0", POD_DEST.interface, "eth0"];

/// Hides it for as long as this value lives.
struct Hidden;

impl Hidden {
    fn new() -> Result<Self, Failure> {
        mount(Some("tmpfs"), BTF, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        Ok(Self)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = umount2(BTF, MntFlags::MNT_DETACH);
    }
}

/// A trace works, and says what is missing.
pub(crate) fn without_btf(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let parent = std::os::unix::process::parent_id();
    ensure(parent == 1 && fs::metadata("/etc/modules").is_ok(), || {
        "to be tried on a machine of its own only: it is hidden from everybody".to_owned()
    })?;
    let site = Site::up(Overlay::None)?;
    let _hidden = Hidden::new()?;
    let trace = site.trace(kflow, &[POD_SRC.name, POD_DEST.name])?;
    let reply = HttpGet::new((POD_DEST.address, POD_PORT)).send(site.lab.pod(POD_SRC.name));
    let outcome = trace.stop()?;
    reply?;
    let told = outcome.told()?;
    let [flow] = &told.flows[..] else {
        return Err(format!("{} flows: {}", told.flows.len(), outcome.stderr.trim()).into());
    };
    delivered("forward", &flow["forward"], &WAY)?;
    let missing = told.summary["missing_evidence"].to_string();
    ensure(missing.contains("\"drops\"") && missing.contains("type information"), || {
        format!("not told that drops are missing: {}", told.summary)
    })?;
    ensure(outcome.code == Some(0), || format!("code {:?}: {}", outcome.code, outcome.stderr.trim()))?;
    Ok(Found::degraded("drops are not told, and that is said"))
}
