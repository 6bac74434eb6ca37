//! One thing wrong at a time, and what it is called.

use serde_json::{Value, json};

use super::*;

/// Problems of `svc/web` at n1 after a change of rules and of the cluster's objects.
fn problems(rules: &str, change: impl FnOnce(&mut Vec<Value>)) -> Explanation {
    let mut items = items();
    change(&mut items);
    asked("svc/web", None, &state(items), &[n1(rules)], &[])
}

fn nothing(_: &mut Vec<Value>) {}

fn assert_only(explanation: &Explanation, kind: ProblemKind, parts: &[&str]) {
    let own: Vec<_> = explanation.problems.iter().filter(|problem| problem.kind == kind).collect();
    assert!(!own.is_empty() && own.len() == explanation.problems.len(), "{:#?}", explanation.problems);
    for part in parts {
        assert!(own.iter().any(|problem| problem.text.contains(part)), "{part:?} is not in {own:#?}");
    }
}

/// Rules that kube-proxy writes for a service without endpoints, instead of those in `nat`.
fn without_endpoints(how: &str) -> String {
    let less: Vec<&str> =
        RULES.lines().filter(|line| !line.contains("WEB") && !line.contains("SEP")).collect();
    let reject = format!(
        ":KUBE-SERVICES -\n-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES\n-A OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES\n\
         -A KUBE-SERVICES -m comment --comment \"default/web has no endpoints\" -m tcp -p tcp -d 10.96.0.1/32 --dport 80 -j {how}\n*nat"
    );
    less.join("\n").replacen("*nat", &reject, 1)
}

#[test]
fn no_endpoints() {
    let rules = without_endpoints("REJECT --reject-with icmp-port-unreachable");
    let explanation = problems(&rules, |items| {
        items[1]["endpoints"] = json!([]);
        items[0]["spec"]["selector"] = json!({"app": "wep"});
    });
    assert_only(&explanation, ProblemKind::NoEndpoints, &["no pod has the labels app=wep"]);
    let course = &service(&explanation).ports[0].fronts[0].courses[0];
    assert!(
        matches!(&course.end, End::Rejected { with, .. } if with == "icmp-port-unreachable"),
        "{course:?}"
    );
}

#[test]
fn none_is_ready() {
    let rules = without_endpoints("REJECT --reject-with icmp-port-unreachable");
    let explanation = problems(&rules, |items| {
        for index in [0, 1] {
            items[1]["endpoints"][index]["conditions"]["ready"] = json!(false);
        }
    });
    assert_only(&explanation, ProblemKind::EndpointNotReady, &["pod a, pod b"]);
}

#[test]
fn nobody_listens_on_the_target_port() {
    let told = |listens: &[(&str, u16)]| {
        let pods = [inside("default/a", "n1", "10.244.1.5/32", listens)];
        asked("svc/web", None, &state(items()), &[n1(RULES)], &pods)
    };
    assert_only(
        &told(&[("0.0.0.0", 80)]),
        ProblemKind::TargetPortUnserved,
        &["nobody in pod a listens on TCP port 8080"],
    );
    assert_only(
        &told(&[("127.0.0.1", 8080)]),
        ProblemKind::ListensElsewhere,
        &["listened on at 127.0.0.1 only"],
    );
    assert_eq!(told(&[("0.0.0.0", 8080)]).problems, []);
}

#[test]
fn target_port_has_a_name_that_no_container_has() {
    let explanation = problems(RULES, |items| {
        items[0]["spec"]["ports"][0]["targetPort"] = json!("http");
        items[1]["ports"] = json!([{"name": ""}]);
    });
    assert!(kinds(&explanation).contains(&ProblemKind::TargetPortUnnamed), "{:#?}", explanation.problems);
}

