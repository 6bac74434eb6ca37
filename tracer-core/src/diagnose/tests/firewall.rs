use super::super::testing::{
    delivered, dropped, flow, hop, key, lane, stopped, there, way, way_back, wrapped,
};
use super::{Cause, Outcome, World, assert_cause, assert_no_cause, stopping, stops_after, world};
use crate::evidence::{
    Action, Backend, Chain, Firewall, Hook, Match, Missing, Prefix, Rule, Snapshot, Table,
};
use crate::flow::Protocol;
use crate::packet::TunnelKind;
use crate::report::FlowReport;

/// A rule for packets of a protocol to an address.
fn rule(protocol: Protocol, destination: &str, action: Action) -> Rule {
    let networks = vec![Prefix { address: super::super::testing::ip(destination), length: 32 }];
    let matches = vec![
        Match::Protocol { protocol, is_negated: false },
        Match::Destination { networks, is_negated: false },
    ];
    let verb = if action == Action::Drop { "DROP" } else { "REJECT" };
    Rule {
        matches,
        actions: vec![action],
        comment: None,
        packets: Some(0),
        text: format!("-d {destination}/32 -p {protocol} -j {verb}"),
        handle: Some(5),
    }
}

fn chain(name: &str, hook: Option<Hook>, rules: Vec<Rule>) -> Chain {
    let policy = hook.map(|_| Action::Accept);
    let kind = hook.map(|_| "filter".to_owned());
    Chain {
        name: name.to_owned(),
        hook,
        kind,
        priority: 0,
        policy,
        policy_packets: None,
        rules,
        devices: Vec::new(),
    }
}

fn with(snapshot: &mut Snapshot, chains: Vec<Chain>) {
    let table = Table {
        backend: Backend::Nft,
        family: "ip".to_owned(),
        name: "filter".to_owned(),
        chains,
        sets: Vec::new(),
    };
    snapshot.firewall = Firewall { tables: vec![table], ..Firewall::default() };
}

/// A world whose first node had a rule in FORWARD, and counted so many packets by it meanwhile.
fn guarded(rule: &Rule, counted: u64) -> World {
    let mut world = world();
    with(&mut world.node1.before, vec![chain("FORWARD", Some(Hook::Forward), vec![rule.clone()])]);
    let later = Rule { packets: rule.packets.map(|packets| packets + counted), ..rule.clone() };
    world.one(|node| with(node, vec![chain("FORWARD", Some(Hook::Forward), vec![later.clone()])]))
}

fn drop_rule() -> Rule {
    rule(Protocol::TCP, "10.244.131.5", Action::Drop)
}

/// Packets that end on the first node as they came out of the tunnel, and of which its kernel says so.
fn told() -> FlowReport {
    let mut flow = stops_after(5, 3);
    flow.forward.drops.push(dropped("node1", "NETFILTER_DROP", "nf_hook_slow", there(), 3));
    flow
}

/// The kernel cannot say what it drops.
fn speechless(world: World) -> World {
    world.one(|node| node.missing.push(Missing { what: "drops".to_owned(), why: "no BTF".to_owned() }))
}

#[test]
fn a_rule_that_drops_is_named_with_its_counter() {
    let verdict = guarded(&drop_rule(), 3).judge(told());
    assert_cause(&verdict, Cause::FirewallDrop, Outcome::Dropped, Some("node1"));
    assert_eq!(
        verdict.summary,
        "node1 dropped 3 SYNs to 10.244.131.5:8080 in FORWARD: rule `-d 10.244.131.5/32 -p TCP -j DROP` \
         (table ip filter, counted 3)"
    );
}

#[test]
fn without_the_kernels_word_the_counter_speaks() {
    let verdict = speechless(guarded(&drop_rule(), 3)).judge(stops_after(5, 3));
    assert_cause(&verdict, Cause::FirewallDrop, Outcome::Dropped, Some("node1"));
    let silent = speechless(guarded(&drop_rule(), 0)).judge(stops_after(5, 3));
    assert_no_cause(&silent, Outcome::BlackHoled);
}

