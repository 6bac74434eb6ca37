//! Roles that allow what is missing, as YAML for an administrator.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Lack, Permission};

/// Name of the roles and their bindings.
const NAME: &str = "kflow";
/// Stands for a user whose name the cluster does not tell.
const SOMEBODY: &str = "NAME-OF-THE-USER";
/// How the cluster calls service accounts: this, the namespace, a colon, the name.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// What is missing, and the roles that grant it.
pub(super) fn refusal(error: &Lack) -> String {
    let user = error.user.as_deref();
    let mut text = match user {
        Some(user) => format!("the user {user} lacks permissions:\n"),
        None => "permissions are missing:\n".to_owned(),
    };
    for permission in &error.missing {
        let everywhere = if permission.namespace.is_none() { " in the whole cluster" } else { "" };
        let _ = writeln!(text, "  {permission}{everywhere}");
    }
    let whose =
        if user.is_some() { String::new() } else { format!(" (put the user's name in place of {SOMEBODY})") };
    let _ = write!(text, "an administrator grants them by `kubectl apply -f -` with{whose}:\n\n");
    text.push_str(roles(user, &error.needed).trim_end());
    text
}

/// A role and its binding for each namespace, a cluster role for what is in none.
fn roles(user: Option<&str>, needed: &[Permission]) -> String {
    let mut places: BTreeMap<Option<&str>, Vec<&Permission>> = BTreeMap::new();
    for permission in needed {
        places.entry(permission.namespace.as_deref()).or_default().push(permission);
    }
    let documents: Vec<String> =
        places.into_iter().map(|(namespace, permissions)| role(user, namespace, &permissions)).collect();
    documents.join("---\n")
}

fn role(user: Option<&str>, namespace: Option<&str>, permissions: &[&Permission]) -> String {
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let mut text = object(kind, namespace);
    text.push_str("rules:\n");
    for ((group, verbs), resources) in rules(permissions) {
        let verbs: Vec<&str> = verbs.into_iter().collect();
        let _ = writeln!(text, "- apiGroups: [\"{group}\"]");
        let _ = writeln!(text, "  resources: [{}]", resources.join(", "));
        let _ = writeln!(text, "  verbs: [{}]", verbs.join(", "));
    }
    text.push_str("---\n");
    text.push_str(&object(&format!("{kind}Binding"), namespace));
    let _ = write!(
        text,
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {NAME}\nsubjects:\n{}",
        subject(user)
    );
    text
}

/// Resources with the same verbs share a rule.
fn rules<'a>(permissions: &[&'a Permission]) -> BTreeMap<(&'a str, BTreeSet<&'a str>), Vec<String>> {
    let mut verbs: BTreeMap<(&str, String), BTreeSet<&str>> = BTreeMap::new();
    for permission in permissions {
        verbs.entry((permission.group, permission.resource_name())).or_default().insert(permission.verb);
    }
    let mut rules: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for ((group, resource), verbs) in verbs {
        rules.entry((group, verbs)).or_default().push(resource);
    }
    rules
}

fn object(kind: &str, namespace: Option<&str>) -> String {
    let namespace = namespace.map(|name| format!("\n  namespace: {}", quoted(name))).unwrap_or_default();
    format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {NAME}{namespace}\n")
}

fn subject(user: Option<&str>) -> String {
    let account = user.and_then(|user| user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':'));
    if let Some((namespace, name)) = account {
        format!("- kind: ServiceAccount\n  name: {}\n  namespace: {}\n", quoted(name), quoted(namespace))
    } else {
        let name = quoted(user.unwrap_or(SOMEBODY));
        format!("- apiGroup: rbac.authorization.k8s.io\n  kind: User\n  name: {name}\n")
    }
}

/// A name as YAML takes it whatever is in it: a JSON string is one of YAML's.
fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_grant_what_is_missing() {
        let needed: Vec<Permission> =
            Permission::agents("kflow").into_iter().chain(Permission::lists(Some("shop"))).collect();
        let missing = vec![Permission::new("create", "pods").on("exec").within(Some("kflow"))];
        let error = Lack { user: Some("jane@example.org".to_owned()), missing, needed };
        let expected = r#"the user jane@example.org lacks permissions:
  create pods/exec in the namespace kflow
an administrator grants them by `kubectl apply -f -` with:

apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kflow
  namespace: "kflow"
rules:
- apiGroups: [""]
  resources: [pods]
  verbs: [create, delete, get, list, watch]
- apiGroups: [""]
  resources: [pods/exec]
  verbs: [create, get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: kflow
  namespace: "kflow"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: kflow
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: User
  name: "jane@example.org"
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: kflow
  namespace: "shop"
rules:
- apiGroups: [""]
  resources: [pods, services]
  verbs: [list, watch]
- apiGroups: ["discovery.k8s.io"]
  resources: [endpointslices]
  verbs: [list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: kflow
  namespace: "shop"
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: kflow
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: User
  name: "jane@example.org""#;
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn who_is_not_known_is_left_to_be_filled_in() {
        let nodes = vec![Permission::new("list", "nodes")];
        let lack = |user: Option<&str>| Lack {
            user: user.map(str::to_owned),
            missing: nodes.clone(),
            needed: nodes.clone(),
        };
        let text = lack(None).to_string();
        for part in [
            "permissions are missing:\n  list nodes in the whole cluster\n",
            "kind: ClusterRole\n",
            "in place of NAME-OF-THE-USER",
            "name: \"NAME-OF-THE-USER\"",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
        let account = lack(Some("system:serviceaccount:ci:runner")).to_string();
        assert!(
            account.contains("- kind: ServiceAccount\n  name: \"runner\"\n  namespace: \"ci\""),
            "{account}"
        );
    }
}
