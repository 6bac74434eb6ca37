//! What is in the binary, as a bill of materials in the format `CycloneDX` 1.5.
//!
//! The packages are those that cargo links for the targets and those of the eBPF object inside; what only builds or tests
//! is left out. Versions and hashes are those of the lock file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::VERSION;
use super::binary::Binary;
use super::commit::Commit;
use crate::step::output;
use crate::workspace::Workspace;

/// What is linked: the program, and the object that it embeds.
const ROOTS: [&str; 2] = ["tracer", "tracer-ebpf"];

/// Writes the bill of all targets together.
pub(super) fn write(workspace: &Workspace, binaries: &[Binary], commit: &Commit, out: &Path) -> Result<()> {
    let mut cargo = workspace.cargo("metadata --locked --format-version 1");
    for binary in binaries {
        cargo.args(["--filter-platform", binary.target.triple()]);
    }
    let metadata: Value = serde_json::from_str(&output(&mut cargo)?).context("cargo's metadata")?;
    let lock = workspace.root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let rust = output(workspace.command("rustc").arg("--version"))?;
    let bill = bill(&metadata, &checksums(&lock), rust.trim(), commit)?;
    let count = bill["components"].as_array().map_or(0, Vec::len);
    eprintln!("{count} components");
    let text = serde_json::to_string_pretty(&bill).context("cannot write JSON")?;
    fs::write(out.join(format!("kflow-{VERSION}.cdx.json")), text + "\n").context("cannot write the bill")
}

fn bill(
    metadata: &Value,
    checksums: &BTreeMap<(String, String), String>,
    rust: &str,
    commit: &Commit,
) -> Result<Value> {
    let packages: BTreeMap<&str, &Value> = list(&metadata["packages"])
        .iter()
        .filter_map(|package| Some((text(package, "id")?, package)))
        .collect();
    let edges = edges(metadata);
    let roots = ROOTS.iter().filter_map(|name| {
        packages.iter().find(|(_, package)| package["source"].is_null() && package["name"] == *name)
    });
    let linked = reachable(roots.map(|(id, _)| *id), &edges);
    let mut components = vec![standard_library(rust)];
    let mut dependencies = vec![json!({
        "ref": "kflow",
        "dependsOn": packages.iter().filter(|(_, package)| is_root(package)).map(|(_, package)| reference(package)).collect::<Vec<_>>(),
    })];
    for id in linked {
        let package = packages.get(id).with_context(|| format!("cargo tells nothing of {id}"))?;
        components.push(component(package, checksums));
        let needs = edges.get(id).into_iter().flatten();
        let needs: Vec<String> =
            needs.filter_map(|id| packages.get(id)).map(|package| reference(package)).collect();
        dependencies.push(json!({ "ref": reference(package), "dependsOn": needs }));
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": commit.time,
            "component": {
                "type": "application",
                "bom-ref": "kflow",
                "name": "kflow",
                "version": VERSION,
                "purl": format!("pkg:generic/kflow@{VERSION}"),
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
                "properties": [{ "name": "commit", "value": commit.hash }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn is_root(package: &Value) -> bool {
    package["source"].is_null() && ROOTS.iter().any(|name| package["name"] == *name)
}

/// What each package is linked with: no build scripts' and no tests' dependencies, and no macros, which run at build
/// time.
fn edges(metadata: &Value) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let Some(id) = text(node, "id") else { continue };
        let linked = list(&node["deps"])
            .iter()
            .filter(|dependency| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()));
        edges.insert(id, linked.filter_map(|dependency| text(dependency, "pkg")).collect());
    }
    let macros: BTreeSet<&str> = list(&metadata["packages"])
        .iter()
        .filter(|package| {
            list(&package["targets"])
                .iter()
                .any(|target| list(&target["kind"]).iter().any(|kind| kind == "proc-macro"))
        })
        .filter_map(|package| text(package, "id"))
        .collect();
    for needs in edges.values_mut() {
        needs.retain(|id| !macros.contains(id));
    }
    edges
}

fn reachable<'a>(
    roots: impl Iterator<Item = &'a str>,
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = roots.collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(edges.get(id).into_iter().flatten());
        }
    }
    found
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) =
        (text(package, "name").unwrap_or_default(), text(package, "version").unwrap_or_default());
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": name,
        "version": version,
    });
    let Some(fields) = component.as_object_mut() else { return component };
    if !package["source"].is_null() {
        fields.insert("purl".to_owned(), json!(reference(package)));
    }
    if let Some(license) = text(package, "license") {
        // The form of cargo's first years.
        fields.insert("licenses".to_owned(), json!([{ "expression": license.replace('/', " OR ") }]));
    }
    if let Some(sum) = checksums.get(&(name.to_owned(), version.to_owned())) {
        fields.insert("hashes".to_owned(), json!([{ "alg": "SHA-256", "content": sum }]));
    }
    if let Some(url) = text(package, "repository") {
        fields.insert("externalReferences".to_owned(), json!([{ "type": "vcs", "url": url }]));
    }
    component
}

