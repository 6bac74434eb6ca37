//! What a fault and a variant of it are.

use std::net::IpAddr;

use super::{dns::Questions, run::FaultError, site::Site};
use crate::{
    Overlay,
    lab::{
        ProxyMode, ServiceSpec,
        topology::{
            K8S_MASTER, K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT,
        },
        wire::Wire,
    },
};

/// A fault: something that goes wrong in networks of Kubernetes.
#[derive(Debug)]
pub struct Fault {
    /// What it is called in the table.
    pub name: &'static str,
    /// Ways in which it is injected.
    pub variants: Vec<Variant>,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What packets carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo.
    Icmp,
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// pod-src to pod-dest by its address.
    Pod,
    /// pod-src to pod-dest by the lab's ClusterIP (IPv4).
    Service,
    /// The master to pod-dest by the NodePort of pod-src's node (IPv4).
    NodePort,
    /// The master to pod-dest by its address.
    FromNode,
    /// pod-src to pod-dest's node, which serves itself.
    ToNode,
    /// A pod or node to this address, which kflow is told by this word.
    To {
        /// The pod or node that asks.
        from: &'static str,
        /// Whom it asks.
        address: IpAddr,
        /// At which port.
        port: u16,
        /// How kflow is told.
        word: &'static str,
    },
}

/// Under which circumstances.
#[derive(Clone, Debug)]
pub struct Scene {
    /// How nodes are joined.
    pub overlay: Overlay,
    /// IPv4 or IPv6.
    pub family: Family,
    /// What packets carry.
    pub transport: Transport,
    /// Who talks to whom.
    pub way: Way,
    /// Whether links segment and join packets.
    pub offloads: bool,
    /// Whether kflow looks into the pods' namespaces as well.
    pub inside: bool,
    /// Services besides the lab's own.
    pub services: Vec<ServiceSpec>,
    /// How these are written as rules.
    pub mode: ProxyMode,
    /// Whether the exchange works before the fault is injected, which is checked.
    pub is_warm: bool,
}

/// Something done to the lab.
#[derive(Clone, Debug)]
pub enum Step {
    /// A script of the shell in the namespace of a node, a pod or `underlay`; words in braces are filled in
    /// ([`Scene::fill`]).
    Script(&'static str, String),
    /// Something between the nodes.
    Wire(Wire),
    /// Anything else.
    Do(fn(&Site) -> Result<(), FaultError>),
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    /// One connection, or some datagrams or echo requests on one socket: so many rounds of these lengths in bytes.
    Rounds {
        /// How many there and back.
        count: u16,
        /// Bytes there.
        up: usize,
        /// Bytes back; datagrams and echo requests come back as they went.
        down: usize,
    },
    /// So many datagrams without waiting, there and back.
    Burst {
        /// How many.
        count: u16,
        /// Bytes of each.
        len: usize,
    },
    /// So many connections at once, to a server that does not accept.
    Connections(u16),
    /// Questions to a name server.
    Dns(Questions),
    /// The two queries of [`super::queue`].
    Clash,
}

/// What the exchange is expected to come to while the fault is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Works {
    /// It fails: otherwise the fault was not injected.
    No,
    /// It succeeds all the same.
    Yes,
    /// Either.
    Perhaps,
}

/// Where something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In a node's own namespace.
    Node(&'static str),
    /// In a pod's namespace.
    Pod(&'static str),
    /// On the way from the one node to the other.
    Between(&'static str, &'static str),
}

/// What kflow should say: one of each.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Causes, as in the JSON.
    pub causes: Vec<&'static str>,
    /// Places.
    pub places: Vec<Place>,
}

/// A fault under certain circumstances.
#[derive(Clone, Debug)]
pub struct Variant {
    /// What is particular.
    pub what: String,
    /// The circumstances.
    pub scene: Scene,
    /// What is done before the trace begins.
    pub steps: Vec<Step>,
    /// What is done when one round is over.
    pub later: Vec<Step>,
    /// What is sent.
    pub traffic: Traffic,
    /// What becomes of that.
    pub works: Works,
    /// What kflow should say.
    pub expected: Expected,
}

impl Variant {
    /// A variant without a fault yet: three small rounds that fail.
    pub fn new(what: impl Into<String>, scene: Scene, cause: &'static str, place: Place) -> Self {
        Self {
            what: what.into(),
            scene,
            steps: Vec::new(),
            later: Vec::new(),
            traffic: Traffic::Rounds { count: 3, up: 64, down: 64 },
            works: Works::No,
            expected: Expected { causes: vec![cause], places: vec![place] },
        }
    }

    /// With a script before the trace.
    #[must_use]
    pub fn run(mut self, at: &'static str, script: impl Into<String>) -> Self {
        self.steps.push(Step::Script(at, script.into()));
        self
    }

