//! The double, as the client library that kflow uses finds it.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process};

use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Config,
    api::{AttachParams, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tests::cluster::{ApiDouble, DoubleConfig, Fate, NodeConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Failure, Test, eventually};

/// Stands in for kflow: waits as an agent, and runs everything else in a shell.
const PROGRAM: &str = "#!/bin/sh\n[ \"$1\" = agent ] && exec sleep 1000\nexec \"$@\"\n";

/// A cluster of two nodes without a lab.
pub(crate) struct Bare {
    pub(crate) double: ApiDouble,
    directory: PathBuf,
}

impl Bare {
    pub(crate) fn up(name: &str, mut config: DoubleConfig) -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("kflow-double-{}-{name}", process::id()));
        fs::create_dir_all(&directory)?;
        config.program = directory.join("program");
        fs::write(&config.program, PROGRAM)?;
        fs::set_permissions(&config.program, fs::Permissions::from_mode(0o755))?;
        for (number, name) in ["node-a", "node-b"].into_iter().enumerate() {
            config.nodes.entry(name.to_owned()).or_default();
            let address = format!("192.0.2.{}", 11 + number);
            let status = json!({ "addresses": [{ "type": "InternalIP", "address": address }] });
            config.objects.push(json!({ "kind": "Node", "metadata": { "name": name }, "status": status }));
        }
        Ok(Self { double: ApiDouble::start(config)?, directory })
    }

    async fn client(&self) -> Result<Client, Failure> {
        let path = self.directory.join("kubeconfig");
        self.double.kubeconfig(&path)?;
        let file = Kubeconfig::read_from(path)?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It is in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn pod(name: &str) -> Result<Pod, Failure> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "nodeName": "node-a", "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "agent", "image": "kflow:1" }],
        },
    }))?)
}

fn run(test: impl Future<Output = Test>) -> Test {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(test)
}

