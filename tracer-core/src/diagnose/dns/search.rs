//! Names that a resolver made by its search list (resolv.conf(5), `search` and `ndots`).

use std::net::IpAddr;

use crate::diagnose::case::Case;
use crate::report::{DnsLookup, FlowReport};
use crate::resolve::Owner;

/// Labels that a search domain has at least: with one, any two names below one top level would be taken for candidates.
const MIN_DOMAIN: usize = 2;

/// All that one client asked.
pub(super) struct Asked<'a> {
    lookups: Vec<&'a DnsLookup>,
}

impl<'a> Asked<'a> {
    /// What the one who opened a flow asked in all flows: a resolver may use a new port for each name.
    pub(super) fn by_the_client_of(case: &Case<'a>) -> Self {
        let client = |flow: &FlowReport| -> IpAddr { flow.source.endpoint.address };
        let own = client(case.flow);
        let flows = case.report.flows.iter().filter(move |flow| client(flow) == own);
        Self { lookups: flows.flat_map(|flow| &flow.dns).flat_map(|dns| &dns.lookups).collect() }
    }

    /// How many questions were asked for a name, itself or with domains behind it.
    pub(super) fn of(&self, meant: &str) -> u64 {
        self.about(meant).map(|lookup| lookup.queries).sum()
    }

    /// Whether one of them found something.
    pub(super) fn resolved(&self, meant: &str) -> bool {
        self.about(meant).any(|lookup| {
            lookup.answer.as_ref().is_some_and(|answer| answer.code == "NOERROR" && answer.records > 0)
        })
    }

    fn about(&self, meant: &str) -> impl Iterator<Item = &DnsLookup> {
        let is_about = move |lookup: &&&DnsLookup| {
            name(lookup).is_some_and(|name| domain_behind(name, meant).is_some() || is_same(name, meant))
        };
        self.lookups.iter().filter(is_about).copied()
    }
}

/// The search domain that a resolver put behind a name, by these rules in this order:
///
/// 1. The client asked for the name without it as well.
/// 2. The client asked for the same name with another domain of the list, of which one is the end of the other.
/// 3. It is the domain of the client's own namespace (`NAMESPACE.svc.ZONE`), what stands before it has dots, and its last
///    word is no service of the namespace (`POD.SERVICE.NAMESPACE.svc.ZONE` is the name of a pod).
pub(super) fn search_domain(case: &Case<'_>, asked: &Asked<'_>, own: &str) -> Option<String> {
    let others =
        || asked.lookups.iter().filter_map(|lookup| name(lookup)).filter(|other| !is_same(other, own));
    let bare =
        others().filter_map(|other| domain_behind(own, other)).find(|domain| labels(domain) >= MIN_DOMAIN);
    let sibling = || others().find_map(|other| domain_of_siblings(own, other));
    bare.or_else(sibling).map(str::to_owned).or_else(|| own_namespace(case, own))
}

fn name(lookup: &DnsLookup) -> Option<&str> {
    let question = lookup.question.as_ref().filter(|question| !question.is_cut)?;
    Some(question.name.as_str())
}

fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn labels(name: &str) -> usize {
    name.split('.').count()
}

/// What stands behind `short` in `long`, if that begins with it.
fn domain_behind<'a>(long: &'a str, short: &str) -> Option<&'a str> {
    let (begin, rest) = long.split_at_checked(short.len())?;
    rest.strip_prefix('.').filter(|domain| is_same(begin, short) && !domain.is_empty())
}

/// The domain of `own` where both names are one name with two domains, of which one is the end of the other.
fn domain_of_siblings<'a>(own: &'a str, other: &str) -> Option<&'a str> {
    let (mine, theirs): (Vec<&str>, Vec<&str>) = (own.split('.').collect(), other.split('.').collect());
    let common = mine.iter().zip(&theirs).take_while(|(one, another)| is_same(one, another)).count();
    // The domains may begin alike; the name is then shorter than what is common.
    (1..=common).rev().find_map(|name| {
        let (mine, theirs) = (&mine[name..], &theirs[name..]);
        let (short, long) = if mine.len() < theirs.len() { (mine, theirs) } else { (theirs, mine) };
        let is_end = short.len() < long.len()
            && short.iter().rev().zip(long.iter().rev()).all(|(one, another)| is_same(one, another));
        let length: usize = own.split('.').take(name).map(|label| label.len() + 1).sum();
        (is_end && short.len() >= MIN_DOMAIN).then(|| own.get(length..)).flatten()
    })
}

fn own_namespace(case: &Case<'_>, own: &str) -> Option<String> {
    let client = case.flow.source.endpoint.address;
    let pods = case.grounds.names.owners(client).filter_map(|owner| match owner {
        Owner::Pod { name, .. } => name.split_once('/').map(|(namespace, _)| namespace),
        Owner::Node { .. } | Owner::Service { .. } => None,
    });
    let namespace = pods.into_iter().next()?;
    let middle = format!(".{namespace}.svc.");
    let at = own.to_ascii_lowercase().find(&middle)?;
    let (meant, domain) = (own.get(..at)?, own.get(at + 1..)?);
    let service = meant.rsplit('.').next()?;
    let state = case.grounds.state?;
    let is_pod = state.service(&format!("{namespace}/{service}")).is_some();
    (meant.contains('.') && !meant.contains('_') && !is_pod).then(|| domain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_of_one_search_list() {
        let own = "web.default.svc.cluster.local";
        assert_eq!(domain_behind(own, "web"), Some("default.svc.cluster.local"));
        assert_eq!(domain_behind(own, "we"), None);
        assert_eq!(domain_of_siblings(own, "web.svc.cluster.local"), Some("default.svc.cluster.local"));
        assert_eq!(domain_of_siblings("web.svc.cluster.local", own), Some("svc.cluster.local"));
        assert_eq!(
            domain_of_siblings("a.b.svc.cluster.local", "a.b.cluster.local"),
            Some("svc.cluster.local")
        );
        // Two services, two names below one top level, two hosts of one domain.
        assert_eq!(domain_of_siblings(own, "db.default.svc.cluster.local"), None);
        assert_eq!(domain_of_siblings("www.example.com", "www.example.org"), None);
        assert_eq!(domain_of_siblings("www.a.com", "www.com"), None);
    }
}
