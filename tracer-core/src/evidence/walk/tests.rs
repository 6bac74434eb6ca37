use super::*;
use crate::evidence::{
    Action, Backend, Chain, Field, Match, PortRange, Prefix, Rule, Set, SetElement, SetValue, Table,
    TranslationTarget,
};
use crate::flow::{Endpoint, Port};

fn rule(text: &str, matches: Vec<Match>, actions: Vec<Action>) -> Rule {
    Rule { matches, actions, comment: None, packets: Some(0), text: text.to_owned(), handle: None }
}

fn chain(name: &str, rules: Vec<Rule>) -> Chain {
    Chain {
        name: name.to_owned(),
        hook: None,
        kind: None,
        priority: 0,
        policy: None,
        policy_packets: None,
        devices: Vec::new(),
        rules,
    }
}

fn base(name: &str, hook: Hook, priority: i32, policy: Action, rules: Vec<Rule>) -> Chain {
    let kind = if priority.abs() == 100 { "nat" } else { "filter" };
    Chain {
        hook: Some(hook),
        kind: Some(kind.to_owned()),
        priority,
        policy: Some(policy),
        ..chain(name, rules)
    }
}

fn table(name: &str, chains: Vec<Chain>) -> Table {
    Table { backend: Backend::Nft, family: "ip".to_owned(), name: name.to_owned(), chains, sets: Vec::new() }
}

fn firewall(tables: Vec<Table>) -> Firewall {
    Firewall { tables, ..Firewall::default() }
}

fn end(address: &str, port: u16) -> Endpoint {
    Endpoint { address: address.parse().unwrap(), port: Port(port) }
}

fn key() -> FlowKey {
    FlowKey { protocol: Protocol::TCP, source: end("10.0.0.1", 40000), destination: end("10.96.0.1", 80) }
}

fn jump(chain: &str) -> Vec<Action> {
    vec![Action::Jump { chain: chain.to_owned() }]
}

fn dnat(address: &str) -> Vec<Action> {
    let to = TranslationTarget { address: address.parse().ok(), port: Some(8080), is_random: false };
    vec![Action::Dnat { to }]
}

fn chance(probability: f64) -> Vec<Match> {
    vec![Match::Probability { probability }]
}

fn texts(walk: &Walk) -> Vec<&str> {
    walk.steps.iter().map(|step| step.text.as_str()).collect()
}

#[test]
fn lots_are_ways_of_their_own() {
    let nat = table(
        "nat",
        vec![
            base(
                "PREROUTING",
                Hook::Prerouting,
                -100,
                Action::Accept,
                vec![rule("services", vec![], jump("SVC"))],
            ),
            chain(
                "SVC",
                vec![
                    rule("one of three", chance(1.0 / 3.0), jump("SEP-1")),
                    rule("one of two", chance(0.5), jump("SEP-2")),
                    rule("the last", vec![], jump("SEP-3")),
                ],
            ),
            chain("SEP-1", vec![rule("to 1", vec![], dnat("10.0.1.1"))]),
            chain("SEP-2", vec![rule("to 2", vec![], dnat("10.0.1.2"))]),
            chain("SEP-3", vec![rule("to 3", vec![], dnat("10.0.1.3"))]),
        ],
    );
    let walks = firewall(vec![nat]).walk(Hook::Prerouting, &Probe::new(key()));
    assert_eq!(walks.len(), 3);
    for walk in &walks {
        assert!((walk.probability - 1.0 / 3.0).abs() < 1e-9, "{walk:?}");
        assert_eq!((walk.key.destination.port, &walk.ending), (Port(8080), &Ending::Accepted));
        assert_eq!(walk.steps.len(), 3, "{:?}", texts(walk));
    }
}

