//! Printed packets beside those of `tcpdump -n`.

use std::process::Command;

use crate::process::kflow;
use crate::running::run;
use crate::scene::{INTERFACE, Scene};

/// What `tcpdump -n` prints about a file with further flags.
fn tcpdump(scene: &Scene, flags: &str) -> String {
    let mut command = Command::new("tcpdump");
    command.args(["-n", "-r", "mixed.pcapng"]).args(flags.split_whitespace());
    run(command.env("TZ", "UTC").current_dir(scene.directory())).text().to_owned()
}

/// Lines without the time of day.
fn timeless(lines: &str) -> Vec<&str> {
    lines.lines().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest)).collect()
}

#[test]
fn lines_are_those_of_tcpdump() {
    let scene = Scene::new();
    let file = scene.capture(&format!("-i {INTERFACE} -w mixed.pcapng"));
    let live = scene.capture(&format!("-i {INTERFACE}"));
    let short = scene.capture(&format!("-i {INTERFACE} -s 20"));
    scene.send(3, b"GET / HTTP/1.1\r\n\r\n");
    scene.send(1, &[0; 1400]);
    scene.near.run(|| run(Command::new("ping").args(["-c", "2", "-i", "0.01", "10.7.0.2"]))).unwrap();
    let [live, short] = [live, short].map(|capture| capture.stop().text().to_owned());
    file.stop();
    for flags in ["", "-v", "-e", "-X", "-v -e -X", "-s 30"] {
        let mut command = kflow(["-r", "mixed.pcapng"].into_iter().chain(flags.split_whitespace()));
        let ours = run(command.current_dir(scene.directory()));
        // tcpdump reads all that a file has, whatever its snap length.
        if flags != "-s 30" {
            assert_eq!(ours.text(), tcpdump(&scene, flags), "{flags}");
        }
        assert_eq!((ours.code, ours.stderr.as_str()), (Some(0), "8 packets read, 8 matched\n"), "{flags}");
    }
    assert_eq!(timeless(&live), timeless(&tcpdump(&scene, "")));
    assert_eq!(timeless(&short), ["IP  [|ip]"; 8]);
}

#[test]
fn interface_is_told_where_there_may_be_several() {
    let scene = Scene::new();
    let capture = scene.capture("-- udp");
    scene.send(1, b"labelled");
    assert_eq!(
        timeless(capture.stop().text()),
        ["near0 Out IP 10.7.0.1.5557 > 10.7.0.2.5556: UDP, length 8"]
    );
}