/// The package as a URL (purl): unique among all packages of one lock file. The `+` of build metadata is escaped there.
fn reference(package: &Value) -> String {
    let version = text(package, "version").unwrap_or_default().replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", text(package, "name").unwrap_or_default())
}

/// Rust's own libraries and musl, which its target brings along, are in every binary, but in no lock file.
fn standard_library(rust: &str) -> Value {
    let version = rust.split(' ').nth(1).unwrap_or("unknown");
    json!({
        "type": "library",
        "bom-ref": format!("pkg:generic/rust-std@{version}"),
        "name": "rust-std",
        "version": version,
        "description": format!("The standard library of {rust}, with the C library musl"),
        "purl": format!("pkg:generic/rust-std@{version}"),
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    })
}

/// SHA-256 of each package as its registry hands it out, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let found = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        found.map(|text| text.trim_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|package| {
            let of = (value(package, "name")?, value(package, "version")?);
            Some((of, value(package, "checksum")?))
        })
        .collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, source: &Value, kind: &str) -> Value {
        json!({
            "id": format!("{name}#1.0.0+x"), "name": name, "version": "1.0.0+x", "source": source,
            "license": "MIT/Apache-2.0", "targets": [{ "kind": [kind] }],
        })
    }

    fn needs(name: &str, of: &[(&str, Value)]) -> Value {
        let deps: Vec<Value> = of
            .iter()
            .map(|(name, kind)| json!({ "pkg": format!("{name}#1.0.0+x"), "dep_kinds": [{ "kind": kind }] }))
            .collect();
        json!({ "id": format!("{name}#1.0.0+x"), "deps": deps })
    }

    #[test]
    fn what_is_linked_is_in_it_and_nothing_else() {
        let registry = json!("registry+https://example.org");
        let names = ["linked", "below", "builds", "tests", "derives", "kernel"];
        let mut packages: Vec<Value> = names
            .iter()
            .map(|name| package(name, &registry, if *name == "derives" { "proc-macro" } else { "lib" }))
            .collect();
        packages.extend(ROOTS.map(|name| package(name, &Value::Null, "lib")));
        let none = Value::Null;
        let of_tracer = [
            ("linked", none.clone()),
            ("derives", none.clone()),
            ("builds", json!("build")),
            ("tests", json!("dev")),
        ];
        let nodes = [
            needs("tracer", &of_tracer),
            needs("tracer-ebpf", &[("kernel", none.clone())]),
            needs("linked", &[("below", none)]),
        ];
        let metadata = json!({ "packages": packages, "resolve": { "nodes": nodes } });
        let sums = checksums(
            "version = 4\n\n[[package]]\nname = \"below\"\nversion = \"1.0.0+x\"\nchecksum = \"abc\"\n\n\
             [[package]]\nname = \"tracer\"\nversion = \"1.0.0+x\"\n",
        );
        let commit = Commit { hash: "c".into(), time: "1970-01-01T00:00:00Z".into() };
        let bill = bill(&metadata, &sums, "rustc 1.95.0 (59807616e 2026-04-14)", &commit).expect("a bill");
        let found: Vec<_> = list(&bill["components"]).iter().filter_map(|one| text(one, "name")).collect();
        assert_eq!(found, ["rust-std", "below", "kernel", "linked", "tracer", "tracer-ebpf"]);
        let below = &bill["components"][1];
        assert_eq!(below["hashes"][0]["content"], "abc");
        assert_eq!(below["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(below["purl"], "pkg:cargo/below@1.0.0%2Bx");
        let of_kflow = &bill["dependencies"][0];
        assert_eq!(of_kflow["ref"], "kflow");
        assert_eq!(of_kflow["dependsOn"].as_array().map(Vec::len), Some(2));
    }
}
