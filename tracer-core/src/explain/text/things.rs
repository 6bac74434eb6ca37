//! Services, pods and addresses as text.

use std::io::{self, Write};

use super::super::Story;
use super::super::address::{AddressFacts, AddressStory};
use super::super::listen::Listener;
use super::super::pod::PodStory;
use super::super::service::{EndpointStory, PortStory, ServiceStory};
use super::super::world::pod_label;
use super::course::{self, listens, who};
use crate::flow::{Endpoint, Port};
use crate::resolve::{Front, Readiness, ServiceFacts, TargetPort};

/// The first line.
pub(super) fn title(story: &Story, subject: &str) -> String {
    let what = match story {
        Story::Service(story) => service_title(&story.service),
        Story::Pod(story) => {
            let node = story.pod.node.as_deref().map_or_else(String::new, |node| format!(" on {node}"));
            format!("pod {}{node}", pod_label(&story.pod.name))
        }
        Story::Address(story) => {
            let all: Vec<String> = story.addresses.iter().map(|each| each.address.to_string()).collect();
            all.join(", ")
        }
    };
    if what == subject { what } else { format!("{subject}: {what}") }
}

fn service_title(service: &ServiceFacts) -> String {
    let kind = service.kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let list = |words: &str, all: &[std::net::IpAddr]| {
        let all: Vec<String> = all.iter().map(ToString::to_string).collect();
        if all.is_empty() { String::new() } else { format!("{words}{}", all.join(", ")) }
    };
    let (own, external) =
        (list(", ClusterIP ", &service.addresses), list(", from outside ", &service.external));
    format!("service {}{kind}{own}{external}", pod_label(&service.name))
}

pub(super) fn service(out: &mut impl Write, story: &ServiceStory) -> io::Result<()> {
    for port in &story.ports {
        writeln!(out)?;
        write_port(out, port)?;
    }
    for ping in &story.pings {
        writeln!(out)?;
        writeln!(out, "ping {} from {}: {}", ping.to, who(&ping.client), ping.text)?;
    }
    Ok(())
}

fn write_port(out: &mut impl Write, port: &PortStory) -> io::Result<()> {
    let name = port.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    let protocol = port.protocol.map(|protocol| format!("/{protocol}")).unwrap_or_default();
    let target = match &port.target {
        Some(TargetPort::Number(number)) => format!(", targetPort {number}"),
        Some(TargetPort::Name(name)) => format!(", targetPort {name:?}"),
        None => String::new(),
    };
    let node_port = port.node_port.map(|number| format!(", NodePort {number}")).unwrap_or_default();
    writeln!(out, "port {}{protocol}{name}{target}{node_port}", port.port)?;
    if port.endpoints.is_empty() {
        writeln!(out, "  no endpoints")?;
    }
    for endpoint in &port.endpoints {
        writeln!(out, "  endpoint {}", endpoint_text(endpoint))?;
    }
    for front in &port.fronts {
        let door = match front.front {
            Front::ClusterIp => "ClusterIP",
            Front::External => "external address",
            Front::NodePort => "NodePort",
        };
        writeln!(out, "  {door} {} from {}", front.to, who(&front.client))?;
        if front.courses.is_empty() {
            writeln!(out, "    not known: how its packets come here")?;
        }
        course::write(out, &front.courses)?;
    }
    Ok(())
}

fn endpoint_text(story: &EndpointStory) -> String {
    let facts = &story.facts;
    let port = facts.port.unwrap_or_default();
    let to = Endpoint { address: facts.address, port: Port(port) };
    let readiness = match facts.readiness {
        Readiness::Ready => "ready",
        Readiness::Terminating => "ending, answers still",
        Readiness::NotReady => "not ready",
    };
    let pod = facts.pod.as_deref().map(|pod| format!(", pod {}", pod_label(pod))).unwrap_or_default();
    let node = facts.node.as_deref().map(|node| format!(" on {node}")).unwrap_or_default();
    let hints = if facts.has_hints { ", for some zones or nodes only" } else { "" };
    let unnamed = if facts.port.is_none() { " (no port)" } else { "" };
    let listener = match &story.listener {
        Listener::Unknown => String::new(),
        listener => format!(", {}", listens(listener)),
    };
    format!("{to}{unnamed}: {readiness}{pod}{node}{hints}{listener}")
}

pub(super) fn pod(out: &mut impl Write, story: &PodStory) -> io::Result<()> {
    let addresses: Vec<String> = story.pod.addresses.iter().map(ToString::to_string).collect();
    if !addresses.is_empty() {
        writeln!(out, "  addresses {}", addresses.join(", "))?;
    }
    if let Some(link) = &story.link {
        let bridge = link.bridge.as_ref().map(|bridge| format!(", port of {bridge}")).unwrap_or_default();
        let mac = link.mac.as_ref().map(|mac| format!(", pod's {mac}")).unwrap_or_default();
        let state = if link.is_up { "up" } else { "down" };
        writeln!(out, "  interface {} ({}, MTU {}, {state}{bridge}{mac})", link.name, link.kind, link.mtu)?;
    }
    for route in &story.routes {
        writeln!(out, "  route {route}")?;
    }
    for policy in &story.policies {
        let names = if policy.policies.is_empty() {
            "no policy named".to_owned()
        } else {
            policy.policies.join(", ")
        };
        let packets = policy.packets.map(|packets| format!("  [{packets} packets]")).unwrap_or_default();
        writeln!(out, "  policies {}, {}: {names}{packets}", policy.table, policy.chain)?;
    }
    for service in &story.services {
        let addresses: Vec<String> = service.addresses.iter().map(ToString::to_string).collect();
        writeln!(
            out,
            "  behind svc/{} {}: {}",
            pod_label(&service.name),
            addresses.join(", "),
            service.ports.join(", ")
        )?;
    }
    match &story.listens {
        Some(all) if all.is_empty() => writeln!(out, "  listens on nothing")?,
        Some(all) => writeln!(out, "  listens on {}", all.join(", "))?,
        None => {}
    }
    if let (Some(client), Some(first)) = (&story.client, story.courses.first()) {
        let protocol = first.packet.protocol;
        writeln!(out)?;
        writeln!(out, "{protocol} from {}", who(client))?;
        course::write(out, &story.courses)?;
    }
    Ok(())
}

pub(super) fn address(out: &mut impl Write, story: &AddressStory) -> io::Result<()> {
    for facts in &story.addresses {
        write_address(out, facts)?;
    }
    let Some(first) = story.courses.first() else { return Ok(()) };
    let port = story.port.map(|(_, port)| format!(" port {port}")).unwrap_or_default();
    writeln!(out)?;
    writeln!(out, "{}{port} from {}", first.packet.protocol, who(&story.client))?;
    course::write(out, &story.courses)
}

fn write_address(out: &mut impl Write, facts: &AddressFacts) -> io::Result<()> {
    let owners =
        if facts.owners.is_empty() { "nobody in the cluster".to_owned() } else { facts.owners.join(", ") };
    let node = facts.node.as_deref().map(|node| format!(", on {node}")).unwrap_or_default();
    writeln!(out, "  {}: {owners}{node}", facts.address)?;
    if let Some(link) = &facts.link {
        writeln!(out, "    address of {link} here")?;
    }
    for route in &facts.routes {
        writeln!(out, "    route {route}")?;
    }
    match &facts.neighbour {
        Some(neighbour) => writeln!(out, "    neighbour {neighbour}"),
        None => Ok(()),
    }
}
