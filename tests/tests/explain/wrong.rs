//! Services with one thing wrong at a time.

use std::net::Ipv4Addr;

use tests::{
    Overlay,
    lab::ProxyMode,
    lab::ServiceSpec,
    lab::topology::{K8S_NODE1, K8S_NODE2, NODES},
    run,
};

use super::support::{Site, Test, Told, pod_dest, pod_src, web};

/// Serves one service and explains it at a node.
fn told(
    site: &Site,
    service: ServiceSpec,
    mode: ProxyMode,
    node: &str,
) -> Result<Told, Box<dyn std::error::Error>> {
    site.lab.serve(&[service], mode)?;
    site.explain(&["svc/web", "--node", node])
}

#[test]
fn no_endpoints_and_none_ready() -> Test {
    let site = Site::up()?;
    let none = ServiceSpec { endpoints: vec![], ..web(pod_dest(true)) };
    let told = told(&site, none, ProxyMode::Iptables, K8S_NODE2.name)?;
    told.assert_only("no-endpoints", &["web port 8080 has no endpoints"]);
    let course = &told.courses("cluster-ip")[0];
    assert_eq!(
        (&course["end"], &course["with"]),
        (&"rejected".into(), &"icmp-port-unreachable".into()),
        "{course:#}"
    );
    let site = Site::up()?;
    let unready = told_of(&site, web(pod_dest(false)))?;
    unready.assert_only(
        "endpoint-not-ready",
        &["none of the endpoints of web port 8080 is ready: pod pod-dest"],
    );
    Ok(())
}

fn told_of(site: &Site, service: ServiceSpec) -> Result<Told, Box<dyn std::error::Error>> {
    told(site, service, ProxyMode::Iptables, K8S_NODE2.name)
}

#[test]
fn nobody_listens_on_the_target_port() -> Test {
    let site = Site::up()?;
    let service = ServiceSpec { target_port: 9090, ..web(pod_dest(true)) };
    told_of(&site, service)?
        .assert_only("target-port-unserved", &["nobody in pod pod-dest listens on TCP port 9090"]);
    Ok(())
}

#[test]
fn rules_lead_to_a_pod_that_is_gone() -> Test {
    let site = Site::up()?;
    let gone = Ipv4Addr::new(10, 244, 131, 9);
    let service = ServiceSpec { gone: vec![gone.into()], ..web(pod_dest(true)) };
    let told = told_of(&site, service)?;
    assert!(told.problems().contains(&"stale-endpoint"), "{:#}", told.0["problems"]);
    let texts = told.0["problems"].to_string();
    assert!(
        texts.contains("lead 50.0 % of new connections to 10.96.7.1:8080 on to 10.244.131.9:8080"),
        "{texts}"
    );
    Ok(())
}

#[test]
fn no_rule_leads_to_a_ready_endpoint() -> Test {
    let site = Site::up()?;
    let mut service = web(pod_dest(true));
    site.lab.serve(std::slice::from_ref(&service), ProxyMode::Iptables)?;
    // The cluster has another endpoint since then, and kube-proxy has not heard of it.
    service.endpoints.push(pod_src(true));
    site.lab.write_state_with(&service.objects())?;
    let told = site.explain(&["svc/web", "--node", K8S_NODE1.name])?;
    assert!(told.problems().contains(&"endpoint-without-rule"), "{:#}", told.0["problems"]);
    Ok(())
}

#[test]
fn no_rules_for_the_service_and_none_at_all() -> Test {
    // Without an overlay no program is at an interface, which might carry services itself.
    let site = Site::with(Overlay::None)?;
    let service = web(pod_dest(true));
    site.lab.write_state_with(&service.objects())?;
    let told = site.explain(&["svc/web", "--node", K8S_NODE2.name])?;
    told.assert_only("service-rules-missing", &["no rule of k8s-node2 is for 10.96.7.1:8080 (web)"]);
    run(site.lab.node(K8S_NODE2.name), "iptables", &["-w", "-t", "nat", "-F"], "")?;
    let told = site.explain(&["svc/web", "--node", K8S_NODE2.name])?;
    told.assert_only("no-service-proxy", &["nothing on k8s-node2 carries services"]);
    Ok(())
}

#[test]
fn traffic_policy_local_without_an_endpoint_here() -> Test {
    for mode in [ProxyMode::Iptables, ProxyMode::Nftables] {
        let site = Site::up()?;
        let service = ServiceSpec { node_port: Some(31999), is_local: true, ..web(pod_dest(true)) };
        site.lab.serve(&[service], mode)?;
        for node in NODES {
            let told = site.explain(&["svc/web", "--node", node.name])?;
            let has = told.problems().contains(&"local-policy-without-endpoint");
            assert_eq!(has, node.name != K8S_NODE1.name, "{mode:?} {}: {:#}", node.name, told.0["problems"]);
        }
    }
    Ok(())
}

#[test]
fn hairpin_without_masquerade() -> Test {
    let site = Site::up()?;
    let healthy = told(&site, web(pod_dest(true)), ProxyMode::Iptables, K8S_NODE1.name)?;
    assert_eq!(healthy.problems(), [""; 0], "{:#}", healthy.0["problems"]);
    let site = Site::up()?;
    let service = ServiceSpec { masquerades: false, ..web(pod_dest(true)) };
    let told = told(&site, service, ProxyMode::Iptables, K8S_NODE1.name)?;
    told.assert_only("hairpin-without-masquerade", &["pod pod-dest that reaches itself by 10.96.7.1:8080"]);
    Ok(())
}

#[test]
fn rules_and_settings_of_the_node() -> Test {
    let site = Site::up()?;
    site.lab.iptables(K8S_NODE1.name, "-I FORWARD -p tcp --dport 8080 -j DROP")?;
    let words = ["svc/svc-clusterip", "--from", "pod-src"];
    site.explain(&words)?
        .assert_only("firewall-drop", &["k8s-node1 drops TCP packets", "--dport 8080 -j DROP"]);
    site.lab.iptables(K8S_NODE1.name, "-D FORWARD -p tcp --dport 8080 -j DROP")?;
    run(site.lab.node(K8S_NODE2.name), "sysctl", &["-q", "-w", "net.ipv4.ip_forward=0"], "")?;
    site.explain(&words)?
        .assert_only("forwarding-disabled", &["k8s-node2 does not forward what comes in by calib8c6d5407e3"]);
    run(site.lab.node(K8S_NODE2.name), "sysctl", &["-q", "-w", "net.ipv4.ip_forward=1"], "")?;
    let block = K8S_NODE1.block();
    run(site.lab.node(K8S_NODE2.name), "ip", &["route", "replace", "blackhole", &block, "metric", "0"], "")?;
    run(site.lab.node(K8S_NODE2.name), "ip", &["route", "del", &block, "dev", "tunl0"], "").ok();
    site.explain(&words)?.assert_only("blackhole-route", &["k8s-node2 lets TCP packets"]);
    Ok(())
}
