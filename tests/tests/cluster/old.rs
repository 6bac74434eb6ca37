//! Clusters that are older, and lists that come in pieces.

use tests::cluster::{DoubleConfig, Slices};

use crate::support::{DEST, POD_TO_POD, SERVICE, Site, Test, assert_delivered};

const TO_SERVICE: [&str; 4] = ["-o", "json", "pod-src", "svc/svc-clusterip"];

#[test]
fn endpoint_slices_of_v1beta1() -> Test {
    check(DoubleConfig { slices: Slices::V1beta1, ..DoubleConfig::default() })
}

#[test]
fn endpoints_without_slices() -> Test {
    check(DoubleConfig { slices: Slices::None, ..DoubleConfig::default() })
}

#[test]
fn exec_without_a_way_to_close_standard_input() -> Test {
    check(DoubleConfig { only_v4: true, ..DoubleConfig::default() })
}

/// The agent on the endpoint's node shows that the endpoints were found.
fn check(config: DoubleConfig) -> Test {
    let site = Site::with(config)?;
    let kflow = site.trace(TO_SERVICE)?;
    site.get(SERVICE)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(assert_delivered(&outcome.told()?.flows[0]).len(), 6);
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn long_lists_come_in_pages_even_when_tokens_expire() -> Test {
    for expires_lists in [false, true] {
        let pods = (0..600).map(|number| {
            serde_json::json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": format!("crowd-{number:04}"), "namespace": "default" },
                "spec": { "nodeName": "k8s-master", "containers": [{ "name": "c", "image": "c" }] },
                "status": { "phase": "Running", "podIP": format!("10.244.{}.{}", 220 + number / 250, number % 250) },
            })
        });
        let site =
            Site::with(DoubleConfig { objects: pods.collect(), expires_lists, ..DoubleConfig::default() })?;
        let kflow = site.trace(POD_TO_POD)?;
        site.get(DEST)?;
        let outcome = kflow.stop()?;
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let requests = site.double.requests();
        let lists = requests.iter().filter(|entry| entry.path == "/api/v1/pods" && entry.method == "GET");
        let queries: Vec<&str> =
            lists.map(|entry| entry.query.as_str()).filter(|query| !query.contains("watch")).collect();
        // Where no token holds, the whole list is asked for in the end, as the API's own clients do.
        let pages = &queries[..queries.len() - usize::from(expires_lists)];
        assert!(pages.len() >= 2 && pages.iter().all(|query| query.contains("limit=")), "{queries:#?}");
    }
    Ok(())
}
