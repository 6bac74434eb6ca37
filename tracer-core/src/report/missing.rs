//! Evidence that could not be had.

use serde::Serialize;

use crate::evidence::Evidence;

/// Something that the kernels of some places did not tell.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct MissingEvidence {
    /// What: `conntrack`, `nftables`, `drop functions`.
    pub what: String,
    /// Why, in one line.
    pub why: String,
    /// Nodes, and pods as `namespace/name`, in whose namespaces it is missing.
    pub places: Vec<String>,
}

impl MissingEvidence {
    /// What is missing of some evidence, each thing once.
    pub(super) fn of(evidence: &[Evidence]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for snapshot in evidence.iter().map(Evidence::last) {
            let place = snapshot.pod.as_ref().unwrap_or(&snapshot.node);
            for missing in &snapshot.missing {
                let known =
                    all.iter_mut().find(|known| known.what == missing.what && known.why == missing.why);
                match known {
                    Some(known) if known.places.contains(place) => {}
                    Some(known) => known.places.push(place.clone()),
                    None => all.push(Self {
                        what: missing.what.clone(),
                        why: missing.why.clone(),
                        places: vec![place.clone()],
                    }),
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Missing, Snapshot};

    #[test]
    fn the_same_is_told_once_with_all_its_places() {
        let missing = |what: &str| Missing { what: what.to_owned(), why: "refused".to_owned() };
        let at = |node: &str, pod: Option<&str>, whats: &[&str]| Evidence {
            before: Snapshot {
                node: node.to_owned(),
                pod: pod.map(str::to_owned),
                missing: whats.iter().map(|what| missing(what)).collect(),
                ..Snapshot::default()
            },
            after: None,
        };
        let evidence = [
            at("a", None, &["nftables", "sockets"]),
            at("b", None, &["nftables", "nftables"]),
            at("a", Some("default/p"), &[]),
        ];
        let told = MissingEvidence::of(&evidence);
        let told: Vec<_> = told.iter().map(|each| (each.what.as_str(), each.places.join(","))).collect();
        assert_eq!(told, [("nftables", "a,b".to_owned()), ("sockets", "a".to_owned())]);
    }
}
