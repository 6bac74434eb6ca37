//! A Calico-like cluster of three nodes and two pods in network namespaces.
//!
//! ```text
//!  pod-src ── calib8c6d5407e3 ┐                         ┌ calia5814ebbae9 ── pod-dest
//!  10.244.111.72              k8s-node2         k8s-node1              10.244.131.5
//!                             172.18.0.3        172.18.0.2
//!                                   └── underlay ──┘
//!                                          │
//!                                     k8s-master 172.18.0.4
//! ```

mod config;
mod dual;
mod guest;
mod identity;
pub(crate) mod ipip;
mod kube_proxy;
mod network;
mod overlay;
mod services;
mod state;
pub mod topology;
mod tun;
pub mod wire;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder},
    io,
    net::Ipv4Addr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

pub use config::{LabConfig, Overlay};
pub use guest::Guest;
use identity::LabId;
use overlay::StandIn;
pub use services::{EndpointSpec, ProxyMode, ServiceSpec};
use topology::{NODES, Node, PODS, Pod};
pub use tun::Inlet;

use crate::{LabError, Namespace, namespace, run};

const UNDERLAY: &str = "underlay";
const STATE_FILE: &str = "state.json";
/// What lets a link carry segments larger than its packets, and leave checksums to the hardware.
const OFFLOADS: [&str; 5] = ["tso", "gso", "gro", "tx", "rx"];

/// A lab that is up; it goes with this value, and with it every process that is in its namespaces.
#[derive(Debug)]
pub struct Lab {
    config: LabConfig,
    directory: PathBuf,
    /// By node, in the order of [`NODES`].
    stand_ins: Mutex<Vec<StandIn>>,
    underlay: Namespace,
    nodes: Vec<Namespace>,
    pods: Vec<Namespace>,
}

impl Lab {
    /// Raises a lab; where a step fails, what was made until then goes again.
    pub fn up(config: &LabConfig) -> Result<Self, LabError> {
        Self::sweep_stale()?;
        let id = LabId::next();
        let directory = id.directory();
        make_directory(&directory)?;
        let lab = Self::make_namespaces(*config, id, directory)?;
        lab.build()
    }

    /// Removes what labs left whose processes were killed; returns how many namespaces those were.
    pub fn sweep_stale() -> Result<usize, LabError> {
        let path = namespace::DIRECTORY.into();
        identity::sweep_stale().map_err(|source| LabError::File { path, source })
    }

    /// Removes every lab of this process, for its end by a signal.
    pub fn remove_own() -> Result<usize, LabError> {
        let path = namespace::DIRECTORY.into();
        identity::remove_own().map_err(|source| LabError::File { path, source })
    }

    /// What kind of lab this is.
    pub fn config(&self) -> &LabConfig {
        &self.config
    }

    /// The namespace of a node.
    ///
    /// # Panics
    ///
    /// Where [`NODES`] has no node of that name; so do [`Lab::pod`] and [`Lab::of`].
    pub fn node(&self, name: &str) -> &Namespace {
        find(NODES.map(|node| node.name), &self.nodes, name).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// The namespace of a pod.
    pub fn pod(&self, name: &str) -> &Namespace {
        find(PODS.map(|pod| pod.name), &self.pods, name).unwrap_or_else(|| panic!("no pod {name}"))
    }

    /// The namespace of a node or a pod.
    pub fn of(&self, name: &str) -> &Namespace {
        find(PODS.map(|pod| pod.name), &self.pods, name).unwrap_or_else(|| self.node(name))
    }

    /// The namespace of the bridge that joins the nodes; its ports have the nodes' names.
    pub fn underlay(&self) -> &Namespace {
        &self.underlay
    }

    /// The file with what `kubectl get nodes,pods,services,endpointslices -A -o json` would print.
    pub fn state_path(&self) -> PathBuf {
        self.directory.join(STATE_FILE)
    }

    /// What is in [`Lab::state_path`].
    pub fn state(&self) -> serde_json::Value {
        state::cluster(self.config, &[])
    }

    /// A directory for files about this lab; it goes with the lab.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The arguments that tell `kflow` about the cluster, its nodes and its pods.
    pub fn kflow_node_args(&self) -> Vec<OsString> {
        let place = |flag: &str, name: &str, ns: &Namespace| {
            let mut value = OsString::from(format!("{name}=netns:"));
            value.push(ns.path());
            [OsString::from(flag), value]
        };
        let nodes = NODES.iter().zip(&self.nodes).flat_map(|(node, ns)| place("--node", node.name, ns));
        let pods = PODS.iter().zip(&self.pods).flat_map(|(pod, ns)| place("--pod", pod.name, ns));
        let state = [OsString::from("--state"), self.state_path().into_os_string()];
        state.into_iter().chain(nodes).chain(pods).collect()
    }

    /// Changes a node's rules as `iptables` with the words of `rule` does: `-I FORWARD -p tcp -j DROP`.
    pub fn iptables(&self, node: &str, rule: &str) -> Result<(), LabError> {
        let args: Vec<&str> = ["-w"].into_iter().chain(rule.split_whitespace()).collect();
        run(self.node(node), "iptables", &args, "")?;
        Ok(())
    }

    /// Lets a node send what is for a network through its IPIP tunnel to this address: the route, and what stands in for
    /// the kernel's device.
    pub fn tunnel_to(
        &self,
        node: &str,
        network: Ipv4Addr,
        prefix: u8,
        peer: Ipv4Addr,
    ) -> Result<(), LabError> {
        let device = Overlay::Ipip.device();
        let route = format!("route replace {network}/{prefix} via {peer} dev {device} onlink\n");
        network::ip_batch(self.node(node), &route)?;
        let index = NODES.iter().position(|each| each.name == node).unwrap_or_default();
        let mut stand_ins = self.stand_ins.lock().unwrap_or_else(PoisonError::into_inner);
        stand_ins.get_mut(index).map_or(Ok(()), |each| each.send(network, prefix, peer))
    }

    /// Makes a node's VXLAN devices anew, with this network identifier.
    pub fn remake_vxlan(&self, node: &str, vni: u32) -> Result<(), LabError> {
        let (ns, node) = (self.node(node), NODES.iter().find(|each| each.name == node));
        let Some(node) = node else { return Ok(()) };
        network::ip_batch(ns, &format!("link del {}\n", Overlay::Vxlan.device()))?;
        overlay::configure_vxlan(ns, node, vni)?;
        if self.config.dual {
            network::ip_batch(ns, &format!("link del {}\n", Overlay::Vxlan.device6()))?;
            dual::configure_vxlan(ns, node, vni)?;
        }
        Ok(())
    }

    /// Turns segmentation, receive and checksum offloads of every veth in the lab on or off.
    pub fn set_offloads(&self, on: bool) -> Result<(), LabError> {
        let value = if on { "on" } else { "off" };
        let uplinks = self.nodes.iter().chain(&self.pods).map(|ns| (ns, "eth0"));
        let host_sides = PODS.iter().map(|pod| (self.node(pod.node), pod.interface));
        let ports = NODES.iter().map(|node| (&self.underlay, node.name));
        for (ns, interface) in uplinks.chain(host_sides).chain(ports) {
            let settings = OFFLOADS.iter().flat_map(|offload| [offload, value]);
            let args: Vec<&str> = ["-K", interface].into_iter().chain(settings).collect();
            run(ns, "ethtool", &args, "")?;
        }
        Ok(())
    }

    fn make_namespaces(config: LabConfig, id: LabId, directory: PathBuf) -> Result<Self, LabError> {
        let namespace = |what: &'static str| {
            move || -> Result<Namespace, LabError> {
                let ns = Namespace::create(id.namespace(what))?;
                network::prepare(&ns, config)?;
                if config.dual {
                    dual::prepare(&ns)?;
                }
                Ok(ns)
            }
        };
        let made = thread::scope(|scope| {
            let underlay = scope.spawn(namespace(UNDERLAY));
            let nodes = NODES.map(|node| scope.spawn(namespace(node.name)));
            let pods = PODS.map(|pod| scope.spawn(namespace(pod.name)));
            Ok((join(underlay)?, join_all(nodes)?, join_all(pods)?))
        });
        match made {
            Ok((underlay, nodes, pods)) => {
                Ok(Self { config, directory, stand_ins: Mutex::default(), underlay, nodes, pods })
            }
            Err(error) => {
                let _ = fs::remove_dir_all(directory);
                Err(error)
            }
        }
    }

