//! What is said of rules beside what real packets make of them.

use std::net::SocketAddr;

use tests::{
    lab::topology::{POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT},
    traffic::HttpGet,
};

use super::support::{Site, Test, Told};

/// Counters of the rules of `nat` on the way of the first course, by chain.
fn counted(told: &Told) -> Vec<(String, u64)> {
    let stages = told.courses("cluster-ip").first().and_then(|course| course["stages"].as_array());
    let steps = stages.into_iter().flatten().filter(|stage| stage["node"] == told.0["node"]);
    let steps = steps.flat_map(|stage| stage["steps"].as_array().into_iter().flatten());
    let nat = steps.filter(|step| step["table"] == "ip nat" && step["index"].is_u64());
    nat.map(|step| {
        let place = format!("{} {}", step["chain"].as_str().unwrap_or("?"), step["index"]);
        (place, step["packets"].as_u64().unwrap_or(u64::MAX))
    })
    .collect()
}

/// Each rule that is said to take the packet counts one more for each connection, and there is no other way.
#[test]
fn connections_count_at_the_rules_that_are_told() -> Test {
    let site = Site::up()?;
    for (service, address) in [("svc/svc-clusterip", SVC_CLUSTERIP), ("svc/svc-nodeport", SVC_NODEPORT)] {
        let words = [service, "--from", "pod-src"];
        let before = counted(&site.explain(&words)?);
        assert!(before.len() >= 4, "{service}: {before:?}");
        let target = SocketAddr::from((address.cluster_ip, POD_PORT));
        for _ in 0..3 {
            HttpGet::new(target).send(site.lab.pod(POD_SRC.name))?;
        }
        let after = counted(&site.explain(&words)?);
        let expected: Vec<_> = before.into_iter().map(|(place, packets)| (place, packets + 3)).collect();
        assert_eq!(after, expected, "{service}");
    }
    Ok(())
}
