//! Rules in nftables mode (`pkg/proxy/nftables/proxier.go`): the input of `nft -f -`.

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
};

use super::ServiceSpec;
use crate::lab::topology::{Node, POD_CIDR, POD_CIDR6};

/// What a node's kube-proxy writes for these services of one family.
pub(super) fn rules(services: &[&ServiceSpec], node: &Node, is_ipv6: bool) -> String {
    let family = Family::of(node, is_ipv6);
    let mut maps = Maps::default();
    let mut chains = String::new();
    for service in services {
        // Writing to strings does not fail.
        let _ = service_rules(&mut maps, &mut chains, service, node, &family);
    }
    let Family { name, address_type, node_address, .. } = &family;
    format!(
        "table {name} kube-proxy {{
  comment \"rules for kube-proxy\"
  set nodeport-ips {{ type {address_type}; comment \"IPs that accept NodePort traffic\"; elements = {{ {node_address} }}; }}
  map service-ips {{ type {address_type} . inet_proto . inet_service : verdict; comment \"ClusterIP, ExternalIP and LoadBalancer IP traffic\";{} }}
  map no-endpoint-services {{ type {address_type} . inet_proto . inet_service : verdict; comment \"vmap to drop or reject packets to services with no endpoints\";{} }}
  map service-nodeports {{ type inet_proto . inet_service : verdict; comment \"NodePort traffic\";{} }}
  map no-endpoint-nodeports {{ type inet_proto . inet_service : verdict; comment \"vmap to drop or reject packets to service nodeports with no endpoints\";{} }}
{CHAINS}{chains}}}
",
        elements(&maps.services),
        elements(&maps.no_endpoints),
        elements(&maps.node_ports),
        elements(&maps.no_node_ports),
    )
    .replace("IPADDR", name)
}

const CHAINS: &str = "  chain reject-chain { reject comment \"helper for @no-endpoint-services / @no-endpoint-nodeports\"; }
  chain mark-for-masquerade { meta mark set meta mark or 0x4000; }
  chain masquerading { meta mark & 0x4000 == 0 return; meta mark set meta mark xor 0x4000; masquerade fully-random; }
  chain services {
    IPADDR daddr . meta l4proto . th dport vmap @service-ips
    IPADDR daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
  }
  chain service-endpoints-check { IPADDR daddr . meta l4proto . th dport vmap @no-endpoint-services; }
  chain nodeport-endpoints-check { IPADDR daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports; }
  chain filter-prerouting { type filter hook prerouting priority -110; }
  chain filter-input {
    type filter hook input priority -110;
    ct state new jump nodeport-endpoints-check
    ct state new jump service-endpoints-check
  }
  chain filter-forward { type filter hook forward priority -110; ct state new jump service-endpoints-check; }
  chain filter-output { type filter hook output priority -110; ct state new jump service-endpoints-check; }
  chain nat-prerouting { type nat hook prerouting priority -100; jump services; }
  chain nat-output { type nat hook output priority -100; jump services; }
  chain nat-postrouting { type nat hook postrouting priority 100; jump masquerading; }
";

/// What differs between the families.
struct Family {
    name: &'static str,
    address_type: &'static str,
    node_address: IpAddr,
    pods: &'static str,
}

impl Family {
    fn of(node: &Node, is_ipv6: bool) -> Self {
        if is_ipv6 {
            Self {
                name: "ip6",
                address_type: "ipv6_addr",
                node_address: node.address6().into(),
                pods: POD_CIDR6,
            }
        } else {
            Self { name: "ip", address_type: "ipv4_addr", node_address: node.address.into(), pods: POD_CIDR }
        }
    }
}

/// Elements of kube-proxy's maps.
#[derive(Default)]
struct Maps {
    services: Vec<String>,
    no_endpoints: Vec<String>,
    node_ports: Vec<String>,
    no_node_ports: Vec<String>,
}

fn elements(of: &[String]) -> String {
    if of.is_empty() { String::new() } else { format!(" elements = {{ {} }};", of.join(", ")) }
}

fn service_rules(
    maps: &mut Maps,
    chains: &mut String,
    service: &ServiceSpec,
    node: &Node,
    family: &Family,
) -> fmt::Result {
    let ServiceSpec { name, address, port, protocol, .. } = service;
    let remark = format!("comment \"{}\"", service.key());
    let targets = service.targets();
    if targets.is_empty() {
        maps.no_endpoints.push(format!("{address} . {protocol} . {port} {remark} : goto reject-chain"));
        maps.no_node_ports.extend(
            service.node_port.map(|port| format!("{protocol} . {port} {remark} : goto reject-chain")),
        );
        return Ok(());
    }
    let id = format!("{}-default/{name}/{protocol}/", &service.hash("")[..8]);
    maps.services.push(format!("{address} . {protocol} . {port} {remark} : goto service-{id}"));
    for target in &targets {
        let to = SocketAddr::from((*target, service.target_port));
        writeln!(chains, "  chain {} {{", endpoint_chain(service, *target))?;
        if service.masquerades {
            writeln!(chains, "    {} saddr {target} jump mark-for-masquerade", family.name)?;
        }
        writeln!(chains, "    meta l4proto {protocol} dnat to {to}\n  }}")?;
    }
    writeln!(chains, "  chain service-{id} {{")?;
    if service.masquerades {
        let Family { name, pods, .. } = family;
        writeln!(
            chains,
            "    {name} daddr {address} {protocol} dport {port} {name} saddr != {pods} jump mark-for-masquerade"
        )?;
    }
    writeln!(chains, "    {}\n  }}", choose(service, &targets))?;
    let Some(node_port) = service.node_port else { return Ok(()) };
    external(maps, chains, service, node, family, (&id, node_port))
}

/// The way of what comes by a node's port.
fn external(
    maps: &mut Maps,
    chains: &mut String,
    service: &ServiceSpec,
    node: &Node,
    family: &Family,
    (id, node_port): (&str, u16),
) -> fmt::Result {
    let (protocol, remark) = (service.protocol, format!("comment \"{}\"", service.key()));
    let here = service.targets_on(node.name);
    if service.is_local && here.is_empty() {
        maps.no_node_ports.push(format!("{protocol} . {node_port} {remark} : drop"));
    }
    maps.node_ports.push(format!("{protocol} . {node_port} {remark} : goto external-{id}"));
    writeln!(chains, "  chain external-{id} {{")?;
    if service.is_local {
        let Family { name, pods, .. } = family;
        writeln!(chains, "    {name} saddr {pods} goto service-{id} comment \"short-circuit pod traffic\"")?;
        writeln!(
            chains,
            "    fib saddr type local jump mark-for-masquerade comment \"masquerade local traffic\""
        )?;
        writeln!(
            chains,
            "    fib saddr type local goto service-{id} comment \"short-circuit local traffic\""
        )?;
        if !here.is_empty() {
            writeln!(chains, "    {}", choose(service, &here))?;
        }
    } else {
        if service.masquerades {
            writeln!(chains, "    jump mark-for-masquerade")?;
        }
        writeln!(chains, "    goto service-{id}")?;
    }
    writeln!(chains, "  }}")
}

fn choose(service: &ServiceSpec, targets: &[IpAddr]) -> String {
    let ways = targets.iter().enumerate();
    let ways: Vec<String> =
        ways.map(|(index, target)| format!("{index} : goto {}", endpoint_chain(service, *target))).collect();
    format!("numgen random mod {} vmap {{ {} }}", targets.len(), ways.join(", "))
}

fn endpoint_chain(service: &ServiceSpec, target: IpAddr) -> String {
    // Colons of IPv6 have no place in the name of a chain.
    let place = target.to_string().replace(':', ".");
    format!(
        "endpoint-{}-default/{}/{}/__{place}/{}",
        &service.hash(&place)[..8],
        service.name,
        service.protocol,
        service.target_port
    )
}
