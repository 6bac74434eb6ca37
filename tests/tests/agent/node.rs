//! A node with pods of several network plugins, and an end of the world outside.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;
use tests::Namespace;

/// The first pod, behind a route of its own.
pub(crate) const FIRST: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 5);
/// The second one, likewise.
pub(crate) const SECOND: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 6);
/// A pod behind the bridge `cni0`, at `veth1`.
pub(crate) const BRIDGED: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 5);
/// A pod of another node.
pub(crate) const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 244, 2, 5);
/// The port that datagrams go to.
pub(crate) const PORT: u16 = 7000;

/// All that is there; it goes when this value goes.
#[expect(clippy::struct_field_names, reason = "a node is a namespace among others")]
pub(crate) struct Node {
    pub(crate) node: Namespace,
    pub(crate) pods: Namespace,
    world: Namespace,
}

impl Node {
    /// Interfaces: `eth0` to the world, `vxlan.calico`, `cali1` and `cali2` to pods, the bridge `cni0` with `veth1` and
    /// `veth2`, the pair `host0`-`net0`. No IPv6, and no packet by itself.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let make = |what| Namespace::create(format!("kag-{}-{number}-{what}", std::process::id())).unwrap();
        let scene = Self { node: make("node"), pods: make("pods"), world: make("world") };
        for namespace in [&scene.node, &scene.pods, &scene.world] {
            namespace.run(without_ipv6).unwrap();
            ip(namespace, "link set lo up");
        }
        let world = scene.world.name();
        scene.ip(&format!("link add eth0 type veth peer name eth0 netns {world}"));
        scene.ip("addr add 192.168.7.2/24 dev eth0");
        scene.ip("link set eth0 up");
        ip(&scene.world, "link set eth0 up");
        scene.ip("route add default via 192.168.7.1");
        scene.ip("neigh replace 192.168.7.1 lladdr 02:00:00:00:00:99 dev eth0 nud permanent");
        scene.ip("link add vxlan.calico type vxlan id 4096 dev eth0 dstport 4789 nolearning");
        scene.ip("link set vxlan.calico up");
        scene.ip("route add 10.244.2.0/26 dev vxlan.calico");
        scene.ip("link add host0 type veth peer name net0");
        for name in ["host0", "net0"] {
            scene.ip(&format!("link set {name} up"));
        }
        scene.pod("cali1", FIRST);
        scene.pod("cali2", SECOND);
        scene.ip("link add cni0 type bridge");
        scene.ip("addr add 10.88.0.1/16 dev cni0");
        scene.ip("link set cni0 up");
        for (name, address) in [("veth1", BRIDGED), ("veth2", Ipv4Addr::new(10, 88, 0, 6))] {
            scene.pair(name, address);
            scene.ip(&format!("link set {name} master cni0"));
        }
        scene
    }

    /// Makes the end of a pod and the route to it.
    pub(crate) fn pod(&self, name: &str, address: Ipv4Addr) {
        self.pair(name, address);
        self.ip(&format!("route add {address}/32 dev {name}"));
    }

    /// A veth pair into the namespace of the pods, where the other end has the address.
    pub(crate) fn pair(&self, name: &str, address: Ipv4Addr) {
        let pods = self.pods.name();
        let last = address.octets()[3];
        let mac = format!("02:00:00:00:00:{last:02x}");
        self.ip(&format!("link add {name} type veth peer name {name} address {mac} netns {pods}"));
        self.ip(&format!("link set {name} up"));
        ip(&self.pods, &format!("link set {name} up"));
        ip(&self.pods, &format!("addr add {address}/32 dev {name}"));
        self.ip(&format!("neigh replace {address} lladdr {mac} dev {name} nud permanent"));
    }

    /// Tells the bridge where its pod is, as its first packet would.
    pub(crate) fn tell_bridge(&self) {
        let mac = format!("02:00:00:00:00:{:02x}", BRIDGED.octets()[3]);
        self.ip(&format!("neigh replace {BRIDGED} lladdr {mac} dev cni0 nud permanent"));
        tests::run(&self.node, "bridge", &["fdb", "replace", &mac, "dev", "veth1", "master", "static"], "")
            .unwrap();
    }

    /// Runs `ip` on the node.
    pub(crate) fn ip(&self, words: &str) {
        ip(&self.node, words);
    }

    /// A socket on the node from which datagrams go to pods.
    pub(crate) fn socket(&self) -> UdpSocket {
        self.node.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap()).unwrap()
    }

    /// A socket of a pod.
    pub(crate) fn pod_socket(&self, address: Ipv4Addr) -> UdpSocket {
        let socket = self.pods.run(|| UdpSocket::bind((address, PORT)).unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    /// The namespace of the node, as a word of a command line.
    pub(crate) fn netns(&self) -> String {
        self.node.path().display().to_string()
    }

    /// Programs by TCX on an interface of the node, both directions.
    pub(crate) fn programs(&self, interface: &str) -> usize {
        let count = || {
            let of = |direction| SchedClassifier::query_tcx(interface, direction).unwrap().1.len();
            of(TcAttachType::Ingress) + of(TcAttachType::Egress)
        };
        self.node.run(count).unwrap()
    }
}

/// A datagram with a number in it.
pub(crate) fn send(socket: &UdpSocket, to: impl Into<IpAddr>, number: u32) {
    socket.send_to(&number.to_be_bytes(), (to.into(), PORT)).unwrap();
}

fn without_ipv6() {
    for scope in ["all", "default"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
    }
}

fn ip(namespace: &Namespace, words: &str) {
    tests::run(namespace, "ip", &words.split_whitespace().collect::<Vec<_>>(), "").unwrap();
}
