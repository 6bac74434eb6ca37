//! One flow over two nodes, captured in every format, byte order and link type.

use crate::{
    file::{Order, Unit, link, pcap, pcapng},
    support::{COUNT, Folder, Test, directions, hops, only_flow, received, sent},
};

/// Asserts that the only flow went by these two places, and that its direction was told at each.
fn assert_crossed(folder: &Folder, words: &str, places: [&str; 2]) -> Test {
    let (told, code) = folder.told(words)?;
    let flow = only_flow(&told);
    assert_eq!(flow["source"]["address"], crate::file::SOURCE, "{words}");
    assert_eq!(flow["destination"]["address"], crate::file::DESTINATION, "{words}");
    let expected = places.map(|place| format!("{place} {COUNT}"));
    assert_eq!(hops(&flow["forward"]), expected, "{words}");
    assert_eq!(directions(&flow["forward"]), ["egress", "ingress"], "{words}");
    assert_eq!(flow["forward"]["packets"], COUNT, "{words}");
    assert_eq!((&told.summary["complete"], code), (&true.into(), Some(0)), "{:#}", told.summary);
    Ok(())
}

#[test]
fn pcap_of_every_link_type_order_and_unit() -> Test {
    for link in [link::ETHERNET, link::RAW, link::DLT_RAW, link::IPV4, link::NULL, link::LOOP, link::SLL] {
        for order in [Order::Little, Order::Big] {
            for unit in [Unit::Microseconds, Unit::Nanoseconds] {
                let folder = Folder::new()?;
                folder.write("node1_eth0.pcap", &pcap(order, unit, link, &sent()))?;
                folder.write("node2_eth0.pcap", &pcap(order, unit, link, &received()))?;
                let words = "-r DIR/node1_eth0.pcap -r DIR/node2_eth0.pcap";
                assert_crossed(&folder, words, ["node1/eth0", "node2/eth0"])
                    .map_err(|error| format!("link type {link}, {order:?}, {unit:?}: {error}"))?;
            }
        }
    }
    Ok(())
}

#[test]
fn the_device_any_is_one_interface_for_each_index() -> Test {
    for order in [Order::Little, Order::Big] {
        let folder = Folder::new()?;
        folder.write("node1.pcap", &pcap(order, Unit::Microseconds, link::SLL2, &sent()))?;
        folder.write("node2_any.pcap", &pcap(order, Unit::Nanoseconds, link::SLL2, &received()))?;
        let words = "-r DIR/node1.pcap -r DIR/node2_any.pcap";
        assert_crossed(&folder, words, ["node1/if7", "node2/if9"])?;
    }
    Ok(())
}

#[test]
fn the_device_any_of_one_node_shows_the_way_through_it() -> Test {
    let folder = Folder::new()?;
    let there = received().into_iter().map(|seen| crate::file::Seen { ttl: 64, ..seen });
    let through: Vec<_> = there
        .zip(sent())
        .flat_map(|(came, went)| [came, crate::file::Seen { at: came.at + 20_000, ..went }])
        .collect();
    folder.write("router.pcap", &pcap(Order::Little, Unit::Microseconds, link::SLL2, &through))?;
    let (told, _) = folder.told("-r DIR/router.pcap")?;
    let lane = &only_flow(&told)["forward"];
    assert_eq!(hops(lane), [format!("router/if9 {COUNT}"), format!("router/if7 {COUNT}")]);
    assert_eq!(directions(lane), ["ingress", "egress"]);
    Ok(())
}

#[test]
fn pcapng_names_its_interfaces() -> Test {
    for order in [Order::Little, Order::Big] {
        let folder = Folder::new()?;
        let all =
            |interface, seen: Vec<_>| seen.into_iter().map(|seen| (interface, seen)).collect::<Vec<_>>();
        let interfaces = [(link::ETHERNET, "eth1"), (link::RAW, "tun0"), (link::SLL2, "any")];
        folder.write("node1.pcapng", &pcapng(order, &interfaces, &all(1, sent())))?;
        folder.write("node2_x.pcapng", &pcapng(order, &interfaces, &all(2, received())))?;
        let words = "-r DIR/node1.pcapng -r DIR/node2_x.pcapng";
        assert_crossed(&folder, words, ["node1/tun0", "node2/if9"])?;
    }
    Ok(())
}

#[test]
fn standard_input_is_a_file_like_another() -> Test {
    let folder = Folder::new()?;
    let first = folder.write("node1_eth0.pcap", &crate::file::plain(&sent()))?;
    let second = folder.write("node2_eth0.pcap", &crate::file::plain(&received()))?;
    let mut command = std::process::Command::new(tests::kflow::program());
    command.args(["trace", "-o", "json", "-r", "node2/eth0=-", "-r"]).arg(first);
    let output = command.stdin(std::fs::File::open(second)?).output()?;
    let said = String::from_utf8(output.stdout)?;
    assert!(said.contains(r#""node":"node2""#) && said.contains(r#""node":"node1""#), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    Ok(())
}

#[test]
fn a_link_type_that_is_not_decoded_is_named() -> Test {
    let folder = Folder::new()?;
    folder.write("node1_wlan0.pcap", &pcap(Order::Little, Unit::Microseconds, link::RADIOTAP, &sent()))?;
    let outcome = folder.trace("-r DIR/node1_wlan0.pcap")?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let line = "node1/wlan0: 5 packets, 22:13:20.000 to 22:13:20.004 UTC, 0 decoded, 5 of link type 127 (IEEE 802.11 with radiotap), which is not decoded";
    assert!(outcome.stderr.contains(line), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("5 packets could not be decoded"), "{}", outcome.stdout);
    Ok(())
}