#[test]
fn rules_lead_to_a_pod_that_is_gone() {
    let explanation = problems(RULES, |items| {
        items[1]["endpoints"].as_array_mut().unwrap().remove(1);
        items.retain(|item| item["metadata"]["name"] != "b");
    });
    assert_only(
        &explanation,
        ProblemKind::StaleEndpoint,
        &["lead 50.0 % of new connections to 10.96.0.1:80 on to 10.244.2.7:8080", "nobody has that address"],
    );
}

#[test]
fn rules_lead_to_an_endpoint_that_is_not_ready() {
    let explanation = problems(RULES, |items| items[1]["endpoints"][1]["conditions"]["ready"] = json!(false));
    assert_only(&explanation, ProblemKind::UnreadyEndpointInRules, &["(pod b), which is not ready"]);
}

#[test]
fn no_rule_leads_to_an_endpoint() {
    let add = |items: &mut Vec<Value>, hints: Value| {
        let more = json!({"addresses": ["10.244.2.8"], "nodeName": "n2", "hints": hints});
        items[1]["endpoints"].as_array_mut().unwrap().push(more);
    };
    let explanation = problems(RULES, |items| add(items, json!({})));
    assert_only(&explanation, ProblemKind::EndpointWithoutRule, &["to 10.244.2.8:8080"]);
    // What is for the nodes of another zone is left out on purpose.
    assert_eq!(problems(RULES, |items| add(items, json!({"forZones": [{"name": "z"}]}))).problems, []);
}

#[test]
fn no_rules_for_the_service_and_none_at_all() {
    let other = RULES.lines().filter(|line| !line.contains("web")).collect::<Vec<_>>().join("\n");
    let explanation = problems(&other, nothing);
    assert_only(&explanation, ProblemKind::ServiceRulesMissing, &["no rule of n1 is for 10.96.0.1:80 (web)"]);
    assert_only(&problems("", nothing), ProblemKind::NoServiceProxy, &["nothing on n1 carries services"]);
}

#[test]
fn unread_rules_are_no_missing_ones() {
    let mut node = n1("");
    let what = "nftables".to_owned();
    node.missing.push(Missing { what, why: "CAP_NET_ADMIN is missing".to_owned() });
    // What only a trace asks for is nothing that an explanation lacks.
    for what in ["drop reasons", "conntrack", "conntrack events"] {
        node.missing.push(Missing { what: what.to_owned(), why: "refused".to_owned() });
    }
    let explanation = asked("svc/web", None, &state(items()), &[node], &[]);
    assert_eq!(explanation.problems, []);
    let missing: Vec<&str> = explanation.missing.iter().map(|missing| missing.what.as_str()).collect();
    assert_eq!(missing, ["nftables"]);
    assert!(
        explanation.notes.iter().any(|note| note.contains("rules could not be read")),
        "{:?}",
        explanation.notes
    );
}

#[test]
fn traffic_policy_local_without_an_endpoint_here() {
    let only_there = |items: &mut Vec<Value>| {
        items[1]["endpoints"].as_array_mut().unwrap().remove(0);
        items[0]["spec"]["externalTrafficPolicy"] = json!("Local");
    };
    // `KUBE-EXTERNAL-SERVICES` drops what comes from outside; inside all endpoints are served.
    let rules = RULES
        .lines()
        .filter(|line| !line.contains("SEP-A") && !line.contains("KUBE-EXT-WEB -j"))
        .collect::<Vec<_>>()
        .join("\n")
        .replacen(
            "*nat",
            "-A INPUT -m tcp -p tcp --dport 31080 -m addrtype --dst-type LOCAL -m comment --comment \"default/web has no local endpoints\" -j DROP\n*nat",
            1,
        )
        .replace("-A KUBE-NODEPORTS -m comment --comment default/web -m tcp -p tcp --dport 31080 -j KUBE-EXT-WEB\n", "");
    let explanation = problems(&rules, only_there);
    assert_only(
        &explanation,
        ProblemKind::LocalPolicyWithoutEndpoint,
        &["externalTrafficPolicy is Local and no ready endpoint is on n1", "endpoints are on n2"],
    );
}

