//! Every form of a word, what it selects, and what is said where it selects nothing.

use super::clusters::{pod, shop, state, without};
use super::*;
use crate::resolve::{Scope, Selector};

fn resolve(word: &str, state: &ClusterState) -> Party {
    Party::resolve(word, "shop", state).unwrap_or_else(|error| panic!("{word}: {error}"))
}

fn refused(word: &str) -> String {
    Party::resolve(word, "shop", &state(shop())).unwrap_err().to_string()
}

/// `10.0.0.1`, `10.0.0.1:80/tcp`, a service's with `=` in front, a node's with `~`.
fn seeds(party: &Party) -> Vec<String> {
    let mut words: Vec<String> = party.seeds.iter().map(seed).collect();
    words.sort();
    words
}

fn seed(seed: &Seed) -> String {
    let sign = match seed.kind {
        SeedKind::Own => "",
        SeedKind::Service => "=",
        SeedKind::Node => "~",
    };
    let port = seed.port.map(|(protocol, port)| format!(":{port}/{protocol}").to_lowercase());
    format!("{sign}{}{}", seed.address, port.unwrap_or_default())
}

fn pods(party: &Party) -> Vec<&str> {
    party.pods.iter().map(|pod| pod.name.as_str()).collect()
}

#[test]
fn words_select() {
    let state = state(shop());
    let web = "10.244.1.1:8080/tcp 10.244.2.1:8080/tcp";
    let cases = [
        ("client", "10.244.1.2", "node1", 1),
        ("shop/client", "10.244.1.2", "node1", 1),
        ("pod/client", "10.244.1.2", "node1", 1),
        ("Pods/client", "10.244.1.2", "node1", 1),
        ("shop/po/client", "10.244.1.2", "node1", 1),
        ("deploy/web", "10.244.1.1 10.244.2.1", "node1 node2", 2),
        ("deployments.apps/web", "10.244.1.1 10.244.2.1", "node1 node2", 2),
        ("shop/deployment/web", "10.244.1.1 10.244.2.1", "node1 node2", 2),
        ("rs/web-f8f9d9cff", "10.244.1.1 10.244.2.1", "node1 node2", 2),
        ("sts/db", "10.244.3.1", "node3", 1),
        ("ds/agent", "~192.168.0.2", "node2", 1),
        ("cronjob/tick", "10.244.3.9", "node3", 1),
        ("node/node3", "~10.244.3.0 ~192.168.0.3", "node3", 0),
        ("svc/web", &format!("{web} =10.96.0.1 =10.96.0.1:80/tcp"), "node1 node2", 2),
        ("shop/svc/web:80", &format!("{web} =10.96.0.1:80/tcp"), "node1 node2", 2),
        ("svc/db", "10.244.3.1:8080/tcp", "node3", 1),
        ("10.244.2.1", "10.244.2.1", "node2", 1),
        ("192.168.0.3", "~192.168.0.3", "node3", 0),
        ("192.168.0.3:22/tcp", "~192.168.0.3:22/tcp", "node3", 0),
        ("10.96.0.1", &format!("{web} =10.96.0.1"), "node1 node2", 2),
        ("10.96.0.1:80", &format!("{web} =10.96.0.1:80/tcp =10.96.0.1:80/udp"), "node1 node2", 2),
        ("10.96.0.1:81/tcp", "=10.96.0.1:81/tcp", "", 0),
        ("192.168.0.3:31080/tcp", &format!("{web} ~192.168.0.3:31080/tcp"), "node1 node2 node3", 2),
        ("203.0.113.7:80/tcp", &format!("{web} =203.0.113.7:80/tcp"), "node1 node2", 2),
        ("198.51.100.1", "198.51.100.1", "", 0),
        ("198.51.100.1:53/udp", "198.51.100.1:53/udp", "", 0),
        ("[2001:db8::1]", "2001:db8::1", "", 0),
        ("[2001:db8::1]:443/tcp", "2001:db8::1:443/tcp", "", 0),
    ];
    for (word, wanted, nodes, count) in cases {
        let party = resolve(word, &state);
        let mut wanted: Vec<&str> = wanted.split(' ').collect();
        wanted.sort_unstable();
        assert_eq!(seeds(&party), wanted, "{word}");
        assert_eq!(party.nodes.join(" "), nodes, "{word}");
        assert_eq!(party.pods.len(), count, "{word}: {:?}", pods(&party));
        assert_eq!(party.label, word);
    }
}

#[test]
fn a_node_port_is_on_every_node() {
    let party = resolve("svc/web-np", &state(shop()));
    let node_ports = seeds(&party).into_iter().filter(|seed| seed.starts_with('~')).collect::<Vec<_>>();
    assert_eq!(node_ports, ["~192.168.0.1:31080/tcp", "~192.168.0.2:31080/tcp", "~192.168.0.3:31080/tcp"]);
}

