//! Ends that are services.

use std::collections::HashSet;
use std::net::IpAddr;

use super::super::error::ResolveError;
use super::super::near::near;
use super::super::object::{Service, Slice, SliceEndpoint};
use super::super::state::ClusterState;
use super::pods::place;
use super::{Party, Seed, SeedKind, unite};

impl Party {
    /// A service: its own addresses, those that are a NodePort on each node, and its endpoints, by all of its ports or by one.
    pub(super) fn service(
        namespace: &str,
        name: &str,
        port: Option<&str>,
        state: &ClusterState,
    ) -> Result<Self, ResolveError> {
        let full = format!("{namespace}/{name}");
        let found =
            state.services.iter().find(|service| service.namespace == namespace && service.name == name);
        let Some(service) = found else {
            let near = near(&full, state.services.iter().map(|service| service.full_name()));
            return Err(ResolveError::NotFound { kind: "service", name: full, near });
        };
        if let Some(host) = &service.alias {
            return Err(ResolveError::Alias { service: full, host: host.clone() });
        }
        let names = wanted_ports(service, port)?;
        let mut party =
            Self { seeds: state.fronts_of(service, |name| names.contains(&name)), ..Self::default() };
        if port.is_none() {
            // A ping of a ClusterIP belongs to the story as well, although no rule serves it.
            let any = |address: &IpAddr| Seed { address: *address, port: None, kind: SeedKind::Service };
            party.seeds.extend(service.addresses.iter().map(any));
        }
        let (is_served, endpoints) = Self::endpoints(service, &names, state);
        party.absorb(endpoints);
        if !is_served {
            let why = state.why_unserved(service);
            if party.seeds.is_empty() {
                return Err(ResolveError::NoEndpoints { service: full, why });
            }
            party.notes.push(format!("service {full} has no endpoint that is ready: {why}"));
        }
        Ok(party.sort_nodes())
    }

    /// The endpoints of a service behind some of its ports, and whether one of them is ready.
    pub(super) fn endpoints(service: &Service, names: &[Option<&str>], state: &ClusterState) -> (bool, Self) {
        let (mut party, mut is_served) = (Self::default(), false);
        for slice in state.slices_of(service) {
            for endpoint in &slice.endpoints {
                is_served |= endpoint.is_ready;
                unite(&mut party.seeds, endpoint_seeds(slice, endpoint, names));
                party.nodes.extend(endpoint.node.clone());
            }
        }
        let addresses: HashSet<&IpAddr> =
            state.slices_of(service).flat_map(|slice| slice.addresses()).collect();
        let live = state.pods.iter().filter(|pod| !pod.is_host_network && !pod.has_ended());
        for pod in live.filter(|pod| pod.addresses.iter().any(|each| addresses.contains(each))) {
            party.nodes.extend(pod.node.clone());
            party.pods.push(place(pod));
        }
        // Endpoints on the host's network that do not tell their node.
        let nodes = addresses.iter().filter_map(|address| state.node_with(**address));
        party.nodes.extend(nodes.map(|node| node.name.clone()));
        (is_served, party.sort_nodes())
    }
}

fn endpoint_seeds(slice: &Slice, endpoint: &SliceEndpoint, names: &[Option<&str>]) -> Vec<Seed> {
    let wanted = || slice.ports.iter().filter(|port| names.contains(&port.name.as_deref()));
    let mut ports: Vec<_> = wanted().filter_map(|port| Some(Some((port.protocol()?, port.port?)))).collect();
    // A slice may leave ports out, which means all of them.
    if slice.ports.is_empty() || wanted().any(|port| port.port.is_none()) {
        ports = vec![None];
    }
    let seed = |address: &IpAddr| {
        let address = *address;
        ports.iter().map(move |port| Seed { address, port: *port, kind: SeedKind::Own }).collect::<Vec<_>>()
    };
    endpoint.addresses.iter().flat_map(seed).collect()
}

/// The port names that a word after the colon selects; all without one.
fn wanted_ports<'a>(
    service: &'a Service,
    wanted: Option<&str>,
) -> Result<Vec<Option<&'a str>>, ResolveError> {
    let all = || service.ports.iter();
    let Some(wanted) = wanted else {
        return Ok(all().map(|port| port.name.as_deref()).collect());
    };
    let number: Option<u16> = wanted.parse().ok();
    let chosen = all().filter(|port| Some(port.port) == number || port.name.as_deref() == Some(wanted));
    let names: Vec<_> = chosen.map(|port| port.name.as_deref()).collect();
    if names.is_empty() {
        let has: Vec<String> = all().map(|port| port.port.to_string()).collect();
        return Err(ResolveError::NoPort {
            service: service.full_name(),
            port: wanted.to_owned(),
            has: if has.is_empty() { "none".to_owned() } else { has.join(", ") },
        });
    }
    Ok(names)
}

impl ClusterState {
    /// Addresses in front of a service's endpoints: its own with their ports, and a NodePort on every node.
    pub(super) fn fronts_of(&self, service: &Service, wants: impl Fn(Option<&str>) -> bool) -> Vec<Seed> {
        let mut seeds = Vec::new();
        for port in service.ports.iter().filter(|port| wants(port.name.as_deref())) {
            let Some(protocol) = port.protocol() else { continue };
            let own = service.addresses.iter().map(|address| (*address, port.port, SeedKind::Service));
            let node_ports = port.node_port.into_iter().flat_map(|node_port| {
                let addresses = self.nodes.iter().flat_map(|node| &node.addresses);
                addresses.map(move |address| (*address, node_port, SeedKind::Node))
            });
            seeds.extend(own.chain(node_ports).map(|(address, port, kind)| Seed {
                address,
                port: Some((protocol, port)),
                kind,
            }));
        }
        seeds
    }

    /// Why nothing answers behind a service, in the order of this code.
    pub(in crate::resolve) fn why_unserved(&self, service: &Service) -> String {
        let not_ready = self.slices_of(service).flat_map(|slice| &slice.endpoints).count();
        match not_ready {
            0 => {}
            1 => return "its only endpoint is not ready".to_owned(),
            count => return format!("none of its {count} endpoints is ready"),
        }
        let Some(selector) = &service.selector else {
            return "nobody has told its endpoints".to_owned();
        };
        let selected = self.pods.iter().find(|pod| {
            pod.namespace == service.namespace && !pod.has_ended() && selector.matches(&pod.labels)
        });
        match selected.map(|pod| (pod.full_name(), &pod.trouble)) {
            None => format!("no pod has the labels {selector}"),
            Some((name, Some(why))) => format!("pod {name} does not run ({why})"),
            Some((name, None)) => format!("pod {name} is not ready"),
        }
    }
}
