//! Rulesets as large as those of large clusters.

use std::fmt::Write as _;

use tracer_core::evidence::{Ending, Hook, Probe};
use tracer_core::flow::{Endpoint, FlowKey, Port, Protocol};

use super::scene::{feed, namespace, read};

const SERVICES: usize = 4000;

/// kube-proxy's rules for many services: five rules each.
fn ruleset() -> String {
    let mut rules = "*nat\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\n".to_owned();
    for service in 0..SERVICES {
        writeln!(rules, ":KUBE-SVC-{service} - [0:0]\n:KUBE-SEP-{service} - [0:0]").unwrap();
    }
    for service in 0..SERVICES {
        let address = format!("10.96.{}.{}", service / 250, service % 250 + 1);
        let comment = format!("-m comment --comment \"default/service-{service} cluster IP\"");
        writeln!(
            rules,
            "-A KUBE-SERVICES -d {address}/32 -p tcp {comment} -m tcp --dport 80 -j KUBE-SVC-{service}"
        )
        .unwrap();
        writeln!(rules, "-A KUBE-SVC-{service} ! -s 10.244.0.0/16 -d {address}/32 -p tcp {comment} -m tcp --dport 80 -j MARK --or-mark 0x4000").unwrap();
        writeln!(rules, "-A KUBE-SVC-{service} {comment} -j KUBE-SEP-{service}").unwrap();
        writeln!(rules, "-A KUBE-SEP-{service} -s 10.244.9.9/32 {comment} -j MARK --or-mark 0x4000").unwrap();
        writeln!(
            rules,
            "-A KUBE-SEP-{service} -p tcp {comment} -m tcp -j DNAT --to-destination 10.244.9.9:{}",
            service + 1
        )
        .unwrap();
    }
    rules + "COMMIT\n"
}

#[test]
fn twenty_thousand_rules_are_read_and_walked() {
    let namespace = namespace();
    feed(&namespace, "iptables-nft-restore", &ruleset());
    let started = std::time::Instant::now();
    let firewall = read(&namespace);
    println!("read in {:?}", started.elapsed());
    let nat = firewall.table("ip nat").unwrap();
    assert_eq!(nat.chains.iter().map(|chain| chain.rules.len()).sum::<usize>(), 5 * SERVICES + 1);
    let end = |address: &str, port| Endpoint { address: address.parse().unwrap(), port: Port(port) };
    let last = SERVICES - 1;
    let to = end(&format!("10.96.{}.{}", last / 250, last % 250 + 1), 80);
    let key = FlowKey { protocol: Protocol::TCP, source: end("192.0.2.1", 40000), destination: to };
    let started = std::time::Instant::now();
    let walks = firewall.walk(Hook::Prerouting, &Probe::new(key));
    println!("walked in {:?}", started.elapsed());
    let [walk] = walks.as_slice() else { panic!("{walks:?}") };
    assert_eq!((&walk.ending, walk.mark), (&Ending::Accepted, 0x4000));
    assert_eq!(walk.key.destination, end("10.244.9.9", u16::try_from(SERVICES).unwrap()));
    assert_eq!(walk.steps.len(), 5, "{:?}", walk.steps);
}
