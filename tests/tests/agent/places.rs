//! Interfaces by the pods that they lead to.

use std::net::Ipv4Addr;

use crate::led::{Led, Said, interfaces};
use crate::node::{BRIDGED, FIRST, Node, REMOTE, SECOND, send};

const WAY: [&str; 5] = ["cni0", "eth0", "host0", "net0", "vxlan.calico"];

fn chosen(node: &Node, words: &str) -> (Vec<String>, String) {
    let led = Led::start(node, words);
    let outcome = led.stop();
    let names = interfaces(&outcome.heard).into_iter().map(str::to_owned).collect();
    (names, outcome.stderr)
}

fn with(more: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = WAY.iter().chain(more).map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}

#[test]
fn way_of_pods_has_no_end_of_others() {
    let node = Node::new();
    node.tell_bridge();
    let table = [
        (format!("--way-of {FIRST}"), with(&["cali1"])),
        (format!("--way-of {FIRST} --way-of {SECOND}"), with(&["cali1", "cali2"])),
        (format!("--way-of {BRIDGED}"), with(&["veth1"])),
        (format!("--way-of {REMOTE}"), with(&[])),
        ("--way-of 192.168.7.2".to_owned(), with(&[])),
        ("--way-of 203.0.113.9".to_owned(), with(&[])),
        ("--way-of none".to_owned(), with(&[])),
        (format!("--link-of {SECOND}"), vec!["cali2".to_owned()]),
        (format!("--link-of {FIRST} --link-of {BRIDGED}"), ["cali1", "veth1"].map(str::to_owned).to_vec()),
    ];
    for (words, names) in table {
        assert_eq!(chosen(&node, &words), (names, String::new()), "{words}");
    }
}

#[test]
fn bridge_that_has_not_heard_has_all_its_ports_watched_and_that_is_told() {
    let node = Node::new();
    let (names, stderr) = chosen(&node, &format!("--way-of {BRIDGED}"));
    assert_eq!(names, with(&["veth1", "veth2"]));
    assert_eq!(
        stderr,
        format!(
            "kflow: cannot tell which interface leads to each pod, capturing on more: {BRIDGED} (all ports of cni0, which \
             has not heard of it)\n"
        )
    );
}

#[test]
fn device_of_the_plugin_has_all_pods_watched_and_that_is_told() {
    let node = Node::new();
    node.ip("route add 10.0.9.0/24 dev host0");
    let (names, stderr) = chosen(&node, "--link-of 10.0.9.5");
    assert_eq!(names, ["cali1", "cali2", "veth1", "veth2"]);
    assert!(stderr.contains("10.0.9.5 (all pods, since it is routed to host0)"), "{stderr}");
}

#[test]
fn bridge_that_hears_later_narrows_it_down() {
    let node = Node::new();
    let mut led = Led::start(&node, &format!("--link-of {BRIDGED}"));
    assert_eq!((node.programs("veth1"), node.programs("veth2")), (2, 2));
    node.tell_bridge();
    while node.programs("veth2") > 0 {
        led.wait_for("counters", |said| matches!(said, Said::Statistics(..)));
    }
    assert_eq!(node.programs("veth1"), 2);
}

#[test]
fn pods_come_go_and_are_others() {
    let node = Node::new();
    let mut led = Led::start(&node, &format!("--way-of {FIRST}"));
    // The pod is made anew under another name.
    node.ip("link del cali1");
    node.pod("cali9", FIRST);
    led.wait_for("its new end", |said| matches!(said, Said::Interface(name) if name == "cali9"));
    while node.programs("cali9") < 2 {
        std::thread::yield_now();
    }
    send(&node.socket(), FIRST, 9);
    led.wait_for_number(9, "cali9");
    // Another pod instead, which is there already.
    led.tell(&format!("--way-of {SECOND}"));
    led.wait_for("the end of the other", |said| matches!(said, Said::Interface(name) if name == "cali2"));
    while node.programs("cali9") > 0 {
        led.wait_for("counters", |said| matches!(said, Said::Statistics(..)));
    }
    assert_eq!((node.programs("cali2"), node.programs("eth0")), (2, 2));
    let outcome = led.stop();
    assert_eq!(outcome.statistics("cali9").written, 1);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!((node.programs("cali2"), node.programs("eth0")), (0, 0));
}

#[test]
fn pod_that_is_not_there_yet_is_waited_for() {
    let node = Node::new();
    let mut led = Led::spawn(crate::led::command(&node, "--link-of 10.244.1.9"), |stdout| Box::new(stdout));
    node.pod("cali9", Ipv4Addr::new(10, 244, 1, 9));
    led.wait_for("its end", |said| matches!(said, Said::Interface(name) if name == "cali9"));
    assert!(led.is_running());
}

#[test]
fn namespace_by_an_address_in_it() {
    let node = Node::new();
    // Of its own: other nodes may be there at the same time.
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(10, 200, high, low);
    node.pair("veth7", own);
    let run = |address: &str| {
        let mut command = std::process::Command::new(tests::kflow::program());
        command.args(["capture", "-D", "--netns", &format!("address:{address}")]).output().unwrap()
    };
    let found = run(&own.to_string());
    let list = String::from_utf8(found.stdout).unwrap();
    assert!(found.status.success() && list.contains("veth7") && !list.contains("cni0"), "{list}");
    let missing = run("203.0.113.77");
    let words = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(words.contains("has the address 203.0.113.77: is the pod running on this node?"), "{words}");
    let loopback = run("127.0.0.1");
    assert_eq!(loopback.status.code(), Some(1), "loopback has it everywhere");
    drop(node);
}
