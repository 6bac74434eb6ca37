//! A lab with servers, and with whatever a fault adds to it.

use std::{
    any::Any,
    net::IpAddr,
    ops::RangeInclusive,
    process::Command,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    exchange,
    run::FaultError,
    variant::{Family, Scene, Step, Way},
};
use crate::{
    Lab, LabConfig, Namespace,
    lab::topology::{K8S_MASTER, K8S_NODE1, POD_DEST, POD_PORT, POD_SRC},
};

/// A lab in which something may go wrong.
pub struct Site {
    /// The lab.
    pub lab: Lab,
    /// The circumstances.
    pub scene: Scene,
    /// What ends with it, before the lab.
    held: Mutex<Vec<Box<dyn Any + Send>>>,
    /// The ports that its clients have: labs side by side have the same addresses, on one kernel.
    pub ports: RangeInclusive<u16>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("lab", &self.lab).field("scene", &self.scene).finish_non_exhaustive()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.held.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Ports that no other lab of this process has, nor one of another process in most cases.
fn ports() -> RangeInclusive<u16> {
    const WIDTH: u32 = 250;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Below those that every other namespace begins with, 32,768.
    let number = (NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 7) % 80;
    let first = u16::try_from(12_000 + number * WIDTH).unwrap_or_default();
    first..=first + 249
}

impl Site {
    /// Raises the lab of a scene, with its services and servers.
    pub(super) fn up(scene: &Scene) -> Result<Self, FaultError> {
        let dual = scene.family == Family::V6 || scene.services.iter().any(|each| each.address.is_ipv6());
        let config = LabConfig { overlay: scene.overlay, udp: true, dual, ..LabConfig::default() };
        let site =
            Self { lab: Lab::up(&config)?, scene: scene.clone(), held: Mutex::default(), ports: ports() };
        site.narrow_ports()?;
        site.lab.set_offloads(scene.offloads)?;
        if !scene.services.is_empty() {
            site.lab.serve(&scene.services, scene.mode)?;
        }
        site.serve(POD_DEST.name, POD_PORT)?;
        if scene.way == Way::ToNode {
            site.serve(K8S_NODE1.name, POD_PORT)?;
        }
        Ok(site)
    }

    /// Lets a pod or node answer on a port, TCP and UDP.
    pub fn serve(&self, name: &str, port: u16) -> Result<(), FaultError> {
        let ns = self.namespace(name);
        let any: IpAddr = match self.scene.family {
            Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let servers = (
            exchange::TcpServer::start(ns, (any, port).into())?,
            exchange::UdpServer::start(ns, (any, port).into())?,
        );
        self.hold(servers);
        Ok(())
    }

    /// A node, a pod or `underlay`.
    pub fn namespace(&self, name: &str) -> &Namespace {
        if name == "underlay" { self.lab.underlay() } else { self.lab.of(name) }
    }

    /// Lets whoever asks have ports of this lab.
    fn narrow_ports(&self) -> Result<(), FaultError> {
        let (first, last) = (self.ports.start(), self.ports.end());
        for at in [POD_SRC.name, POD_DEST.name, K8S_MASTER.name, "k8s-node1", "k8s-node2"] {
            self.script(at, &format!("sysctl -qw net/ipv4/ip_local_port_range='{first} {last}'"))?;
        }
        Ok(())
    }

    /// An identifier for echo requests, each time another one.
    pub(super) fn identifier(&self) -> u16 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let count = NEXT.fetch_add(1, Ordering::Relaxed) % 250;
        self.ports.start() + u16::try_from(count).unwrap_or_default()
    }

    /// Whether a flow of `kflow trace -o json` is one of this lab's.
    pub(super) fn is_own(&self, flow: &serde_json::Value) -> bool {
        let is_ours = |end: &str| {
            let port = flow[end]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            port.is_some_and(|port| self.ports.contains(&port))
        };
        is_ours("source") || is_ours("destination")
    }

    /// Keeps something for as long as the lab is there.
    pub fn hold(&self, what: impl Any + Send) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(what));
    }

    /// Does what a step says.
    pub(super) fn take(&self, step: &Step) -> Result<(), FaultError> {
        match step {
            Step::Script(at, script) => self.script(at, script),
            Step::Wire(wire) => {
                self.hold(wire.start(&self.lab)?);
                Ok(())
            }
            Step::Do(work) => work(self),
        }
    }

    /// Runs a script of the shell with its words in braces filled in.
    pub fn script(&self, at: &str, script: &str) -> Result<(), FaultError> {
        let script = format!("set -e\n{}", self.scene.fill(script));
        crate::run(self.namespace(at), "sh", &["-c", &script], "")?;
        Ok(())
    }

    /// The arguments that tell kflow about the lab, and about its pods where the scene looks into them.
    pub(super) fn kflow_arguments(&self) -> Vec<std::ffi::OsString> {
        let all = self.lab.kflow_node_args();
        if self.scene.inside {
            return all;
        }
        let is_pod = |index: usize| all[index] == "--pod" || index > 0 && all[index - 1] == "--pod";
        (0..all.len()).filter(|index| !is_pod(*index)).map(|index| all[index].clone()).collect()
    }

    /// A process in a namespace that ends with the lab.
    pub fn start(&self, at: &str, program: &str, words: &[&str]) -> Result<(), FaultError> {
        let child = self.namespace(at).spawn(Command::new(program).args(words))?;
        self.hold(child);
        Ok(())
    }

    /// The address of pod-src in the family.
    pub fn source(&self) -> IpAddr {
        self.scene.address_of(POD_SRC.name)
    }
}
