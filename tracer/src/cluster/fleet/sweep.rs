//! What older runs left behind.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::pod::RUN;

/// How much later than its deadline an agent counts as left behind: clocks differ.
const SLACK: Duration = Duration::from_mins(5);
/// How long a run waits for a pod that does not come, with as much again.
const WAITING: Duration = Duration::from_mins(10);

/// Whether an agent is of no use to anybody, by these rules in this order:
/// 1. agents that stay, and those that are being deleted, are not touched;
/// 2. one that ended is left behind;
/// 3. one that never ran is, if no run waits that long;
/// 4. one that runs is, when its deadline has passed.
pub(super) fn is_left_behind(pod: &Pod, now: Timestamp) -> bool {
    let is_of_a_run = pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(RUN));
    if !is_of_a_run || pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let Some(made) = pod.metadata.creation_timestamp.as_ref() else { return false };
    let age = Duration::try_from(now.duration_since(made.0)).unwrap_or_default();
    let deadline = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    match phase {
        "Succeeded" | "Failed" => true,
        "Pending" => age > WAITING,
        _ => deadline.is_some_and(|seconds| age > Duration::from_secs(seconds.unsigned_abs()) + SLACK),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_nobody_uses_is_left_behind() {
        let table = [
            ("Succeeded", 1, true, None, true),
            ("Failed", 1, true, None, true),
            ("Succeeded", 1, false, None, false),
            ("Running", 59, true, None, false),
            ("Running", 64, true, None, false),
            ("Running", 66, true, None, true),
            ("Running", 6000, false, None, false),
            ("Pending", 9, true, None, false),
            ("Pending", 11, true, None, true),
            ("Succeeded", 30, true, Some("2026-01-01T00:00:00Z"), false),
        ];
        let now: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
        for (phase, minutes, of_run, deleted, expected) in table {
            let made = now - Duration::from_mins(minutes);
            let mut labels = json!({"app.kubernetes.io/name": "kflow"});
            if of_run {
                labels[RUN] = json!("cafe");
            }
            let pod = json!({
                "metadata": {"creationTimestamp": made.to_string(), "deletionTimestamp": deleted, "labels": labels},
                "spec": {"activeDeadlineSeconds": 3600, "containers": []},
                "status": {"phase": phase},
            });
            let pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(is_left_behind(&pod, now), expected, "{phase} for {minutes} min, of a run: {of_run}");
        }
    }
}
