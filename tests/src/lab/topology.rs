//! The lab's nodes, pods and services: one Calico cluster of three nodes, always the same.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A node of the cluster.
#[derive(Debug)]
pub struct Node {
    /// Its name in Kubernetes.
    pub name: &'static str,
    /// Its address on the underlay, `InternalIP` in Kubernetes.
    pub address: Ipv4Addr,
    /// The address of its tunnel device, which is also the first of its block of pod addresses.
    pub tunnel: Ipv4Addr,
    /// The hardware address of its VXLAN device.
    pub(crate) vxlan_mac: &'static str,
}

/// A pod with one container that listens on [`POD_PORT`].
#[derive(Debug)]
pub struct Pod {
    /// Its name in Kubernetes.
    pub name: &'static str,
    /// The name of its node.
    pub node: &'static str,
    /// Its address.
    pub address: Ipv4Addr,
    /// The end of its veth pair on the node; the other end is `eth0` in the pod.
    pub interface: &'static str,
}

/// A service with one endpoint, [`POD_DEST`].
#[derive(Debug)]
pub struct Service {
    /// Its name in Kubernetes.
    pub name: &'static str,
    /// Its virtual address; the port there is [`POD_PORT`].
    pub cluster_ip: Ipv4Addr,
    /// The port on every node, where the service is of type NodePort.
    pub node_port: Option<u16>,
    /// Its chains for TCP and, where the lab's services take it, UDP.
    pub(crate) chains: [Chains; 2],
}

/// The names of kube-proxy's chains for one port of a service.
#[derive(Debug)]
pub(crate) struct Chains {
    /// `tcp` or `udp`.
    pub(crate) protocol: &'static str,
    /// The hash in the names: base32 of SHA-256 of `default/NAME` and the protocol, the first 16.
    pub(crate) service: &'static str,
    /// As `service`, with `ADDRESS:PORT` of the endpoint behind the protocol.
    pub(crate) endpoint: &'static str,
}

/// The control plane; no pod of the lab is on it.
pub const K8S_MASTER: Node = Node {
    name: "k8s-master",
    address: Ipv4Addr::new(172, 18, 0, 4),
    tunnel: Ipv4Addr::new(10, 244, 219, 64),
    vxlan_mac: "66:10:f4:00:00:04",
};
/// The node of [`POD_DEST`].
pub const K8S_NODE1: Node = Node {
    name: "k8s-node1",
    address: Ipv4Addr::new(172, 18, 0, 2),
    tunnel: Ipv4Addr::new(10, 244, 131, 0),
    vxlan_mac: "66:10:f4:00:00:02",
};
/// The node of [`POD_SRC`].
pub const K8S_NODE2: Node = Node {
    name: "k8s-node2",
    address: Ipv4Addr::new(172, 18, 0, 3),
    tunnel: Ipv4Addr::new(10, 244, 111, 64),
    vxlan_mac: "66:10:f4:00:00:03",
};
/// Every node.
pub const NODES: [Node; 3] = [K8S_MASTER, K8S_NODE1, K8S_NODE2];

/// The pod that asks.
pub const POD_SRC: Pod = Pod {
    name: "pod-src",
    node: K8S_NODE2.name,
    address: Ipv4Addr::new(10, 244, 111, 72),
    interface: "calib8c6d5407e3",
};
/// The pod that answers.
pub const POD_DEST: Pod = Pod {
    name: "pod-dest",
    node: K8S_NODE1.name,
    address: Ipv4Addr::new(10, 244, 131, 5),
    interface: "calia5814ebbae9",
};
/// Every pod.
pub const PODS: [Pod; 2] = [POD_SRC, POD_DEST];

