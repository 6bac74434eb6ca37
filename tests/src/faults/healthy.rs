//! Flows in which nothing is wrong, in every kind of lab: no cause may be named for any of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{
    dns::{Behaviour, DNS_PORT, DnsServer, Questions},
    exchange::{self, Rounds},
    run::{FaultError, Options, arguments},
    site::Site,
    variant::{
        Family::{self, V4, V6},
        Scene,
        Transport::{Icmp, Tcp, Udp},
        Way,
    },
};
use crate::{
    Kflow, Namespace,
    Overlay::{Ipip, None as Routed, Vxlan},
    lab::{
        EndpointSpec, ProxyMode, ServiceSpec,
        topology::{
            K8S_MASTER, K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT,
        },
    },
};

/// Flows of healthy exchanges, and what was said of them.
#[derive(Clone, Debug, Default)]
pub struct Healthy {
    /// Flows that kflow told of.
    pub flows: usize,
    /// Those of which a cause was named.
    pub named: Vec<Named>,
    /// Flows whose outcome is another one than `delivered`.
    pub undelivered: Vec<Named>,
    /// Exchanges that failed, which is nobody's fault but the lab's.
    pub failed: Vec<String>,
}

/// A flow of which too much was said.
#[derive(Clone, Debug)]
pub struct Named {
    /// Under which circumstances.
    pub lab: String,
    /// What was said.
    pub said: String,
}

/// Makes about so many flows, each lab with its share, and asks kflow about them.
pub fn healthy(flows: usize, options: Options<'_>) -> Result<Healthy, FaultError> {
    let mut all = Healthy::default();
    let mut number = 0;
    while all.flows < flows {
        let scene = scene(number);
        let label = scene.1;
        watch(&scene.0, &label, options, &mut all)?;
        number += 1;
    }
    Ok(all)
}

/// The circumstances of the lab with this number.
fn scene(number: usize) -> (Scene, String) {
    let overlay = [Ipip, Vxlan, Routed][number % 3];
    let family = if number % 4 == 3 && overlay != Ipip { V6 } else { V4 };
    let mode = if number % 5 == 4 { ProxyMode::Nftables } else { ProxyMode::Iptables };
    let scene = Scene {
        offloads: number.is_multiple_of(2),
        inside: number % 3 != 1,
        services: services(family),
        mode,
        ..Scene::new(overlay, family, Tcp, Way::Pod)
    };
    let label =
        format!("{overlay:?} {family:?} {mode:?}, offloads {}, inside {}", scene.offloads, scene.inside);
    (scene, label)
}

fn services(family: Family) -> Vec<ServiceSpec> {
    let address = |last| match family {
        V4 => IpAddr::from(Ipv4Addr::new(10, 101, 9, last)),
        V6 => format!("fd00:10:96::9{last}").parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
    };
    let endpoint = |pod: &crate::lab::topology::Pod| EndpointSpec {
        address: if family == V6 { pod.address6().into() } else { pod.address.into() },
        node: pod.node,
        pod: pod.name,
        is_ready: true,
    };
    let both = || vec![endpoint(&POD_DEST), endpoint(&POD_SRC)];
    vec![
        ServiceSpec {
            node_port: Some(31_091),
            ..ServiceSpec::new("svc-both", address(1), endpoint(&POD_DEST))
        },
        // pod-src reaches itself by it as well, which is masqueraded.
        ServiceSpec { endpoints: both(), ..ServiceSpec::new("svc-pair", address(2), endpoint(&POD_DEST)) },
        ServiceSpec {
            protocol: "udp",
            port: DNS_PORT,
            target_port: DNS_PORT,
            ..ServiceSpec::new("kube-dns", address(3), endpoint(&POD_DEST))
        },
        // Nobody asks these.
        ServiceSpec {
            endpoints: Vec::new(),
            ..ServiceSpec::new("svc-none", address(4), endpoint(&POD_DEST))
        },
    ]
}

/// Things that are wrong for others.
const NOISE: [(&str, &str); 4] = [
    ("k8s-node1", "{ipt} -I FORWARD -d 192.0.2.1 -j DROP || {ipt} -I FORWARD -d 2001:db8::1 -j DROP"),
    ("k8s-node2", "{ip} route add blackhole 198.51.100.0/24 || {ip} route add blackhole 2001:db8::/64"),
    ("k8s-node1", "{ipt} -A FORWARD -m conntrack --ctstate INVALID -j DROP"),
    ("pod-dest", "{ipt} -A INPUT -p tcp --dport 9999 -j DROP"),
];

