//! Which kubeconfig files there are, and whether they name what is asked for.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use super::ConnectError;

/// The variable that names the files.
const VARIABLE: &str = "KUBECONFIG";

/// The files, merged as kubectl merges them, and how to call them; absent where there is none.
pub(super) fn read(flag: Option<&Path>) -> Result<Option<(Kubeconfig, String)>, ConnectError> {
    let (paths, by_variable) = match flag {
        Some(path) => (vec![path.to_owned()], false),
        None => match by_variable() {
            Some(paths) => (paths, true),
            None => match by_home() {
                Some(path) => (vec![path], false),
                None => return Ok(None),
            },
        },
    };
    merged(&paths, by_variable).map(Some)
}

/// Of several files those that do not exist are left out, as kubectl does; at least one has to.
fn merged(paths: &[PathBuf], by_variable: bool) -> Result<(Kubeconfig, String), ConnectError> {
    let (mut whole, mut used, mut missing) = (None, Vec::new(), None);
    for path in paths {
        let file = match read_one(path, by_variable) {
            Err(ConnectError::Read { path, by_variable, source })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                missing.get_or_insert(ConnectError::Read { path, by_variable, source });
                continue;
            }
            result => result?,
        };
        used.push(path.display().to_string());
        whole = Some(match whole {
            None => file,
            Some(before) => Kubeconfig::merge(before, file).map_err(|source| unusable(path, source))?,
        });
    }
    match (whole, missing) {
        (Some(whole), _) => Ok((whole, used.join(", "))),
        (None, Some(missing)) => Err(missing),
        (None, None) => Err(ConnectError::NoConfig),
    }
}

fn read_one(path: &Path, by_variable: bool) -> Result<Kubeconfig, ConnectError> {
    Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(source, path) => ConnectError::Read { path, by_variable, source },
        source => unusable(path, source),
    })
}

fn unusable(path: &Path, source: KubeconfigError) -> ConnectError {
    ConnectError::Config { files: path.display().to_string(), source: Box::new(source) }
}

fn by_variable() -> Option<Vec<PathBuf>> {
    let value = env::var_os(VARIABLE)?;
    let paths: Vec<PathBuf> = env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect();
    (!paths.is_empty()).then_some(paths)
}

fn by_home() -> Option<PathBuf> {
    let path = env::home_dir()?.join(".kube").join("config");
    path.exists().then_some(path)
}

/// Fails where the context is not there, with those that are.
pub(super) fn check(file: &Kubeconfig, files: &str, context: Option<&str>) -> Result<(), ConnectError> {
    let known = || file.contexts.iter().map(|context| context.name.clone()).collect();
    let current = file.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = context.or(current) else {
        return Err(ConnectError::NoCurrentContext { files: files.to_owned(), known: known() });
    };
    let found = file.contexts.iter().find(|each| each.name == name);
    let Some(context) = found.and_then(|each| each.context.as_ref()) else {
        return Err(ConnectError::NoContext { name: name.to_owned(), known: known() });
    };
    if !file.clusters.iter().any(|cluster| cluster.name == context.cluster) {
        return Err(ConnectError::NoCluster {
            context: name.to_owned(),
            cluster: context.cluster.clone(),
            files: files.to_owned(),
        });
    }
    Ok(())
}

/// Contexts for a person.
pub(super) fn list(known: &[String]) -> String {
    match known {
        [] => "no kubeconfig has any".to_owned(),
        known => format!("there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
current-context: a
clusters: [{name: one, cluster: {server: 'https://192.0.2.1'}}]
contexts: [{name: a, context: {cluster: one}}, {name: b, context: {cluster: two}}]
";

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let file = Kubeconfig::from_yaml(FILE).unwrap();
        let said = |context| check(&file, "FILE", context).unwrap_err().to_string();
        assert!(check(&file, "FILE", None).is_ok() && check(&file, "FILE", Some("a")).is_ok());
        assert_eq!(said(Some("c")), "no such context: c (there are a, b)");
        assert_eq!(
            said(Some("b")),
            "the context b is of the cluster two, which the kubeconfig FILE does not have"
        );
        let none = Kubeconfig { current_context: Some(String::new()), ..file.clone() };
        assert_eq!(
            check(&none, "FILE", None).unwrap_err().to_string(),
            "the kubeconfig FILE has no current context: name one with --context (there are a, b)"
        );
    }

    #[test]
    fn files_are_merged_and_one_has_to_exist() {
        let folder = env::temp_dir().join(format!("kflow-kubeconfig-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [one, two, gone, odd] = ["one", "two", "gone", "odd"].map(|name| folder.join(name));
        std::fs::write(&one, FILE).unwrap();
        std::fs::write(
            &two,
            "current-context: z\nclusters: [{name: two, cluster: {server: 'https://192.0.2.2'}}]",
        )
        .unwrap();
        std::fs::write(&odd, "contexts: 7").unwrap();
        let (file, files) = merged(&[gone.clone(), one.clone(), two.clone()], true).unwrap();
        assert_eq!(file.current_context.as_deref(), Some("a"), "the first file that says so");
        assert!(check(&file, &files, Some("b")).is_ok(), "the cluster of another file");
        assert!(files.contains("one, ") && !files.contains("gone"), "{files}");

        let error = merged(std::slice::from_ref(&gone), true).unwrap_err().to_string();
        assert!(error.contains("gone (KUBECONFIG names it)"), "{error}");
        let error = merged(&[one, odd.clone()], false).unwrap_err().to_string();
        assert_eq!(error, format!("cannot use the kubeconfig {}", odd.display()));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
