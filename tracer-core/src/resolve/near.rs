//! Names that are near enough to be meant.

/// Names that are shown, at most.
const MAX_SUGGESTIONS: usize = 3;
/// Least similarity (Jaro-Winkler) of a name that may be meant.
const SIMILARITY: f64 = 0.8;

/// The names that look most like one, their namespaces aside: a few typing errors away, or with a like beginning. Of
/// names that are as near, the one in the same namespace comes first.
pub(super) fn near(name: &str, all: impl Iterator<Item = String>) -> Vec<String> {
    let (namespace, wanted) = name.rsplit_once('/').unwrap_or(("", name));
    let mut scored: Vec<(f64, bool, String)> = Vec::new();
    for candidate in all {
        let (its_namespace, own) = candidate.rsplit_once('/').unwrap_or(("", &candidate));
        let similarity = strsim::jaro_winkler(wanted, own);
        let errors = strsim::damerau_levenshtein(wanted, own);
        if similarity >= SIMILARITY || errors <= 1 + wanted.len() / 8 {
            scored.push((similarity, its_namespace == namespace, candidate));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    scored.into_iter().take(MAX_SUGGESTIONS).map(|(_, _, candidate)| candidate).collect()
}