    /// With another step before the trace.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// With everything that was done so far done after the first round.
    #[must_use]
    pub fn in_the_middle(mut self) -> Self {
        self.later = std::mem::take(&mut self.steps);
        self
    }

    /// With other traffic.
    #[must_use]
    pub fn send(mut self, traffic: Traffic) -> Self {
        self.traffic = traffic;
        self
    }

    /// With traffic that comes through, or may.
    #[must_use]
    pub fn works(mut self, works: Works) -> Self {
        self.works = works;
        self
    }

    /// Where this place is right as well.
    #[must_use]
    pub fn or_at(mut self, place: Place) -> Self {
        self.expected.places.push(place);
        self
    }

    /// Where this cause is right as well.
    #[must_use]
    pub fn or(mut self, cause: &'static str) -> Self {
        self.expected.causes.push(cause);
        self
    }

    /// Everything that tells it from others of its fault.
    pub fn label(&self) -> String {
        format!("{}, {}", self.scene.label(), self.what)
    }
}

impl Scene {
    /// Circumstances without services of their own, with everything watched.
    pub fn new(overlay: Overlay, family: Family, transport: Transport, way: Way) -> Self {
        Self {
            overlay,
            family,
            transport,
            way,
            offloads: true,
            inside: true,
            services: Vec::new(),
            mode: ProxyMode::Iptables,
            is_warm: true,
        }
    }

