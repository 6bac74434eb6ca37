//! Services that a lab gets besides its own, with endpoints as one likes: none, not ready, gone, on one node only.
//!
//! Rules are as kube-proxy writes them, in iptables mode ([`iptables`](super::services)) or in nftables mode; the
//! cluster's state says what the API server would say, which rules and state may be made to contradict.

mod iptables;
mod nftables;
mod objects;

use std::net::IpAddr;

use super::{Lab, topology::NODES};
use crate::{LabError, run};

/// A service.
#[derive(Clone, Debug)]
pub struct ServiceSpec {
    /// Its name in Kubernetes, in the namespace `default`.
    pub name: &'static str,
    /// Its virtual address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The port of its endpoints.
    pub target_port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The port on every node, where it is of type NodePort.
    pub node_port: Option<u16>,
    /// Whether a node sends what comes from outside to its own endpoints only (`externalTrafficPolicy: Local`).
    pub is_local: bool,
    /// Who serves it, as the API server says.
    pub endpoints: Vec<EndpointSpec>,
    /// Addresses that rules still send to, and that the API server does not name any more.
    pub gone: Vec<IpAddr>,
    /// Whether kube-proxy marks for masquerade what needs it.
    pub masquerades: bool,
}

/// An endpoint of a service.
#[derive(Clone, Debug)]
pub struct EndpointSpec {
    /// Its address.
    pub address: IpAddr,
    /// Its node.
    pub node: &'static str,
    /// Its pod.
    pub pod: &'static str,
    /// Whether it is ready, and rules send to it therefore.
    pub is_ready: bool,
}

/// How kube-proxy writes rules.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ProxyMode {
    /// `--proxy-mode=iptables`.
    #[default]
    Iptables,
    /// `--proxy-mode=nftables`.
    Nftables,
}

impl ServiceSpec {
    /// A service for TCP with one endpoint that is ready, all on the lab's usual port.
    pub fn new(name: &'static str, address: impl Into<IpAddr>, endpoint: EndpointSpec) -> Self {
        Self {
            name,
            address: address.into(),
            port: super::topology::POD_PORT,
            target_port: super::topology::POD_PORT,
            protocol: "tcp",
            node_port: None,
            is_local: false,
            endpoints: vec![endpoint],
            gone: Vec::new(),
            masquerades: true,
        }
    }

    /// Addresses that rules send to: of endpoints that are ready, and of those gone.
    fn targets(&self) -> Vec<IpAddr> {
        let ready = self.endpoints.iter().filter(|each| each.is_ready).map(|each| each.address);
        ready.chain(self.gone.iter().copied()).collect()
    }

    /// As [`ServiceSpec::targets`], those on a node only.
    fn targets_on(&self, node: &str) -> Vec<IpAddr> {
        let here = self.endpoints.iter().filter(|each| each.is_ready && each.node == node);
        here.map(|each| each.address).collect()
    }

    /// The objects that the API server has of it.
    pub fn objects(&self) -> [serde_json::Value; 2] {
        objects::of(self)
    }

    /// `default/NAME`.
    fn key(&self) -> String {
        format!("default/{}", self.name)
    }

    /// What kube-proxy puts into the names of its chains: sixteen characters that look like base32, from all of `what`.
    fn hash(&self, what: &str) -> String {
        let text = format!("{}{}{what}", self.key(), self.protocol);
        // FNV-1a, 64 bits: sixteen characters of four bits each.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (0..16).map(|index| char::from(b"ABCDEFGHIJKLMNOP"[(hash >> (4 * index) & 15) as usize])).collect()
    }
}

impl Lab {
    /// Lets every node serve these besides the lab's own services, and the state know them.
    pub fn serve(&self, services: &[ServiceSpec], mode: ProxyMode) -> Result<(), LabError> {
        for node in NODES {
            for is_ipv6 in [false, true] {
                let of_family: Vec<&ServiceSpec> =
                    services.iter().filter(|service| service.address.is_ipv6() == is_ipv6).collect();
                if of_family.is_empty() {
                    continue;
                }
                let ns = self.node(node.name);
                match mode {
                    ProxyMode::Iptables => {
                        let program = if is_ipv6 { "ip6tables-restore" } else { "iptables-restore" };
                        run(ns, program, &["-w", "--noflush"], &iptables::rules(&of_family, node.name))?;
                    }
                    ProxyMode::Nftables => {
                        run(ns, "nft", &["-f", "-"], &nftables::rules(&of_family, &node, is_ipv6))?;
                    }
                }
            }
        }
        let objects: Vec<_> = services.iter().flat_map(objects::of).collect();
        self.write_state_with(&objects)
    }
}