#[test]
fn more_ways_than_are_told_apart_are_one_that_is_unknown() {
    let rules: Vec<_> =
        (0..MOST_WAYS + 50).map(|_| rule("perhaps", chance(0.001), vec![Action::Drop])).collect();
    let filter = table("filter", vec![base("FORWARD", Hook::Forward, 0, Action::Accept, rules)]);
    let walks = firewall(vec![filter]).walk(Hook::Forward, &Probe::new(key()));
    assert_eq!(walks.len(), MOST_WAYS + 1);
    let total: f64 = walks.iter().map(|walk| walk.probability).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    let unknown: Vec<_> = walks.iter().filter(|walk| walk.ending == Ending::Unknown).collect();
    assert_eq!((unknown.len(), unknown[0].doubts.len()), (1, 1));
}

#[test]
fn jumps_beyond_which_nothing_happens_are_no_steps() {
    let filter = table(
        "filter",
        vec![
            base(
                "FORWARD",
                Hook::Forward,
                0,
                Action::Drop,
                vec![rule("in vain", vec![], jump("NOTHING")), rule("logged", vec![], jump("LOG"))],
            ),
            chain(
                "NOTHING",
                vec![
                    rule(
                        "no",
                        vec![Match::Protocol { protocol: Protocol::UDP, is_negated: false }],
                        vec![Action::Drop],
                    ),
                    rule("back", vec![], vec![Action::Return]),
                ],
            ),
            chain("LOG", vec![rule("log", vec![], vec![Action::Nothing { text: "-j LOG".to_owned() }])]),
        ],
    );
    let walks = firewall(vec![filter]).walk(Hook::Forward, &Probe::new(key()));
    assert_eq!(texts(&walks[0]), ["-P FORWARD DROP"]);
    assert_eq!((walks[0].steps[0].index, &walks[0].ending), (None, &Ending::Dropped));
}

#[test]
fn return_and_goto_leave_for_where_the_kernel_goes() {
    let ports = vec![PortRange { first: 80, last: 80 }];
    let is_web = || vec![Match::DestinationPort { ports: ports.clone(), is_negated: false }];
    let filter = table(
        "filter",
        vec![
            base(
                "FORWARD",
                Hook::Forward,
                0,
                Action::Accept,
                vec![
                    rule("a", vec![], jump("A")),
                    rule("after a", vec![], vec![Action::Mark { value: 2, mask: 2 }]),
                ],
            ),
            chain(
                "A",
                vec![
                    rule("goto", is_web(), vec![Action::Goto { chain: "B".to_owned() }]),
                    rule("behind goto", vec![], vec![Action::Drop]),
                ],
            ),
            chain(
                "B",
                vec![
                    rule("b", vec![], vec![Action::Mark { value: 1, mask: 1 }]),
                    rule("return", is_web(), vec![Action::Return]),
                    rule("behind return", vec![], vec![Action::Drop]),
                ],
            ),
        ],
    );
    let walks = firewall(vec![filter]).walk(Hook::Forward, &Probe::new(key()));
    assert_eq!(texts(&walks[0]), ["a", "goto", "b", "after a"]);
    assert_eq!((walks[0].mark, &walks[0].ending), (3, &Ending::Accepted));
}

#[test]
fn nat_is_for_the_first_packet_and_done_once() {
    let nat = |name: &str, priority, to| {
        let rules = vec![rule(name, vec![], dnat(to))];
        let mut chain = base("in", Hook::Prerouting, priority, Action::Accept, rules);
        chain.kind = Some("nat".to_owned());
        table(name, vec![chain])
    };
    let is_web = vec![Match::Destination {
        networks: vec![Prefix { address: "10.0.1.1".parse().unwrap(), length: 32 }],
        is_negated: false,
    }];
    let late =
        base("late", Hook::Prerouting, -90, Action::Accept, vec![rule("seen", is_web, vec![Action::Drop])]);
    let firewall = firewall(vec![
        nat("second", -80, "10.0.1.2"),
        nat("first", -200, "10.0.1.1"),
        table("filter", vec![late]),
    ]);
    let walks = firewall.walk(Hook::Prerouting, &Probe::new(key()));
    assert_eq!(texts(&walks[0]), ["first", "seen"], "in the order of NAT's own priorities, before -90");
    assert_eq!(walks[0].ending, Ending::Dropped);
    let established = Probe { state: "established".to_owned(), ..Probe::new(key()) };
    assert_eq!(firewall.walk(Hook::Prerouting, &established)[0].steps, []);
}

