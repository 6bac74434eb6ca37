//! What a led capture writes: compressed, and no more than it may.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tracer_core::filter::Program;

use crate::led::{Led, Outcome, Said, command};
use crate::node::{FIRST, Node, PORT, SECOND, send};

fn numbers(node: &Node, words: &str) -> Outcome {
    let mut led = Led::spawn(command(node, words), |stdout| {
        Box::new(zstd::stream::read::Decoder::new(stdout).unwrap())
    });
    led.wait_for("counters", |said| matches!(said, Said::Statistics(..)));
    let socket = node.socket();
    for number in 0..500 {
        send(&socket, FIRST, number);
    }
    // Each is on its way before the stream has an end.
    led.wait_for_number(499, "cali1");
    led.stop()
}

#[test]
fn compressed_stream_is_readable_as_it_comes_and_has_an_end() {
    let node = Node::new();
    let outcome = numbers(&node, "-i cali1 --compress zstd");
    assert_eq!(outcome.numbers("cali1"), (0..500).collect::<Vec<_>>());
    assert_eq!(outcome.statistics("cali1").written, 500);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

#[test]
fn compressed_bytes_are_those_of_the_plain_capture() {
    let node = Node::new();
    let mut plain = Led::start(&node, "-i cali1");
    let mut child = command(&node, "-i cali1 --compress zstd --heartbeat 60").spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    while node.programs("cali1") < 4 {
        std::thread::yield_now();
    }
    let socket = node.socket();
    for number in 0..2000 {
        send(&socket, FIRST, number);
    }
    plain.wait_for_number(1999, "cali1");
    drop(child.stdin.take());
    let mut bytes = Vec::new();
    stdout.read_to_end(&mut bytes).unwrap();
    assert!(child.wait().unwrap().success());
    let whole = zstd::stream::decode_all(&bytes[..]).unwrap();
    assert!(bytes.len() * 2 < whole.len(), "{} bytes of {}", bytes.len(), whole.len());
    let mut reader = tracer_core::capture::CaptureReader::new(&whole[..]).unwrap();
    let mut frames = 0;
    while let Some(item) = reader.next_item().unwrap() {
        frames += u32::from(matches!(item, tracer_core::capture::Item::Frame(_)));
    }
    assert_eq!(frames, 2000);
    assert_eq!(plain.stop().numbers("cali1").len(), 2000);
}

#[test]
fn reader_that_goes_ends_a_compressed_capture_well() {
    let node = Node::new();
    let mut child = command(&node, "-i cali1 --compress zstd --heartbeat 60").spawn().unwrap();
    while node.programs("cali1") < 2 {
        std::thread::yield_now();
    }
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(node.programs("cali1"), 0);
}

#[test]
fn file_as_standard_output_is_one_whole_stream() {
    let node = Node::new();
    let path = std::env::temp_dir().join(format!("kag-{}.zst", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let mut command = command(&node, "-i cali1 --compress zstd --heartbeat 60");
    let mut child = command.stdout(Stdio::from(file)).spawn().unwrap();
    while node.programs("cali1") < 2 {
        std::thread::yield_now();
    }
    send(&node.socket(), FIRST, 1);
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let whole = zstd::stream::decode_all(&std::fs::read(&path).unwrap()[..]);
    std::fs::remove_file(&path).unwrap();
    assert!(whole.unwrap().len() > 200);
}

#[test]
fn compression_is_for_standard_output() {
    let node = Node::new();
    let output = command(&node, "--compress zstd").args(["-w", "/dev/null"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn rate_is_kept_and_what_is_beyond_is_counted() {
    const RATE: u64 = 50_000;
    const PACKETS: u32 = 20_000;
    let node = Node::new();
    let mut led = Led::start(&node, &format!("-i cali1 -B 64 -s 128 --output-rate {RATE}"));
    let socket = node.socket();
    let _pod = node.pod_socket(FIRST);
    let begin = Instant::now();
    for number in 0..PACKETS {
        send(&socket, FIRST, number);
    }
    led.wait_for_number(0, "cali1");
    let outcome = led.stop();
    let seconds = begin.elapsed() + Duration::from_secs(2);
    let statistics = outcome.statistics("cali1");
    assert_eq!(statistics.seen, u64::from(PACKETS));
    assert_eq!(statistics.matched, statistics.written + statistics.lost);
    assert_eq!(outcome.numbers("cali1").len() as u64, statistics.written);
    assert!(statistics.written > 0 && statistics.lost > 0, "{statistics:?}");
    // A block of such a packet has 32 bytes beside it, its options and padding included at least 40.
    let least = statistics.written * 80;
    assert!(least < RATE * (seconds.as_secs() + 1), "{statistics:?} in {seconds:?}");
    assert_eq!(outcome.code, Some(3));
    assert_eq!(
        outcome.stderr,
        format!("kflow: output limited to {RATE} bytes/s: packets beyond are counted as lost\n")
    );
}

#[test]
fn rate_that_is_enough_loses_nothing() {
    let node = Node::new();
    let outcome = numbers(&node, "-i cali1 --output-rate 10000000 --compress zstd");
    assert_eq!(outcome.numbers("cali1").len(), 500);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

/// `udp dst port 7001`, as `tcpdump -ddd` has it for IPv4 over Ethernet.
fn port_7001(link_header: u32) -> String {
    let code = [
        (0x30, 0, 0, link_header + 9),
        (0x15, 0, 4, 17),
        (0xb1, 0, 0, link_header),
        (0x48, 0, 0, link_header + 2),
        (0x15, 0, 1, 7001),
        (0x06, 0, 0, 262_144),
        (0x06, 0, 0, 0),
    ];
    let code: Vec<_> = code.iter().map(|(code, jt, jf, k)| format!("{code} {jt} {jf} {k}")).collect();
    let text = format!("{},{}", code.len(), code.join(","));
    text.parse::<Program>().unwrap().to_string()
}

#[test]
fn compiled_programs_filter_as_expressions_do() {
    let node = Node::new();
    let portable = format!("ethernet:{};ip:{}", port_7001(14), port_7001(0));
    for text in [port_7001(14), portable] {
        let mut command = command(&node, "-i cali?");
        command.args(["--program", &text]);
        let mut led = Led::spawn(command, |stdout| Box::new(stdout));
        led.wait_for("counters", |said| matches!(said, Said::Statistics(..)));
        while node.programs("cali2") < 2 {
            std::thread::yield_now();
        }
        let socket = node.socket();
        send(&socket, FIRST, 1);
        socket.send_to(&2u32.to_be_bytes(), (SECOND, PORT + 1)).unwrap();
        led.wait_for_number(2, "cali2");
        let outcome = led.stop();
        assert!(outcome.numbers("cali1").is_empty());
        assert_eq!(outcome.statistics("cali1").seen, 1);
    }
    let refused = command(&node, "-i cali1").args(["--program", "tcp port 80"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
}
