//! `kflow trace` in the lab: drops are joined to the flows that they are of, each told once, though several captures of one
//! kernel see them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tests::kflow::{self, Outcome};
use tests::lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP};
use tests::traffic::{HttpGet, HttpServer};
use tests::{Kflow, Lab, LabConfig, Namespace, Overlay};

use crate::Tested;
use crate::line::{counted, inode, tables};

/// Less than the time after which the first SYN is sent again.
const SHORT: Duration = Duration::from_millis(300);
const DROP: &str = "-p tcp --dport 8080 -j DROP";

fn site(overlay: Overlay) -> Result<(Lab, HttpServer), Box<dyn std::error::Error>> {
    let lab = Lab::up(&LabConfig { overlay, ..LabConfig::default() })?;
    let server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
    Ok((lab, server))
}

/// The two nodes and the cluster's state, without the namespaces of pods.
fn nodes_only(lab: &Lab) -> Vec<OsString> {
    let node = |name: &str| {
        let mut value = OsString::from(format!("{name}=netns:"));
        value.push(lab.node(name).path());
        [OsString::from("--node"), value]
    };
    let nodes = [K8S_NODE1.name, K8S_NODE2.name].into_iter().flat_map(node);
    nodes.chain([OsString::from("--state"), lab.state_path().into_os_string()]).collect()
}

/// Traces requests of pod-src while a rule drops them in some namespace. Returns what was told and what the rule counted.
fn dropped(
    lab: &Lab,
    places: Vec<OsString>,
    here: &Namespace,
    chain: &str,
    to: (std::net::Ipv4Addr, u16),
) -> Result<(Outcome, usize), Box<dyn std::error::Error>> {
    tables(here, "iptables", &format!("-I {chain} {DROP}"));
    let target = if to.0 == POD_DEST.address { POD_DEST.name } else { "svc/svc-clusterip" };
    let words = [POD_SRC.name, target, "-o", "json"].map(OsString::from);
    let words = [OsString::from("trace")].into_iter().chain(places).chain(words);
    let kflow = Kflow::tracing(&kflow::program(), words)?;
    for _ in 0..2 {
        let request = HttpGet { timeout: SHORT, ..HttpGet::new(SocketAddr::from(to)) };
        assert!(request.send(lab.pod(POD_SRC.name)).is_err());
    }
    let outcome = kflow.stop()?;
    let count = counted(here, "iptables", chain);
    tables(here, "iptables", &format!("-D {chain} {DROP}"));
    assert!(count >= 2, "the rule saw {count} packets");
    Ok((outcome, count))
}

fn drops(outcome: &Outcome) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    let flows = outcome.told()?.flows;
    assert_eq!(flows.len(), 2, "{outcome:?}");
    Ok(flows
        .iter()
        .flat_map(|flow| flow["forward"]["drops"].as_array().cloned().unwrap_or_default())
        .collect())
}

fn packets(drops: &[Value]) -> usize {
    drops.iter().filter_map(|drop| usize::try_from(drop["packets"].as_u64()?).ok()).sum()
}

#[test]
fn a_rule_of_a_node_is_told_with_the_last_hop_before_it() -> Tested {
    let (lab, _server) = site(Overlay::Ipip)?;
    for (node, after) in [(K8S_NODE1.name, "tunl0"), (K8S_NODE2.name, "calib8c6d5407e3")] {
        let here = lab.node(node);
        let (outcome, count) =
            dropped(&lab, lab.kflow_node_args(), here, "FORWARD", (POD_DEST.address, POD_PORT))?;
        let drops = drops(&outcome)?;
        assert_eq!(packets(&drops), count, "{drops:#?}");
        for drop in &drops {
            assert_eq!(
                (&drop["node"], &drop["reason"]),
                (&node.into(), &"NETFILTER_DROP".into()),
                "{drop:#}"
            );
            assert_eq!(drop["after"]["interface"], after, "{drop:#}");
            assert_eq!(
                (&drop["is_benign"], &drop["netns"]),
                (&false.into(), &inode(here).into()),
                "{drop:#}"
            );
            assert_eq!(drop["direction"], "ingress", "{drop:#}");
        }
        for flow in outcome.told()?.flows {
            let lane = &flow["forward"];
            assert_eq!((&lane["delivered"], &lane["unknown"]), (&0.into(), &0.into()), "{lane:#}");
            assert_eq!(lane["stopped"][0].get("uncertain"), None, "{lane:#}");
        }
    }
    Ok(())
}