#[test]
fn conditions_that_are_not_understood_matter_only_where_the_others_hold() {
    let other = || Match::Other { text: "-m time".to_owned() };
    let is_udp = Match::Protocol { protocol: Protocol::UDP, is_negated: false };
    let rules = vec![
        rule("not ours", vec![other(), is_udp], vec![Action::Drop]),
        rule("only a log", vec![other()], vec![Action::Nothing { text: "-j LOG".to_owned() }]),
        rule("ours", vec![other()], vec![Action::Drop]),
    ];
    let filter = table("filter", vec![base("FORWARD", Hook::Forward, 0, Action::Accept, rules)]);
    let walks = firewall(vec![filter]).walk(Hook::Forward, &Probe::new(key()));
    assert_eq!(
        (walks[0].doubts.as_slice(), &walks[0].ending),
        (["ours".to_owned()].as_slice(), &Ending::Accepted)
    );
}

#[test]
fn marks_are_known_bit_by_bit() {
    let restore = rule("restore", vec![], vec![Action::RestoreMark { mask: 0xff }]);
    let is = |value, mask| vec![Match::Mark { value, mask, is_negated: false }];
    let rules = vec![
        restore,
        rule("above", is(0x100, 0x100), vec![Action::Mark { value: 0, mask: 0x100 }]),
        rule("restored", is(1, 0x01), vec![Action::Drop]),
    ];
    let filter = table("filter", vec![base("FORWARD", Hook::Forward, 0, Action::Accept, rules)]);
    let probe = Probe { mark: 0x100, state: "established".to_owned(), ..Probe::new(key()) };
    let firewall = firewall(vec![filter]);
    let walk = &firewall.walk(Hook::Forward, &probe)[0];
    assert_eq!(
        (texts(walk), walk.doubts.as_slice()),
        (vec!["restore", "above"], ["restored".to_owned()].as_slice())
    );
    let new = Probe { mark: 0x100, connection_mark: Some(0), ..Probe::new(key()) };
    assert!(firewall.walk(Hook::Forward, &new)[0].doubts.is_empty(), "of a new connection the mark is 0");
}

fn verdict_map(elements: Vec<(Vec<SetValue>, Action)>, fields: Vec<Field>) -> Table {
    let elements = elements
        .into_iter()
        .map(|(key, verdict)| SetElement { key, verdict: Some(verdict), comment: None, is_exception: false })
        .collect();
    let lookup = Action::Lookup { fields, map: "map".to_owned() };
    let rules = vec![rule("vmap", vec![], vec![lookup]), rule("behind", vec![], vec![Action::Drop])];
    let chains = vec![base("FORWARD", Hook::Forward, 0, Action::Accept, rules), chain("web", Vec::new())];
    let set = Set { name: "map".to_owned(), is_map: true, is_truncated: false, elements };
    Table { sets: vec![set], ..table("filter", chains) }
}

fn numbers(first: u64, last: u64) -> SetValue {
    SetValue::Numbers { first, last }
}

