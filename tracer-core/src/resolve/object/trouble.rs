//! Why a pod does not run, as its status tells it.

use super::raw::{Status, Why};

/// Longest message that is passed on, in characters.
const LONGEST: usize = 160;

impl Status {
    /// In the order of this code: what a container waits for, which condition does not hold, what ended the pod.
    /// Absent for one that runs.
    pub(super) fn trouble(&self) -> Option<String> {
        let phase = self.phase.as_deref()?;
        if phase == "Running" {
            return None;
        }
        let all = || self.init_container_statuses.iter().chain(&self.container_statuses);
        let waiting = || all().filter_map(|container| container.state.waiting.as_ref());
        // The others wait for the one that says more.
        let is_telling = |why: &&Why| {
            !matches!(why.reason.as_deref(), Some("PodInitializing" | "ContainerCreating") | None)
        };
        let failed = || all().filter_map(|container| container.state.terminated.as_ref());
        let why = waiting()
            .find(is_telling)
            .and_then(Why::words)
            .or_else(|| self.unmet())
            .or_else(|| words(self.reason.as_deref(), self.message.as_deref()))
            .or_else(|| {
                failed().filter(|why| why.reason.as_deref() != Some("Completed")).find_map(Why::words)
            })
            .or_else(|| waiting().find_map(Why::words));
        Some(why.map_or_else(|| phase.to_owned(), |why| format!("{phase}, {why}")))
    }

    /// That it could not be scheduled is the one condition that says why.
    fn unmet(&self) -> Option<String> {
        let unmet =
            self.conditions.iter().find(|each| each.kind == "PodScheduled" && each.status == "False")?;
        words(unmet.reason.as_deref(), unmet.message.as_deref())
    }
}

impl Why {
    fn words(&self) -> Option<String> {
        words(self.reason.as_deref(), self.message.as_deref())
    }
}

fn words(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    let full = |text: &&str| !text.is_empty();
    match (reason.filter(full), message.filter(full)) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {}", shortened(message))),
        (Some(words), None) | (None, Some(words)) => Some(shortened(words)),
        (None, None) => None,
    }
}

fn shortened(message: &str) -> String {
    let mut line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push_str("...");
    }
    line
}
