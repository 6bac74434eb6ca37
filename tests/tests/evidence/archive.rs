//! `--bundle`: one archive for a ticket.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use flate2::read::GzDecoder;
use serde_json::Value;
use tests::lab::topology::K8S_NODE1;

use crate::support::{DROP, Failure, Site, Test};

fn contents(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path)?));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(name, bytes);
    }
    Ok(files)
}

#[test]
fn it_holds_packets_verdicts_and_what_each_kernel_said() -> Test {
    let site = Site::up()?;
    site.lab.iptables(K8S_NODE1.name, DROP)?;
    let path = site.file("ticket.tar.gz");
    let outcome = site.trace(&["--bundle", &path.to_string_lossy()])?;
    assert!(outcome.stderr.contains("evidence of 5 namespaces written to"), "{}", outcome.stderr);
    let files = contents(&path)?;
    let text = |name: &str| -> Result<String, Failure> {
        Ok(String::from_utf8(files.get(name).ok_or(format!("no {name} in {:?}", files.keys()))?.clone())?)
    };
    assert!(text("report.txt")?.contains("verdict: dropped on k8s-node1"));
    assert!(text("evidence/k8s-node1/node/rules.txt")?.contains("--dport 8080 -j DROP"));
    assert!(text("README.txt")?.contains("trace.pcapng"));
    for place in [
        "k8s-master/node",
        "k8s-node2/node",
        "k8s-node2/pod-default_pod-src",
        "k8s-node1/pod-default_pod-dest",
    ] {
        for time in ["before", "after"] {
            let snapshot: Value = serde_json::from_str(&text(&format!("evidence/{place}/{time}.json"))?)?;
            assert!(snapshot["links"].as_array().is_some_and(|links| !links.is_empty()), "{place} {time}");
        }
    }
    let flow: Value = serde_json::from_str(text("report.jsonl")?.lines().next().ok_or("nothing")?)?;
    assert_eq!(flow["verdict"]["cause"], "firewall-drop");
    assert!(text("cluster.json")?.contains("pod-dest"));
    Ok(())
}

#[test]
fn payload_stays_where_it_was() -> Test {
    let site = Site::up()?;
    let (path, packets) = (site.file("ticket.tar.gz"), site.file("all.pcapng"));
    site.trace(&["--bundle", &path.to_string_lossy(), "-w", &packets.to_string_lossy(), "-s", "0"])?;
    // What the client asks for, in its own words.
    let request = b"GET /bytes/10";
    let has = |bytes: &[u8]| bytes.windows(request.len()).any(|window| window == request);
    assert!(has(&std::fs::read(&packets)?), "the capture itself has it");
    let files = contents(&path)?;
    let with: Vec<_> = files.iter().filter(|(_, bytes)| has(bytes)).map(|(name, _)| name).collect();
    assert!(with.is_empty(), "{with:?}");
    let copy = site.file("trace.pcapng");
    std::fs::write(&copy, &files["trace.pcapng"])?;
    let count = |file: &Path| tests::wireshark::tcpdump(file).map(|lines| lines.len());
    assert_eq!(count(&copy)?, count(&packets)?, "every hop of every packet is there");
    Ok(())
}

#[test]
fn where_it_cannot_be_written_that_is_said_and_the_trace_goes_on() -> Test {
    let site = Site::up()?;
    let outcome = site.trace(&["--bundle", "/dev/full"])?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("cannot write the archive /dev/full"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("verdict: delivered"), "{}", outcome.stdout);
    let refused = site.trace(&["--bundle", "/no/such/directory/ticket.tar.gz"]);
    let said = refused.err().ok_or("it began")?.to_string();
    assert!(said.contains("cannot create /no/such/directory/ticket.tar.gz"), "{said}");
    Ok(())
}
