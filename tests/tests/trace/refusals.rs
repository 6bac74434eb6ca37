//! What a trace says when it cannot do what it is asked for, or has nothing to show.

use std::{ffi::OsString, fs, path::Path};

use tests::{
    Kflow, Lab, LabConfig, Overlay,
    kflow::{self, Outcome},
    lab::topology::{K8S_MASTER, K8S_NODE1, K8S_NODE2},
};

use crate::support::{JSON, POD_TO_POD, Site, Test, list, node_port, word};

/// Words of a command line, its exit code, and what standard error has to say.
///
/// `STATE` is the lab's state file, `NODE1` the network namespace of k8s-node1, `DIR` a folder of the lab.
struct Refusal {
    words: &'static str,
    code: i32,
    said: &'static [&'static str],
}

const REFUSALS: [Refusal; 16] = [
    Refusal {
        words: "--state STATE pod-scr",
        code: 1,
        said: &["no such pod: default/pod-scr", "did you mean default/pod-src"],
    },
    Refusal {
        words: "--state STATE pod-src svc/svc-nodepor",
        code: 1,
        said: &["no such service: default/svc-nodepor", "default/svc-nodeport"],
    },
    Refusal {
        words: "--state STATE pod-src svc/svc-nodeport:81",
        code: 1,
        said: &["has no port \"81\"", "8080"],
    },
    Refusal { words: "--state STATE node/k8s-nod1", code: 1, said: &["no such node: k8s-nod1", "k8s-node1"] },
    Refusal { words: "--state STATE a/b/c", code: 2, said: &["cannot trace \"a/b/c\"", "NAMESPACE/POD"] },
    Refusal {
        words: "--state DIR/cut.json pod-src",
        code: 1,
        said: &["DIR/cut.json", "malformed", "line 1 column"],
    },
    Refusal {
        words: "--state DIR/odd.json pod-src",
        code: 1,
        said: &["DIR/odd.json", "malformed in item 1, Pod \"web\""],
    },
    Refusal {
        words: "--state DIR/none.json pod-src",
        code: 1,
        said: &["cannot read the cluster state DIR/none.json", "No such file"],
    },
    Refusal {
        words: "--state DIR pod-src",
        code: 1,
        said: &["cannot read the cluster state DIR", "Is a directory"],
    },
    Refusal {
        words: "--local pod-src",
        code: 2,
        said: &["\"pod-src\" is a name", "--state FILE", "kubectl get"],
    },
    Refusal {
        words: "--state STATE --node k8s-node9=netns:NODE1 pod-src",
        code: 1,
        said: &["no such node: k8s-node9", "k8s-master, k8s-node1, k8s-node2"],
    },
    Refusal {
        words: "--state STATE --node k8s-node1 pod-src",
        code: 2,
        said: &["--node \"k8s-node1\" is not NAME=netns:PATH"],
    },
    Refusal {
        words: "--state STATE --frobnicate pod-src",
        code: 2,
        said: &["unexpected argument '--frobnicate'", "Usage"],
    },
    Refusal {
        words: "--state STATE --node k8s-node1=netns:NODE1 -i eth1 pod-src",
        code: 1,
        said: &["no interface eth1", "eth0", "calia5814ebbae9", "tunl0"],
    },
    Refusal {
        words: "--state STATE --node k8s-node1=netns:DIR/netns pod-src",
        code: 1,
        said: &["no network namespace DIR/netns", "ip netns"],
    },
    Refusal {
        words: "--state STATE --node k8s-node1=netns:NODE1 -w DIR/none/trace.pcapng pod-src",
        code: 1,
        said: &["cannot create DIR/none/trace.pcapng", "No such file"],
    },
];

#[test]
fn what_is_wrong_is_said() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let directory = lab.directory();
    fs::write(directory.join("cut.json"), "{\"kind\": \"List\", \"items\": [")?;
    fs::write(
        directory.join("odd.json"),
        r#"{"kind": "List", "items": [{"kind": "Secret"}, {"kind": "Pod", "metadata": {"name": "web"}, "spec": 7}]}"#,
    )?;
    for Refusal { words, code, said } in &REFUSALS {
        let outcome = Kflow::run(&kflow::program(), arguments(&lab, words))?;
        assert_eq!(outcome.code, Some(*code), "{words}: {outcome:?}");
        for part in said.iter().map(|part| fill(&lab, part)) {
            assert!(outcome.stderr.contains(&part), "{words}: no \"{part}\" in {}", outcome.stderr);
        }
        assert_eq!(outcome.stdout, "", "{words}");
    }
    Ok(())
}

