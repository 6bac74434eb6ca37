//! What `kflow trace -o json` told.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::kflow::Ended;

/// All of it.
pub(super) struct Told {
    lines: Vec<(Duration, Value)>,
}

impl Told {
    /// From the lines of a trace.
    pub(super) fn of(ended: &Ended) -> Result<Self> {
        let parse = |line: &super::kflow::Line| {
            let value =
                serde_json::from_str(&line.text).with_context(|| format!("no JSON: {}", line.text))?;
            Ok((line.after, value))
        };
        let told = Self { lines: ended.out.iter().map(parse).collect::<Result<_>>()? };
        ensure!(told.summary().is_some(), "no summary; it said: {}", ended.err);
        Ok(told)
    }

    /// The flows.
    pub(super) fn flows(&self) -> Vec<&Value> {
        self.of_type("flow").map(|(_, value)| value).collect()
    }

    /// From Enter to the first that it printed of a packet.
    pub(super) fn first_hop(&self) -> Option<Duration> {
        self.of_type("event").map(|(after, _)| *after).next()
    }

    /// The last line.
    pub(super) fn summary(&self) -> Option<&Value> {
        self.of_type("summary").map(|(_, value)| value).next()
    }

    fn of_type(&self, kind: &'static str) -> impl Iterator<Item = &(Duration, Value)> {
        self.lines.iter().filter(move |(_, value)| value["type"] == kind)
    }

    /// The flows that were opened meanwhile and of which every packet was delivered, both ways; fails if these are none.
    pub(super) fn delivered(&self) -> Result<Vec<&Value>> {
        self.those(|flow| is_delivered(&flow["forward"]) && is_delivered(&flow["reply"]))
    }

    /// The same where the replies leave for somebody outside, which is where no hop is watched any more.
    pub(super) fn delivered_inside(&self) -> Result<Vec<&Value>> {
        self.those(|flow| is_delivered(&flow["forward"]) && leaves(&flow["reply"]))
    }

    fn those(&self, is_whole: impl Fn(&Value) -> bool) -> Result<Vec<&Value>> {
        let flows = self.flows();
        let opened = flows.iter().copied().filter(|flow| flow["tcp"]["opened"] == true);
        let whole: Vec<&Value> = opened.filter(|flow| is_whole(flow)).collect();
        let summary = self.summary().map(Value::to_string).unwrap_or_default();
        ensure!(
            !whole.is_empty(),
            "{} flows, and none of them is delivered both ways: {summary}",
            flows.len()
        );
        Ok(whole)
    }
}

fn is_delivered(lane: &Value) -> bool {
    lane["packets"].as_u64().is_some_and(|packets| packets > 0) && lane["packets"] == lane["delivered"]
}

/// Whether packets were seen, and none of them stopped.
fn leaves(lane: &Value) -> bool {
    let is_stopped = lane["stopped"].as_array().is_some_and(|stopped| !stopped.is_empty());
    lane["packets"].as_u64().is_some_and(|packets| packets > 0) && !is_stopped
}

/// The nodes on a flow's way there, in their order, each once.
pub(super) fn nodes(flow: &Value) -> Vec<String> {
    let mut nodes: Vec<String> =
        hops(flow).filter_map(|hop| Some(hop["node"].as_str()?.to_owned())).collect();
    nodes.dedup();
    nodes
}

/// The hops of a flow there.
pub(super) fn hops(flow: &Value) -> impl Iterator<Item = &Value> {
    flow["forward"]["hops"].as_array().into_iter().flatten()
}

/// Whether something changed the packets' addresses on the way there.
pub(super) fn is_translated(flow: &Value) -> bool {
    let ends: BTreeSet<String> = hops(flow).map(|hop| hop["destination"]["address"].to_string()).collect();
    ends.len() > 1
}

/// The last destination on the way there, by address.
pub(super) fn endpoint(flow: &Value) -> Option<String> {
    Some(hops(flow).last()?["destination"]["address"].as_str()?.to_owned())
}

/// Name of who opened a flow, and of whom it was opened to.
pub(super) fn ends(flow: &Value) -> (String, String) {
    let name = |end: &Value| end["name"].as_str().unwrap_or_default().to_owned();
    (name(&flow["source"]), name(&flow["destination"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flow() -> Value {
        let hop = |node: &str, to: &str| json!({ "node": node, "destination": { "address": to } });
        json!({
            "type": "flow",
            "source": { "name": "client" },
            "destination": { "name": "svc/web" },
            "forward": {
                "packets": 3, "delivered": 3,
                "hops": [hop("a", "10.96.0.9"), hop("a", "10.244.2.2"), hop("b", "10.244.2.2")],
            },
            "reply": { "packets": 2, "delivered": 2, "hops": [] },
            "tcp": { "opened": true },
        })
    }

    #[test]
    fn a_flow_in_words() {
        let flow = flow();
        assert_eq!(nodes(&flow), ["a", "b"]);
        assert!(is_translated(&flow));
        assert_eq!(endpoint(&flow).as_deref(), Some("10.244.2.2"));
        assert_eq!(ends(&flow), ("client".to_owned(), "svc/web".to_owned()));
    }

    fn told(flow: Value) -> Told {
        Told { lines: vec![(Duration::ZERO, flow)] }
    }

    #[test]
    fn a_packet_less_is_not_delivered() {
        assert_eq!(told(flow()).delivered().expect("a flow").len(), 1);
        let mut flow = flow();
        flow["reply"]["delivered"] = json!(1);
        assert!(told(flow.clone()).delivered().is_err());
        assert_eq!(told(flow.clone()).delivered_inside().expect("a flow").len(), 1);
        flow["reply"]["stopped"] = json!([{ "packets": 1 }]);
        assert!(told(flow).delivered_inside().is_err());
    }

    #[test]
    fn a_flow_that_was_open_before_does_not_count() {
        let mut flow = flow();
        flow["tcp"]["opened"] = json!(false);
        assert!(told(flow).delivered().is_err());
    }
}
