//! What a network between nodes may do to packets: let one arrive twice, or behind those sent after it.
//!
//! The kernel's own device for that (netem) is not everywhere. A rule on the bridge's port of a node's sends copies of
//! some packets straight to the other node, or sends packets on a detour: a pair of interfaces with a queue that is
//! slow (TBF), and back onto the bridge.

use crate::{
    Lab, LabError, Namespace,
    lab::topology::{K8S_NODE1, K8S_NODE2},
    run,
};

const DETOUR: [&str; 2] = ["detour0", "detour1"];
/// A packet of 1,500 bytes takes half a millisecond.
const DETOUR_RATE: &str = "24mbit";

/// What happens to packets from pod-src's node to pod-dest's, in thousandths of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    /// Arrive twice.
    pub duplicated: u16,
    /// Arrive late.
    pub delayed: u16,
    /// Length of a packet that it may happen to: shorter ones are left alone.
    pub least: u16,
}

impl Impairment {
    /// Lets it happen from now on.
    pub fn start(self, lab: &Lab) -> Result<(), LabError> {
        let ns = lab.underlay();
        let (from, to) = (K8S_NODE2.name, K8S_NODE1.name);
        let mut rules = format!(
            "table netdev impairment {{ chain arriving {{ type filter hook ingress device \"{from}\" priority 0;\n"
        );
        // In the outer header both nodes' addresses stand, whatever is inside.
        let meant = format!("ip daddr {} meta length >= {}", K8S_NODE1.address, self.least);
        let some = |share: u16| format!("{meant} numgen random mod 1000 < {share}");
        if self.duplicated > 0 {
            rules += &[&some(self.duplicated), " dup to \"", to, "\"\n"].concat();
        }
        if self.delayed > 0 {
            make_detour(ns)?;
            rules += &[&some(self.delayed), " fwd to \"", DETOUR[0], "\"\n"].concat();
        }
        run(ns, "nft", &["-f", "-"], &(rules + "}\n}\n"))?;
        Ok(())
    }
}

fn make_detour(ns: &Namespace) -> Result<(), LabError> {
    let [entry, exit] = DETOUR;
    // The bridge must not learn that the sender is behind the detour.
    let batch = format!(
        "link add {entry} type veth peer name {exit}
link set {entry} up
link set {exit} master br0 up
link set {exit} type bridge_slave learning off flood off mcast_flood off\n"
    );
    run(ns, "ip", &["-batch", "-"], &batch)?;
    let slow = format!("qdisc add dev {entry} root tbf rate {DETOUR_RATE} burst 3000 limit 3000000");
    let words: Vec<&str> = slow.split_whitespace().collect();
    run(ns, "tc", &words, "")?;
    Ok(())
}
