//! One capture on a node: it waits for the agent, is carried to its reader, and ends with words for a person.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::agent::Agent;
use super::pod::{BINARY, CONTAINER};
use super::rate::Share;
use super::{Inner, Order, refusal};
use crate::cluster::remote::exec::{self, Command, Outcome};
use crate::cluster::remote::status::Ended;
use crate::cluster::remote::{Phase, RemoteEnd, Source};

/// How long the API server may take to connect to the agent.
const OPENING: Duration = Duration::from_secs(10);
/// How long the cluster may take to tell what became of an agent whose stream ended.
const NEWS: Duration = Duration::from_millis(1500);
/// Exit codes from which on a shell would speak of a signal.
const SIGNALLED: i32 = 128;

/// Runs a capture and tells its end behind the ends of its streams.
pub(super) async fn run(
    inner: Arc<Inner>,
    order: Order,
    mut agent: watch::Receiver<Agent>,
    mut source: Source,
    mut share: Share,
) {
    let end = match until_ready(&order.node, &mut agent, &mut source).await {
        Ok(pod) => carry(&inner, &order, &pod, &mut agent, &mut source, &mut share).await,
        Err(reason) => RemoteEnd { code: None, reason: Some(reason) },
    };
    let Source { stdout, stderr, end: told, .. } = source;
    drop((stdout, stderr));
    // Nobody may want to know.
    let _ = told.send(end);
}

/// Waits for the agent. Returns its pod.
async fn until_ready(
    node: &str,
    agent: &mut watch::Receiver<Agent>,
    source: &mut Source,
) -> Result<String, String> {
    loop {
        match agent.borrow_and_update().clone() {
            Agent::Ready(pod) => return Ok(pod),
            Agent::Failed(reason) => return Err(reason),
            Agent::Coming(Some(what)) => {
                let words = format!("kflow: the agent on {node} is not there yet: {what}\n");
                // The pipe is empty but for these words, of which there is one in nine seconds.
                let _ = source.stderr.try_send(words.into_bytes());
            }
            Agent::Coming(None) => {}
        }
        tokio::select! {
            changed = agent.changed() => changed.map_err(|_| "the run is over".to_owned())?,
            wanted = source.phase.wait_for(|phase| *phase != Phase::Run) => {
                drop(wanted);
                return Err("the capture was ended before its agent was there".to_owned());
            }
        }
    }
}

async fn carry(
    inner: &Inner,
    order: &Order,
    pod: &str,
    agent: &mut watch::Receiver<Agent>,
    source: &mut Source,
    share: &mut Share,
) -> RemoteEnd {
    let namespace = inner.spec.namespace();
    let words = command_line(order, share.limit(), inner.user().await);
    let command = Command { namespace, pod, container: CONTAINER, words };
    let (socket, closes) = match timeout(OPENING, exec::open(&inner.client, command)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            // An agent that ended at once is refused for many reasons, of which none is that it ended.
            let news = if refusal::is(&error, 403) { None } else { news(agent).await };
            return without_code(news.unwrap_or_else(|| refusal::of_exec(&error, namespace)));
        }
        Err(_) => {
            let seconds = OPENING.as_secs();
            return without_code(format!("the API server has not connected to the agent within {seconds} s"));
        }
    };
    let (outcome, last_words) = exec::carry(socket, closes, source, share).await;
    let needs_news = match &outcome {
        Outcome::Broken(_) | Outcome::Ended(Ended::Failed(_)) => true,
        Outcome::Ended(Ended::Code(code)) => *code >= SIGNALLED,
        Outcome::Killed => false,
    };
    let news = if needs_news { news(agent).await } else { None };
    end(outcome, &last_words, news.as_deref())
}

/// What the cluster tells of an agent that failed.
async fn news(agent: &mut watch::Receiver<Agent>) -> Option<String> {
    let failed = agent.wait_for(|agent| matches!(agent, Agent::Failed(_)));
    let failed = timeout(NEWS, failed).await.ok()?.ok()?;
    match &*failed {
        Agent::Failed(reason) => Some(reason.clone()),
        _ => None,
    }
}

fn end(outcome: Outcome, last_words: &str, news: Option<&str>) -> RemoteEnd {
    match outcome {
        Outcome::Ended(Ended::Code(code)) => {
            let reason = match code {
                0 | 3 => None,
                SIGNALLED.. => Some(news.map_or_else(
                    || format!("the capture was killed (exit code {code})"),
                    |news| format!("the capture was killed: {news}"),
                )),
                _ if last_words.is_empty() => Some(format!("the capture ended with exit code {code}")),
                _ => Some(last_words.trim_start_matches("kflow: ").to_owned()),
            };
            RemoteEnd { code: Some(code), reason }
        }
        Outcome::Ended(Ended::Failed(reason)) => without_code(news.map_or(reason, str::to_owned)),
        Outcome::Broken(how) => without_code(match news {
            Some(news) => format!("the connection to the agent broke: {news}"),
            None => format!("the connection to the agent broke: {how}"),
        }),
        Outcome::Killed => without_code("the capture was cut off".to_owned()),
    }
}

fn without_code(reason: String) -> RemoteEnd {
    RemoteEnd { code: None, reason: Some(reason) }
}

/// What runs in the agent.
fn command_line(order: &Order, rate: u64, user: Option<&str>) -> Vec<String> {
    let mut words = vec![BINARY.to_owned()];
    words.extend(order.task.words(rate));
    if order.task.takes_node() && !order.arguments.iter().any(|word| word == "--node") {
        words.extend(["--node".to_owned(), order.node.clone()]);
    }
    if let Some(user) = user {
        words.push(format!("--for-user={user}"));
    }
    words.extend_from_slice(&order.arguments);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_names_the_node_once() {
        let order = |arguments: &[&str]| Order {
            node: "n1".to_owned(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            ..Order::default()
        };
        let words = command_line(&order(&["-s", "128"]), 1000, None);
        assert_eq!(words[0], "/kflow");
        assert_eq!(words[words.len() - 4..], ["--node", "n1", "-s", "128"]);
        assert!(words.windows(2).any(|pair| pair == ["--output-rate", "1000"]));
        let words = command_line(&order(&["--node", "n1"]), 1000, Some("jane"));
        assert_eq!(words.iter().filter(|word| *word == "--node").count(), 1);
    }

    #[test]
    fn ends_say_what_explains_them() {
        let code = |code| Outcome::Ended(Ended::Code(code));
        let broken = || Outcome::Broken("reset".to_owned());
        let table = [
            (code(0), "", None, Some(0), None),
            (code(3), "12 packets lost", None, Some(3), None),
            (code(4), "kflow: capability BPF is missing", None, Some(4), Some("capability BPF is missing")),
            (code(1), "", None, Some(1), Some("the capture ended with exit code 1")),
            (code(137), "", Some("deleted"), Some(137), Some("the capture was killed: deleted")),
            (code(137), "", None, Some(137), Some("the capture was killed (exit code 137)")),
            (broken(), "words", None, None, Some("the connection to the agent broke: reset")),
            (broken(), "words", Some("deleted"), None, Some("the connection to the agent broke: deleted")),
        ];
        for (outcome, words, news, code, reason) in table {
            let expected = RemoteEnd { code, reason: reason.map(str::to_owned) };
            assert_eq!(end(outcome.clone(), words, news), expected, "{outcome:?}");
        }
    }
}
