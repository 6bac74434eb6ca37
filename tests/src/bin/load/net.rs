//! Namespaces without a name: they go with the process that holds them.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::Failure;

/// A link between the two namespaces.
pub(crate) struct Link {
    /// The interface that sends, and its address.
    pub(crate) sender: &'static str,
    sender_address: &'static str,
    sender_mac: &'static str,
    /// The interface that receives, and its address.
    pub(crate) receiver: &'static str,
    pub(crate) receiver_address: &'static str,
    receiver_mac: &'static str,
}

/// The link that captures are made on.
pub(crate) const WATCHED: Link = Link {
    sender: "sender",
    sender_address: "10.99.0.1",
    sender_mac: "02:00:00:00:00:01",
    receiver: "receiver",
    receiver_address: "10.99.0.2",
    receiver_mac: "02:00:00:00:00:02",
};

/// The link that nothing looks at.
pub(crate) const BARE: Link = Link {
    sender: "bare-sender",
    sender_address: "10.99.1.1",
    sender_mac: "02:00:00:00:01:01",
    receiver: "bare-receiver",
    receiver_address: "10.99.1.2",
    receiver_mac: "02:00:00:00:01:02",
};

/// A network namespace.
pub(crate) struct Net(File);

impl Net {
    pub(crate) fn new() -> Result<Self, Failure> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let file = made.join().map_err(|_| "a thread failed")?;
        let net = Self(file.map_err(|error| format!("cannot make a network namespace: {error}"))?);
        net.ip("link set lo up")?;
        Ok(net)
    }

    /// Runs `work` on a thread inside, and waits for it. Processes that it starts stay inside.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        let entered = thread::scope(|scope| {
            scope.spawn(|| setns(&self.0, CloneFlags::CLONE_NEWNET).map(|()| work())).join()
        });
        Ok(entered.map_err(|_| "a thread failed")??)
    }

    /// `ip` with these words.
    pub(crate) fn ip(&self, words: &str) -> Result<(), Failure> {
        let output = self.inside(|| Command::new("ip").args(words.split_whitespace()).output())??;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("`ip {words}`: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
    }

    /// As `ip` takes a namespace without a name.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Packets that an interface has sent and received.
    pub(crate) fn packets(&self, interface: &str) -> Result<u64, Failure> {
        let table = self.inside(|| std::fs::read_to_string("/proc/thread-self/net/dev"))??;
        let line = table.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
        let columns: Vec<_> = line.ok_or("no such interface")?.split_whitespace().collect();
        let column = |number: usize| columns.get(number).and_then(|text| text.parse::<u64>().ok());
        column(1).zip(column(9)).map(|(received, sent)| received + sent).ok_or_else(|| "no counters".into())
    }
}

/// Two namespaces joined by two veth pairs.
pub(crate) struct Pair {
    pub(crate) sender: Net,
    pub(crate) receiver: Net,
}

impl Pair {
    pub(crate) fn new() -> Result<Self, Failure> {
        let pair = Self { sender: Net::new()?, receiver: Net::new()? };
        pair.join(&WATCHED)?;
        pair.join(&BARE)?;
        Ok(pair)
    }

    fn join(&self, link: &Link) -> Result<(), Failure> {
        let Link { sender, sender_address, sender_mac, receiver, receiver_address, receiver_mac } = link;
        let peer = self.receiver.path();
        self.sender.ip(&format!(
            "link add {sender} address {sender_mac} type veth peer name {receiver} address {receiver_mac} netns {peer}"
        ))?;
        let ends = [
            (&self.sender, sender, sender_address, receiver_address, receiver_mac),
            (&self.receiver, receiver, receiver_address, sender_address, sender_mac),
        ];
        for (net, name, own, other, mac) in ends {
            net.ip(&format!("address add {own}/24 dev {name}"))?;
            net.ip(&format!("link set {name} up"))?;
            net.ip(&format!("neighbour add {other} lladdr {mac} dev {name} nud permanent"))?;
        }
        Ok(())
    }

    /// Packets that a link has carried, both ways.
    pub(crate) fn packets(&self, link: &Link) -> Result<u64, Failure> {
        self.sender.packets(link.sender)
    }

    /// Has every link carry packets as those of a wire.
    pub(crate) fn without_offloads(&self) -> Result<(), Failure> {
        let ends = [WATCHED, BARE].map(|link| [(&self.sender, link.sender), (&self.receiver, link.receiver)]);
        for (net, name) in ends.into_iter().flatten() {
            let words = ["-K", name, "tso", "off", "gso", "off", "gro", "off"];
            let output = net.inside(|| Command::new("ethtool").args(words).output())??;
            if !output.status.success() {
                return Err(format!("ethtool: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
            }
        }
        Ok(())
    }
}
