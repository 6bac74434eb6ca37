//! Pods, nodes and addresses.

use tests::{
    lab::topology::{K8S_NODE1, POD_DEST},
    run,
};

use super::support::{Site, Test};

#[test]
fn pod_tells_its_interface_routes_services_and_listeners() -> Test {
    let site = Site::up()?;
    let told = site.explain(&["pod/pod-dest"])?;
    assert_eq!(told.problems(), [""; 0], "{:#}", told.0["problems"]);
    assert_eq!(told.0["node"], K8S_NODE1.name);
    let story = &told.0["story"];
    assert_eq!(story["link"]["name"], POD_DEST.interface);
    assert_eq!(story["link"]["mtu"], 1480);
    let shown = run(site.lab.node(K8S_NODE1.name), "ip", &["route", "show", "10.244.131.5"], "")?;
    assert!(shown.starts_with("10.244.131.5 dev calia5814ebbae9"), "{shown}");
    assert_eq!(story["routes"][0], "10.244.131.5 dev calia5814ebbae9");
    assert_eq!(story["listens"], serde_json::json!(["TCP 0.0.0.0:8080"]));
    let services: Vec<_> =
        story["services"].as_array().into_iter().flatten().map(|each| &each["name"]).collect();
    assert_eq!(services, ["default/svc-clusterip", "default/svc-nodeport"]);
    Ok(())
}

#[test]
fn pod_whose_interface_is_down_or_whose_route_is_gone() -> Test {
    let site = Site::up()?;
    let node = site.lab.node(K8S_NODE1.name);
    run(node, "ip", &["link", "set", POD_DEST.interface, "down"], "")?;
    let told = site.explain(&["pod/pod-dest"])?;
    // With the link its route is gone: the block's blackhole is next.
    assert!(told.problems().contains(&"blackhole-route"), "{:#}", told.0["problems"]);
    assert!(told.problems().contains(&"no-route"), "{:#}", told.0["problems"]);
    Ok(())
}

#[test]
fn policies_of_a_pod_are_named() -> Test {
    let site = Site::up()?;
    // As Calico's Felix writes them for a workload with one ingress policy.
    let rules = "*filter
:cali-FORWARD - [0:0]
:cali-to-wl-dispatch - [0:0]
:cali-tw-calia5814ebbae9 - [0:0]
:cali-pi-_deny - [0:0]
-A FORWARD -m comment --comment \"cali:wUHhoiAYhphO9Mso\" -j cali-FORWARD
-A cali-FORWARD -o cali+ -m comment --comment \"cali:tPKJ\" -j cali-to-wl-dispatch
-A cali-to-wl-dispatch -o calia5814ebbae9 -m comment --comment \"cali:9k\" -g cali-tw-calia5814ebbae9
-A cali-tw-calia5814ebbae9 -m comment --comment \"cali:aa\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-tw-calia5814ebbae9 -m comment --comment \"cali:bb\" -j cali-pi-_deny
-A cali-tw-calia5814ebbae9 -m comment --comment \"cali:cc\" -m comment --comment \"Drop if no policies passed packet\" -j DROP
-A cali-pi-_deny -m comment --comment \"Policy default/knp.default.deny-all ingress\" -m mark --mark 0x1/0x1 -j RETURN
COMMIT
";
    run(site.lab.node(K8S_NODE1.name), "iptables-restore", &["-w", "--noflush"], rules)?;
    let told = site.explain(&["pod/pod-dest", "--from", "pod-src"])?;
    let policies = told.0["story"]["policies"].to_string();
    assert!(policies.contains("cali-tw-calia5814ebbae9") && policies.contains("deny-all"), "{policies}");
    told.assert_only("network-policy", &["k8s-node1 drops TCP packets", "deny-all"]);
    Ok(())
}

#[test]
fn addresses_tell_who_has_them_and_their_way() -> Test {
    let site = Site::up()?;
    let text = site.text(&["172.18.0.3", "--node", K8S_NODE1.name])?;
    for part in ["node/k8s-node2, on k8s-node2", "route 172.18.0.0/24 dev eth0"] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let text = site.text(&["10.244.111.80", "--node", K8S_NODE1.name])?;
    assert!(text.contains("10.244.111.80: nobody in the cluster"), "{text}");
    assert!(text.contains("route 10.244.111.64/26 via 172.18.0.3 dev tunl0"), "{text}");
    let told = site.explain(&["10.107.94.97:443", "--node", K8S_NODE1.name])?;
    assert!(told.problems().contains(&"service-address-unserved"), "{:#}", told.0["problems"]);
    Ok(())
}
