//! What can be wrong with a service, a pod or an address.

use serde::Serialize;

/// What is wrong, the worst first: what stops all packets before what stops some.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// The pod does not run, or has no address.
    PodNotRunning,
    /// A service has no endpoints.
    NoEndpoints,
    /// A service has endpoints, and none is ready.
    EndpointNotReady,
    /// The traffic policy is `Local`, and no endpoint is on the node.
    LocalPolicyWithoutEndpoint,
    /// Nothing on the node carries services: no rules of kube-proxy, no virtual servers, no program that could.
    NoServiceProxy,
    /// kube-proxy's rules are there, and none is for this service.
    ServiceRulesMissing,
    /// The rules for an address and a port lead nowhere: a service has the address, and not this port or protocol.
    ServiceAddressUnserved,
    /// A slice's endpoint has no port: no container's port has the name that the service's targetPort is.
    TargetPortUnnamed,
    /// Nobody in the pod listens on the port that the service leads to.
    TargetPortUnserved,
    /// Somebody listens, and only at an address that packets of others do not come to.
    ListensElsewhere,
    /// Rules lead to an endpoint that no slice of the service has.
    StaleEndpoint,
    /// Rules lead to an endpoint that is not ready.
    UnreadyEndpointInRules,
    /// No rule leads to an endpoint that is ready.
    EndpointWithoutRule,
    /// A pod that reaches itself by the service gets packets with its own address as source.
    HairpinWithoutMasquerade,
    /// A rule drops it.
    FirewallDrop,
    /// A rule of a network policy drops it.
    NetworkPolicy,
    /// A rule refuses it.
    FirewallReject,
    /// The node does not forward.
    ForwardingDisabled,
    /// There is no route.
    NoRoute,
    /// A route lets it vanish.
    BlackholeRoute,
    /// A route, or a routing rule, refuses it.
    RouteRefuses,
    /// The interface that it would leave by is down.
    InterfaceDown,
    /// Nobody answers ARP or NDP for the next hop.
    NeighbourFailed,
    /// A tunnel leads to another node than the pod's.
    TunnelPeerWrong,
    /// Several mechanisms carry services at once: rules that one of them left behind.
    TwoServiceProxies,
    /// The pod is not ready.
    PodNotReady,
}

/// Something that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// What.
    pub kind: ProblemKind,
    /// What is the case, in one sentence, with the names that matter.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
}
