use clap::Parser;

use super::*;
use crate::cli::cluster::DEFAULT_IMAGE;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    agents: AgentArgs,
}

fn manifest(flags: &[&str], pod_side: bool) -> Manifest {
    let flags = Flags::parse_from(["test"].iter().chain(flags));
    Manifest::new(&flags.agents, Needs { pod_side }, None).unwrap()
}

#[test]
fn what_selects_the_pods_is_the_same_for_every_version_and_flag() {
    let one = manifest(&[], false);
    let other = manifest(&["--image", "x:2"], true);
    let selector = |manifest: &Manifest| manifest.daemon_set.spec.selector.clone();
    assert_eq!(selector(&one), selector(&other));
    let labels = other.daemon_set.spec.template.metadata.as_ref().unwrap().labels.clone().unwrap();
    for (key, value) in selector(&one).match_labels.unwrap() {
        assert_eq!(labels.get(&key), Some(&value), "{key}");
    }
}

#[test]
fn the_yaml_says_what_the_objects_say() {
    let manifest = manifest(&["--toleration", "yes=no:NoExecute", "--agent-cpu", "1"], true);
    let yaml = manifest.yaml().unwrap();
    let read: Vec<Value> = yaml.split("---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    assert_eq!(read, manifest.objects().unwrap());
    assert_eq!(read[0]["kind"], "Namespace");
    assert_eq!(read[1]["kind"], "DaemonSet");
}

#[test]
fn progress_counts_agents_of_the_newest_kind_only() {
    let set = |generation: i64, updated: i32, ready: i32| -> DaemonSet {
        serde_json::from_value(serde_json::json!({
            "metadata": {"generation": 2},
            "status": {
                "observedGeneration": generation, "updatedNumberScheduled": updated, "numberReady": ready,
                "desiredNumberScheduled": 3, "currentNumberScheduled": 3, "numberMisscheduled": 0,
            },
        }))
        .unwrap()
    };
    assert_eq!(progress(&set(1, 3, 3)), None, "the controller has not seen the change");
    assert_eq!(progress(&set(2, 1, 3)), Some((1, 3)), "two are of the old kind");
    assert_eq!(progress(&set(2, 3, 3)), Some((3, 3)));
}

#[test]
fn the_manifest_that_is_shipped_is_the_one_that_is_applied() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/agents.yaml");
    let shipped = std::fs::read_to_string(path).unwrap();
    let manifest = manifest(&["--image", DEFAULT_IMAGE], false).yaml().unwrap();
    assert_eq!(
        shipped, manifest,
        "write it anew: kflow install --dry-run=client -o yaml > deploy/agents.yaml"
    );
}
