//! Who leads a capture shows that it is there; when it is not, nothing stays.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::led::{Led, command};
use crate::node::{FIRST, Node, send};

const BEAT: Duration = Duration::from_millis(300);

#[test]
fn capture_lives_as_long_as_its_heartbeat() {
    let node = Node::new();
    let mut led = Led::spawn(command(&node, "-i cali1 --heartbeat 2"), |stdout| Box::new(stdout));
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) || node.programs("cali1") < 2 {
        assert!(led.is_running());
        led.tell("");
        thread::sleep(BEAT);
    }
    let last = Instant::now();
    let outcome = led.wait();
    assert!(last.elapsed() < Duration::from_secs(10), "{:?}", last.elapsed());
    assert_eq!(outcome.code, Some(3), "no packet came: {outcome:?}");
    assert_eq!(outcome.stderr, "kflow: no heartbeat for 2 s: ending\n");
    assert_eq!(node.programs("cali1"), 0);
}

#[test]
fn end_of_input_ends_it_with_its_counters() {
    let node = Node::new();
    let mut led = Led::start(&node, "-i cali1");
    send(&node.socket(), FIRST, 7);
    led.wait_for_number(7, "cali1");
    let outcome = led.stop();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.statistics("cali1").written, 1);
    assert_eq!(node.programs("cali1"), 0);
}

#[test]
fn word_that_ends_it_is_the_end_of_input() {
    let node = Node::new();
    let mut led = Led::start(&node, "-i cali1");
    led.tell("end");
    let outcome = led.wait();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(3), ""));
}

/// A network that is cut leaves a connection that takes nothing and says nothing.
#[test]
fn output_that_nobody_takes_does_not_keep_it() {
    let node = Node::new();
    let mut child = command(&node, "-i cali1 --heartbeat 2").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let socket = node.socket();
    let _pod = node.pod_socket(FIRST);
    let payload = [0; 1400];
    while node.programs("cali1") < 2 {
        stdin.write_all(b"\n").unwrap();
        thread::sleep(BEAT);
    }
    // More than the pipe takes; with a beat all the time it waits for its reader.
    for _ in 0..8 {
        for _ in 0..500 {
            socket.send_to(&payload, (FIRST, crate::node::PORT)).unwrap();
        }
        stdin.write_all(b"\n").unwrap();
        thread::sleep(BEAT);
        assert_eq!(child.try_wait().unwrap(), None);
    }
    assert_eq!(node.programs("cali1"), 2);
    let last = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(last.elapsed() < Duration::from_secs(10), "it waits for its reader for ever");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(last.elapsed() > Duration::from_millis(1500), "it ended with a heartbeat: {:?}", last.elapsed());
    assert_eq!(node.programs("cali1"), 0);
}
