//! Who asks, and what they may do: tokens and RBAC rules.

use serde_json::{Value, json};

use super::{answer::Refusal, resource::Resource};

/// Somebody with a token.
#[derive(Clone, Debug)]
pub struct User {
    /// Name, as refusals say it; the token is made of it.
    pub name: String,
    /// What they may do.
    pub rules: Vec<Rule>,
}

/// What somebody may do, as one rule of a `Role` or `ClusterRole`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Namespace of the `Role`; absent for a `ClusterRole` that is bound for all of them.
    pub namespace: Option<String>,
    /// API group; empty for the core.
    pub group: String,
    /// Plurals, with the subresource behind a slash; `*` for all.
    pub resources: Vec<String>,
    /// `get`, `list`, `watch`, `create`, `delete`, ...; `*` for all.
    pub verbs: Vec<String>,
}

impl User {
    /// Somebody who may do everything.
    pub fn admin() -> Self {
        let everything =
            Rule { namespace: None, group: "*".to_owned(), resources: words(&["*"]), verbs: words(&["*"]) };
        Self { name: "admin".to_owned(), rules: vec![everything] }
    }

    /// Somebody with these rules.
    pub fn new(name: &str, rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { name: name.to_owned(), rules: rules.into_iter().collect() }
    }

    pub(super) fn token(&self) -> String {
        format!("token-of-{}", self.name)
    }

    pub(super) fn may(&self, action: &Action) -> bool {
        self.rules.iter().any(|rule| rule.allows(action))
    }
}

impl Rule {
    /// A rule of a `Role` in a namespace.
    pub fn within(namespace: &str, group: &str, resources: &[&str], verbs: &[&str]) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::everywhere(group, resources, verbs) }
    }

    /// A rule of a `ClusterRole`.
    pub fn everywhere(group: &str, resources: &[&str], verbs: &[&str]) -> Self {
        Self { namespace: None, group: group.to_owned(), resources: words(resources), verbs: words(verbs) }
    }

    fn allows(&self, action: &Action) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|each| each == "*" || each == word);
        self.namespace.as_ref().is_none_or(|namespace| *namespace == action.namespace)
            && (self.group == "*" || self.group == action.group)
            && has(&self.resources, &action.resource)
            && has(&self.verbs, &action.verb)
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) verb: String,
    pub(super) group: String,
    /// With its subresource.
    pub(super) resource: String,
    /// Empty for all of them, and for what has none.
    pub(super) namespace: String,
}

impl Action {
    /// The attributes of an access review.
    pub(super) fn reviewed(attributes: &Value) -> Self {
        let word = |key: &str| attributes[key].as_str().unwrap_or_default().to_owned();
        let resource = match word("subresource") {
            subresource if subresource.is_empty() => word("resource"),
            subresource => format!("{}/{subresource}", word("resource")),
        };
        Self { verb: word("verb"), group: word("group"), resource, namespace: word("namespace") }
    }

    pub(super) fn of(verb: &str, resource: &Resource, subresource: &str, namespace: &str) -> Self {
        let slash = if subresource.is_empty() { "" } else { "/" };
        Self {
            verb: verb.to_owned(),
            group: resource.group.to_owned(),
            resource: format!("{}{slash}{subresource}", resource.plural),
            namespace: namespace.to_owned(),
        }
    }

    /// The refusal of it, in the server's words.
    pub(super) fn refusal(&self, user: &User, on: &Resource, name: &str) -> Refusal {
        let Self { verb, group, resource, namespace } = self;
        let scope = match namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let who = &user.name;
        let why = format!("User {who:?} cannot {verb} resource {resource:?} in API group {group:?} {scope}");
        Refusal::forbidden(on, name, &why)
    }
}

/// Answers to a review of one's own access.
pub(super) fn access_review(user: &User, mut review: Value) -> Value {
    let allowed = user.may(&Action::reviewed(&review["spec"]["resourceAttributes"]));
    review["kind"] = json!("SelfSubjectAccessReview");
    review["apiVersion"] = json!("authorization.k8s.io/v1");
    review["metadata"] = json!({});
    review["status"] = json!({ "allowed": allowed });
    review
}

/// Who one is.
pub(super) fn subject_review(user: &User, now: &str) -> Value {
    json!({
        "kind": "SelfSubjectReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": { "creationTimestamp": now },
        "status": { "userInfo": { "username": user.name, "groups": ["system:authenticated"] } },
    })
}