#[test]
fn a_rule_for_others_is_not_named() {
    let other = rule(Protocol::TCP, "10.244.131.6", Action::Drop);
    assert_no_cause(&guarded(&other, 9).judge(stops_after(5, 3)), Outcome::BlackHoled);
}

#[test]
fn what_another_part_of_the_kernel_dropped_is_no_rules_fault() {
    let mut flow = stops_after(5, 3);
    flow.forward.drops.push(dropped("node1", "NOMEM", "some_function", there(), 3));
    assert_cause(&guarded(&drop_rule(), 3).judge(flow), Cause::KernelDrop, Outcome::Dropped, Some("node1"));
}

#[test]
fn a_refusal_is_none_of_the_ports_owner() {
    let reject = rule(Protocol::TCP, "10.244.131.5", Action::Reject { with: "tcp-reset".to_owned() });
    let back = vec![hop("node1 tunl0 out", there().reversed(), 3)];
    let mut flow = told();
    flow.reply = delivered(3, back.clone());
    let flow = super::super::testing::reset(flow, &back[0]);
    let verdict = guarded(&reject, 3).judge(flow);
    assert_cause(&verdict, Cause::FirewallReject, Outcome::Refused, Some("node1"));
}

#[test]
fn a_network_policys_drop_is_told_by_its_name() {
    let mut jump = drop_rule();
    jump.actions = vec![Action::Jump { chain: "cali-tw-cali0".to_owned() }];
    let mut last = drop_rule();
    last.comment = Some("cali:abcdefghijklmnop Drop if no policies passed packet".to_owned());
    let mut policy = drop_rule();
    policy.actions = vec![Action::Jump { chain: "cali-pi-_deny".to_owned() }];
    let mut marker = drop_rule();
    marker.comment = Some("Policy default/deny-all ingress".to_owned());
    marker.actions = vec![Action::Nothing { text: "counter".to_owned() }];
    let world = world().one(|node| {
        with(
            node,
            vec![
                chain("FORWARD", Some(Hook::Forward), vec![jump.clone()]),
                chain("cali-tw-cali0", None, vec![policy.clone(), last.clone()]),
                chain("cali-pi-_deny", None, vec![marker.clone()]),
            ],
        );
    });
    let verdict = world.judge(told());
    assert_cause(&verdict, Cause::NetworkPolicy, Outcome::Dropped, Some("node1"));
    assert!(verdict.summary.contains("default/deny-all"), "{}", verdict.summary);
}

#[test]
fn a_rule_for_the_encapsulation_drops_what_is_inside() {
    let mut outer = rule(Protocol(4), "172.18.0.2", Action::Drop);
    outer.text = "-d 172.18.0.2/32 -p ipencap -j DROP".to_owned();
    let mut world = world();
    with(&mut world.node1.before, vec![chain("INPUT", Some(Hook::Input), vec![outer.clone()])]);
    let later = Rule { packets: Some(3), ..outer };
    let world = world.one(|node| with(node, vec![chain("INPUT", Some(Hook::Input), vec![later.clone()])]));
    let mut flow = stops_after(4, 3);
    let mut drop = dropped("node1", "NETFILTER_DROP", "nf_hook_slow", there(), 3);
    drop.tunnels = wrapped(way(1)[4].clone(), "172.18.0.3", "172.18.0.2", TunnelKind::Ipip).tunnels;
    flow.forward.drops.push(drop);
    let verdict = world.judge(flow);
    assert_cause(&verdict, Cause::FirewallDrop, Outcome::Dropped, Some("node1"));
    assert!(
        verdict.summary.contains("in INPUT") && verdict.summary.contains("in IPIP"),
        "{}",
        verdict.summary
    );
}