#[test]
fn maps_of_verdicts() {
    let address: IpAddr = "10.96.0.1".parse().unwrap();
    let here = || SetValue::Addresses { first: address, last: address };
    let fields = || vec![Field::Destination, Field::DestinationPort];
    let story = |elements| {
        let walks = firewall(vec![verdict_map(elements, fields())]).walk(Hook::Forward, &Probe::new(key()));
        assert_eq!(walks.len(), 1, "{walks:?}");
        walks.into_iter().next().unwrap()
    };
    let accepted = story(vec![(vec![here(), numbers(80, 80)], Action::Accept)]);
    assert_eq!((texts(&accepted), &accepted.ending), (vec!["vmap: accept"], &Ending::Accepted));
    let other = story(vec![(vec![here(), numbers(81, 90)], Action::Accept)]);
    assert_eq!((texts(&other), &other.ending), (vec!["behind"], &Ending::Dropped));
    let rest = story(vec![
        (vec![SetValue::Any, SetValue::Any], Action::Accept),
        (vec![here(), numbers(80, 80)], Action::Drop),
    ]);
    assert_eq!(rest.ending, Ending::Dropped, "the one for everything is for what no other is for");
    let unknown = story(vec![(vec![here(), SetValue::Other { text: "?".to_owned() }], Action::Accept)]);
    assert_eq!(unknown.ending, Ending::Unknown);
}

#[test]
fn maps_of_lots() {
    let lot = vec![Field::Lot { modulus: 4, offset: 0 }];
    let elements = vec![(vec![numbers(0, 0)], Action::Accept), (vec![numbers(1, 2)], Action::Return)];
    let walks = firewall(vec![verdict_map(elements, lot)]).walk(Hook::Forward, &Probe::new(key()));
    let told = |ending: Ending| -> Vec<f64> {
        walks.iter().filter(|walk| walk.ending == ending).map(|walk| walk.probability).collect()
    };
    assert_eq!((told(Ending::Accepted), told(Ending::Dropped)), (vec![0.5, 0.25], vec![0.25]));
}

#[test]
fn lengths_matter_where_they_are_known() {
    let long = vec![Match::Length { first: 1000, last: u16::MAX, is_negated: false }];
    let rules = vec![rule("long", long, vec![Action::Drop])];
    let firewall =
        firewall(vec![table("filter", vec![base("FORWARD", Hook::Forward, 0, Action::Accept, rules)])]);
    let story = |length| {
        let walk = firewall.walk(Hook::Forward, &Probe { length, ..Probe::new(key()) }).remove(0);
        (walk.ending, walk.suspects.len())
    };
    assert_eq!(story(None), (Ending::Accepted, 1));
    assert_eq!(story(Some(999)), (Ending::Accepted, 0));
    assert_eq!(story(Some(1500)), (Ending::Dropped, 0));
}

#[test]
fn exceptions_count_wherever_they_stand_in_a_set() {
    let network = |length, is_exception| SetElement {
        key: vec![SetValue::network(Prefix { address: key().source.address, length })],
        verdict: None,
        comment: None,
        is_exception,
    };
    for elements in [vec![network(8, false), network(32, true)], vec![network(32, true), network(8, false)]] {
        let set = Set { name: "all".to_owned(), is_map: false, is_truncated: false, elements };
        let known = Match::InSet { fields: vec![Field::Source], set: "all".to_owned(), is_negated: false };
        let rules = vec![rule("known", vec![known], vec![Action::Drop])];
        let filter = table("filter", vec![base("FORWARD", Hook::Forward, 0, Action::Accept, rules)]);
        let firewall = Firewall { ipsets: vec![set], ..firewall(vec![filter]) };
        let walk = &firewall.walk(Hook::Forward, &Probe::new(key()))[0];
        assert_eq!((&walk.ending, walk.doubts.len()), (&Ending::Accepted, 0));
    }
}

#[test]
fn chains_that_jump_in_circles_end() {
    let filter = table(
        "filter",
        vec![
            base("FORWARD", Hook::Forward, 0, Action::Accept, vec![rule("a", vec![], jump("A"))]),
            chain("A", vec![rule("again", vec![], jump("A")), rule("again", vec![], jump("A"))]),
        ],
    );
    assert_eq!(firewall(vec![filter]).walk(Hook::Forward, &Probe::new(key()))[0].ending, Ending::Unknown);
}
