//! What kube-proxy in iptables mode writes for the lab's services.
//!
//! After `syncProxyRules` in `pkg/proxy/iptables/proxier.go`: same chains, same order, same comments. One
//! endpoint per service, so that no test depends on `statistic --mode random`.

use std::fmt::Write as _;

use super::{
    config::LabConfig,
    topology::{Chains, POD_CIDR, POD_DEST, POD_PORT, SERVICES, Service},
};

const FILTER: &str = "*filter
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
";

const NAT_HEAD: &str = "*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
";

const NAT_TAIL: &str = "-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
";

/// What it writes where there are no services, for either family.
pub(crate) fn frame() -> String {
    format!("{FILTER}{NAT_HEAD}{NAT_TAIL}")
}

/// The input of `iptables-restore --noflush`.
pub(crate) fn rules(config: LabConfig) -> String {
    let mut rules = format!("{FILTER}{NAT_HEAD}");
    for service in &SERVICES {
        for chains in &service.chains[..config.protocols()] {
            // Writing to a string does not fail.
            let _ = service_rules(&mut rules, service, chains);
        }
    }
    rules + NAT_TAIL
}

fn service_rules(out: &mut String, service: &Service, chains: &Chains) -> std::fmt::Result {
    let Service { name, cluster_ip, node_port, .. } = service;
    let Chains { protocol, service: chain, endpoint: endpoint_chain } = chains;
    let (svc, sep, ext) =
        (format!("KUBE-SVC-{chain}"), format!("KUBE-SEP-{endpoint_chain}"), format!("KUBE-EXT-{chain}"));
    let endpoint = POD_DEST.address;
    writeln!(out, ":{svc} - [0:0]\n:{sep} - [0:0]")?;
    writeln!(
        out,
        "-A KUBE-SERVICES -m comment --comment \"default/{name} cluster IP\" -m {protocol} -p {protocol} -d {cluster_ip}/32 --dport {POD_PORT} -j {svc}"
    )?;
    writeln!(
        out,
        "-A {svc} -m comment --comment \"default/{name} cluster IP\" -m {protocol} -p {protocol} -d {cluster_ip}/32 --dport {POD_PORT} ! -s {POD_CIDR} -j KUBE-MARK-MASQ"
    )?;
    writeln!(out, "-A {svc} -m comment --comment \"default/{name} -> {endpoint}:{POD_PORT}\" -j {sep}")?;
    writeln!(out, "-A {sep} -m comment --comment default/{name} -s {endpoint}/32 -j KUBE-MARK-MASQ")?;
    writeln!(
        out,
        "-A {sep} -m comment --comment default/{name} -m {protocol} -p {protocol} -j DNAT --to-destination {endpoint}:{POD_PORT}"
    )?;
    let Some(port) = node_port else { return Ok(()) };
    writeln!(out, ":{ext} - [0:0]")?;
    writeln!(
        out,
        "-A KUBE-NODEPORTS -m comment --comment default/{name} -m {protocol} -p {protocol} --dport {port} -j {ext}"
    )?;
    writeln!(
        out,
        "-A {ext} -m comment --comment \"masquerade traffic for default/{name} external destinations\" -j KUBE-MARK-MASQ"
    )?;
    writeln!(out, "-A {ext} -j {svc}")
}
