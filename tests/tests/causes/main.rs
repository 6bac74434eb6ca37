//! Faults in the lab: kflow names their cause and their place. `cargo xtask diagnose` has all faults and all variants.

use std::sync::Mutex;

use tests::{
    faults::{self, FaultError, Judged, Options, Variant},
    kflow,
};

/// Labs side by side: most of the time of each is spent waiting.
const JOBS: usize = 2;
/// Flows of the healthy labs.
const HEALTHY: usize = 60;
/// One of each family: rules, settings, routes, tunnels, the network between, sockets, services, names.
const FAMILIES: [&str; 12] = [
    "drop-forward",
    "reject",
    "rp-filter",
    "ip-forward",
    "blackhole-route",
    "tunnel-peer",
    "vxlan-filtered",
    "wrong-vni",
    "closed-port",
    "no-endpoints",
    "local-policy",
    "dns-search",
];

#[test]
fn a_fault_of_each_family_is_named() {
    let program = kflow::program();
    let options = Options { program: &program, jobs: JOBS, is_dry: false };
    let all = faults::all();
    let some = all.iter().filter(|fault| FAMILIES.contains(&fault.name));
    let chosen: Vec<(&str, &Variant)> =
        some.filter_map(|fault| fault.variants.first().map(|first| (fault.name, first))).collect();
    assert_eq!(chosen.len(), FAMILIES.len(), "a fault that is not there, or without variants");
    let wrong = Mutex::new(Vec::new());
    let tell = |name: &str, variant: &Variant, judged: &Result<Judged, FaultError>| {
        let line = match judged {
            Ok(judged) if judged.place && judged.cause => return,
            Ok(judged) => {
                format!("{name}: {}: {:?}, but: {}", variant.label(), variant.expected, judged.said)
            }
            Err(error) => format!("{name}: {}: {error}", variant.label()),
        };
        wrong.lock().unwrap().push(line);
    };
    faults::attempt_all(&chosen, options, &tell);
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fault_has_ten_variants_that_differ() {
    for fault in faults::all() {
        let mut labels: Vec<String> = fault.variants.iter().map(Variant::label).collect();
        labels.sort();
        labels.dedup();
        assert!(labels.len() >= 10, "{}: {labels:#?}", fault.name);
    }
}

#[test]
fn no_cause_is_named_where_nothing_is_wrong() -> Result<(), FaultError> {
    let program = kflow::program();
    let healthy = faults::healthy(HEALTHY, Options { program: &program, jobs: 1, is_dry: false })?;
    assert!(healthy.named.is_empty(), "{:#?}", healthy.named);
    assert!(healthy.failed.is_empty(), "{:#?}", healthy.failed);
    Ok(())
}