#[test]
fn hairpin_without_masquerade() {
    let rules = RULES
        .replace("-A KUBE-SEP-A -m comment --comment default/web -s 10.244.1.5/32 -j KUBE-MARK-MASQ\n", "");
    assert_only(
        &problems(&rules, nothing),
        ProblemKind::HairpinWithoutMasquerade,
        &["pod a that reaches itself"],
    );
}

#[test]
fn rules_of_two_modes() {
    let mut node = n1(RULES);
    let mut nft = node.firewall.tables[0].clone();
    nft.name = "kube-proxy".to_owned();
    nft.chains.clear();
    node.firewall.tables.push(nft);
    let explanation = asked("svc/web", None, &state(items()), &[node], &[]);
    assert_only(&explanation, ProblemKind::TwoServiceProxies, &["iptables and nftables"]);
}

#[test]
fn node_does_not_forward() {
    let mut node = n1(RULES);
    for value in node.sysctls.values_mut() {
        "0".clone_into(value);
    }
    let explanation = asked("svc/web", None, &state(items()), &[node], &[]);
    assert_only(
        &explanation,
        ProblemKind::ForwardingDisabled,
        &["n1 does not forward what comes in by cali6"],
    );
}

#[test]
fn rule_drops_on_the_way() {
    let rules = RULES.replacen("-A FORWARD", "-A FORWARD -m tcp -p tcp --dport 8080 -j DROP\n-A FORWARD", 1);
    let explanation = problems(&rules, nothing);
    assert_only(
        &explanation,
        ProblemKind::FirewallDrop,
        &["n1 drops TCP packets from client to 10.96.0.1:80 by 10.244.1.5:8080"],
    );
}

#[test]
fn routes_that_are_missing_wrong_or_refuse() {
    let told = |change: fn(&mut Snapshot)| {
        let mut node = n1(RULES);
        change(&mut node);
        asked("10.244.2.7:8080", Some("client"), &state(items()), &[node], &[])
    };
    let explanation = told(|node| node.routes.retain(|route| route.prefix != 26 && route.prefix != 0));
    assert_only(&explanation, ProblemKind::NoRoute, &["n1 has no route to 10.244.2.7"]);
    let explanation = told(|node| node.routes.push(testing::route("blackhole 10.244.2.7")));
    assert_only(&explanation, ProblemKind::BlackholeRoute, &["blackhole route 10.244.2.7"]);
    let explanation = told(|node| node.routes.push(testing::route("prohibit 10.244.2.7")));
    assert_only(&explanation, ProblemKind::RouteRefuses, &["prohibit by 10.244.2.7"]);
    let explanation = told(|node| node.links[2].is_up = false);
    assert_only(&explanation, ProblemKind::InterfaceDown, &["tunl0 of n1 is down"]);
}

#[test]
fn service_address_with_another_port_or_protocol() {
    let explanation = asked("10.96.0.1:443", None, &state(items()), &[n1(RULES)], &[]);
    assert_only(&explanation, ProblemKind::ServiceAddressUnserved, &["not TCP port 443: it has TCP 80"]);
}

#[test]
fn pod_that_does_not_run_or_that_the_node_does_not_lead_to() {
    let mut gone = items();
    gone[4]["status"] = json!({"phase": "Pending"});
    let explanation = asked("pod/a", None, &state(gone), &[n1(RULES)], &[]);
    assert_only(&explanation, ProblemKind::PodNotRunning, &["pod a has no address"]);
    let mut node = n1(RULES);
    node.routes.retain(|route| route.destination != testing::ip("10.244.1.5") || route.prefix != 32);
    let explanation = asked("pod/a", None, &state(items()), &[node], &[]);
    assert_eq!(kinds(&explanation), [ProblemKind::NoRoute, ProblemKind::BlackholeRoute]);
    assert!(
        explanation.problems[0].text.contains("its route is blackhole 10.244.1.0/26"),
        "{:?}",
        explanation.problems
    );
}
