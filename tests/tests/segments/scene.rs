//! Two network namespaces and a link whose near end has no offloads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::compare::Comparison;
use crate::traffic;
use crate::watch::{self, Points};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The interfaces of the link.
const NEAR_INTERFACE: &str = "near0";
const FAR_INTERFACE: &str = "far0";
const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
/// What is turned off, so that the kernel cuts packets and computes checksums itself before they leave.
const OFFLOADS: [&str; 3] = ["tso", "gso", "tx"];

/// What a tunnel travels in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Underlay {
    Ipv4,
    Ipv6,
}

/// The namespaces; they go when this value goes.
pub(crate) struct Scene {
    near: String,
    far: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("ks-{}-{number}-{end}", std::process::id());
        let scene = Self { near: name("near"), far: name("far") };
        for namespace in [&scene.near, &scene.far] {
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        let (near, far) = (&scene.near, &scene.far);
        ip(&format!(
            "-n {near} link add {NEAR_INTERFACE} address {} type veth peer name {FAR_INTERFACE} address {} netns {far}",
            MACS[0], MACS[1]
        ));
        scene.up(NEAR_INTERFACE, FAR_INTERFACE, 9);
        for offload in OFFLOADS {
            scene.in_near(|| run("ethtool", &format!("-K {NEAR_INTERFACE} {offload} off")));
        }
        scene
    }

    /// A VXLAN tunnel with these further words.
    pub(crate) fn vxlan(&self, underlay: Underlay, words: &str) {
        let network = match underlay {
            Underlay::Ipv4 => "10.9.0.",
            Underlay::Ipv6 => "fd09::",
        };
        let ends = [(&self.near, NEAR_INTERFACE, 1), (&self.far, FAR_INTERFACE, 2)];
        for (namespace, link, end) in ends {
            let other = 3 - end;
            ip(&format!(
                "-n {namespace} link add over0 address 02:00:00:00:01:0{end} type vxlan id 42 dev {link} local {network}{end} remote {network}{other} {words}"
            ));
        }
        self.up("over0", "over0", 8);
    }

    /// Lets IPv6 packets have more bytes than their length has room for.
    pub(crate) fn allow_big(&self) {
        for (namespace, link) in [(&self.near, NEAR_INTERFACE), (&self.far, FAR_INTERFACE)] {
            for limit in ["gso_max_size", "gro_max_size"] {
                ip(&format!("-n {namespace} link set {link} {limit} 150000"));
            }
        }
    }

    /// Captures both ends of the link while there is traffic.
    pub(crate) fn watch(&self, traffic: impl FnOnce()) -> Comparison {
        let (near, far) = (path(&self.near), path(&self.far));
        let points = Points {
            near: (&near, NEAR_INTERFACE),
            far: (&far, FAR_INTERFACE),
            mark: &|words| traffic::mark(self, words),
        };
        watch::during(&points, traffic)
    }

    pub(crate) fn in_near<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&path(&self.near), work)
    }

    pub(crate) fn in_far<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&path(&self.far), work)
    }

    /// Gives two interfaces their addresses in network 10.N.0.0 and `fd0N::`, and lets them up.
    fn up(&self, near: &str, far: &str, network: u8) {
        for (namespace, interface, end) in [(&self.near, near, 1), (&self.far, far, 2)] {
            ip(&format!("-n {namespace} addr add 10.{network}.0.{end}/24 dev {interface}"));
            ip(&format!("-n {namespace} addr add fd0{network}::{end}/64 dev {interface} nodad"));
            ip(&format!("-n {namespace} link set {interface} up"));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

fn ip(words: &str) {
    run("ip", words);
}

fn run(program: &str, words: &str) {
    let output = Command::new(program).args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn path(namespace: &str) -> PathBuf {
    Path::new("/run/netns").join(namespace)
}

/// Runs `work` on a thread in a namespace.
pub(crate) fn inside<T: Send>(namespace: &Path, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(namespace).unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
