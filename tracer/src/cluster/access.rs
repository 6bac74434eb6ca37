//! What the user may do, asked before it is tried, and the roles that allow it.

mod role;

use std::fmt;

use futures_util::future;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use thiserror::Error;

use super::connect::{Cluster, RequestError};
use super::state::Asker;
use crate::error::{Exit, ExitStatus};

/// Something that a user may or may not do.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Permission {
    /// Namespace; absent for all of them, and for what is in none.
    pub namespace: Option<String>,
    /// API group, empty for the core.
    pub group: &'static str,
    /// Resource, in the plural.
    pub resource: &'static str,
    /// Subresource, such as `exec`.
    pub subresource: Option<&'static str>,
    /// Verb, such as `list`.
    pub verb: &'static str,
}

impl Permission {
    /// A verb on resources of the core group in all namespaces.
    pub const fn new(verb: &'static str, resource: &'static str) -> Self {
        Self { namespace: None, group: "", resource, subresource: None, verb }
    }

    /// The same on resources of another group.
    #[must_use]
    pub fn of_group(self, group: &'static str) -> Self {
        Self { group, ..self }
    }

    /// The same on a subresource.
    #[must_use]
    pub fn on(self, subresource: &'static str) -> Self {
        Self { subresource: Some(subresource), ..self }
    }

    /// The same in one namespace, or in all.
    #[must_use]
    pub fn within(self, namespace: Option<&str>) -> Self {
        Self { namespace: namespace.map(str::to_owned), ..self }
    }

    /// What it takes to have agents in a namespace and to read what they capture.
    pub fn agents(namespace: &str) -> Vec<Self> {
        let pods = ["create", "delete", "get", "list", "watch"].map(|verb| Self::new(verb, "pods"));
        // A websocket begins with GET, SPDY with POST: which of them is asked for depends on the cluster's version.
        let exec = ["create", "get"].map(|verb| Self::new(verb, "pods").on("exec"));
        pods.into_iter().chain(exec).map(|permission| permission.within(Some(namespace))).collect()
    }

    /// What it takes to know who has which address, in one namespace or in all.
    pub fn lists(namespace: Option<&str>) -> Vec<Self> {
        let of = |verb| {
            [
                Self::new(verb, "pods"),
                Self::new(verb, "services"),
                Self::new(verb, "endpointslices").of_group("discovery.k8s.io"),
            ]
        };
        let all = of("list").into_iter().chain(of("watch"));
        all.map(|permission| permission.within(namespace)).collect()
    }

    fn resource_name(&self) -> String {
        self.subresource.map_or_else(|| self.resource.to_owned(), |sub| format!("{}/{sub}", self.resource))
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource_name())?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in the namespace {namespace}"),
            None => Ok(()),
        }
    }
}

/// What somebody is not allowed to do, and would have to be.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}", role::refusal(self))]
pub struct Lack {
    /// Who asked, as the cluster calls them; absent where it does not tell.
    pub user: Option<String>,
    /// What is missing.
    pub missing: Vec<Permission>,
    /// Everything that is needed where something is missing.
    pub needed: Vec<Permission>,
}

/// Why it is not known that everything is allowed.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Something is not allowed.
    #[error(transparent)]
    Lack(#[from] Lack),
    /// The cluster could not be asked.
    #[error("cannot ask the cluster what is allowed")]
    Request(#[from] RequestError),
}

impl ExitStatus for AccessError {
    fn exit(&self) -> Exit {
        match self {
            Self::Lack(_) => Exit::Environment,
            Self::Request(error) => error.exit(),
        }
    }
}

/// Asks for all permissions at once. A cluster that does not let itself be asked is taken to allow them: what it then
/// refuses says so itself.
pub fn preflight(cluster: &Cluster, needed: &[Permission]) -> Result<(), AccessError> {
    match cluster.wait(lack(&Asker::new(cluster), needed))? {
        Some(lack) => Err(lack.into()),
        None => Ok(()),
    }
}

/// What is missing of some permissions; absent if nothing is.
pub(super) async fn lack(asker: &Asker, needed: &[Permission]) -> Result<Option<Lack>, RequestError> {
    let answers = needed.iter().map(|permission| is_allowed(&asker.client, permission));
    let mut missing = Vec::new();
    for (permission, answer) in needed.iter().zip(future::join_all(answers).await) {
        match answer.map_err(|error| asker.server.explain(error)) {
            Ok(false) => missing.push(permission.clone()),
            Ok(true) | Err(RequestError::Forbidden { .. } | RequestError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if missing.is_empty() {
        return Ok(None);
    }
    let is_concerned = |each: &&Permission| missing.iter().any(|one| one.namespace == each.namespace);
    let needed = needed.iter().filter(is_concerned).cloned().collect();
    Ok(Some(Lack { user: user(&asker.client).await, missing, needed }))
}

async fn is_allowed(client: &Client, permission: &Permission) -> Result<bool, kube::Error> {
    let attributes = ResourceAttributes {
        group: Some(permission.group.to_owned()),
        resource: Some(permission.resource.to_owned()),
        subresource: permission.subresource.map(str::to_owned),
        verb: Some(permission.verb.to_owned()),
        namespace: permission.namespace.clone(),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Who the cluster takes the user for; absent where it is too old to tell (before 1.28).
pub(super) async fn user(client: &Client) -> Option<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
    answer.status?.user_info?.username
}