/// No hook sees a packet that the rules of its own namespace drop.
#[test]
fn what_no_hop_saw_is_a_flow_all_the_same() -> Tested {
    let (lab, _server) = site(Overlay::Ipip)?;
    let here = lab.pod(POD_SRC.name);
    for places in [lab.kflow_node_args(), nodes_only(&lab)] {
        let (outcome, count) = dropped(&lab, places, here, "OUTPUT", (POD_DEST.address, POD_PORT))?;
        let drops = drops(&outcome)?;
        assert_eq!(packets(&drops), count, "{drops:#?}");
        for drop in &drops {
            assert_eq!(
                (&drop["node"], &drop["pod"]),
                (&K8S_NODE2.name.into(), &"default/pod-src".into()),
                "{drop:#}"
            );
            assert_eq!((&drop["netns"], drop.get("after")), (&inode(here).into(), None), "{drop:#}");
            assert_eq!(drop["direction"], "egress", "{drop:#}");
        }
        for flow in outcome.told()?.flows {
            assert_eq!(flow["forward"]["hops"], Value::Array(vec![]), "{flow:#}");
            assert_eq!(
                (&flow["forward"]["packets"], &flow["tcp"]["opened"]),
                (&0.into(), &true.into()),
                "{flow:#}"
            );
        }
    }
    Ok(())
}

/// What the packet wears there no hop has seen: it is joined by its key.
#[test]
fn a_drop_behind_a_translation_is_of_the_flow_before_it() -> Tested {
    let (lab, _server) = site(Overlay::Ipip)?;
    let here = lab.node(K8S_NODE2.name);
    let service = (SVC_CLUSTERIP.cluster_ip, POD_PORT);
    let (outcome, count) = dropped(&lab, lab.kflow_node_args(), here, "FORWARD", service)?;
    let drops = drops(&outcome)?;
    assert_eq!(packets(&drops), count, "{drops:#?}");
    for drop in &drops {
        assert_eq!(drop["tuple"]["destination"]["address"], POD_DEST.address.to_string(), "{drop:#}");
        assert_eq!(drop["after"]["interface"], "calib8c6d5407e3", "{drop:#}");
    }
    for flow in outcome.told()?.flows {
        assert_eq!(flow["destination"]["address"], SVC_CLUSTERIP.cluster_ip.to_string());
    }
    Ok(())
}

#[test]
fn what_arrives_has_no_drops_but_benign_ones() -> Tested {
    for overlay in [Overlay::Ipip, Overlay::Vxlan] {
        let (lab, _server) = site(overlay)?;
        let words = [POD_SRC.name, POD_DEST.name, "-o", "json"].map(OsString::from);
        let words = [OsString::from("trace")].into_iter().chain(lab.kflow_node_args()).chain(words);
        let kflow = Kflow::tracing(&kflow::program(), words)?;
        for body_len in [0, 1 << 20] {
            let to = SocketAddr::from((POD_DEST.address, POD_PORT));
            let request = HttpGet { body_len, ..HttpGet::new(to) };
            assert_eq!(request.send(lab.pod(POD_SRC.name))?.body_len, body_len);
        }
        let outcome = kflow.stop()?;
        let flows = outcome.told()?.flows;
        assert_eq!(flows.len(), 2);
        for lane in flows.iter().flat_map(|flow| [&flow["forward"], &flow["reply"]]) {
            let drops = lane["drops"].as_array().unwrap();
            assert!(drops.iter().all(|drop| drop["is_benign"] == true), "{lane:#}");
            assert_eq!(
                (&lane["delivered"], &lane["packets"]),
                (&lane["packets"], &lane["delivered"]),
                "{lane:#}"
            );
        }
    }
    Ok(())
}