    /// The pod or node that asks.
    pub fn client(&self) -> &'static str {
        match self.way {
            Way::Pod | Way::Service | Way::ToNode => POD_SRC.name,
            Way::NodePort | Way::FromNode => K8S_MASTER.name,
            Way::To { from, .. } => from,
        }
    }

    /// Whom it asks.
    pub fn target(&self) -> (IpAddr, u16) {
        match self.way {
            Way::Pod | Way::FromNode => (self.address_of(POD_DEST.name), POD_PORT),
            Way::Service => (SVC_CLUSTERIP.cluster_ip.into(), POD_PORT),
            Way::NodePort => (K8S_NODE2.address.into(), SVC_NODEPORT.node_port.unwrap_or_default()),
            Way::ToNode => (self.address_of(K8S_NODE1.name), POD_PORT),
            Way::To { address, port, .. } => (address, port),
        }
    }

    /// The two ends, as kflow is told them.
    pub fn words(&self) -> [&'static str; 2] {
        match self.way {
            Way::Pod => [POD_SRC.name, POD_DEST.name],
            Way::Service => [POD_SRC.name, "svc/svc-clusterip"],
            Way::NodePort => ["node/k8s-master", "svc/svc-nodeport"],
            Way::FromNode => ["node/k8s-master", POD_DEST.name],
            Way::ToNode => [POD_SRC.name, "node/k8s-node1"],
            Way::To { from, word, .. } => {
                [if from == K8S_MASTER.name { "node/k8s-master" } else { from }, word]
            }
        }
    }

    /// The address of a pod or node in the family.
    pub fn address_of(&self, name: &str) -> IpAddr {
        let is_ipv6 = self.family == Family::V6;
        let pod = [POD_SRC, POD_DEST].into_iter().find(|pod| pod.name == name);
        let node = [K8S_MASTER, K8S_NODE1, K8S_NODE2].into_iter().find(|node| node.name == name);
        match (pod, node) {
            (Some(pod), _) if is_ipv6 => pod.address6().into(),
            (Some(pod), _) => pod.address.into(),
            (_, Some(node)) if is_ipv6 => node.address6().into(),
            (_, Some(node)) => node.address.into(),
            (None, None) => panic!("nobody is called {name}"),
        }
    }

    /// The device that packets of pods leave a node by.
    pub fn device(&self) -> &'static str {
        if self.family == Family::V6 { self.overlay.device6() } else { self.overlay.device() }
    }

    /// A script with its words in braces filled in: `{ipt}`, `{ip}` and `{nft}` are the programs' words for the family,
    /// `{m}` and `{mb}` match requests and answers in words of iptables, `{nm}` and `{nmb}` in those of nft.
    pub fn fill(&self, script: &str) -> String {
        let is_ipv6 = self.family == Family::V6;
        let pick = |four: &'static str, six: &'static str| if is_ipv6 { six } else { four }.to_owned();
        let block = |node: &crate::lab::topology::Node| if is_ipv6 { node.block6() } else { node.block() };
        let (request, answer) = self.matches();
        let (nft_request, nft_answer) = self.nft_matches();
        let words = [
            ("{ipt}", pick("iptables -w", "ip6tables -w")),
            ("{restore}", pick("iptables-restore -w --noflush", "ip6tables-restore -w --noflush")),
            ("{ip}", pick("ip", "ip -6")),
            ("{nft}", pick("ip", "ip6")),
            ("{type}", pick("ipv4_addr", "ipv6_addr")),
            ("{m}", request),
            ("{mb}", answer),
            ("{nm}", nft_request),
            ("{nmb}", nft_answer),
            (
                "{src}",
                self.address_of(if self.client() == POD_DEST.name { POD_DEST.name } else { POD_SRC.name })
                    .to_string(),
            ),
            ("{dst}", self.address_of(POD_DEST.name).to_string()),
            ("{len}", pick("32", "128")),
            ("{default}", pick("default", "::/0")),
            ("{block1}", block(&K8S_NODE1)),
            ("{block2}", block(&K8S_NODE2)),
            ("{node1}", self.address_of(K8S_NODE1.name).to_string()),
            ("{node2}", self.address_of(K8S_NODE2.name).to_string()),
            ("{master}", self.address_of(K8S_MASTER.name).to_string()),
            ("{nobody}", pick("172.18.0.99", "fd00:172:18::99")),
            ("{dev}", self.device().to_owned()),
            ("{cali1}", POD_DEST.interface.to_owned()),
            ("{cali2}", POD_SRC.interface.to_owned()),
        ];
        words.iter().fold(script.to_owned(), |script, (word, value)| script.replace(word, value))
    }

    fn matches(&self) -> (String, String) {
        let words = match (self.transport, self.family) {
            (Transport::Tcp, _) => ("-p tcp --dport 8080", "-p tcp --sport 8080"),
            (Transport::Udp, _) => ("-p udp --dport 8080", "-p udp --sport 8080"),
            (Transport::Icmp, Family::V4) => ("-p icmp --icmp-type 8", "-p icmp --icmp-type 0"),
            (Transport::Icmp, Family::V6) => {
                ("-p ipv6-icmp --icmpv6-type 128", "-p ipv6-icmp --icmpv6-type 129")
            }
        };
        (words.0.to_owned(), words.1.to_owned())
    }

    fn nft_matches(&self) -> (String, String) {
        let words = match (self.transport, self.family) {
            (Transport::Tcp, _) => ("tcp dport 8080", "tcp sport 8080"),
            (Transport::Udp, _) => ("udp dport 8080", "udp sport 8080"),
            (Transport::Icmp, Family::V4) => ("icmp type echo-request", "icmp type echo-reply"),
            (Transport::Icmp, Family::V6) => ("icmpv6 type echo-request", "icmpv6 type echo-reply"),
        };
        (words.0.to_owned(), words.1.to_owned())
    }

    fn label(&self) -> String {
        let overlay = match self.overlay {
            Overlay::Ipip => "IPIP",
            Overlay::Vxlan => "VXLAN",
            Overlay::None => "routed",
        };
        let way = match self.way {
            Way::Pod => "pod to pod".to_owned(),
            Way::Service => "ClusterIP".to_owned(),
            Way::NodePort => "NodePort".to_owned(),
            Way::FromNode => "node to pod".to_owned(),
            Way::ToNode => "pod to node".to_owned(),
            Way::To { from, word, .. } => format!("{from} to {word}"),
        };
        let mode = if self.mode == ProxyMode::Nftables { " (nftables)" } else { "" };
        let pods = if self.inside { "" } else { ", nodes only" };
        format!("{overlay} {:?} {:?} {way}{mode}{pods}", self.family, self.transport)
    }
}

/// Ten and more circumstances, different in everything.
pub(super) fn scenes() -> Vec<Scene> {
    use Family::{V4, V6};
    use Overlay::{Ipip, None, Vxlan};
    use Transport::{Icmp, Tcp, Udp};
    let all = [
        (Ipip, V4, Tcp, Way::Pod),
        (Vxlan, V4, Udp, Way::Pod),
        (None, V6, Tcp, Way::Pod),
        (Ipip, V4, Tcp, Way::Service),
        (Vxlan, V6, Udp, Way::Pod),
        (None, V4, Tcp, Way::NodePort),
        (Ipip, V4, Icmp, Way::Pod),
        (Vxlan, V4, Tcp, Way::Service),
        (Ipip, V4, Udp, Way::Service),
        (None, V6, Icmp, Way::Pod),
        (Vxlan, V4, Tcp, Way::NodePort),
        (None, V4, Tcp, Way::Pod),
    ];
    with_outsides(all.map(|(overlay, family, transport, way)| Scene::new(overlay, family, transport, way)))
}

/// Every third without a look into pods.
pub(super) fn with_outsides(scenes: impl IntoIterator<Item = Scene>) -> Vec<Scene> {
    let numbered = scenes.into_iter().enumerate();
    numbered.map(|(index, scene)| Scene { inside: index % 3 != 2, ..scene }).collect()
}