async fn pods(bare: &Bare) -> Result<Api<Pod>, Failure> {
    let client = bare.client().await?;
    let space: Namespace = serde_json::from_value(json!({ "metadata": { "name": "kflow" } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &space).await?;
    Ok(Api::namespaced(client, "kflow"))
}

async fn until_running(pods: &Api<Pod>, name: &str) -> Result<String, Failure> {
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = pods.watch(&params, "0").await?.boxed();
    while let Some(event) = events.try_next().await? {
        if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event
            && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
        {
            return Ok(pod.metadata.resource_version.unwrap_or_default());
        }
    }
    Err("the watch ended".into())
}

#[test]
fn a_program_in_a_pod_has_three_streams_and_an_exit_code() -> Test {
    for only_v4 in [false, true] {
        let bare = Bare::up(&format!("exec-{only_v4}"), DoubleConfig { only_v4, ..DoubleConfig::default() })?;
        run(async {
            let pods = pods(&bare).await?;
            pods.create(&PostParams::default(), &pod("a")?).await?;
            until_running(&pods, "a").await?;
            let script = "read line; echo \"out $line\"; echo err >&2; exit 3";
            let params = AttachParams::default().container("agent").stdin(true).stderr(true);
            let mut process = pods.exec("a", ["/kflow", "sh", "-c", script], &params).await?;
            process.stdin().unwrap().write_all(b"hello\n").await?;
            let (mut out, mut err) = (String::new(), String::new());
            let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
            let status = process.take_status().unwrap();
            tokio::try_join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err))?;
            assert_eq!((out.as_str(), err.as_str()), ("out hello\n", "err\n"), "only v4: {only_v4}");
            let causes = status.await.and_then(|status| status.details?.causes).unwrap();
            assert_eq!(causes[0].reason.as_deref(), Some("ExitCode"));
            assert_eq!(causes[0].message.as_deref(), Some("3"));
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_deleted_pod_takes_its_programs_along() -> Test {
    let bare = Bare::up("delete", DoubleConfig::default())?;
    run(async {
        let pods = pods(&bare).await?;
        pods.create(&PostParams::default(), &pod("a")?).await?;
        until_running(&pods, "a").await?;
        let params = AttachParams::default().container("agent");
        let words = ["/kflow", "sh", "-c", "echo begun; exec sleep 1000"];
        let mut process = pods.exec("a", words, &params).await?;
        process.stdout().unwrap().read_exact(&mut [0; 6]).await?;
        pods.delete("a", &DeleteParams::default().grace_period(0)).await?;
        let status = process.take_status().unwrap().await;
        let causes = status.and_then(|status| status.details?.causes).unwrap();
        assert_eq!(causes[0].message.as_deref(), Some("137"));
        eventually("its first process is gone", || bare.double.processes().is_empty());
        Ok(())
    })
}

#[test]
fn a_connection_that_goes_is_the_end_of_input_and_no_signal() -> Test {
    let bare = Bare::up("drop", DoubleConfig::default())?;
    let mark = bare.directory.join("mark");
    run(async {
        let pods = pods(&bare).await?;
        pods.create(&PostParams::default(), &pod("a")?).await?;
        until_running(&pods, "a").await?;
        let script = format!("echo begun; cat; echo after >{}", mark.display());
        let params = AttachParams::default().container("agent").stdin(true).stderr(false);
        let mut process = pods.exec("a", ["/kflow", "sh", "-c", &script], &params).await?;
        let mut begun = [0; 6];
        process.stdout().unwrap().read_exact(&mut begun).await?;
        bare.double.cut_connections();
        eventually("the program goes on behind the end of its input", || mark.exists());
        Ok(())
    })
}

#[test]
fn lists_come_in_pages_and_selected() -> Test {
    let bare = Bare::up("lists", DoubleConfig::default())?;
    run(async {
        let pods = pods(&bare).await?;
        for name in ["a", "b", "c"] {
            let mut pod = pod(name)?;
            pod.metadata.labels = Some(BTreeMap::from([("name".to_owned(), name.to_owned())]));
            pods.create(&PostParams::default(), &pod).await?;
        }
        let first = pods.list(&ListParams::default().limit(2)).await?;
        let token = first.metadata.continue_.clone().unwrap();
        let second = pods.list(&ListParams::default().limit(2).continue_token(&token)).await?;
        let names =
            |pods: &[Pod]| pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&first.items), ["a", "b"]);
        assert_eq!(names(&second.items), ["c"]);
        assert_eq!(first.metadata.remaining_item_count, Some(1));
        let selected = pods.list(&ListParams::default().labels("name in (a,c),name!=a")).await?;
        assert_eq!(names(&selected.items), ["c"]);
        Ok(())
    })
}

#[test]
fn watches_resume_and_expire() -> Test {
    let bare = Bare::up("watch", DoubleConfig::default())?;
    run(async {
        let pods = pods(&bare).await?;
        pods.create(&PostParams::default(), &pod("a")?).await?;
        let version = until_running(&pods, "a").await?;
        pods.delete("a", &DeleteParams::default()).await?;
        let mut events = pods.watch(&WatchParams::default(), &version).await?.boxed();
        let mut kinds = Vec::new();
        while let Some(event) = events.try_next().await? {
            kinds.push(matches!(event, WatchEvent::Deleted(_)));
            if kinds.last() == Some(&true) {
                break;
            }
        }
        // Marked, ended and confirmed, before it is gone.
        assert!(kinds.len() >= 3, "{kinds:?}");
        bare.double.compact();
        let mut events = pods.watch(&WatchParams::default(), &version).await?.boxed();
        let expired = events.try_next().await?;
        assert!(matches!(&expired, Some(WatchEvent::Error(status)) if status.code == 410), "{expired:?}");
        Ok(())
    })
}

#[test]
fn a_daemon_set_has_a_pod_on_every_node() -> Test {
    let bare = Bare::up("daemon", DoubleConfig::default())?;
    let set = json!({
        "kind": "DaemonSet", "metadata": { "name": "agents", "namespace": "kflow" },
        "spec": { "template": { "metadata": { "labels": { "app": "agent" } }, "spec": {
            "terminationGracePeriodSeconds": 0, "containers": [{ "name": "agent", "image": "kflow:1" }],
        } } },
    });
    bare.double.set(&set)?;
    let ready =
        || bare.double.objects("DaemonSet").first().and_then(|set| set["status"]["numberReady"].as_u64());
    eventually("an agent runs on each of the nodes", || ready() == Some(2));
    assert!(bare.double.remove("DaemonSet", "kflow", "agents"));
    eventually("they are gone with it", || {
        bare.double.objects("Pod").is_empty() && bare.double.processes().is_empty()
    });
    Ok(())
}

#[test]
fn a_fate_can_change() -> Test {
    let nodes = [("node-a".to_owned(), NodeConfig { fate: Fate::Tainted, ..NodeConfig::default() })];
    let bare = Bare::up("fate", DoubleConfig { nodes: nodes.into(), ..DoubleConfig::default() })?;
    bare.double.set_fate("node-a", Fate::Runs);
    run(async {
        let pods = pods(&bare).await?;
        pods.create(&PostParams::default(), &pod("a")?).await?;
        until_running(&pods, "a").await.map(drop)
    })
}
