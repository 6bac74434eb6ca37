//! What others make of the output: Wireshark's tools and tcpdump, from a file, a pipe, and started by kflow.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use tests::wireshark::{accepted, capinfos, tcpdump, tshark};

use crate::running::{Capture, run};
use crate::scene::{INTERFACE, Scene};

#[test]
fn files_open_without_complaint() {
    let scene = Scene::new();
    let formats = [("a.pcapng", ""), ("b.pcap", "--pcap"), ("c.pcapng", "-s headers"), ("d.pcapng", "-s 60")];
    let captures = formats
        .map(|(name, words)| (name, scene.capture(&format!("-i {INTERFACE} -w {name} {words} -- udp"))));
    scene.send(10, b"for all of them");
    for (name, capture) in captures {
        assert_eq!(capture.stop().three(), [10, 10, 0], "{name}");
        let file = scene.path(name);
        assert_eq!(tcpdump(&file).unwrap().len(), 10, "{name}");
        assert_eq!(tshark(&file, ["-n"]).unwrap().lines().count(), 10, "{name}");
        assert!(capinfos(&file).unwrap().contains("Number of packets:   10"), "{name}");
        for tool in [&["editcap", name, "out"][..], &["mergecap", "-w", "out", name, "a.pcapng"]] {
            let output =
                Command::new(tool[0]).args(&tool[1..]).current_dir(scene.directory()).output().unwrap();
            accepted("editcap or mergecap", &file, output).unwrap();
        }
    }
    // Ethernet, IPv4 and UDP headers.
    let lengths = tests::wireshark::fields(&scene.path("c.pcapng"), "udp", ["frame.cap_len", "frame.len"]);
    assert!(lengths.unwrap().iter().all(|[kept, of]| kept == "42" && of == "57"));
}

#[test]
fn pipe_is_read_by_tshark_and_tcpdump() {
    let scene = Scene::new();
    for (words, reader) in
        [("-w -", &["tshark", "-n", "-r", "-"][..]), ("--pcap", &["tcpdump", "-n", "-r", "-"])]
    {
        let mut capture = scene.capture(&format!("-i {INTERFACE} {words} -- udp"));
        let input = capture.child.stdout.take().unwrap();
        let mut command = Command::new(reader[0]);
        command.args(&reader[1..]).stdin(input).stdout(Stdio::piped()).stderr(Stdio::null());
        let reader = command.spawn().unwrap();
        // It has the pipe to itself.
        drop(command);
        scene.send(5, b"through a pipe");
        assert_eq!(capture.stop().three(), [5, 5, 0], "{words}");
        let output = reader.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 5, "{words}");
    }
}

#[test]
fn wireshark_is_started_on_a_pipe() {
    let scene = Scene::new();
    let programs = scene.path("programs");
    fs::create_dir(&programs).unwrap();
    let script = "#!/bin/sh\necho \"$@\" > arguments\ntshark -n -r - > seen 2>/dev/null\nmv seen done\n";
    fs::write(programs.join("wireshark"), script).unwrap();
    fs::set_permissions(programs.join("wireshark"), Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = scene.kflow(&format!("-i {INTERFACE} --wireshark -- udp"));
    let capture = Capture::start(command.env("PATH", path).env_remove("SUDO_UID").stdout(Stdio::null()));
    scene.send(6, b"for Wireshark");
    // The end of standard error, which the script has as well, is the end of both.
    let outcome = capture.stop();
    assert_eq!((outcome.code, outcome.three()), (Some(0), [6, 6, 0]), "{}", outcome.stderr);
    assert_eq!(fs::read_to_string(scene.path("arguments")).unwrap(), "-k -i -\n");
    assert_eq!(fs::read_to_string(scene.path("done")).unwrap().lines().count(), 6);
}

#[test]
fn wireshark_that_is_not_there_is_named() {
    let scene = Scene::new();
    let outcome = run(scene.kflow(&format!("-i {INTERFACE} --wireshark")).env("PATH", "/nowhere"));
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("cannot start wireshark: install it, or use `-w - |"),
        "{}",
        outcome.stderr
    );
}
