//! The status object at the end of an exec stream.

use serde::Deserialize;

/// How the command ended, as the kubelet tells it (`k8s.io/kubelet/pkg/cri/streaming/remotecommand`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::cluster) enum Ended {
    /// It ran, and this is its exit code.
    Code(i32),
    /// It could not be run, or nobody knows how it ended.
    Failed(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(rename = "status")]
    outcome: String,
    reason: String,
    message: String,
    details: Details,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

impl Ended {
    /// Reads it.
    pub(in crate::cluster) fn read(json: &[u8]) -> Self {
        let Ok(status) = serde_json::from_slice::<Status>(json) else {
            return Self::Failed("it ended, and the cluster's words on how make no sense".to_owned());
        };
        let causes = &status.details.causes;
        let code = causes
            .iter()
            .find(|cause| cause.reason == "ExitCode")
            .and_then(|cause| cause.message.parse().ok());
        match (status.outcome.as_str(), status.reason.as_str(), code) {
            ("Success", ..) => Self::Code(0),
            (_, "NonZeroExitCode", Some(code)) => Self::Code(code),
            _ => Self::Failed(format!("the command cannot be run in the agent: {}", status.message.trim())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_as_a_kubelet_writes_them() {
        let table = [
            (r#"{"metadata":{},"status":"Success"}"#, Ended::Code(0)),
            (
                r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 4",
                    "reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"4"}]}}"#,
                Ended::Code(4),
            ),
            (
                r#"{"status":"Failure","message":"Internal error occurred: no such file","reason":"InternalError",
                    "details":{"causes":[{"message":"no such file"}]},"code":500}"#,
                Ended::Failed(
                    "the command cannot be run in the agent: Internal error occurred: no such file"
                        .to_owned(),
                ),
            ),
        ];
        for (json, ended) in table {
            assert_eq!(Ended::read(json.as_bytes()), ended, "{json}");
        }
        assert!(matches!(Ended::read(b"\xff"), Ended::Failed(_)));
    }
}