#[test]
fn a_pods_own_rules_drop_what_no_hop_has_seen() {
    let mut pod = super::super::testing::snapshot("node2");
    pod.pod = Some("default/client".to_owned());
    pod.netns = 77;
    with(&mut pod, vec![chain("OUTPUT", Some(Hook::Output), vec![drop_rule()])]);
    let mut world = world();
    world.more.push(super::super::testing::evidence(pod));
    let mut forward = lane();
    let mut drop = dropped("node2", "NETFILTER_DROP", "nf_hook_slow", there(), 4);
    drop.pod = Some("default/client".to_owned());
    drop.netns = Some(77);
    drop.direction = Some(crate::units::Direction::Egress);
    forward.drops.push(drop);
    let verdict = world.judge(flow(there(), forward, lane()));
    assert_cause(&verdict, Cause::FirewallDrop, Outcome::Dropped, Some("node2"));
    assert_eq!(verdict.at.unwrap().pod.as_deref(), Some("default/client"));
}

#[test]
fn netfilters_drop_that_no_rule_explains_is_still_netfilters() {
    let verdict = world().judge(told());
    assert_cause(&verdict, Cause::FirewallDrop, Outcome::Dropped, Some("node1"));
    assert!(verdict.summary.contains("a rule of netfilter"), "{}", verdict.summary);
}

#[test]
fn answers_of_no_known_connection_went_around_whoever_drops_them() {
    let mut invalid = drop_rule();
    invalid.matches = vec![Match::ConntrackState { states: vec!["invalid".to_owned()], is_negated: false }];
    invalid.text = "-m conntrack --ctstate INVALID -j DROP".to_owned();
    let mut router = super::super::testing::snapshot("node3");
    with(&mut router, vec![chain("FORWARD", Some(Hook::Forward), vec![invalid])]);
    let mut world = world();
    world.more.push(super::super::testing::evidence(router));
    let back = there().reversed();
    let mut hops = stopping(&way_back(3), 1, 3).hops;
    hops.push(hop("node3 eth0 in", back, 3));
    let mut reply = stopped(3, hops, None);
    let mut drop = dropped("node3", "NETFILTER_DROP", "nf_hook_slow", back, 3);
    drop.after = Some(hop("node3 eth0 in", back, 1).place());
    reply.drops.push(drop);
    let verdict = world.judge(flow(there(), delivered(3, way(3)), reply));
    assert_cause(&verdict, Cause::AsymmetricReturn, Outcome::Dropped, Some("node3"));
}

#[test]
fn answers_that_do_not_come_by_the_node_that_translated_the_request() {
    let front = key(Protocol::TCP, "172.18.0.4:40000", "172.18.0.3:31080");
    let inside = key(Protocol::TCP, "172.18.0.4:40000", "10.244.131.5:8080");
    let mut translated = hop("node2 eth0 out", inside, 1);
    translated.changes =
        vec![crate::timeline::Change::Dnat { from: front.destination, to: inside.destination }];
    let there = vec![
        hop("node2 eth0 in", front, 1),
        translated,
        hop("node1 eth0 in", inside, 1),
        hop("node1 server:eth0 in", inside, 1),
    ];
    let back =
        vec![hop("node1 server:eth0 out", inside.reversed(), 1), hop("node1 eth0 out", inside.reversed(), 1)];
    let mut flow = flow(front, delivered(1, there), delivered(1, back));
    flow.tuples.push(inside);
    flow.tcp.as_mut().unwrap().reset = Some(crate::timeline::Orientation::Forward);
    let verdict = world().judge(flow);
    assert_cause(&verdict, Cause::AsymmetricReturn, Outcome::OneWay, Some("node1"));
}

#[test]
fn a_first_packet_that_is_called_invalid_has_a_wrong_checksum() {
    let mut invalid = drop_rule();
    invalid.matches = vec![Match::ConntrackState { states: vec!["invalid".to_owned()], is_negated: false }];
    let world =
        world().one(|node| with(node, vec![chain("FORWARD", Some(Hook::Forward), vec![invalid.clone()])]));
    assert_cause(&world.judge(told()), Cause::BadChecksum, Outcome::Dropped, Some("node1"));
    let mut late = told();
    late.reply = delivered(3, way_back(3));
    late.tcp.as_mut().unwrap().answered = true;
    assert_cause(&world.judge(late), Cause::FirewallDrop, Outcome::Dropped, Some("node1"));
}