#[test]
fn fronts_are_the_services_that_lead_there() {
    let state = state(shop());
    let fronts = |word: &str| resolve(word, &state).fronts.iter().map(seed).collect::<Vec<_>>();
    assert_eq!(fronts("sts/db"), Vec::<String>::new(), "a headless service has no address");
    let all = fronts("deploy/web");
    assert!(all.contains(&"=10.96.0.1:80/tcp".to_owned()) && all.len() == 7, "{all:?}");
    assert_eq!(fronts("10.244.1.1:8080"), all);
    assert_eq!(fronts("10.244.1.1:9090"), Vec::<String>::new());
    assert_eq!(fronts("client"), Vec::<String>::new());
}

#[test]
fn who_may_not_list_workloads_goes_by_who_made_the_pods() {
    for kinds in [&["Deployment", "StatefulSet", "DaemonSet"][..], &["Deployment", "ReplicaSet", "DaemonSet"]]
    {
        let state = without(kinds);
        assert_eq!(resolve("deploy/web", &state).pods.len(), 2, "{kinds:?}");
        assert_eq!(resolve("rs/web-f8f9d9cff", &state).pods.len(), 2, "{kinds:?}");
        assert_eq!(resolve("ds/agent", &state).pods.len(), 1, "{kinds:?}");
    }
    // A replica set that no deployment made, by what the labels of its pod tell.
    let bare =
        state(vec![pod("a-v2-x", 1, "10.0.0.1", &json(r#"{"a": "b"}"#), Some(("ReplicaSet", "a-v2")))]);
    assert!(Party::resolve("deploy/a", "shop", &bare).is_err());
    assert_eq!(resolve("rs/a-v2", &bare).pods.len(), 1);
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn who_may_not_list_nodes_goes_by_what_pods_tell() {
    let state = without(&["Node"]);
    assert_eq!(state.node_names().collect::<Vec<_>>(), ["node1", "node2", "node3"]);
    assert_eq!(seeds(&resolve("node/node2", &state)), ["~192.168.0.2"]);
}

#[test]
fn what_is_missing_is_named_with_what_is_like_it() {
    let cases = [
        ("clinet", "no such pod: shop/clinet (did you mean shop/client?)"),
        ("other/client", "no such pod: other/client (did you mean shop/client?)"),
        ("web", "no such pod: shop/web (did you mean svc/web, deploy/web, shop/web-f8f9d9cff-aaaaa,"),
        ("node2", "no such pod: shop/node2 (did you mean node/node2"),
        ("deploy/wep", "no such deployment: shop/wep (did you mean shop/web?)"),
        ("sts/dv", "no such statefulset: shop/dv (did you mean shop/db?)"),
        ("ds/agnt", "no such daemonset: shop/agnt (did you mean shop/agent?)"),
        ("cronjob/tock", "no such cronjob: shop/tock"),
        ("svc/webb", "no such service: shop/webb (did you mean shop/web, shop/web-"),
        ("node/nod3", "no such node: nod3 (did you mean node3"),
    ];
    for (word, said) in cases {
        let error = refused(word);
        assert!(error.starts_with(said), "{word}: {error}");
    }
}

#[test]
fn what_has_no_address_says_why() {
    let cases = [
        ("pulling", "pod shop/pulling has no address: is it running? (Pending, ErrImagePull: no such image)"),
        (
            "web-f8f9d9cff-ccccc",
            "pod shop/web-f8f9d9cff-ccccc has no address: is it running? (Pending, Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.)",
        ),
        ("once-abcde", "pod shop/once-abcde has ended (Succeeded): it has no address any more"),
        ("job/once", "job shop/once has no running pod (all of them have ended)"),
        ("deploy/idle", "deployment shop/idle has no running pod"),
        ("svc/headless", "service shop/headless has no address: no pod has the labels app=nobody"),
        ("svc/alias", "service shop/alias is another name of the host db.example.org: trace that one"),
        ("svc/web:81", "service shop/web has no port \"81\"; it has 80"),
    ];
    for (word, said) in cases {
        assert_eq!(refused(word), said, "{word}");
    }
}

#[test]
fn a_pod_that_was_ended_says_by_what() {
    let mut evicted = pod("evicted", 1, "10.244.1.7", &json("{}"), None);
    evicted["status"]["phase"] = "Failed".into();
    evicted["status"]["reason"] = "Evicted".into();
    evicted["status"]["message"] = "The node was low on resource: memory.".into();
    let error = Party::resolve("evicted", "shop", &state(vec![evicted])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pod shop/evicted has ended (Failed, Evicted: The node was low on resource: memory.): it has no address any more"
    );
}

#[test]
fn notes_tell_what_is_not_there_yet() {
    let state = state(shop());
    let notes = |word: &str| resolve(word, &state).notes;
    assert_eq!(
        notes("deploy/web"),
        [
            "1 of 3 pods of deployment shop/web have no address yet (Pending, Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.)"
        ]
    );
    assert_eq!(
        notes("svc/none"),
        ["service shop/none has no endpoint that is ready: no pod has the labels app=nobody"]
    );
    assert_eq!(
        notes("svc/slow"),
        ["service shop/slow has no endpoint that is ready: its only endpoint is not ready"]
    );
    assert!(notes("svc/web").is_empty());
}

#[test]
fn labels_select_pods() {
    let state = state(shop());
    let select = |selector: &str, namespace: Option<&str>| {
        Party::select(&selector.parse::<Selector>().unwrap(), namespace, &state)
    };
    let web = select("app=web", Some("shop")).unwrap();
    assert_eq!((web.pods.len(), web.label.as_str(), web.notes.len()), (2, "-l app=web", 1));
    assert_eq!(select("app in (web,db)", None).unwrap().pods.len(), 3);
    // Those that have ended are left out without a word.
    assert_eq!(select("", None).unwrap().pods.len(), 6);
    let none = select("app=wep", Some("shop")).unwrap_err().to_string();
    assert_eq!(
        none,
        "no pod of the namespace shop has the labels app=wep (there are app=agent, app=client, app=db, app=web)"
    );
    assert_eq!(
        select("app=web", Some("other")).unwrap_err().to_string(),
        "no pod of the namespace other has the labels app=web"
    );
    assert_eq!(
        select("job-name=once", None).unwrap_err().to_string(),
        "no pod with the labels job-name=once runs (all of them have ended)"
    );
}

#[test]
fn a_state_without_labels_cannot_be_asked_for_them() {
    let written = ClusterState::from_json(state(shop()).to_json().to_string().as_bytes()).unwrap();
    let error = Party::select(&"app=web".parse().unwrap(), None, &written).unwrap_err();
    assert_eq!(error, ResolveError::NoLabels);
    assert_eq!(Party::select(&Selector::default(), None, &written).unwrap().pods.len(), 6);
}

#[test]
fn an_end_takes_in_what_came_later() {
    let mut party = resolve("deploy/web", &state(shop()));
    let before = party.clone();
    party.absorb(before.clone());
    assert_eq!(party, before, "the same once more adds nothing");

    let mut items = shop();
    let moved = items.iter_mut().find(|item| item["metadata"]["name"] == "web-f8f9d9cff-aaaaa").unwrap();
    moved["status"]["podIPs"] = json(r#"[{"ip": "10.244.3.7"}]"#);
    moved["status"]["podIP"] = "10.244.3.7".into();
    moved["spec"]["nodeName"] = "node3".into();
    party.absorb(resolve("deploy/web", &state(items)));
    assert_eq!(seeds(&party), ["10.244.1.1", "10.244.2.1", "10.244.3.7"]);
    assert_eq!(party.nodes, ["node1", "node2", "node3"]);
    assert_eq!(party.pods.len(), 3);
}

#[test]
fn a_host_is_its_addresses() {
    let ips: Vec<IpAddr> = ["198.51.100.1", "2001:db8::1"].map(|ip| ip.parse().unwrap()).to_vec();
    assert_eq!(seeds(&Party::host("example.org", &ips).unwrap()), ["198.51.100.1", "2001:db8::1"]);
    assert_eq!(seeds(&Party::host("example.org:443", &ips[..1]).unwrap()).len(), 2, "by TCP and by UDP");
    assert!(Party::host("example.org", &[]).is_err());
}

#[test]
fn the_nodes_of_a_scope_are_those_that_its_packets_pass() {
    let state = state(shop());
    let cases = [
        ("client", Some("sts/db"), "node1 node3"),
        ("client", Some("svc/web"), "node1 node2"),
        ("client", Some("svc/web-np"), "node1 node2"),
        ("client", Some("192.168.0.3:31080"), "node1 node2 node3"),
        ("client", Some("198.51.100.1"), "node1"),
        ("198.51.100.1", Some("client"), "node1"),
        ("198.51.100.1", Some("192.168.0.2:31080"), "node1 node2"),
        ("198.51.100.1", Some("192.168.0.3:31080"), "node1 node2 node3"),
        ("198.51.100.1", Some("svc/web-np"), "node1 node2 node3"),
        ("198.51.100.1", Some("svc/web-lb"), "node1 node2 node3"),
        // The pods can be reached by a NodePort and by an external address.
        ("198.51.100.1", Some("deploy/web"), "node1 node2 node3"),
        ("198.51.100.1", Some("svc/web"), "node1 node2"),
        ("deploy/web", None, "node1 node2"),
        ("svc/web", None, "node1 node2"),
        ("svc/web-np", None, "node1 node2 node3"),
        ("198.51.100.1", None, "node1 node2 node3"),
        ("node/node1", Some("node/node2"), "node1 node2"),
        ("node/node1", Some("svc/web-np"), "node1 node2 node3"),
    ];
    for (source, destination, nodes) in cases {
        let party = |word: &str| resolve(word, &state);
        let scope = Scope { source: party(source), destination: destination.map(party) };
        let found: Vec<String> = scope.nodes(&state).into_iter().collect();
        assert_eq!(found.join(" "), nodes, "{source} {destination:?}");
    }
}
