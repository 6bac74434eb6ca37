//! The two ends of a trace as typed, and what they stand for in a cluster's state.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use tracer_core::resolve::{ClusterState, Party, ResolveError, Scope, Selector};

use super::plan::PlanError;
use crate::cli::trace::TraceArgs;

/// One end.
#[derive(Clone, Debug)]
struct End {
    word: String,
    /// The pods with these labels, instead of what the word names.
    selector: Option<Selector>,
    /// Addresses of a host outside of the cluster, once it had to be asked for.
    host: Option<Vec<IpAddr>>,
}

/// The two ends, and where names without a namespace are looked for.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    source: End,
    destination: Option<End>,
    namespace: String,
    all_namespaces: bool,
}

impl Ends {
    /// The ends on the command line; absent where none is.
    pub(super) fn of(args: &TraceArgs, namespace: &str) -> Result<Option<Self>, PlanError> {
        let (source, destination) = match (&args.selector, &args.source) {
            (Some(selector), destination) => {
                let source = End { selector: Some(parse(selector)?), ..End::of(&format!("-l {selector}"))? };
                (source, destination.as_deref().map(End::of).transpose()?)
            }
            (None, Some(source)) => (End::of(source)?, args.destination.as_deref().map(End::of).transpose()?),
            (None, None) => return Ok(None),
        };
        let all_namespaces = args.all_namespaces;
        Ok(Some(Self { source, destination, namespace: namespace.to_owned(), all_namespaces }))
    }

    /// Whether both are addresses, so that no state of a cluster is needed.
    pub(super) fn are_addresses(&self) -> bool {
        self.all().all(|end| is_address(&end.word))
    }

    /// The first end that needs a cluster to be understood.
    pub(super) fn first_name(&self) -> Option<&str> {
        self.all().map(|end| end.word.as_str()).find(|word| !is_address(word))
    }

    fn all(&self) -> impl Iterator<Item = &End> {
        std::iter::once(&self.source).chain(&self.destination)
    }

    /// Namespaces that the ends are in, besides the one of names that have none.
    pub(super) fn namespaces(&self) -> Vec<String> {
        let named =
            self.all().filter(|end| end.selector.is_none()).filter_map(|end| Party::namespace_of(&end.word));
        let mut all = vec![self.namespace.clone()];
        all.extend(named.map(str::to_owned));
        all
    }

    /// Whether an end is named by what makes its pods.
    pub(super) fn have_workloads(&self) -> bool {
        self.all().any(|end| end.selector.is_none() && Party::is_workload(&end.word))
    }

    /// What the ends stand for now. A name that no pod has is looked up as that of a host, once.
    pub(super) fn resolve(&mut self, state: &ClusterState) -> Result<Scope, ResolveError> {
        let Self { source, destination, namespace, all_namespaces } = self;
        let selected_in = (!*all_namespaces).then_some(namespace.as_str());
        let party = |end: &mut End| end.resolve(namespace, selected_in, state);
        Ok(Scope { source: party(source)?, destination: destination.as_mut().map(party).transpose()? })
    }
}

impl End {
    fn of(word: &str) -> Result<Self, PlanError> {
        let is_selector = word.contains('=') && !word.starts_with('-');
        let selector = is_selector.then(|| parse(word)).transpose()?;
        Ok(Self { word: word.to_owned(), selector, host: None })
    }

    fn resolve(
        &mut self,
        namespace: &str,
        selected_in: Option<&str>,
        state: &ClusterState,
    ) -> Result<Party, ResolveError> {
        if let Some(selector) = &self.selector {
            return Party::select(selector, selected_in, state);
        }
        if let Some(addresses) = &self.host {
            return Party::host(&self.word, addresses);
        }
        let error = match Party::resolve(&self.word, namespace, state) {
            Err(error @ ResolveError::NotFound { .. }) if may_be_host(&self.word) => error,
            outcome => return outcome,
        };
        let addresses = look_up(&self.word).ok_or(error)?;
        say!("kflow: {} is {} as seen from here", self.word, list(&addresses));
        let party = Party::host(&self.word, &addresses)?;
        self.host = Some(addresses);
        Ok(party)
    }
}

fn parse(selector: &str) -> Result<Selector, PlanError> {
    selector.parse().map_err(PlanError::Selector)
}

fn is_address(word: &str) -> bool {
    word.parse::<IpAddr>().is_ok() || word.parse::<SocketAddr>().is_ok()
}

/// Pods may have dots in their names as well: a host is asked for only where no pod has the name.
fn may_be_host(word: &str) -> bool {
    word.contains('.') && !word.contains('/') && !Path::new(word).is_file()
}

/// The addresses of a host by its name, as this machine resolves it; a port behind the name plays no part.
fn look_up(word: &str) -> Option<Vec<IpAddr>> {
    let name = word.split_once(':').map_or(word, |(name, _)| name);
    let mut addresses: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|socket| socket.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    (!addresses.is_empty()).then_some(addresses)
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_a_dot_and_no_slash() {
        assert!(may_be_host("example.com"));
        assert!(!may_be_host("web") && !may_be_host("svc/web.prod"));
    }
}
