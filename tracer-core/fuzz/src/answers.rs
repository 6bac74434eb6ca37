//! What others answer: the cluster's objects, and what nodes say of themselves.

use std::sync::OnceLock;

use tracer_core::diagnose::{Grounds, judge};
use tracer_core::evidence::{Evidence, Snapshot};
use tracer_core::explain::{Client, Question, explain};
use tracer_core::report::Report;
use tracer_core::resolve::{ClusterState, Names, Party, Subject};

use crate::capture::tell;
use crate::correlate::report;
use crate::scripts::scripts;

const NAMESPACE: &str = "default";
/// Cut short, refused, refused by rules that are not known: of these flows a cause is looked for.
const FAILING: [&str; 4] = ["lost", "unanswered", "kinds", "encapsulations"];

/// Reads answers, a line each: what is asked about and who asks, the cluster's objects, then snapshots of nodes and pods, of
/// which two of one namespace in a row are from before and after. Explains, resolves and judges by them.
pub fn answers(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let question = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let state = lines.next().and_then(|line| ClusterState::from_json(line).ok()).unwrap_or_default();
    let snapshots: Vec<Snapshot> = lines.map_while(|line| serde_json::from_slice(line).ok()).collect();
    let names = Names::of(&state);
    again(&state, &names);
    let mut words = question.split(' ');
    let (what, from) = (words.next().unwrap_or_default(), words.next());
    if let Ok(party) = Party::resolve(what, NAMESPACE, &state) {
        assert_eq!(party.label, what, "a party with the words of another one");
    }
    ask(what, from, &state, &snapshots);
    accuse(&names, &state, &snapshots);
}

/// What a bundle keeps of a state gives the same names.
fn again(state: &ClusterState, names: &Names) {
    let kept = state.to_json().to_string();
    let again = ClusterState::from_json(kept.as_bytes()).map(|state| Names::of(&state).addresses());
    assert_eq!(again.ok(), Some(names.addresses()), "a state that is not read back");
}

fn ask(what: &str, from: Option<&str>, state: &ClusterState, snapshots: &[Snapshot]) {
    let Ok(subject) = Subject::of(what, NAMESPACE, state) else { return };
    let client = from.and_then(|word| Client::of(word, NAMESPACE, state).ok());
    let (pods, nodes): (Vec<Snapshot>, Vec<Snapshot>) =
        snapshots.iter().cloned().partition(|snapshot| snapshot.pod.is_some());
    let question = Question {
        subject: &subject,
        label: what,
        client: client.as_ref(),
        state,
        nodes: &nodes,
        pods: &pods,
    };
    let explanation = explain(&question);
    assert_eq!(explanation.is_some(), !nodes.is_empty(), "an explanation without a node, or none with one");
    let Some(explanation) = explanation else { return };
    let mut text = Vec::new();
    assert!(explanation.write_text(&mut text).is_ok() && !text.is_empty(), "an explanation without words");
    assert!(serde_json::to_writer(&mut text, &explanation).is_ok(), "an explanation that is no JSON");
}

/// Each failing flow has a verdict, whatever the evidence.
fn accuse(names: &Names, state: &ClusterState, snapshots: &[Snapshot]) {
    static REPORTS: OnceLock<Vec<Report>> = OnceLock::new();
    let reports = REPORTS.get_or_init(|| {
        let failing = scripts().into_iter().filter(|(name, _)| FAILING.contains(name));
        failing.map(|(_, script)| report(&script)).collect()
    });
    assert_eq!(reports.len(), FAILING.len(), "a script that is not there");
    let evidence = paired(snapshots);
    for report in reports {
        let mut report = report.clone();
        judge(&mut report, Grounds { evidence: &evidence, names, state: Some(state) });
        assert!(report.flows.iter().all(|flow| flow.verdict.is_some()), "a flow without a verdict");
        tell(&report);
    }
}

fn paired(snapshots: &[Snapshot]) -> Vec<Evidence> {
    let is_same = |one: &Snapshot, other: &Snapshot| (&one.node, &one.pod) == (&other.node, &other.pod);
    let of_places = snapshots.chunk_by(is_same).flat_map(|own| own.chunks(2));
    let pair = |pair: &[Snapshot]| {
        let (before, after) = pair.split_first()?;
        Some(Evidence { before: before.clone(), after: after.first().cloned() })
    };
    of_places.filter_map(pair).collect()
}
