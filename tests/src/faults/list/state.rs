//! What connection tracking does to packets.

use std::net::{IpAddr, Ipv4Addr};

use super::{
    names::{DEST, N1, N2, SRC},
    services::{cluster_ip, endpoint},
};
use crate::{
    Overlay::{Ipip, None, Vxlan},
    faults::{
        dns::{Behaviour, DNS_PORT, DnsServer},
        fill,
        queue::QUEUE,
        run::FaultError,
        site::Site,
        variant::{
            Family::{self, V4, V6},
            Place::Node,
            Scene, Step, Traffic,
            Transport::{Icmp, Tcp, Udp},
            Variant, Way, with_outsides,
        },
    },
    lab::ServiceSpec,
};

pub(super) fn conntrack_full() -> Vec<Variant> {
    let rows = [
        (Ipip, V4, Tcp, Way::Pod, N1),
        (Vxlan, V4, Udp, Way::Pod, N2),
        (None, V6, Tcp, Way::Pod, N1),
        (Ipip, V4, Tcp, Way::Service, N2),
        (Vxlan, V6, Udp, Way::Pod, N1),
        (None, V4, Tcp, Way::NodePort, N2),
        (Ipip, V4, Icmp, Way::Pod, N2),
        (Vxlan, V4, Tcp, Way::Service, N1),
        (Ipip, V4, Udp, Way::Service, N1),
        (None, V4, Tcp, Way::Pod, N2),
    ];
    let scenes = rows.map(|(overlay, family, transport, way, _)| Scene::new(overlay, family, transport, way));
    let pairs = rows.into_iter().zip(with_outsides(scenes));
    pairs
        .map(|((.., at), scene)| {
            let step = if at == N1 { full_node1 } else { full_node2 };
            let what = if at == N1 { "at the pod's node" } else { "at the client's node" };
            Variant::new(what, scene, "conntrack-full", Node(at)).step(Step::Do(step))
        })
        .collect()
}

fn full_node1(site: &Site) -> Result<(), FaultError> {
    fill::fill(site.namespace(N1))?;
    Ok(())
}

fn full_node2(site: &Site) -> Result<(), FaultError> {
    fill::fill(site.namespace(N2))?;
    Ok(())
}

pub(super) fn conntrack_clash() -> Vec<Variant> {
    let rows = [
        (Ipip, V4, true),
        (Vxlan, V4, true),
        (None, V6, true),
        (Ipip, V4, false),
        (Vxlan, V6, true),
        (None, V4, true),
        (Vxlan, V4, false),
        (None, V4, false),
        (None, V6, false),
        (Vxlan, V6, false),
    ];
    let scenes = rows.map(|(overlay, family, is_iptables)| {
        let scene = cluster_ip((overlay, family, SRC), "udp", is_iptables, |service| {
            service.port = DNS_PORT;
            service.target_port = DNS_PORT;
        });
        let more = second(family);
        Scene { services: scene.services.iter().cloned().chain([more]).collect(), ..scene }
    });
    let pairs = rows.into_iter().zip(with_outsides(scenes));
    pairs
        .map(|((.., is_iptables), scene)| {
            let what = if is_iptables { "two queries, iptables" } else { "two queries, nftables" };
            let hold = format!("{{ipt}} -t nat -I POSTROUTING -p udp --dport {DNS_PORT} -m conntrack --ctstate NEW --ctorigdst {{vip}} -j NFQUEUE --queue-num {QUEUE} --queue-bypass")
                .replace("{vip}", if scene.family == V6 { "fd00:10:96::77" } else { "10.101.7.7" });
            let variant = Variant::new(what, scene, "conntrack-clash", Node(N2)).step(Step::Do(name_server));
            variant.run(N2, hold).send(Traffic::Clash)
        })
        .collect()
}

/// Another service in front of the same server.
fn second(family: Family) -> ServiceSpec {
    let address: IpAddr = match family {
        V4 => Ipv4Addr::new(10, 101, 7, 8).into(),
        V6 => "fd00:10:96::78".parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
    };
    ServiceSpec {
        protocol: "udp",
        port: DNS_PORT,
        target_port: DNS_PORT,
        ..ServiceSpec::new("svc-second", address, endpoint(family))
    }
}

fn name_server(site: &Site) -> Result<(), FaultError> {
    let any: IpAddr = match site.scene.family {
        V4 => Ipv4Addr::UNSPECIFIED.into(),
        V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let behaviour = Behaviour::Answers(std::time::Duration::ZERO);
    site.hold(DnsServer::start(site.namespace(DEST), (any, DNS_PORT).into(), behaviour)?);
    Ok(())
}
