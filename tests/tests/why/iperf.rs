//! Ten seconds of iperf3 between two pods, with segments lost at a known place: throughput, retransmissions and losses as
//! kflow tells them, held against iperf3's own report.

use serde_json::Value;
use tests::{
    Lab, LabConfig,
    kflow::Told,
    lab::topology::{K8S_NODE1, POD_DEST, POD_SRC},
    run,
};

use crate::support::{Iperf, Result, Test, largest, list, number, packets, trace};

const PORT: u16 = 5201;
/// Seconds.
const LASTING: &str = "10";
/// Bits per second: what this machine forwards and records beside other work.
const RATE: &str = "60M";
/// Every so many data packets one is lost.
const PROBABILITY: &str = "0.01";
/// In KiB; room for every record.
const BUFFER: &str = "65536";
/// Two hundredths.
const TOLERANCE: u64 = 50;

#[test]
#[ignore = "needs the processors for itself: a recorder that loses packets cannot count them"]
fn throughput_retransmissions_and_places_of_losses_are_those_of_iperf3() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    // A packet of the counter of the rule below is then a segment of the wire.
    lab.set_offloads(false)?;
    let rule = format!(
        "FORWARD -d {} -p tcp --dport {PORT} -m length --length 1000: -m statistic --mode random --probability {PROBABILITY} -j DROP",
        POD_DEST.address
    );
    lab.iptables(K8S_NODE1.name, &format!("-I {rule}"))?;
    let server = Iperf::serve(lab.pod(POD_DEST.name))?;
    let kflow = trace(&lab, &["-B", BUFFER])?;
    let report = client(&lab)?;
    let outcome = kflow.stop()?;
    drop(server);
    let dropped = counted(&lab)?;

    let told = outcome.told()?;
    assert_eq!(outcome.code, Some(0), "{}\n{:#}", outcome.stderr, told.summary["loss"]);
    let flow = largest(&told, PORT);
    let lane = &flow["forward"];
    let end = &report["end"];
    let (sent, received) = (&end["sum_sent"], &end["sum_received"]);

    let payload = number(&lane["payload_bytes"]) - number(&lane["retransmitted_bytes"]);
    assert_near("bytes", payload, number(&received["bytes"]));
    let nanoseconds = number(&lane["last_ns"]) - number(&lane["first_ns"]);
    let rate = u128::from(payload) * 8 * 1_000_000_000 / u128::from(nanoseconds);
    assert_near("bits per second", u64::try_from(rate)?, rounded(&received["bits_per_second"]));

    let again = packets(&lane["retransmitted"], |_| true);
    assert!(dropped > 100, "{dropped} dropped");
    assert_near("retransmissions", again, number(&sent["retransmits"]));
    let is_at_the_rule = |stop: &Value| {
        stop["after"]["interface"] == "tunl0"
            && stop["after"]["node"] == K8S_NODE1.name
            && stop["before"]["interface"] == POD_DEST.interface
    };
    assert_eq!(packets(&lane["stopped"], |_| true), dropped, "{:#}", lane["stopped"]);
    assert_eq!(packets(&lane["stopped"], is_at_the_rule), dropped, "{:#}", lane["stopped"]);
    // What was sent again had been lost there, but for what TCP sent again too early.
    let is_after_the_rule = |again: &Value| {
        again["stopped_after"]["interface"] == "tunl0" && again["stopped_after"]["node"] == K8S_NODE1.name
    };
    assert_near("repairs", packets(&lane["retransmitted"], is_after_the_rule), dropped);
    assert_verdict(&told, flow);
    Ok(())
}

/// Runs the client, and returns its report.
fn client(lab: &Lab) -> Result<Value> {
    let address = POD_DEST.address.to_string();
    let args = ["-c", &address, "-t", LASTING, "-b", RATE, "-J"];
    Ok(serde_json::from_str(&run(lab.pod(POD_SRC.name), "iperf3", &args, "")?)?)
}

/// What the rule counted.
fn counted(lab: &Lab) -> Result<u64> {
    let text = run(lab.node(K8S_NODE1.name), "iptables", &["-w", "-nvxL", "FORWARD"], "")?;
    let line = text.lines().find(|line| line.contains("statistic")).ok_or("the rule is gone")?;
    Ok(line.split_whitespace().next().ok_or("no counter")?.parse()?)
}

/// The cause is the rule, and its counter is among what speaks for it.
fn assert_verdict(told: &Told, flow: &Value) {
    let verdict = &flow["verdict"];
    assert_eq!(verdict["cause"], "firewall-drop", "{verdict:#}\n{:#}", told.summary);
    assert_eq!(verdict["at"]["node"], K8S_NODE1.name, "{verdict:#}");
    let speaks = list(&verdict["evidence"]).iter().any(|fact| fact["source"] == "rules");
    assert!(speaks, "{verdict:#}");
}

fn rounded(value: &Value) -> u64 {
    let value = value.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    // Bits per second of a network fit.
    format!("{value:.0}").parse().unwrap_or_default()
}

fn assert_near(what: &str, told: u64, expected: u64) {
    let difference = told.abs_diff(expected);
    assert!(difference * TOLERANCE <= expected, "{what}: {told} told, {expected} by iperf3");
}
