//! Packets that a rule drops are reported lost, and between which hops.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::Value;
use tests::{
    Overlay,
    kflow::Outcome,
    lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_SRC},
    traffic::{HttpGet, Ping, TrafficError},
};

use crate::support::{DEST, JSON, POD_TO_POD, Site, Test, assert_delivered, list, place, word};

/// Less than the time after which the first SYN is sent again.
const SHORT: Duration = Duration::from_millis(300);

/// A rule that drops SYNs, and between which hops they are lost.
struct Drop {
    node: &'static str,
    rule: &'static str,
    after: &'static str,
    before: &'static str,
}

const BEFORE_THE_POD: Drop = Drop {
    node: K8S_NODE1.name,
    rule: "FORWARD -d 10.244.131.5 -p tcp -j DROP",
    after: "k8s-node1:tunl0 ingress",
    before: "k8s-node1:calia5814ebbae9 egress",
};
const BEFORE_THE_TUNNEL: Drop = Drop {
    node: K8S_NODE2.name,
    rule: "FORWARD -d 10.244.131.5 -p tcp -j DROP",
    after: "k8s-node2:calib8c6d5407e3 ingress",
    before: "k8s-node2:tunl0 egress",
};

#[test]
fn a_drop_is_between_two_hops_where_others_pass() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    for drop in [&BEFORE_THE_POD, &BEFORE_THE_TUNNEL] {
        let outcome = trace_drop(&site, drop, true, &JSON)?;
        let (flow, ping) = syn_and_others(&outcome)?;
        assert_delivered(&ping["forward"], 8);
        assert_delivered(&ping["reply"], 8);
        let stop = only_stop(&flow);
        assert_eq!(hop(&stop["after"]), drop.after);
        assert_eq!(hop(&stop["before"]), drop.before);
    }
    Ok(())
}

#[test]
fn a_drop_is_after_the_last_hop_where_nothing_passes() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    for drop in [&BEFORE_THE_POD, &BEFORE_THE_TUNNEL] {
        let outcome = trace_drop(&site, drop, false, &JSON)?;
        let told = outcome.told()?;
        assert_eq!(told.flows.len(), 1, "{outcome:?}");
        let stop = only_stop(&told.flows[0]);
        assert_eq!(hop(&stop["after"]), drop.after);
        assert_eq!(stop.get("before"), None, "{stop:#}");
    }
    Ok(())
}

#[test]
fn a_drop_is_told_in_words() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let said = trace_drop(&site, &BEFORE_THE_POD, true, &[])?.stdout;
    for words in [
        "SYN not answered",
        "1 of 1 packet lost",
        "1 packet lost between k8s-node1 tunl0 ingress and k8s-node1 calia5814ebbae9 egress",
        "nothing missed",
    ] {
        assert!(said.contains(words), "no \"{words}\" in\n{said}");
    }
    let said = trace_drop(&site, &BEFORE_THE_POD, false, &[])?.stdout;
    assert!(said.contains("1 packet lost after k8s-node1 tunl0 ingress, seen nowhere else"), "{said}");
    Ok(())
}

/// Every second echo request of one flow: the others show the way on.
#[test]
fn a_drop_in_the_middle_of_a_flow_is_told_at_once() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let rule =
        "FORWARD -p icmp --icmp-type echo-request -m statistic --mode nth --every 2 --packet 1 -j DROP";
    site.lab.iptables(K8S_NODE1.name, &format!("-I {rule}"))?;
    let kflow = site.trace(POD_TO_POD.into_iter().chain(JSON))?;
    let pings =
        Ping { count: 4, timeout: SHORT, ..Ping::new(POD_DEST.address) }.send(site.lab.pod(POD_SRC.name))?;
    assert_eq!(pings.round_trips.len(), 2);
    let outcome = kflow.stop()?;

    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told = outcome.told()?;
    let [flow] = &told.flows[..] else { panic!("{outcome:?}") };
    let lane = &flow["forward"];
    assert_eq!((&lane["packets"], &lane["delivered"]), (&Value::from(4), &Value::from(2)), "{lane:#}");
    let [stop] = list(&lane["stopped"]) else { panic!("{lane:#}") };
    assert_eq!((hop(&stop["after"]), hop(&stop["before"])), places(&BEFORE_THE_POD));
    assert_eq!(stop["packets"], 2);
    assert_delivered(&flow["reply"], 8);
    let stopped: Vec<&Value> = told.events.iter().filter(|event| event["event"] == "stopped").collect();
    let [event] = stopped[..] else { panic!("{:#?}", told.events) };
    assert_eq!((hop(&event["after"]), hop(&event["before"])), places(&BEFORE_THE_POD));
    Ok(())
}

/// Traces a SYN that is dropped; with others, a ping passes first. The rule goes again.
fn trace_drop(
    site: &Site,
    drop: &Drop,
    with_others: bool,
    words: &[&str],
) -> Result<Outcome, Box<dyn std::error::Error>> {
    site.lab.iptables(drop.node, &format!("-I {}", drop.rule))?;
    let source = site.lab.pod(POD_SRC.name);
    let kflow = site.trace(POD_TO_POD.into_iter().chain(words.iter().copied()))?;
    if with_others {
        assert_eq!(Ping::new(POD_DEST.address).send(source)?.round_trips.len(), 1);
    }
    let dropped = HttpGet { timeout: SHORT, ..HttpGet::new(SocketAddr::from(DEST)) }.send(source);
    let is_timeout = matches!(&dropped, Err(TrafficError::Socket { source, .. }) if source.kind() == io::ErrorKind::TimedOut);
    assert!(is_timeout, "{dropped:?}");
    let outcome = kflow.stop()?;
    site.lab.iptables(drop.node, &format!("-D {}", drop.rule))?;
    // A lost packet is a result, and nothing is missing from it.
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    Ok(outcome)
}

fn syn_and_others(outcome: &Outcome) -> Result<(Value, Value), Box<dyn std::error::Error>> {
    let mut flows = outcome.told()?.flows;
    assert_eq!(flows.len(), 2, "{outcome:?}");
    flows.sort_by_key(|flow| word(&flow["protocol"]) != "TCP");
    Ok((flows.remove(0), flows.remove(0)))
}

/// The place where the only packet of a flow stopped for certain.
fn only_stop(flow: &Value) -> &Value {
    let lane = &flow["forward"];
    let expected = (&Value::from(1), &Value::from(0), &Value::from(0));
    assert_eq!((&lane["packets"], &lane["delivered"], &lane["unknown"]), expected, "{lane:#}");
    assert_eq!(flow["reply"]["packets"], 0, "{flow:#}");
    let [stop] = list(&lane["stopped"]) else { panic!("{lane:#}") };
    assert_eq!(stop["packets"], 1);
    assert_eq!(stop.get("uncertain"), None, "{stop:#}");
    stop
}

fn places(drop: &Drop) -> (String, String) {
    (drop.after.to_owned(), drop.before.to_owned())
}

fn hop(hop: &Value) -> String {
    format!("{} {}", place(hop), word(&hop["direction"]))
}
