//! What could not be read, for a person.

use tracer_core::resolve::Kind;

use super::{KindList, Wants};

/// One note for all kinds that fared alike.
pub(super) fn notes(lists: &[KindList], wants: &Wants) -> Vec<String> {
    let mut alike: Vec<(String, Vec<&'static str>)> = Vec::new();
    // What workloads would tell of their pods, pods tell of their workloads: who made them.
    for list in lists.iter().filter(|list| !list.kind.is_workload()) {
        let (Some(fate), name) = (fate(list, wants), list.kind.resource()) else { continue };
        match alike.iter_mut().find(|(other, _)| *other == fate) {
            Some((_, names)) => names.push(name),
            None => alike.push((fate, vec![name])),
        }
    }
    alike.into_iter().map(|(fate, kinds)| format!("{} {fate}", enumerated(&kinds))).collect()
}

fn fate(list: &KindList, wants: &Wants) -> Option<String> {
    if list.kind == Kind::Node {
        let words = "may not be listed: only those are known that a pod in sight runs on";
        return list.is_narrow.then(|| words.to_owned());
    }
    let read: Vec<&str> =
        wants.namespaces.iter().filter(|name| !list.refused.contains(*name)).map(String::as_str).collect();
    if list.is_refused() {
        return Some("may not be listed: their names are not known".to_owned());
    }
    if list.is_narrow {
        return Some(format!(
            "may be listed in {} {} only: addresses of others stay without names",
            if read.len() == 1 { "the namespace" } else { "the namespaces" },
            enumerated(&read)
        ));
    }
    let refused: Vec<&str> = list.refused.iter().map(String::as_str).collect();
    (!refused.is_empty()).then(|| format!("may not be listed in {}", enumerated(&refused)))
}

/// `a`, `a and b`, `a, b and c`.
fn enumerated(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