#[test]
fn a_missing_capability_is_named_with_the_remedy() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let words = "--state STATE --node k8s-node1=netns:NODE1 pod-src";
    for (dropped, named) in [
        ("-net_admin", &["cap_net_admin"][..]),
        ("-bpf,-perfmon,-sys_admin", &["cap_bpf", "cap_sys_admin"]),
        ("-all", &["cap_net_admin"]),
    ] {
        let setpriv = [format!("--bounding-set={dropped}"), "--inh-caps=-all".to_owned()].map(OsString::from);
        let args = setpriv.into_iter().chain([kflow::program().into()]).chain(arguments(&lab, words));
        let outcome = Kflow::run(Path::new("setpriv"), args)?;
        assert_eq!(outcome.code, Some(4), "{dropped}: {outcome:?}");
        for part in named.iter().copied().chain(["setcap", "sudo"]) {
            assert!(outcome.stderr.contains(part), "{dropped}: no \"{part}\" in {}", outcome.stderr);
        }
    }
    Ok(())
}

#[test]
fn a_node_of_an_end_that_is_not_watched_is_named() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let words = "--state STATE --node k8s-node1=netns:NODE1 pod-src pod-dest";
    let outcome = Kflow::run(&kflow::program(), arguments(&lab, words))?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("k8s-node2 is not watched"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("k8s-node1 is not watched"), "{}", outcome.stderr);
    Ok(())
}

#[test]
fn silence_comes_with_what_was_watched_and_nearly_matched() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    // To pod-dest, but not from pod-src.
    let other = || site.get_from(K8S_MASTER.name, (K8S_NODE2.address, node_port()), 64);

    let said = silent(&site, &[], other)?;
    for part in [
        "no packet of what was asked for was seen",
        "watched k8s-node1 calia5814ebbae9: ",
        "watched k8s-node2 calib8c6d5407e3: ",
        "flows with an address of one of the ends that are not meant: 1",
        "node/k8s-master (172.18.0.4:",
        "172.18.0.3:31080",
    ] {
        assert!(said.stdout.contains(part), "no \"{part}\" in\n{}", said.stdout);
    }

    let told = silent(&site, &JSON, other)?.told()?;
    assert_eq!((told.flows.len(), &told.summary["complete"]), (0, &false.into()), "{:#}", told.summary);
    let [nearest] = list(&told.summary["nearest"]) else { panic!("{:#}", told.summary) };
    assert_eq!(word(&nearest["source"]["address"]), "172.18.0.4");
    let interfaces = list(&told.summary["loss"]["interfaces"]);
    let matched = |node: &str, name: &str| {
        let found = interfaces
            .iter()
            .find(|each| each["node"] == node && each["interface"] == name && each["pod"].is_null());
        found.and_then(|each| each["matched"].as_u64())
    };
    assert_eq!(matched(K8S_NODE2.name, "calib8c6d5407e3"), Some(0));
    assert!(matched(K8S_NODE1.name, "calia5814ebbae9") > Some(0));
    Ok(())
}

#[test]
fn silence_where_nothing_passes_at_all() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let said = silent(&site, &[], || Ok::<(), std::io::Error>(()))?.stdout;
    assert!(said.contains("watched k8s-node1 tunl0: 0 packets passed"), "{said}");
    assert!(!said.contains("flows with an address"), "{said}");
    Ok(())
}

/// A trace between the pods that ends without having seen any packet between them.
fn silent<T, E>(
    site: &Site,
    words: &[&str],
    traffic: impl FnOnce() -> Result<T, E>,
) -> Result<Outcome, Box<dyn std::error::Error>>
where
    E: Into<Box<dyn std::error::Error>>,
{
    let kflow = site.trace(POD_TO_POD.into_iter().chain(words.iter().copied()))?;
    traffic().map_err(Into::into)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    Ok(outcome)
}

/// A trace that ends by itself where it is not refused.
fn arguments(lab: &Lab, words: &str) -> Vec<OsString> {
    let words = fill(lab, words);
    ["trace", "--duration", "1"].into_iter().chain(words.split(' ')).map(OsString::from).collect()
}

fn fill(lab: &Lab, words: &str) -> String {
    let node1 = lab.node(K8S_NODE1.name).path().display().to_string();
    let directory = lab.directory().display().to_string();
    let state = lab.state_path().display().to_string();
    words.replace("STATE", &state).replace("NODE1", &node1).replace("DIR", &directory)
}