fn watch(scene: &Scene, label: &str, options: Options<'_>, all: &mut Healthy) -> Result<(), FaultError> {
    let site = Site::up(scene)?;
    site.serve(POD_SRC.name, POD_PORT)?;
    site.serve(K8S_NODE1.name, POD_PORT)?;
    let any: IpAddr = exchange::unspecified(site.scene.target().into());
    site.hold(DnsServer::start(
        site.namespace(POD_DEST.name),
        (any, DNS_PORT).into(),
        Behaviour::Answers(std::time::Duration::ZERO),
    )?);
    for (at, script) in NOISE {
        site.script(at, script)?;
    }
    if options.is_dry {
        exchanges(&site, label, all)?;
        all.flows += 30;
        return Ok(());
    }
    let words = arguments(&site);
    // All flows of pod-src, and those of the master to the services as well.
    let both_ends = words.len() - 2;
    let source = Kflow::tracing(options.program, [&words[..both_ends], &["pod-src".into()]].concat())?;
    exchanges(&site, label, all)?;
    churn(&site, label, all)?;
    std::thread::sleep(std::time::Duration::from_millis(400));
    let told = source.stop()?.told()?;
    let own: Vec<_> = told.flows.iter().filter(|flow| site.is_own(flow)).collect();
    all.flows += own.len();
    for flow in own {
        let verdict = &flow["verdict"];
        let said = || Named {
            lab: label.to_owned(),
            said: format!(
                "{} {}:{} {}",
                flow["protocol"], flow["destination"]["address"], flow["destination"]["port"], verdict
            ),
        };
        if !verdict["cause"].is_null() {
            all.named.push(said());
        } else if verdict["outcome"] != "delivered" {
            all.undelivered.push(said());
        }
    }
    Ok(())
}

/// What pods and nodes do all day.
fn exchanges(site: &Site, label: &str, all: &mut Healthy) -> Result<(), FaultError> {
    let scene = &site.scene;
    let (source, master) = (site.namespace(POD_SRC.name), site.namespace(K8S_MASTER.name));
    let dest = scene.address_of(POD_DEST.name);
    let service = |index: usize| scene.services[index].address;
    let mut tcp: Vec<(&Namespace, IpAddr, u16)> = vec![
        (source, dest, POD_PORT),
        (source, service(0), POD_PORT),
        (source, service(1), POD_PORT),
        (source, service(1), POD_PORT),
        (source, scene.address_of(K8S_NODE1.name), POD_PORT),
        (source, scene.address_of(K8S_NODE2.name), 31_091),
        (master, scene.address_of(POD_SRC.name), POD_PORT),
    ];
    if scene.family == V4 {
        tcp.push((source, SVC_CLUSTERIP.cluster_ip.into(), POD_PORT));
        tcp.push((source, K8S_NODE1.address.into(), SVC_NODEPORT.node_port.unwrap_or_default()));
        tcp.push((master, SVC_NODEPORT.cluster_ip.into(), POD_PORT));
    }
    let sizes = [(64, 64), (200_000, 100), (100, 400_000)];
    let mut nothing = || {};
    for (index, (from, address, port)) in tcp.into_iter().enumerate() {
        for (up, down) in [sizes[index % 3], sizes[0]] {
            let to = SocketAddr::from((address, port));
            let came = exchange::tcp(from, to, Rounds { count: 2, up, down }, &mut nothing)?;
            note(came, label, &format!("{Tcp:?} to {to}"), all);
        }
    }
    for (count, up) in [(1, 40), (3, 1000), (5, 1200)] {
        let rounds = Rounds { count, up, down: up };
        let came = exchange::udp(source, (dest, POD_PORT).into(), rounds, &mut nothing)?;
        note(came, label, &format!("{Udp:?}"), all);
        let came = exchange::ping(source, dest, site.identifier(), rounds, &mut nothing)?;
        note(came, label, &format!("{Icmp:?}"), all);
    }
    for name in ["api.example.com", "svc-clusterip.default.svc.cluster.local", "db.shop.svc.cluster.local"] {
        let questions = Questions { name, searches: false, patience: std::time::Duration::from_secs(1) };
        for server in [dest, service(2)] {
            let came = questions.ask(source, (server, DNS_PORT).into())?;
            note(came, label, &format!("{name} from {server}"), all);
        }
    }
    Ok(())
}

/// Rules and routes come and go, none of which matter.
fn churn(site: &Site, label: &str, all: &mut Healthy) -> Result<(), FaultError> {
    let source = site.namespace(POD_SRC.name);
    let dest = site.scene.address_of(POD_DEST.name);
    for number in 0..3_u8 {
        site.script(
            "k8s-node2",
            &format!("{{ipt}} -A FORWARD -p tcp --dport {} -j DROP", 9000 + u16::from(number)),
        )?;
        if site.scene.family == V4 {
            let guest = site.lab.add_pod(
                &format!("churn{number}"),
                K8S_NODE1.name,
                Ipv4Addr::new(10, 244, 131, 20 + number),
                &format!("calichurn{number}"),
            )?;
            drop(guest);
        }
        let rounds = Rounds { count: 3, up: 500, down: 5000 };
        let came = exchange::tcp(source, (dest, POD_PORT).into(), rounds, &mut || {})?;
        note(came, label, "after a change", all);
    }
    Ok(())
}

fn note(came: bool, label: &str, what: &str, all: &mut Healthy) {
    if !came {
        all.failed.push(format!("{label}: {what}"));
    }
}
