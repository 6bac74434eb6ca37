//! Lists of a cluster that answers as clusters do: in pages, by old versions, and not to everybody.

pub(in crate::cluster) mod server;

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tracer_core::resolve::Party;

use super::*;
use server::{Reply, Server, page, pod};

fn wants(namespaces: &[&str]) -> Wants {
    Wants { namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(), ..Wants::default() }
}

fn addresses(state: &ClusterState, words: &[&str]) -> Vec<String> {
    let seeds = |word: &&str| Party::resolve(word, "n", state).unwrap().seeds;
    words.iter().flat_map(seeds).map(|seed| seed.address.to_string()).collect()
}

#[test]
fn a_list_comes_in_pages_and_is_begun_anew_where_the_cluster_forgot() {
    let second = AtomicUsize::new(0);
    let server = Server::start(move |target| match target {
        "/api/v1/pods?&limit=500" => page("7", Some("to b"), &[pod("n", "a", "10.0.0.1", "1")]),
        "/api/v1/pods?&limit=500&continue=to+b" => match second.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::Refusal(410),
            _ => page("8", Some(""), &[pod("n", "b", "10.0.0.2", "2")]),
        },
        target if target.starts_with("/api/v1/pods") => Reply::Refusal(500),
        _ => page("8", None, &[]),
    });
    let directory = Directory::list(&server.cluster, wants(&[])).unwrap();
    assert_eq!(addresses(&directory.state(), &["a", "b"]), ["10.0.0.1", "10.0.0.2"]);
    assert!(directory.notes().is_empty(), "{:?}", directory.notes());
    let pods = server.requests().iter().filter(|target| target.contains("/pods")).count();
    assert_eq!(pods, 4, "{:?}", server.requests());
}

#[test]
fn endpoints_are_read_as_the_cluster_has_them() {
    for (served, path) in
        [(1, "/v1/endpointslices"), (2, "/v1beta1/endpointslices"), (3, "/api/v1/endpoints")]
    {
        let server = Server::start(move |target| {
            let slice = json!({"metadata": {"name": "w-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "w"}},
                "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 8080}]});
            let old = json!({"metadata": {"name": "w", "namespace": "n"},
                "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 8080}]}]});
            let service = json!({"metadata": {"name": "w", "namespace": "n"},
                "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}});
            let number = ["/v1/endpointslices", "/v1beta1/endpointslices", "/api/v1/endpoints?"]
                .iter()
                .position(|path| target.contains(path))
                .map_or(0, |index| index + 1);
            match number {
                0 if target.starts_with("/api/v1/services") => page("1", None, &[service]),
                0 => page("1", None, &[]),
                number if number < served => Reply::Refusal(404),
                3 => page("1", None, &[old]),
                _ => page("1", None, &[slice]),
            }
        });
        let directory = Directory::list(&server.cluster, wants(&[])).unwrap();
        let found = addresses(&directory.state(), &["svc/w"]);
        assert!(found.contains(&"10.0.0.1".to_owned()), "{path}: {found:?}");
        assert!(
            server.requests().iter().any(|target| target.contains(path)),
            "{path}: {:?}",
            server.requests()
        );
    }
}

#[test]
fn who_may_read_one_namespace_reads_that_one() {
    let server = Server::start(|target| match target {
        "/api/v1/namespaces/n/pods?&limit=500" => page("1", None, &[pod("n", "a", "10.0.0.1", "1")]),
        target if target.contains("/namespaces/n/") => page("1", None, &[]),
        _ => Reply::Refusal(403),
    });
    let wanted = Wants { workloads: true, ..wants(&["n", "other", "../../odd"]) };
    let directory = Directory::list(&server.cluster, &wanted).unwrap();
    assert_eq!(addresses(&directory.state(), &["a", "node/node1"]), ["10.0.0.1", "192.168.0.1"]);
    assert_eq!(
        directory.notes(),
        [
            "nodes may not be listed: only those are known that a pod in sight runs on",
            "pods, services and endpointslices may be listed in the namespace n only: addresses of others stay without names"
        ]
    );
    assert!(server.requests().iter().all(|target| !target.contains("odd")), "{:?}", server.requests());

    let asked = server.requests().len();
    let only = Wants { only_namespaces: true, ..wants(&["n"]) };
    let directory = Directory::list(&server.cluster, &only).unwrap();
    assert_eq!(directory.notes().len(), 1, "that of nodes: {:?}", directory.notes());
    let everywhere = ["/api/v1/pods", "/api/v1/services"];
    let asked = server.requests().split_off(asked);
    assert!(!asked.iter().any(|target| everywhere.iter().any(|path| target.starts_with(path))), "{asked:?}");
}

#[test]
fn who_may_read_nothing_is_told_what_it_takes() {
    let server = Server::start(|target| match target {
        target if target.contains("selfsubjectaccessreviews") => {
            Reply::Json(json!({"spec": {}, "status": {"allowed": false}}))
        }
        target if target.contains("selfsubjectreviews") => {
            Reply::Json(json!({"status": {"userInfo": {"username": "jane"}}}))
        }
        _ => Reply::Refusal(403),
    });
    let error = Directory::list(&server.cluster, wants(&["n"])).err().unwrap();
    assert_eq!(error.exit(), Exit::Environment);
    let said = error.to_string();
    for part in [
        "the user jane lacks permissions:\n  list pods in the namespace n\n",
        "kind: Role\n",
        "namespace: \"n\"",
        "name: \"jane\"",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn errors_say_what_it_is() {
    let cases = [
        (401, "the cluster refused the credentials (401): refused with 401", Exit::Environment),
        (500, "the cluster refused with 500: refused with 500", Exit::Failed),
    ];
    for (code, said, exit) in cases {
        let server = Server::start(move |_| Reply::Refusal(code));
        let error = Directory::list(&server.cluster, wants(&[])).err().unwrap();
        assert!(crate::error::chain(&error).contains(said), "{}", crate::error::chain(&error));
        assert_eq!(error.exit(), exit, "{code}");
    }
    let server = Server::start(|_| Reply::Json(json!({"items": [{"metadata": {"name": 7}}]})));
    let error = Directory::list(&server.cluster, wants(&[])).err().unwrap();
    let said = crate::error::chain(&error);
    assert!(said.contains("cannot understand the answer of the cluster at http://127.0.0.1"), "{said}");
}