    fn build(mut self) -> Result<Self, LabError> {
        let config = self.config;
        self.write_state()?;
        network::make_links(&self.underlay, |name| self.of(name), config.pod_mtu())?;
        if config.dual {
            dual::configure_underlay(&self.underlay)?;
        }
        let stand_ins = thread::scope(|scope| {
            let node = |(node, ns)| scope.spawn(move || configure_node(ns, node, config));
            let pod = |(pod, ns)| scope.spawn(move || configure_pod(ns, pod, config));
            let nodes: Vec<_> = NODES.iter().zip(&self.nodes).map(node).collect();
            let pods: Vec<_> = PODS.iter().zip(&self.pods).map(pod).collect();
            join_all::<(), LabError>(pods)?;
            join_all::<StandIn, LabError>(nodes)
        })?;
        self.stand_ins = Mutex::new(stand_ins);
        Ok(self)
    }

    fn write_state(&self) -> Result<(), LabError> {
        self.write_state_with(&[])
    }

    /// Writes the state anew, with these objects besides those of the lab itself.
    pub fn write_state_with(&self, more: &[serde_json::Value]) -> Result<(), LabError> {
        let path = self.state_path();
        fs::write(&path, format!("{:#}\n", state::cluster(self.config, more)))
            .map_err(|source| LabError::File { path, source })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let namespaces = self.nodes.iter().chain(&self.pods).chain([&self.underlay]);
        let paths: Vec<&Path> = namespaces.map(Namespace::path).collect();
        namespace::kill_processes(&paths);
        // What cannot be removed here is swept by the next lab.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn configure_node(ns: &Namespace, node: &Node, config: LabConfig) -> Result<StandIn, LabError> {
    network::configure_node(ns, node)?;
    let stand_in = overlay::configure(ns, node, config.overlay)?;
    run(ns, "iptables-restore", &["-w", "--noflush"], &kube_proxy::rules(config))?;
    if config.dual {
        dual::configure_node(ns, node, config)?;
    }
    Ok(stand_in)
}

fn configure_pod(ns: &Namespace, pod: &Pod, config: LabConfig) -> Result<(), LabError> {
    network::configure_pod(ns, pod)?;
    if config.dual { dual::configure_pod(ns, pod) } else { Ok(()) }
}

fn make_directory(path: &Path) -> Result<(), LabError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|source: io::Error| LabError::File { path: path.to_owned(), source })
}

fn find<'a, const N: usize>(names: [&str; N], of: &'a [Namespace], name: &str) -> Option<&'a Namespace> {
    names.iter().position(|each| *each == name).and_then(|index| of.get(index))
}

fn join_all<'a, T: 'a, E: 'a>(
    threads: impl IntoIterator<Item = thread::ScopedJoinHandle<'a, Result<T, E>>>,
) -> Result<Vec<T>, E> {
    // Threads behind the first error are joined by their scope.
    threads.into_iter().map(join).collect()
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}
