//! Which node and interface a file is of.

use crate::{
    file::{Order, link, pcapng, plain},
    support::{COUNT, Folder, Test, assert_said, hops, only_flow, received, sent, two_nodes},
};

#[test]
fn the_file_is_named_by_its_name_or_by_the_command_line() -> Test {
    let folder = Folder::new()?;
    for name in ["node1-eth0.pcap", "node1/eth0.pcap", "node1.pcap", "x=y.pcap"] {
        folder.write(name, &plain(&sent()))?;
    }
    folder.write("b.pcap", &plain(&received()))?;
    for (word, place) in [
        ("DIR/node1-eth0.pcap", "node1/eth0"),
        ("DIR/node1/eth0.pcap", "node1/eth0"),
        ("DIR/node1.pcap", "node1/node1"),
        ("DIR/x=y.pcap", "x=y/x=y"),
        ("other=DIR/node1-eth0.pcap", "other/eth0"),
        ("n.example.org/cali1=DIR/node1.pcap", "n.example.org/cali1"),
        ("node1/web:eth0=DIR/node1.pcap", "node1/default/web:eth0"),
        ("node1/shop/web:eth0=DIR/x=y.pcap", "node1/shop/web:eth0"),
    ] {
        let (told, code) = folder.told(&format!("-r {word} -r node2/eth0=DIR/b.pcap"))?;
        let expected = [format!("{place} {COUNT}"), format!("node2/eth0 {COUNT}")];
        assert_eq!(hops(&only_flow(&told)["forward"]), expected, "{word}");
        assert_eq!(code, Some(0), "{word}");
    }
    Ok(())
}

#[test]
fn the_namespace_of_a_pod_may_be_told_by_a_flag() -> Test {
    let folder = Folder::new()?;
    folder.write("a.pcap", &plain(&sent()))?;
    let (told, _) = folder.told("-n shop -r node1/web:eth0=DIR/a.pcap")?;
    assert_eq!(hops(&only_flow(&told)["forward"]), [format!("node1/shop/web:eth0 {COUNT}")]);
    Ok(())
}

#[test]
fn parts_of_one_capture_are_one_interface() -> Test {
    let folder = Folder::new()?;
    let (first, second) = (sent()[..2].to_vec(), sent()[2..].to_vec());
    folder.write("node1_eth0.pcap", &plain(&first))?;
    folder.write("node1_eth0.pcap1", &plain(&second))?;
    folder.write("rest.pcap", &plain(&second))?;
    for words in [
        "-r DIR/node1_eth0.pcap -r DIR/node1_eth0.pcap1",
        // In any order.
        "-r DIR/node1_eth0.pcap1 -r DIR/node1_eth0.pcap",
        "-r node1/eth0=DIR/node1_eth0.pcap -r node1/eth0=DIR/rest.pcap",
    ] {
        let (told, _) = folder.told(words)?;
        assert_eq!(hops(&only_flow(&told)["forward"]), [format!("node1/eth0 {COUNT}")], "{words}");
    }
    Ok(())
}

#[test]
fn files_that_seem_to_be_of_one_interface_are_refused() -> Test {
    let folder = Folder::new()?;
    let all: Vec<_> = sent().into_iter().map(|seen| (0, seen)).collect();
    let of_eth0 = pcapng(Order::Little, &[(link::ETHERNET, "eth0")], &all);
    folder.write("node1_pod.pcapng", &of_eth0)?;
    folder.write("node1_host.pcapng", &of_eth0)?;
    let outcome = folder.trace("-r DIR/node1_pod.pcapng -r DIR/node1_host.pcapng")?;
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert_said(
        &outcome,
        &[
            "node1_pod.pcapng and ",
            "node1_host.pcapng both hold node1/eth0",
            "NODE/[NAMESPACE/]POD:IFACE=FILE",
        ],
    );
    let told = folder.told("-r node1/web:eth0=DIR/node1_pod.pcapng -r DIR/node1_host.pcapng")?.0;
    assert_eq!(only_flow(&told)["forward"]["hops"].as_array().map(Vec::len), Some(2), "{told:#?}");
    Ok(())
}

#[test]
fn interfaces_of_one_name_in_one_file_stay_apart() -> Test {
    let folder = Folder::new()?;
    let mut all: Vec<_> = sent().into_iter().map(|seen| (0, seen)).collect();
    all.extend(received().into_iter().map(|seen| (1, seen)));
    let interfaces = [(link::ETHERNET, "eth0"), (link::ETHERNET, "eth0")];
    folder.write("node1.pcapng", &pcapng(Order::Little, &interfaces, &all))?;
    let outcome = folder.trace("-r DIR/node1.pcapng -o json")?;
    assert_said(&outcome, &["has eth0 2 times: this one is called eth0#2"]);
    let told = outcome.told()?;
    let mut hops = hops(&only_flow(&told)["forward"]);
    hops.sort();
    assert_eq!(hops, [format!("node1/eth0 {COUNT}"), format!("node1/eth0#2 {COUNT}")]);
    Ok(())
}

#[test]
fn one_name_is_not_for_several_interfaces() -> Test {
    let folder = Folder::new()?;
    let all: Vec<_> = sent().into_iter().map(|seen| (0, seen)).collect();
    let interfaces = [(link::ETHERNET, "eth0"), (link::ETHERNET, "eth1")];
    folder.write("a.pcapng", &pcapng(Order::Little, &interfaces, &all))?;
    let outcome = folder.trace("-r node1/eth0=DIR/a.pcapng")?;
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert_said(&outcome, &["a.pcapng holds several interfaces", "name only its node, NODE="]);
    Ok(())
}

#[test]
fn a_cluster_state_knows_the_nodes_and_pods() -> Test {
    let folder = Folder::new()?;
    two_nodes(&folder)?;
    let node = |name: &str, address: &str| {
        format!(
            r#"{{"kind":"Node","metadata":{{"name":"{name}"}},"status":{{"addresses":[{{"type":"InternalIP","address":"{address}"}}]}}}}"#
        )
    };
    let nodes = [node("node1", "10.0.0.1"), node("node2", "10.0.0.2")].join(",");
    folder.write("state.json", format!(r#"{{"kind":"List","items":[{nodes}]}}"#).as_bytes())?;
    let words = "--state DIR/state.json node/node1 node/node2";

    let (told, code) = folder.told(&format!("{words} -r DIR/node1_eth0.pcap -r DIR/node2_eth0.pcap"))?;
    let flow = only_flow(&told);
    assert_eq!((&flow["source"]["name"], code), (&"node/node1".into(), Some(0)), "{flow:#}");
    assert_eq!(flow["forward"]["delivered"], COUNT, "{flow:#}");

    let unknown = folder.trace(&format!("{words} -r node3/eth0=DIR/node1_eth0.pcap"))?;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert_said(&unknown, &["no such node: node3 (the cluster state has node1, node2)"]);

    let pod = folder.trace(&format!("{words} -r node1/web:eth0=DIR/node1_eth0.pcap"))?;
    assert_eq!(pod.code, Some(1), "{pod:?}");
    assert_said(&pod, &["no such pod: default/web"]);

    // The capture of one node is missing.
    let half = folder.trace(&format!("{words} -r DIR/node1_eth0.pcap"))?;
    assert_eq!(half.code, Some(3), "{half:?}");
    assert_said(&half, &["no file is of node2, its hops are missing: name one -r node2/IFACE=FILE"]);
    Ok(())
}
