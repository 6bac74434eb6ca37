//! Services that are as they should be.

use std::{net::IpAddr, time::Duration};

use tests::{
    LabConfig, Overlay,
    lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_SRC, SVC_CLUSTERIP},
    lab::{EndpointSpec, ProxyMode, ServiceSpec},
    traffic::Ping,
};

use super::support::{Site, Test, endpoint, pod_dest, pod_src, web};

#[test]
fn service_is_followed_from_the_client_into_its_endpoint() -> Test {
    for overlay in [Overlay::Ipip, Overlay::Vxlan, Overlay::None] {
        let site = Site::with(overlay)?;
        let told = site.explain(&["svc/svc-clusterip", "--from", "pod-src"])?;
        assert_eq!(told.problems(), [""; 0], "{overlay:?}: {:#}", told.0["problems"]);
        assert_eq!(told.0["node"], K8S_NODE2.name, "{overlay:?}: the node of the client");
        assert_eq!(told.0["proxy"]["modes"][0], "iptables", "{overlay:?}");
        let [course] = told.courses("cluster-ip") else { panic!("{overlay:?}: {:#}", told.0) };
        assert_eq!(course["end"], "delivered", "{overlay:?}: {course:#}");
        assert_eq!(course["listener"]["is"], "there", "{overlay:?}");
        assert_eq!(course["pod"], "default/pod-dest", "{overlay:?}");
        assert_eq!(endpoint(&course["packet"]["destination"]), "10.244.131.5:8080", "{overlay:?}");
        assert_eq!(course["packet"]["source"]["address"], POD_SRC.address.to_string(), "{overlay:?}");
        let places: Vec<String> = course["stages"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|stage| stage["pod"].as_str().or(stage["node"].as_str()).unwrap_or("?").to_owned())
            .collect();
        let mut places: Vec<&str> = places.iter().map(String::as_str).collect();
        places.dedup();
        let expected = ["default/pod-src", K8S_NODE2.name, K8S_NODE1.name, "default/pod-dest"];
        assert_eq!(places, expected, "{overlay:?}");
    }
    Ok(())
}

#[test]
fn shares_masquerade_and_doors_in_both_modes_of_kube_proxy() -> Test {
    let site = Site::up()?;
    for (mode, word) in [(ProxyMode::Nftables, "nftables"), (ProxyMode::Iptables, "iptables")] {
        let mut service = web(pod_dest(true));
        service.endpoints.push(pod_src(true));
        service.node_port = Some(31999);
        site.lab.serve(&[service], mode)?;
        let told = site.explain(&["svc/web:8080", "--node", K8S_NODE1.name])?;
        let modes = told.0["proxy"]["modes"].to_string();
        assert!(modes.contains(word), "{modes}");
        let shares: Vec<String> = told
            .courses("cluster-ip")
            .iter()
            .map(|course| {
                format!(
                    "{:.2} {}",
                    course["probability"].as_f64().unwrap_or(0.0),
                    endpoint(&course["packet"]["destination"])
                )
            })
            .collect();
        for share in ["0.50 10.244.131.5:8080", "0.50 10.244.111.72:8080"] {
            assert!(shares.iter().any(|each| each == share), "{word}: {shares:?}");
        }
        let outside = told.courses("node-port");
        assert!(!outside.is_empty(), "{word}: {:#}", told.0);
        for course in outside {
            assert_eq!(course["is_masqueraded"], true, "{word}: {course:#}");
            assert_ne!(course["packet"]["source"]["address"], "192.0.2.1", "{word}: {course:#}");
        }
        assert!(!told.problems().contains(&"service-rules-missing"), "{word}: {:#}", told.0["problems"]);
    }
    Ok(())
}

#[test]
fn both_families_are_followed() -> Test {
    for mode in [ProxyMode::Nftables, ProxyMode::Iptables] {
        let config = LabConfig { overlay: Overlay::Vxlan, dual: true, ..LabConfig::default() };
        let site = Site::of(config)?;
        let endpoint6 = EndpointSpec { address: POD_DEST.address6().into(), ..pod_dest(true) };
        let front: IpAddr = "fd00:10:96::7".parse()?;
        site.lab.serve(&[ServiceSpec::new("six", front, endpoint6)], mode)?;
        let told = site.explain(&["svc/six", "--from", "pod-src"])?;
        let [course] = told.courses("cluster-ip") else { panic!("{mode:?}: {:#}", told.0) };
        assert_eq!(course["pod"], "default/pod-dest", "{mode:?}: {course:#}");
        let to = course["packet"]["destination"]["address"].as_str().unwrap_or_default();
        assert_eq!(to.parse::<IpAddr>()?, IpAddr::from(POD_DEST.address6()), "{mode:?}");
        let tunnels: Vec<_> = course["stages"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|stage| stage["at"] == "tunnel")
            .collect();
        let [tunnel] = tunnels[..] else { panic!("{mode:?}: {course:#}") };
        let text = tunnel["text"].as_str().unwrap_or_default();
        assert!(text.contains("VXLAN") && text.contains("node/k8s-node1"), "{mode:?}: {text}");
        // The web server of the lab is for IPv4 only.
        assert_eq!(told.problems()[0], "target-port-unserved", "{mode:?}: {:#}", told.0["problems"]);
    }
    Ok(())
}

#[test]
fn ping_of_a_cluster_ip_is_explained() -> Test {
    let site = Site::up()?;
    let told = site.explain(&["svc/svc-clusterip", "--from", "pod-src"])?;
    let ping = &told.0["story"]["pings"][0];
    assert_eq!(ping["to"], SVC_CLUSTERIP.cluster_ip.to_string());
    assert_eq!(ping["is_answered"], false, "{ping:#}");
    let text = ping["text"].as_str().unwrap_or_default();
    assert!(text.contains("rules are for TCP 8080 only"), "{text}");
    // And so it is.
    let echo = Ping { timeout: Duration::from_millis(300), ..Ping::new(SVC_CLUSTERIP.cluster_ip) };
    let report = echo.send(site.lab.pod(POD_SRC.name))?;
    assert_eq!((report.sent, report.round_trips.len()), (1, 0));
    Ok(())
}

#[test]
fn text_tells_chains_endpoints_and_the_way() -> Test {
    let site = Site::up()?;
    let text = site.text(&["svc/svc-nodeport", "--from", "pod-src"])?;
    for part in [
        "svc/svc-nodeport: service svc-nodeport (NodePort), ClusterIP 10.102.117.8",
        "as k8s-node2 carries it: services by iptables",
        "nothing wrong found",
        "port 8080/TCP, targetPort 8080, NodePort 31080",
        "endpoint 10.244.131.5:8080: ready, pod pod-dest on k8s-node1, somebody listens",
        "ClusterIP 10.102.117.8:8080 from pod pod-src",
        "KUBE-SEP-GGNCBOWTGSBCLMNO",
        "--to-destination 10.244.131.5:8080",
        "via 172.18.0.2 dev tunl0",
        "NodePort 172.18.0.3:31080 from somebody outside",
        "ping 10.102.117.8 from pod pod-src: no answer",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.contains(&POD_DEST.address.to_string()));
    Ok(())
}
