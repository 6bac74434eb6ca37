//! The kinds of object that the double serves, and where.

/// One kind, as discovery describes it.
#[derive(Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Resource {
    /// Empty for the core group.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) is_namespaced: bool,
}

const CORE: &str = "";
const APPS: &str = "apps";
const RBAC: &str = "rbac.authorization.k8s.io";
/// The group of endpoint slices.
pub(super) const DISCOVERY: &str = "discovery.k8s.io";
/// What the group of endpoint slices was before Kubernetes 1.21.
pub(super) const DISCOVERY_BETA: &str = "v1beta1";

pub(super) static NODES: Resource = cluster(CORE, "nodes", "Node");
pub(super) static NAMESPACES: Resource = cluster(CORE, "namespaces", "Namespace");
pub(super) static PODS: Resource = namespaced(CORE, "pods", "Pod");
pub(super) static SERVICES: Resource = namespaced(CORE, "services", "Service");
pub(super) static ENDPOINTS: Resource = namespaced(CORE, "endpoints", "Endpoints");
pub(super) static SLICES: Resource = namespaced(DISCOVERY, "endpointslices", "EndpointSlice");
pub(super) static DAEMON_SETS: Resource = namespaced(APPS, "daemonsets", "DaemonSet");
static EVENTS: Resource = namespaced(CORE, "events", "Event");
static SECRETS: Resource = namespaced(CORE, "secrets", "Secret");
static CONFIG_MAPS: Resource = namespaced(CORE, "configmaps", "ConfigMap");
static ACCOUNTS: Resource = namespaced(CORE, "serviceaccounts", "ServiceAccount");
static DEPLOYMENTS: Resource = namespaced(APPS, "deployments", "Deployment");
static REPLICA_SETS: Resource = namespaced(APPS, "replicasets", "ReplicaSet");
static STATEFUL_SETS: Resource = namespaced(APPS, "statefulsets", "StatefulSet");
static JOBS: Resource = namespaced("batch", "jobs", "Job");
static ROLES: Resource = namespaced(RBAC, "roles", "Role");
static ROLE_BINDINGS: Resource = namespaced(RBAC, "rolebindings", "RoleBinding");
static CLUSTER_ROLES: Resource = cluster(RBAC, "clusterroles", "ClusterRole");
static CLUSTER_ROLE_BINDINGS: Resource = cluster(RBAC, "clusterrolebindings", "ClusterRoleBinding");

/// Every kind.
pub(super) static RESOURCES: [&Resource; 19] = [
    &NODES,
    &NAMESPACES,
    &PODS,
    &SERVICES,
    &ENDPOINTS,
    &SLICES,
    &DAEMON_SETS,
    &EVENTS,
    &SECRETS,
    &CONFIG_MAPS,
    &ACCOUNTS,
    &DEPLOYMENTS,
    &REPLICA_SETS,
    &STATEFUL_SETS,
    &JOBS,
    &ROLES,
    &ROLE_BINDINGS,
    &CLUSTER_ROLES,
    &CLUSTER_ROLE_BINDINGS,
];

const fn cluster(group: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { group, version: "v1", plural, kind, is_namespaced: false }
}

const fn namespaced(group: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { group, version: "v1", plural, kind, is_namespaced: true }
}

impl Resource {
    /// The kind with this plural in this group.
    pub(super) fn find(group: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES.into_iter().find(|each| each.group == group && each.plural == plural)
    }

    /// The kind of an object, by its own words.
    pub(super) fn of_kind(kind: &str) -> Option<&'static Self> {
        RESOURCES.into_iter().find(|each| each.kind == kind)
    }

    /// `pods`, `daemonsets.apps`: how the server names it in what it refuses.
    pub(super) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `v1`, `apps/v1`.
    pub(super) fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }
}

/// `v1`, `apps/v1`.
pub(super) fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}
