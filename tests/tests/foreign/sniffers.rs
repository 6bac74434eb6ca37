//! tcpdump and dumpcap on all interfaces of the lab.

use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    Lab, Namespace,
    lab::topology::{K8S_MASTER, NODES, POD_DEST, POD_SRC, PODS},
};

use crate::scene::MARK;

/// Bytes of each packet: all headers, tunnels included.
const SNAP: &str = "192";
/// How long the last packet may take into the files.
const PATIENCE: Duration = Duration::from_secs(20);
/// What both say once they capture.
const READY: [&str; 2] = ["listening on", "File: "];

/// A program that captures to a file.
pub(crate) struct Sniffer {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What `-r` says of the file.
    place: String,
    file: PathBuf,
    /// How often the mark has to be in the file: once for each time that a marked packet passes there.
    marks: usize,
}

/// The namespaces of a lab with their interfaces.
pub(crate) struct Site<'a> {
    /// Node, and pod if it is one's.
    pub(crate) node: &'static str,
    pub(crate) pod: Option<&'static str>,
    pub(crate) ns: &'a Namespace,
    pub(crate) interfaces: Vec<&'static str>,
}

/// Every namespace that packets between the pods, or between the master and pod-dest, pass.
pub(crate) fn sites(lab: &Lab) -> Vec<Site<'_>> {
    let device = lab.config().overlay.device();
    let node = |node: &tests::lab::topology::Node| {
        let pod = PODS.iter().find(|pod| pod.node == node.name).map(|pod| pod.interface);
        let interfaces = pod.into_iter().chain([device, "eth0"]).collect();
        Site { node: node.name, pod: None, ns: lab.node(node.name), interfaces }
    };
    let pods = [POD_SRC, POD_DEST].map(|pod| Site {
        node: pod.node,
        pod: Some(pod.name),
        ns: lab.pod(pod.name),
        interfaces: vec!["eth0"],
    });
    NODES.iter().map(node).chain(pods).collect()
}

impl Site<'_> {
    fn place(&self, interface: Option<&str>) -> String {
        match (self.pod, interface) {
            (Some(pod), _) => format!("{}/{pod}:eth0", self.node),
            (None, Some(interface)) => format!("{}/{interface}", self.node),
            (None, None) => self.node.to_owned(),
        }
    }

    /// How often marked packets pass an interface as its sniffer sees it.
    fn marks(&self, interface: &str) -> usize {
        match interface {
            _ if self.node == K8S_MASTER.name => 0,
            // Where the lab has no ipip device, what leaves by `tunl0` is redirected before its sniffer.
            "tunl0" => 1,
            _ => 2,
        }
    }
}

/// One tcpdump for each interface, in classic pcap.
pub(crate) fn tcpdump_each(lab: &Lab) -> io::Result<Vec<Sniffer>> {
    let mut sniffers = Vec::new();
    for site in sites(lab) {
        for interface in &site.interfaces {
            let name = format!("tcpdump-{}-{interface}.pcap", site.pod.unwrap_or(site.node));
            let marks = site.marks(interface);
            let words = tcpdump(interface);
            sniffers.push(Sniffer::start(lab, &site, &words, &name, site.place(Some(interface)), marks)?);
        }
    }
    Ok(sniffers)
}

/// One tcpdump for each namespace, on its device `any`.
pub(crate) fn tcpdump_any(lab: &Lab) -> io::Result<Vec<Sniffer>> {
    sites(lab)
        .iter()
        .map(|site| {
            let name = format!("any-{}.pcap", site.pod.unwrap_or(site.node));
            let marks = site.interfaces.iter().map(|interface| site.marks(interface)).sum();
            let mut words = tcpdump("any");
            words.extend(["-y".into(), "LINUX_SLL2".into()]);
            Sniffer::start(lab, site, &words, &name, site.place(None), marks)
        })
        .collect()
}

/// One dumpcap for each namespace.
pub(crate) fn dumpcap(lab: &Lab) -> io::Result<Vec<Sniffer>> {
    sites(lab)
        .iter()
        .map(|site| {
            let name = format!("dumpcap-{}.pcapng", site.pod.unwrap_or(site.node));
            let marks = site.interfaces.iter().map(|interface| site.marks(interface)).sum();
            let mut words = vec!["dumpcap".to_owned(), "-q".to_owned(), "-s".to_owned(), SNAP.to_owned()];
            for interface in &site.interfaces {
                words.extend(["-B", "32", "-i", interface].map(str::to_owned));
            }
            Sniffer::start(lab, site, &words, &name, site.place(None), marks)
        })
        .collect()
}

fn tcpdump(interface: &str) -> Vec<String> {
    // tcpdump would give up root before it opens the file.
    ["tcpdump", "-Z", "root", "-n", "-U", "--immediate-mode", "-B", "32768", "-s", SNAP, "-i", interface]
        .map(str::to_owned)
        .to_vec()
}

impl Sniffer {
    /// Starts it; it is capturing when this returns.
    fn start(
        lab: &Lab,
        site: &Site<'_>,
        words: &[String],
        name: &str,
        place: String,
        marks: usize,
    ) -> io::Result<Self> {
        let file = lab.directory().join(name);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("-w").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = site.ns.spawn(&mut command).map_err(io::Error::other)?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut said = String::new();
        while !READY.iter().any(|ready| said.contains(ready)) {
            if stderr.read_line(&mut said)? == 0 {
                return Err(io::Error::other(format!("{words:?}: {said}")));
            }
        }
        Ok(Self { child, stderr, place, file, marks })
    }

    /// Waits until the last packets are in the file, and ends it. Returns a value for `-r`.
    pub(crate) fn stop(mut self) -> io::Result<OsString> {
        let deadline = Instant::now() + PATIENCE;
        while marks(&self.file)? < self.marks {
            if Instant::now() > deadline {
                let seen = marks(&self.file)?;
                return Err(io::Error::other(format!(
                    "{}: {seen} of {} marks",
                    self.file.display(),
                    self.marks
                )));
            }
            thread::yield_now();
        }
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let status = self.child.wait()?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        if !status.success() || dropped(&said) != Some(0) {
            return Err(io::Error::other(format!("{} ended with {status}: {said}", self.file.display())));
        }
        Ok(format!("{}={}", self.place, self.file.display()).into())
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        // Both fail where it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Packets that a sniffer did not get to write, as its last words tell.
fn dropped(said: &str) -> Option<u64> {
    let mut counts = said.lines().filter_map(|line| {
        if let Some(count) = line.strip_suffix(" packets dropped by kernel") {
            return count.parse().ok();
        }
        let (_, counts) = line.split_once("received/dropped on interface ")?.1.rsplit_once("': ")?;
        counts.split(['/', ' ']).nth(1)?.parse().ok()
    });
    let first: u64 = counts.next()?;
    Some(first + counts.sum::<u64>())
}

/// How often the mark is in a file.
fn marks(file: &Path) -> io::Result<usize> {
    let bytes = fs::read(file)?;
    Ok(bytes.windows(MARK.len()).filter(|window| *window == MARK.as_bytes()).count())
}
