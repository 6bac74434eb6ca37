//! Who is at the other end: namespaces with a name, with a process, with neither, and the pods in them.

use std::process::{Child, Command, Stdio};

use tests::lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_SRC};
use tests::{Lab, LabConfig, Overlay};

use crate::list::list;
use crate::scene::{Netns, kflow_without};

#[test]
fn peer_in_a_namespace_with_a_name() {
    let (netns, other) = (Netns::new(), Netns::new());
    netns.ip(&format!("link add near0 type veth peer name far0 netns {}", other.name));
    let details = format!("peer far0 in netns {}", other.name);
    assert_eq!(list(&netns.path(), None)["near0"].get("DETAILS"), details);
    let back = format!("peer near0 in netns {}", netns.name);
    assert_eq!(list(&other.path(), None)["far0"].get("DETAILS"), back);
}

#[test]
fn peer_in_a_namespace_that_only_a_process_has() {
    let netns = Netns::new();
    let process = Sleeper::start();
    netns.ip(&format!("link add near0 type veth peer name far0 netns {}", process.0.id()));
    let details = format!("peer far0 in the netns of process {} (sleep)", process.0.id());
    assert_eq!(list(&netns.path(), None)["near0"].get("DETAILS"), details);
}

#[test]
fn peer_in_a_namespace_that_may_not_be_entered() {
    let (netns, other) = (Netns::new(), Netns::new());
    netns.ip(&format!("link add near0 type veth peer name far0 netns {}", other.name));
    let index = other.ip("-br link show far0");
    assert!(index.starts_with("far0"), "{index}");
    let output = netns.run(&mut kflow_without(&["sys_admin"], &["capture", "-D"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!(" in netns {}", other.name)) && text.contains("peer index "), "{text}");
}

#[test]
fn pods_are_found_by_routes_to_them_and_by_their_own_addresses() -> Result<(), Box<dyn std::error::Error>> {
    let lab = Lab::up(&LabConfig { overlay: Overlay::Vxlan, ..LabConfig::default() })?;
    for (node, pod) in [(K8S_NODE2, POD_SRC), (K8S_NODE1, POD_DEST)] {
        let rows = list(lab.node(node.name).path(), Some(&lab.state_path()));
        let row = &rows[pod.interface];
        let place = lab.pod(pod.name).name();
        assert_eq!(row.get("DETAILS"), format!("peer eth0 in netns {place}, route to {}", pod.address));
        assert_eq!(row.get("POD"), pod.name);
        assert_eq!(rows["eth0"].get("POD"), "", "a node is no pod");
        assert!(rows["vxlan.calico"].get("DETAILS").starts_with("vni 4096"));

        let inside = list(lab.pod(pod.name).path(), Some(&lab.state_path()));
        assert_eq!(inside["eth0"].get("POD"), pod.name);
    }
    Ok(())
}

#[test]
fn pods_behind_a_bridge_are_found_without_routes() -> Result<(), Box<dyn std::error::Error>> {
    let (netns, other) = (Netns::new(), Netns::new());
    netns.ip("link add cni0 type bridge");
    netns.ip(&format!("link add veth1 type veth peer name eth0 netns {}", other.name));
    netns.ip("link set veth1 master cni0");
    other.ip("addr add 10.30.0.5/24 dev eth0");
    let state = std::env::temp_dir().join(format!("kd-state-{}.json", std::process::id()));
    std::fs::write(
        &state,
        r#"{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
            "status": {"podIP": "10.30.0.5"}}]}"#,
    )?;
    let rows = list(&netns.path(), Some(&state));
    std::fs::remove_file(&state)?;
    assert_eq!((rows["veth1"].get("POD"), rows["cni0"].get("POD")), ("shop/web", ""));
    Ok(())
}

/// A process in a network namespace of its own; it goes when this value goes.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        let mut command = Command::new("unshare");
        // It tells that it is inside, and is another program from then on.
        command.args(["--net", "sh", "-c", "echo inside; exec sleep 1000 >&-"]).stdout(Stdio::piped());
        let mut process = Self(command.spawn().unwrap());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut process.0.stdout.take().unwrap(), &mut said).unwrap();
        assert_eq!(said, "inside\n");
        process
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
