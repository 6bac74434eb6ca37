//! Who may.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Seen;
use super::trace::{DURATION, PATIENCE, TRAFFIC};
use crate::e2e::stage::{AGENTS, NAMESPACE, Stage, namespace};
use crate::e2e::told::Told;

/// What is shipped, for the group `kflow-users` and the namespace `kflow`.
const RBAC: &str = include_str!("../../../../deploy/rbac/rbac.yaml");

/// A person with no right, by a service account, whose group is known to every cluster.
const NOBODY: &str = "nobody";

fn user(stage: &Stage) -> Result<PathBuf> {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": NOBODY, "namespace": NAMESPACE },
    });
    stage.cluster.apply_all(&[account])?;
    let token = stage.cluster.text(&["create", "token", "-n", NAMESPACE, NOBODY, "--duration=1h"])?;
    stage.cluster.changed_kubeconfig("user.kubeconfig", |config: &mut Value| {
        config["users"][0]["user"] = json!({ "token": token.trim() });
    })
}

/// The Roles as they are shipped, with the names of the stories.
fn rbac() -> Result<String> {
    let mut text = RBAC.to_owned();
    let group = format!("system:serviceaccounts:{NAMESPACE}");
    for (from, to) in [
        ("namespace: kflow\n", format!("namespace: {AGENTS}\n")),
        ("name: kflow-reader\n", "name: kflow-e2e-reader\n".to_owned()),
        ("name: kflow-agents\n", "name: kflow-e2e-agents\n".to_owned()),
        ("name: kflow-users\n", format!("name: {group}\n")),
    ] {
        ensure!(text.contains(from), "the shipped Roles have no `{}`", from.trim());
        text = text.replace(from, &to);
    }
    Ok(text)
}

fn trace(stage: &Stage) -> Result<crate::e2e::kflow::Ended> {
    let kflow = stage.kflow.with(user(stage)?);
    let words = ["trace", "-n", NAMESPACE, "-o", "json", "--duration", DURATION, "client", "far"];
    kflow.start_with_agents(&words)?.finish(PATIENCE)
}

pub(super) fn minimal(stage: &Stage) -> Result<Seen> {
    // Whoever gives the rights makes the namespace as well.
    let privileged = json!({ "pod-security.kubernetes.io/enforce": "privileged" });
    stage.cluster.apply_all(&[namespace(AGENTS, &privileged)])?;
    let roles = rbac()?;
    stage.cluster.apply(&roles)?;
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    let traced = trace(stage);
    remove(stage)?;
    let flows = Told::of(&traced?.expect(0)?)?;
    Ok(Seen::What(format!("{} flows delivered", flows.delivered()?.len())))
}

pub(super) fn refused(stage: &Stage) -> Result<Seen> {
    remove(stage)?;
    let ended = trace(stage)?.expect(4)?;
    for word in ["kind: Role", "pods/exec", "verbs"] {
        ensure!(ended.err.contains(word), "it does not say `{word}`: {}", ended.err);
    }
    // What it prints can be applied as it is.
    let start = ended.err.find("apiVersion:").context("no manifest")?;
    let yaml: String = ended.err[start..].to_owned();
    let file = stage.cluster.changed_kubeconfig("unused.kubeconfig", |_| {})?.with_file_name("role.yaml");
    std::fs::write(&file, yaml).context("cannot write the Role")?;
    let apply = ["apply", "--dry-run=client", "-o", "name", "-f", &file.display().to_string()];
    let names = stage.cluster.text(&apply).context("what it prints is no manifest")?;
    let first = ended.err.lines().next().unwrap_or_default().to_owned();
    Ok(Seen::What(format!(
        "{:.2} s: \"{first}\", and manifests of {}",
        ended.took.as_secs_f64(),
        names.split_whitespace().collect::<Vec<_>>().join(", ")
    )))
}

fn remove(stage: &Stage) -> Result<()> {
    let names = ["clusterrole/kflow-e2e-reader", "clusterrolebinding/kflow-e2e-reader"];
    stage.cluster.text(&[&["delete", "--ignore-not-found"], &names[..]].concat())?;
    stage.cluster.text(&["delete", "--ignore-not-found", "namespace", AGENTS])?;
    Ok(())
}
