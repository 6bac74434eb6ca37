//! Name servers that say no, or nothing, or not in time.

use std::{net::IpAddr, time::Duration};

use super::{
    names::{DEST, N1, N2, SRC},
    services::cluster_ip,
};
use crate::{
    Overlay::{self, Ipip, None, Vxlan},
    faults::{
        dns::{Behaviour, DNS_PORT, DnsServer, Questions},
        run::FaultError,
        site::Site,
        variant::{
            Family::{self, V4, V6},
            Place::{Between, Node, Pod},
            Scene, Step, Traffic,
            Transport::Udp,
            Variant, Way, Works, with_outsides,
        },
    },
    lab::{
        topology::{K8S_NODE1, POD_DEST},
        wire::{Effect, Wire},
    },
};

/// Who is asked.
#[derive(Clone, Copy, PartialEq)]
enum Server {
    /// pod-dest by its address.
    Pod,
    /// pod-dest by a service; with kube-proxy in iptables mode, or in nftables mode.
    Service(bool),
    /// pod-dest's node.
    Node,
}

const CIRCUMSTANCES: [(Overlay, Family, Server); 11] = [
    (Ipip, V4, Server::Pod),
    (Vxlan, V4, Server::Service(true)),
    (None, V6, Server::Pod),
    (Ipip, V4, Server::Service(true)),
    (Vxlan, V6, Server::Pod),
    (None, V4, Server::Node),
    (Ipip, V4, Server::Service(false)),
    (Vxlan, V4, Server::Pod),
    (None, V4, Server::Service(true)),
    (Vxlan, V6, Server::Service(true)),
    (None, V4, Server::Pod),
];

fn scenes() -> Vec<(Scene, Server)> {
    let scenes = CIRCUMSTANCES.map(|(overlay, family, server)| scene(overlay, family, server));
    with_outsides(scenes).into_iter().zip(CIRCUMSTANCES.map(|row| row.2)).collect()
}

fn scene(overlay: Overlay, family: Family, server: Server) -> Scene {
    let pick = |four: IpAddr, six: IpAddr| if family == V6 { six } else { four };
    let way = match server {
        Server::Pod => Way::To {
            from: SRC,
            address: pick(POD_DEST.address.into(), POD_DEST.address6().into()),
            port: DNS_PORT,
            word: "pod-dest",
        },
        Server::Node => Way::To {
            from: SRC,
            address: pick(K8S_NODE1.address.into(), K8S_NODE1.address6().into()),
            port: DNS_PORT,
            word: "node/k8s-node1",
        },
        Server::Service(is_iptables) => {
            return cluster_ip((overlay, family, SRC), "udp", is_iptables, |service| {
                service.name = "kube-dns";
                service.port = DNS_PORT;
                service.target_port = DNS_PORT;
            })
            .asked_as("svc/kube-dns");
        }
    };
    Scene { is_warm: false, ..Scene::new(overlay, family, Udp, way) }
}

impl Scene {
    fn asked_as(mut self, name: &'static str) -> Self {
        if let Way::To { word, .. } = &mut self.way {
            *word = name;
        }
        self
    }
}

fn place(server: Server) -> crate::faults::variant::Place {
    if server == Server::Node { Node(N1) } else { Pod(DEST) }
}

fn questions(name: &'static str, searches: bool, patience: Duration) -> Traffic {
    Traffic::Dns(Questions { name, searches, patience })
}

const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_millis(2500);

pub(super) fn search() -> Vec<Variant> {
    let numbered = scenes().into_iter().enumerate();
    numbered
        .map(|(index, (scene, server))| {
            // A host outside, a service that is named as in another namespace, and one that is nowhere.
            let (name, works) = [
                ("api.example.com", Works::Yes),
                ("db.shop.svc.cluster.local", Works::Yes),
                ("no-such.example.com", Works::No),
            ][index % 3];
            let variant =
                Variant::new(format!("{name} through the search list"), scene, "dns-search", place(server));
            let variant = variant.or_at(Pod(SRC)).or_at(Node(N2)).or_at(Node(N1)).works(works);
            let variant = if works == Works::No { variant.or("dns-no-name") } else { variant };
            variant.step(Step::Do(prompt)).send(questions(name, true, SHORT))
        })
        .collect()
}

pub(super) fn unreachable() -> Vec<Variant> {
    let numbered = scenes().into_iter().enumerate();
    numbered
        .map(|(index, (scene, server))| {
            let new = |what: &str, place| Variant::new(what, scene.clone(), "dns-unreachable", place);
            let variant = match index % 4 {
                3 => {
                    let wire = Wire { effect: Effect::Lose, from: N1, filter: "", per_mille: 1000 };
                    new("answers vanish on the wire", Between(N1, N2))
                        .step(Step::Do(prompt))
                        .step(Step::Do(known))
                        .step(Step::Wire(wire))
                }
                2 => new("nobody listens", place(server)).or("closed-port").or("target-port-unserved"),
                _ => new("the server is silent", place(server)).step(Step::Do(silent)),
            };
            let variant =
                if index % 4 == 3 { variant.or("tunnel-filtered").or("wire-loss") } else { variant };
            variant.send(questions("svc-clusterip.default.svc.cluster.local", false, SHORT))
        })
        .collect()
}

pub(super) fn slow() -> Vec<Variant> {
    let numbered = scenes().into_iter().enumerate();
    numbered
        .map(|(index, (scene, server))| {
            let (late, step) = [
                ("1 s", late_1000 as fn(&Site) -> Result<(), FaultError>),
                ("1.5 s", late_1500),
                ("0.7 s", late_700),
            ][index % 3];
            let variant = Variant::new(format!("answers after {late}"), scene, "dns-slow", place(server));
            let node = if server == Server::Node { variant } else { variant.or_at(Node(N1)) };
            node.works(Works::Yes).step(Step::Do(step)).send(questions(
                "svc-clusterip.default.svc.cluster.local",
                false,
                LONG,
            ))
        })
        .collect()
}

fn prompt(site: &Site) -> Result<(), FaultError> {
    serve(site, Behaviour::Answers(Duration::ZERO))
}

fn silent(site: &Site) -> Result<(), FaultError> {
    serve(site, Behaviour::Silent)
}

fn late_700(site: &Site) -> Result<(), FaultError> {
    serve(site, Behaviour::Answers(Duration::from_millis(700)))
}

fn late_1000(site: &Site) -> Result<(), FaultError> {
    serve(site, Behaviour::Answers(Duration::from_secs(1)))
}

fn late_1500(site: &Site) -> Result<(), FaultError> {
    serve(site, Behaviour::Answers(Duration::from_millis(1500)))
}

fn serve(site: &Site, behaviour: Behaviour) -> Result<(), FaultError> {
    let any: IpAddr = match site.scene.family {
        V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
        V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let is_node = matches!(site.scene.way, Way::To { word: "node/k8s-node1", .. });
    let at = if is_node { N1 } else { DEST };
    site.hold(DnsServer::start(site.namespace(at), (any, DNS_PORT).into(), behaviour)?);
    Ok(())
}

/// One question before: the nodes know each other's hardware addresses then.
fn known(site: &Site) -> Result<(), FaultError> {
    let to = std::net::SocketAddr::from(site.scene.target());
    let questions = Questions { name: "api.example.com", searches: false, patience: SHORT };
    questions.ask(site.namespace(SRC), to)?;
    Ok(())
}
