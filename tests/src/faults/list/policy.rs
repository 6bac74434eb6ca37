//! Network policies, as the rules that Calico, kube-router and others make of them.

use super::names::{N1, N2};
use crate::faults::variant::{Place::Node, Variant, scenes};

const POLICY: &str = "network-policy";

/// What Calico writes for a pod whose policies accept nothing that is asked here (felix/rules): the chain of the pod's
/// interface, a chain of a policy that accepts another port, and the drop behind it.
fn calico(cali: &str, way: &str, rule: &str) -> String {
    let (dispatch, workload, policy, side, word) = match way {
        "ingress" => ("cali-to-wl-dispatch", "cali-tw-", "cali-pi-_tsVlWvYbXg8P", "-o", "ingress"),
        _ => ("cali-from-wl-dispatch", "cali-fw-", "cali-po-_tsVlWvYbXg8P", "-i", "egress"),
    };
    format!(
        "{{restore}} <<'RULES'
*filter
:cali-FORWARD - [0:0]
:{dispatch} - [0:0]
:{workload}{cali} - [0:0]
:{policy} - [0:0]
-I FORWARD -m comment --comment \"cali:wUHhoiAYhphO9Mso\" -j cali-FORWARD
-A cali-FORWARD -m comment --comment \"cali:vjrMJCRpqwy5oRoX\" -j MARK --set-xmark 0x0/0xe0000
-A cali-FORWARD {side} cali+ -m comment --comment \"cali:8ZoYfO5HKXWbB3pk\" -j {dispatch}
-A cali-FORWARD -m comment --comment \"cali:MH9kMp5aNICL-Olv\" -m comment --comment \"Policy explicitly accepted packet.\" -m mark --mark 0x10000/0x10000 -j ACCEPT
-A {dispatch} {side} {cali} -m comment --comment \"cali:9wSDLq4Sj0wnr4Nw\" -g {workload}{cali}
-A {dispatch} -m comment --comment \"cali:FG2xVGRg5XS9uCBb\" -m comment --comment \"Unknown interface\" -j DROP
-A {workload}{cali} -m comment --comment \"cali:6sUvJnJQZ0aIHN5l\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {workload}{cali} -m comment --comment \"cali:2yQeRYB0zFMWGLsc\" -m conntrack --ctstate INVALID -j DROP
-A {workload}{cali} -m comment --comment \"cali:Z-jBAJ0FWnxZLO_i\" -j MARK --set-xmark 0x0/0x10000
-A {workload}{cali} -m comment --comment \"cali:ZGRi_ImAHYqTaq0I\" -m comment --comment \"Start of policies\" -j MARK --set-xmark 0x0/0x20000
-A {workload}{cali} -m comment --comment \"cali:XIwVn3rFEu0fOQ7p\" -m mark --mark 0x0/0x20000 -j {policy}
-A {workload}{cali} -m comment --comment \"cali:nQ2EmqXy1lyDrHkC\" -m comment --comment \"Return if policy accepted\" -m mark --mark 0x10000/0x10000 -j RETURN
-A {workload}{cali} -m comment --comment \"cali:wBoTJ3MhIZBa5XKd\" -m comment --comment \"Drop if no policies passed packet\" -m mark --mark 0x0/0x20000 -j DROP
-A {policy} -m comment --comment \"cali:oY5cvPn6a0OpCZFm\" -m comment --comment \"Policy default/knp.default.web {word}\" {rule}
COMMIT
RULES"
    )
}

/// What kube-router writes (`pkg/controllers/netpol`): a chain of the pod, one of the policy, and REJECT behind it.
const KUBE_ROUTER: &str = "{restore} <<'RULES'
*filter
:KUBE-POD-FW-K3L7ZCK6GMPLOZ2E - [0:0]
:KUBE-NWPLCY-OYL6U4FVBTXZFPZR - [0:0]
-I FORWARD -m comment --comment \"rule to jump traffic destined to POD name:pod-dest namespace: default to chain KUBE-POD-FW-K3L7ZCK6GMPLOZ2E\" -d {dst} -j KUBE-POD-FW-K3L7ZCK6GMPLOZ2E
-A KUBE-POD-FW-K3L7ZCK6GMPLOZ2E -m comment --comment \"rule for stateful firewall for pod\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-POD-FW-K3L7ZCK6GMPLOZ2E -m comment --comment \"run through nw policy deny-all\" -j KUBE-NWPLCY-OYL6U4FVBTXZFPZR
-A KUBE-POD-FW-K3L7ZCK6GMPLOZ2E -m comment --comment \"rule to REJECT traffic destined for POD name:pod-dest namespace: default\" -m mark ! --mark 0x10000/0x10000 -j REJECT
-A KUBE-NWPLCY-OYL6U4FVBTXZFPZR -p tcp --dport 9999 -m comment --comment \"rule to ACCEPT traffic from all sources to specified dest pods selected by policy name: deny-all namespace default\" -j MARK --set-xmark 0x10000/0x10000
COMMIT
RULES";

/// Calico in nftables mode.
const CALICO_NFT: &str = "nft -f - <<'RULES'
table {nft} calico {
  chain filter-FORWARD { type filter hook forward priority 0; policy accept; counter jump filter-cali-FORWARD comment \"cali:S93hcgKJrXEqnTfs;\"; }
  chain filter-cali-FORWARD { oifname \"cali*\" counter jump filter-cali-to-wl-dispatch comment \"cali:jdEuaPBe14V2hutn;\"; }
  chain filter-cali-to-wl-dispatch { oifname \"{cali1}\" counter goto filter-cali-tw-{cali1} comment \"cali:9wSDLq4Sj0wnr4Nw;\"; }
  chain filter-cali-tw-{cali1} {
    ct state established,related counter accept comment \"cali:6sUvJnJQZ0aIHN5l;\"
    counter jump filter-cali-pi-_tsVlWvYbXg8P comment \"cali:XIwVn3rFEu0fOQ7p;\"
    counter drop comment \"cali:wBoTJ3MhIZBa5XKd; Drop if no policies passed packet\"
  }
  chain filter-cali-pi-_tsVlWvYbXg8P {
    tcp dport 9999 counter meta mark set meta mark or 0x10000 comment \"cali:oY5cvPn6a0OpCZFm; Policy default/knp.default.web ingress\"
  }
}
RULES";

pub(super) fn network_policy() -> Vec<Variant> {
    let other_port = "-p tcp --dport 9999 -j MARK --set-xmark 0x10000/0x10000";
    let ingress = calico("{cali1}", "ingress", other_port);
    let egress = calico("{cali2}", "egress", other_port);
    let ingress_deny = calico("{cali1}", "ingress", "{m} -j DROP");
    let rules = [
        ("Calico, ingress", N1, ingress.clone()),
        ("Calico, egress", N2, egress.clone()),
        ("kube-router", N1, KUBE_ROUTER.to_owned()),
        ("Calico, a rule that denies", N1, ingress_deny.clone()),
        ("Calico, nftables", N1, CALICO_NFT.to_owned()),
        ("Calico, ingress", N1, ingress.clone()),
        ("Calico, egress", N2, egress.clone()),
        ("Calico, nftables", N1, CALICO_NFT.to_owned()),
        ("kube-router", N1, KUBE_ROUTER.to_owned()),
        ("Calico, ingress", N1, ingress),
        ("Calico, a rule that denies", N1, ingress_deny),
        ("Calico, egress", N2, egress),
    ];
    let pairs = scenes().into_iter().zip(rules);
    pairs
        .map(|(scene, (what, at, script))| Variant::new(what, scene, POLICY, Node(at)).run(at, script))
        .collect()
}
