//! How an agent is, by its pod's status: whether it is there, and if not, why.

use k8s_openapi::api::core::v1::{ContainerState, Node, Pod};

use super::pod::CONTAINER;

/// How an agent is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::cluster) enum Standing {
    /// On its way; this is what it waits for.
    Coming(String),
    /// It runs.
    Ready,
    /// It will not run, or runs no more; this is why.
    Failed(String),
}

/// Reasons of a waiting container that no waiting mends soon.
const HOPELESS: [&str; 8] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// By these rules, in this order:
/// 1. a pod that is being deleted has been taken away;
/// 2. one that ended: by its container's end, else by the pod's reason (a deadline, an eviction);
/// 3. a container that runs is ready;
/// 4. one that waits for what will not come has failed;
/// 5. a pod that the scheduler refuses has failed;
/// 6. everything else is on its way.
pub(in crate::cluster) fn standing(pod: &Pod) -> Standing {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("Pending");
    let containers = status.container_statuses.as_deref().unwrap_or_default();
    let state = containers.iter().find(|one| one.name == CONTAINER).and_then(|one| one.state.as_ref());
    if pod.metadata.deletion_timestamp.is_some() {
        return Standing::Failed("somebody deleted the agent's pod".to_owned());
    }
    if matches!(phase, "Failed" | "Succeeded") {
        return Standing::Failed(end(state, status.reason.as_deref(), status.message.as_deref()));
    }
    if let Some(state) = state {
        if state.terminated.is_some() {
            return Standing::Failed(end(Some(state), None, None));
        }
        if state.running.is_some() {
            return Standing::Ready;
        }
        let waiting = state.waiting.clone().unwrap_or_default();
        let reason = waiting.reason.unwrap_or_default();
        if HOPELESS.contains(&reason.as_str()) {
            return Standing::Failed(hopeless(&reason, waiting.message.as_deref().unwrap_or_default()));
        }
        return Standing::Coming(format!("its container is being made ({reason})"));
    }
    scheduling(pod)
}

fn scheduling(pod: &Pod) -> Standing {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled");
    match scheduled {
        Some(condition) if condition.status == "False" => {
            let message = condition.message.as_deref().unwrap_or("for no reason that it tells");
            let message = about_one_node(message);
            Standing::Failed(format!("the scheduler refuses the agent's pod: {message}{}", advice(&message)))
        }
        Some(_) => Standing::Coming("the node's kubelet has not taken the pod up".to_owned()),
        None => Standing::Coming("the scheduler has not placed the pod".to_owned()),
    }
}

/// The scheduler speaks of all nodes, and of what it tried in vain to make room; only one node was asked for.
fn about_one_node(message: &str) -> String {
    const OTHERS: [&str; 2] =
        ["didn't satisfy plugin(s) [NodeAffinity]", "didn't match Pod's node affinity/selector"];
    let end = [" preemption:", " no new claims to deallocate"]
        .into_iter()
        .filter_map(|words| message.find(words))
        .min();
    let message = message[..end.unwrap_or(message.len())].trim();
    let reasons = message.split_once("nodes are available: ").map_or(message, |(_, reasons)| reasons);
    let is_other = |reason: &&str| OTHERS.iter().any(|words| reason.contains(words));
    let of_node: Vec<_> =
        reasons.trim_end_matches('.').split(", ").filter(|reason| !is_other(reason)).collect();
    if of_node.is_empty() { message.to_owned() } else { of_node.join(", ") }
}

/// Which flag helps.
fn advice(message: &str) -> &'static str {
    if message.contains("taint") {
        " (--toleration KEY[=VALUE][:EFFECT] tolerates a taint)"
    } else if message.contains("node affinity/selector") {
        " (--node-selector may ask for a label that the node has not)"
    } else {
        ""
    }
}

fn hopeless(reason: &str, message: &str) -> String {
    let message = one_line(message);
    let what = match reason {
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" => {
            "the agent's image cannot be pulled (--image and --image-pull-secret say from where and how)"
        }
        "InvalidImageName" => "the agent's image has a name that is none (--image)",
        _ => "the agent's container cannot be made",
    };
    if message.is_empty() { format!("{what}: {reason}") } else { format!("{what}: {reason}: {message}") }
}

fn end(state: Option<&ContainerState>, reason: Option<&str>, message: Option<&str>) -> String {
    let terminated = state.and_then(|state| state.terminated.as_ref());
    match (reason, terminated) {
        (Some("DeadlineExceeded"), _) => "the agent's pod reached its deadline".to_owned(),
        (Some(reason), _) => {
            let message = one_line(message.unwrap_or_default());
            format!(
                "the agent's pod was ended: {reason}{}{message}",
                if message.is_empty() { "" } else { ": " }
            )
        }
        (None, Some(end)) => {
            let message = one_line(end.message.as_deref().unwrap_or_default());
            let reason = end.reason.as_deref().filter(|reason| !matches!(*reason, "Error" | "Completed"));
            let words: Vec<_> =
                reason.into_iter().chain((!message.is_empty()).then_some(&*message)).collect();
            let gap = if words.is_empty() { "" } else { ": " };
            format!("the agent ended with exit code {}{gap}{}", end.exit_code, words.join(": "))
        }
        (None, None) => "the agent's pod ended".to_owned(),
    }
}

/// What is known about a pod that has not come for a while: what it waits for, and how its node is.
pub(super) fn late(standing: &str, node: Option<&Node>, event: Option<&str>) -> String {
    let ready = node.and_then(|node| node.status.as_ref()).and_then(|status| status.conditions.as_deref());
    let ready = ready.and_then(|conditions| conditions.iter().find(|condition| condition.type_ == "Ready"));
    let unready = ready.filter(|condition| condition.status != "True").map(|condition| {
        let message =
            condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or("no reason is told");
        format!("the node is not ready: {}", one_line(message))
    });
    let event = event.map(one_line);
    [Some(standing.to_owned()), unready, event].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Whether no kubelet has taken up a pod: no program of it runs, and nobody would confirm that it is gone.
pub(super) fn is_unheard_of(pod: &Pod) -> bool {
    pod.status.as_ref().is_none_or(|status| status.start_time.is_none())
}

/// Whether a node is known not to run anything new.
pub(super) fn is_unready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status != "True")
}

/// Words of others may have many lines, or be many.
fn one_line(text: &str) -> String {
    const MOST: usize = 600;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.len() <= MOST { words } else { format!("{}...", words.chars().take(MOST).collect::<String>()) }
}

#[cfg(test)]
mod tests;
