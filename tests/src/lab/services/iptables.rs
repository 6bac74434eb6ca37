//! Rules in iptables mode (`pkg/proxy/iptables/proxier.go`): the input of `iptables-restore --noflush`, or `ip6tables-`.

use std::{
    fmt::{self, Write as _},
    net::IpAddr,
};

use super::ServiceSpec;
use crate::lab::topology::{POD_CIDR, POD_CIDR6};

/// What a node's kube-proxy writes for these services of one family.
pub(super) fn rules(services: &[&ServiceSpec], node: &str) -> String {
    let (mut filter, mut nat) = (FILTER_HEAD.to_owned(), "*nat\n".to_owned());
    for service in services {
        // Writing to a string does not fail.
        let _ = service_rules(&mut filter, &mut nat, service, node);
    }
    format!("{filter}COMMIT\n{nat}COMMIT\n")
}

const FILTER_HEAD: &str = "*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES
-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES
";

fn service_rules(filter: &mut String, nat: &mut String, service: &ServiceSpec, node: &str) -> fmt::Result {
    let ServiceSpec { address, port, protocol, .. } = service;
    let (key, cidr) = (service.key(), pods(service));
    let matches = format!("-m {protocol} -p {protocol}");
    if service.targets().is_empty() {
        return refuse(filter, service, &matches);
    }
    let (svc, ext) = (format!("KUBE-SVC-{}", service.hash("")), format!("KUBE-EXT-{}", service.hash("")));
    let (mut internal, mut masquerade) = (String::new(), String::new());
    if service.masquerades {
        masquerade = format!(
            "-A {svc} -m comment --comment \"{key} cluster IP\" {matches} -d {address} --dport {port} ! -s {cidr} -j KUBE-MARK-MASQ\n"
        );
    }
    chain(&mut internal, service, &svc, &service.targets(), &masquerade, &matches)?;
    nat.push_str(&internal);
    // Before the last rule of the chain, which is for nodeports.
    writeln!(
        nat,
        "-I KUBE-SERVICES 1 -m comment --comment \"{key} cluster IP\" {matches} -d {address} --dport {port} -j {svc}"
    )?;
    let Some(node_port) = service.node_port else { return Ok(()) };
    writeln!(nat, ":{ext} - [0:0]")?;
    writeln!(nat, "-A KUBE-NODEPORTS -m comment --comment {key} {matches} --dport {node_port} -j {ext}")?;
    if service.is_local {
        return local(filter, nat, service, node, (&svc, &ext));
    }
    if service.masquerades {
        writeln!(
            nat,
            "-A {ext} -m comment --comment \"masquerade traffic for {key} external destinations\" -j KUBE-MARK-MASQ"
        )?;
    }
    writeln!(nat, "-A {ext} -j {svc}")
}

/// A service whose rules would send nowhere.
fn refuse(filter: &mut String, service: &ServiceSpec, matches: &str) -> fmt::Result {
    let ServiceSpec { address, port, .. } = service;
    let key = service.key();
    writeln!(
        filter,
        "-A KUBE-SERVICES -m comment --comment \"{key} has no endpoints\" {matches} -d {address} --dport {port} -j REJECT"
    )?;
    let Some(node_port) = service.node_port else { return Ok(()) };
    writeln!(
        filter,
        "-A KUBE-EXTERNAL-SERVICES -m comment --comment \"{key} has no endpoints\" -m addrtype --dst-type LOCAL {matches} --dport {node_port} -j REJECT"
    )
}

/// The ways of `externalTrafficPolicy: Local`: pods and the node itself as always, others to endpoints of this node.
fn local(
    filter: &mut String,
    nat: &mut String,
    service: &ServiceSpec,
    node: &str,
    (svc, ext): (&str, &str),
) -> fmt::Result {
    let (key, cidr, protocol) = (service.key(), pods(service), service.protocol);
    writeln!(
        nat,
        "-A {ext} -m comment --comment \"pod traffic for {key} external destinations\" -s {cidr} -j {svc}
-A {ext} -m comment --comment \"masquerade LOCAL traffic for {key} external destinations\" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A {ext} -m comment --comment \"route LOCAL traffic for {key} external destinations\" -m addrtype --src-type LOCAL -j {svc}"
    )?;
    let here = service.targets_on(node);
    if here.is_empty() {
        let port = service.node_port.unwrap_or_default();
        return writeln!(
            filter,
            "-A KUBE-EXTERNAL-SERVICES -m comment --comment \"{key} has no local endpoints\" -m addrtype --dst-type LOCAL -m {protocol} -p {protocol} --dport {port} -j DROP"
        );
    }
    let svl = format!("KUBE-SVL-{}", service.hash(""));
    writeln!(nat, ":{svl} - [0:0]")?;
    jumps(nat, service, &svl, &here)?;
    writeln!(nat, "-A {ext} -j {svl}")
}

/// A chain that chooses among these, and theirs.
fn chain(
    nat: &mut String,
    service: &ServiceSpec,
    svc: &str,
    targets: &[IpAddr],
    first: &str,
    matches: &str,
) -> fmt::Result {
    let key = service.key();
    writeln!(nat, ":{svc} - [0:0]")?;
    for target in targets {
        let (sep, to) = (endpoint_chain(service, *target), socket(*target, service.target_port));
        writeln!(nat, ":{sep} - [0:0]")?;
        if service.masquerades {
            writeln!(nat, "-A {sep} -m comment --comment {key} -s {target} -j KUBE-MARK-MASQ")?;
        }
        writeln!(nat, "-A {sep} -m comment --comment {key} {matches} -j DNAT --to-destination {to}")?;
    }
    nat.push_str(first);
    jumps(nat, service, svc, targets)
}

fn jumps(nat: &mut String, service: &ServiceSpec, chain: &str, targets: &[IpAddr]) -> fmt::Result {
    for (index, target) in targets.iter().enumerate() {
        let (sep, to) = (endpoint_chain(service, *target), socket(*target, service.target_port));
        let left = targets.len() - index;
        let random = match left {
            1 => String::new(),
            left => {
                format!(" -m statistic --mode random --probability 0.{:010}", 10_000_000_000 / left as u64)
            }
        };
        writeln!(nat, "-A {chain} -m comment --comment \"{} -> {to}\"{random} -j {sep}", service.key())?;
    }
    Ok(())
}

fn endpoint_chain(service: &ServiceSpec, target: IpAddr) -> String {
    format!("KUBE-SEP-{}", service.hash(&socket(target, service.target_port)))
}

fn pods(service: &ServiceSpec) -> &'static str {
    if service.address.is_ipv6() { POD_CIDR6 } else { POD_CIDR }
}

fn socket(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::from((address, port)).to_string()
}