/// The service that is reached by its virtual address only.
pub const SVC_CLUSTERIP: Service = Service {
    name: "svc-clusterip",
    cluster_ip: Ipv4Addr::new(10, 107, 94, 97),
    node_port: None,
    chains: [
        Chains { protocol: "tcp", service: "HA3OA7QLOYQFHPUY", endpoint: "4BVQFG2U27BSKSUD" },
        Chains { protocol: "udp", service: "V2YJQWITHCLVEJLB", endpoint: "JULZV2BIG7G56MLX" },
    ],
};
/// The service that every node also offers on a port of its own.
pub const SVC_NODEPORT: Service = Service {
    name: "svc-nodeport",
    cluster_ip: Ipv4Addr::new(10, 102, 117, 8),
    node_port: Some(31080),
    chains: [
        Chains { protocol: "tcp", service: "E2FQLLMSLXOEFNG6", endpoint: "GGNCBOWTGSBCLMNO" },
        Chains { protocol: "udp", service: "TYGSNSSWV3BS4HQA", endpoint: "T3WQSQJ43LGF3JII" },
    ],
};
/// Every service.
pub const SERVICES: [Service; 2] = [SVC_CLUSTERIP, SVC_NODEPORT];

/// The port of pods and services.
pub const POD_PORT: u16 = 8080;
/// The addresses of all pods.
pub const POD_CIDR: &str = "10.244.0.0/16";
/// The underlay's own address, every node's default gateway.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 1);
/// As [`GATEWAY`], in a lab that has both families.
pub(crate) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, 1);
/// The addresses of all pods in a lab that has both families.
pub const POD_CIDR6: &str = "fd00:10:244::/48";
/// The bits of an IPv6 underlay address that all nodes share.
pub(crate) const UNDERLAY6_PREFIX: u8 = 64;
/// The bits that a node's IPv6 pod addresses share.
pub(crate) const BLOCK6_PREFIX: u8 = 64;
/// The bits of an underlay address that all nodes share.
pub(crate) const UNDERLAY_PREFIX: u8 = 24;
/// The bits that a node's pod addresses share, Calico's block size.
pub(crate) const BLOCK_PREFIX: u8 = 26;

impl Pod {
    /// Its address in a lab that has both families: `fd00:10:244:131::5` for 10.244.131.5.
    pub fn address6(&self) -> Ipv6Addr {
        let [one, two, third, last] = self.address.octets().map(decimal);
        Ipv6Addr::new(0xfd00, one, two, third, 0, 0, 0, last)
    }
}

/// The number whose hexadecimal digits are the decimal ones of `number`.
fn decimal(number: u8) -> u16 {
    let number = u16::from(number);
    number / 100 * 256 + number / 10 % 10 * 16 + number % 10
}

impl Node {
    /// The block of pod addresses that is the node's, in CIDR notation.
    pub fn block(&self) -> String {
        format!("{}/{BLOCK_PREFIX}", self.tunnel)
    }

    /// Its address on the underlay in a lab that has both families: `fd00:172:18::2` for 172.18.0.2.
    pub fn address6(&self) -> Ipv6Addr {
        let [one, two, _, last] = self.address.octets().map(decimal);
        Ipv6Addr::new(0xfd00, one, two, 0, 0, 0, 0, last)
    }

    /// The IPv6 address of its overlay's device.
    pub(crate) fn tunnel6(&self) -> Ipv6Addr {
        let [one, two, third, _] = self.tunnel.octets().map(decimal);
        Ipv6Addr::new(0xfd00, one, two, third, 0, 0, 0xff, 1)
    }

    /// The block of IPv6 pod addresses that is the node's, in CIDR notation.
    pub fn block6(&self) -> String {
        let [one, two, three, four, ..] = self.tunnel6().segments();
        format!("{}/{BLOCK6_PREFIX}", Ipv6Addr::new(one, two, three, four, 0, 0, 0, 0))
    }

    /// The hardware address of its VXLAN device for IPv6.
    pub(crate) fn vxlan6_mac(&self) -> String {
        self.vxlan_mac.replacen("66:10:f4", "66:10:f6", 1)
    }

    /// The nodes that it reaches through the overlay.
    pub(crate) fn others(&self) -> impl Iterator<Item = Node> + use<> {
        let name = self.name;
        NODES.into_iter().filter(move |node| node.name != name)
    }

    /// The pods that run on it.
    pub(crate) fn pods(&self) -> impl Iterator<Item = Pod> + use<> {
        let name = self.name;
        PODS.into_iter().filter(move |pod| pod.node == name)
    }
}
