//! What two traces of the same packets have to have in common: everything but times.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use serde_json::{Value, json};
use tests::{CommandError, Lab, kflow::Told, run};

use crate::sniffers;

/// `NODE:ifN`, as captures of the device `any` name an interface, to its name.
pub(crate) type Names = HashMap<String, String>;

/// What a flow is compared by, by its ends.
pub(crate) type Flows = BTreeMap<String, Value>;

/// The names of all interfaces of the lab by their numbers.
pub(crate) fn interface_names(lab: &Lab) -> Result<Names, CommandError> {
    let mut names = Names::new();
    for site in sniffers::sites(lab) {
        // `3: eth0@if7: <BROADCAST,...`
        for line in run(site.ns, "ip", &["-o", "link"], "")?.lines() {
            let mut words = line.split([':', '@']).map(str::trim);
            if let (Some(index), Some(name)) = (words.next(), words.next()) {
                names.insert(format!("{}:if{index}", site.pod.unwrap_or(site.node)), name.to_owned());
            }
        }
    }
    Ok(names)
}

/// The flows of a trace, without that of the mark and without the hops that are called `hidden`.
pub(crate) fn flows(told: &Told, names: &Names, mark: SocketAddr, hidden: Option<&str>) -> Flows {
    let comparer = Comparer { names, hidden };
    let is_mark = |flow: &&Value| flow["source"]["port"] == mark.port();
    let flows = told.flows.iter().filter(|flow| !is_mark(flow));
    flows.map(|flow| (ends(flow), comparer.flow(flow))).collect()
}

/// Asserts that the traffic was such that a comparison means something.
pub(crate) fn assert_eventful(flows: &Flows) {
    let lanes = || flows.values().flat_map(|flow| [&flow["forward"], &flow["reply"]]);
    let lost = lanes().filter(|lane| !list(&lane["stopped"]).is_empty()).count();
    assert!(lost >= 3, "losses in {lost} directions: {flows:#?}");
    assert!(lanes().all(|lane| list(&lane["hops"]).len() >= 7), "{flows:#?}");
}

/// Asserts that two traces tell the same.
pub(crate) fn assert_same(name: &str, ours: &Flows, theirs: &Flows) {
    let ends = |flows: &Flows| flows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ends(theirs), ends(ours), "{name}");
    let mut differences = Vec::new();
    for (ends, flow) in ours {
        for (field, value) in flow.as_object().into_iter().flatten() {
            let other = &theirs[ends][field];
            if other != value {
                differences.push(format!("{ends}, {field}: {other:#}\nby kflow: {value:#}"));
            }
        }
    }
    assert!(differences.is_empty(), "{name}:\n{}", differences.join("\n"));
}

struct Comparer<'a> {
    names: &'a Names,
    hidden: Option<&'a str>,
}

impl Comparer<'_> {
    fn flow(&self, flow: &Value) -> Value {
        let tcp = &flow["tcp"];
        json!({
            "tuples": flow["tuples"],
            "opened": tcp["opened"],
            "answered": tcp["answered"],
            "fin": tcp["fin"],
            "reset": tcp["reset"],
            "forward": self.lane(&flow["forward"]),
            "reply": self.lane(&flow["reply"]),
        })
    }

    fn lane(&self, lane: &Value) -> Value {
        let hops = list(&lane["hops"]);
        let is_shown = |hop: &&Value| self.hidden.is_none_or(|hidden| !self.place(hop).ends_with(hidden));
        // Where a hop is left out, packets that did not get there did not get to the next one.
        let next_seen = |place: String| {
            let rest = hops.iter().skip_while(|hop| self.place(hop) != place);
            rest.into_iter().find(is_shown).map_or(place.clone(), |hop| self.place(hop))
        };
        let stop = |stop: &Value| {
            json!({
                "after": self.place(&stop["after"]),
                "before": stop.get("before").map(|hop| next_seen(self.place(hop))),
                "packets": stop["packets"],
                "is_uncertain": stop.get("uncertain").is_some(),
            })
        };
        let mut stopped: Vec<Value> = list(&lane["stopped"]).iter().map(stop).collect();
        stopped.sort_by_key(Value::to_string);
        let again = |copy: &Value| {
            let mut copy = copy.clone();
            if let Some(hop) = copy.get("stopped_after") {
                copy["stopped_after"] = self.place(hop).into();
            }
            copy
        };
        let retransmitted: Vec<Value> = list(&lane["retransmitted"]).iter().map(again).collect();
        json!({
            "packets": lane["packets"],
            "payload_bytes": lane["payload_bytes"],
            "delivered": lane["delivered"],
            "unknown": lane["unknown"],
            "retransmitted": retransmitted,
            "hops": hops.iter().filter(is_shown).map(|hop| self.hop(hop)).collect::<Vec<_>>(),
            "stopped": stopped,
        })
    }

    /// Where, how many, and what they wore there: what changed between two hops follows from it.
    fn hop(&self, hop: &Value) -> String {
        let tunnels: Vec<String> = list(&hop["tunnels"]).iter().map(Value::to_string).collect();
        let (source, destination) = (end(&hop["source"]), end(&hop["destination"]));
        format!("{} {} {source} -> {destination} {}", self.place(hop), hop["packets"], tunnels.join(", "))
    }

    /// `k8s-node1:tunl0 ingress`.
    fn place(&self, hop: &Value) -> String {
        let pod = hop["pod"].as_str().and_then(|pod| pod.strip_prefix("default/"));
        let host = pod.unwrap_or_else(|| word(&hop["node"]));
        let told = word(&hop["interface"]);
        let name = self.names.get(&format!("{host}:{told}")).map_or(told, String::as_str);
        format!("{host}:{name} {}", word(&hop["direction"]))
    }
}

fn ends(flow: &Value) -> String {
    format!("{} {} -> {}", word(&flow["protocol"]), end(&flow["source"]), end(&flow["destination"]))
}

fn end(end: &Value) -> String {
    format!("{}:{}", word(&end["address"]), end["port"])
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
