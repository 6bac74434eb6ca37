//! Lines that change a capture while it runs.

use crate::led::{Led, interfaces};
use crate::node::{FIRST, Node, SECOND, send};

#[test]
fn addresses_move_without_missing_what_both_have() {
    const ROUNDS: u32 = 40;
    const BURST: u32 = 50;
    let node = Node::new();
    let mut led = Led::start(&node, &format!("-i cali? --host {FIRST}"));
    let socket = node.socket();
    send(&socket, SECOND, 1_000_000);
    for round in 0..ROUNDS {
        // FIRST is in every set, now alone and now not.
        led.tell(&if round % 2 == 0 {
            format!("--host {FIRST} --host {SECOND}")
        } else {
            format!("--host {FIRST}")
        });
        for number in 0..BURST {
            send(&socket, FIRST, round * BURST + number);
        }
    }
    led.tell(&format!("--host {SECOND}"));
    // Of SECOND packets come once the order was obeyed.
    let mut marker = 2_000_000;
    while !led.heard.iter().any(|said| matches!(said, crate::led::Said::Number(n, _) if *n >= 2_000_000)) {
        send(&socket, SECOND, marker);
        marker += 1;
        led.wait_for("counters", |said| {
            matches!(said, crate::led::Said::Statistics(..) | crate::led::Said::Number(2_000_000.., _))
        });
    }
    send(&socket, FIRST, 3_000_000);
    let outcome = led.stop();
    assert_eq!(outcome.numbers("cali1"), (0..ROUNDS * BURST).collect::<Vec<_>>());
    assert!(
        outcome.numbers("cali2").iter().all(|number| *number >= 2_000_000),
        "{:?}",
        outcome.numbers("cali2")
    );
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[test]
fn empty_set_and_rate_are_orders_too() {
    let node = Node::new();
    let mut led = Led::start(&node, "-i cali1");
    let socket = node.socket();
    send(&socket, FIRST, 1);
    led.wait_for_number(1, "cali1");
    led.tell("--host none --max-rate 1000000");
    led.tell(&format!("--link-of {SECOND}"));
    led.wait_for(
        "the other interface",
        |said| matches!(said, crate::led::Said::Interface(name) if name == "cali2"),
    );
    // The orders before were obeyed by now.
    send(&socket, SECOND, 2);
    let outcome = led.stop();
    assert!(outcome.numbers("cali2").is_empty());
    assert_eq!(outcome.statistics("cali2").seen, 1);
}

#[test]
fn what_is_not_understood_changes_nothing() {
    let node = Node::new();
    let mut led = Led::start(&node, "-i cali1");
    led.tell("--hots 10.0.0.1");
    led.tell_bytes(b"\x00\xff\xfe\x1b[31m\n");
    led.tell("--host 10.0.0.1 --host nonsense");
    led.tell_bytes(&vec![b'x'; 9 << 20]);
    led.tell("");
    for _ in 0..100 {
        led.tell("again");
    }
    send(&node.socket(), FIRST, 1);
    led.wait_for_number(1, "cali1");
    let outcome = led.stop();
    assert_eq!(outcome.code, Some(0));
    let lines: Vec<_> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 20, "{}", outcome.stderr);
    assert!(lines.iter().all(|line| line.starts_with("kflow: standard input: ")), "{}", outcome.stderr);
    assert!(lines[0].contains("--hots") && lines[1].contains("no text"), "{}", outcome.stderr);
    assert!(lines[3].contains("too long") && lines[19].contains("not told"), "{}", outcome.stderr);
    assert_eq!(interfaces(&outcome.heard), ["cali1"].into());
}
