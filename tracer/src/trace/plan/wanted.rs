//! What a capture of a trace has to look for, as arguments of `kflow capture`.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use tracer_core::resolve::{Scope, Seed, SeedKind};

use super::{Place, Side};
use crate::cli::trace::TraceArgs;
use crate::trace::cluster::pods;

/// Of each capture, where the user asks for no other: packets are cut short, and there are many captures.
const BUFFER_KIB: u32 = 8192;
/// Arguments that are longer are sent by the control line: those of a remote capture travel in an address (URL), which
/// proxies refuse beyond 8 KiB.
const MAX_ARGUMENTS: usize = 4096;
/// Addresses that `kflow evidence` is told, which make less than [`MAX_ARGUMENTS`].
const MOST_ADDRESSES: usize = 64;

/// The buffer of each capture, KiB.
pub(in crate::trace) fn buffer_kib(args: &TraceArgs) -> u32 {
    args.buffer_size.unwrap_or(BUFFER_KIB)
}

/// What may change while a trace runs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in crate::trace) struct Wanted {
    /// `--host` and `--inner-host`: what the kernel looks for.
    packets: Vec<String>,
    /// Addresses of the pods whose host interfaces are watched.
    pods: BTreeSet<IpAddr>,
    /// Addresses that the two ends have or are reached by.
    addresses: BTreeSet<IpAddr>,
}

impl Wanted {
    /// What a scope needs.
    pub(in crate::trace) fn of(scope: &Scope) -> Self {
        let pods = pods(scope).flat_map(|pod| pod.addresses.iter().copied()).collect();
        let seeds = scope.seeds();
        let addresses = seeds.iter().map(|seed| seed.address).collect();
        Self { packets: seeds.iter().flat_map(flag).collect(), pods, addresses }
    }

    /// The arguments for one place, and a first control line where they are too long.
    pub(in crate::trace) fn arguments(
        &self,
        place: &Place,
        args: &TraceArgs,
    ) -> (Vec<String>, Option<String>) {
        let mut arguments = fixed(place, args);
        if !matches!(place.side, Side::Agent(_)) {
            arguments.extend(self.packets.iter().cloned());
            return (arguments, None);
        }
        let words = self.words(place, args);
        if words.iter().map(|word| word.len() + 1).sum::<usize>() <= MAX_ARGUMENTS {
            arguments.extend(words);
            return (arguments, None);
        }
        arguments.extend(["--host", "none"].map(str::to_owned));
        if chooses_interfaces(place, args) {
            arguments.extend(["--way-of", "none"].map(str::to_owned));
        }
        (arguments, Some(words.join(" ")))
    }

    /// The arguments of `kflow evidence` for one place. Where there are too many addresses, connections are listed by
    /// those of the pods, or not at all.
    pub(in crate::trace) fn evidence(&self, place: &Place) -> Vec<String> {
        let mut arguments = vec!["--node".to_owned(), place.node.clone()];
        if let Some(pod) = &place.pod {
            arguments.extend(["--pod".to_owned(), pod.clone()]);
        }
        match &place.side {
            Side::Own | Side::Agent(None) => {}
            Side::Path(path) => arguments.extend(["--netns".to_owned(), path.display().to_string()]),
            Side::Agent(Some(address)) => {
                arguments.extend(["--netns".to_owned(), format!("address:{address}")]);
            }
        }
        let some = [&self.addresses, &self.pods].into_iter().find(|some| some.len() <= MOST_ADDRESSES);
        let some = some.into_iter().flatten();
        arguments.extend(some.flat_map(|address| ["--address".to_owned(), address.to_string()]));
        arguments
    }

    /// The control line that makes a running capture look for this.
    pub(in crate::trace) fn line(&self, place: &Place, args: &TraceArgs) -> String {
        self.words(place, args).join(" ")
    }

    fn words(&self, place: &Place, args: &TraceArgs) -> Vec<String> {
        let mut words = self.packets.clone();
        if chooses_interfaces(place, args) {
            let pods = self.pods.iter().flat_map(|pod| ["--way-of".to_owned(), pod.to_string()]);
            words.extend(pods);
            if self.pods.is_empty() {
                words.extend(["--way-of", "none"].map(str::to_owned));
            }
        }
        words
    }

    /// Whether an agent watches the interfaces of the way: not if the user named others, nor inside a pod.
    /// What the kernel looks for, for a person.
    pub(in crate::trace) fn filter(&self) -> String {
        self.packets.join(" ")
    }
}

/// Whether an agent watches the interfaces of the way: not if the user named others, nor inside a pod.
fn chooses_interfaces(place: &Place, args: &TraceArgs) -> bool {
    matches!(place.side, Side::Agent(None)) && args.interfaces.is_empty()
}

fn fixed(place: &Place, args: &TraceArgs) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
    add("--node", place.node.clone());
    add("-s", args.snap().0.to_string());
    if let Some(pod) = &place.pod {
        add("--pod", pod.clone());
    }
    match &place.side {
        Side::Own | Side::Agent(None) => {}
        Side::Path(path) => add("--netns", path.display().to_string()),
        Side::Agent(Some(address)) => add("--netns", format!("address:{address}")),
    }
    if let Some(port) = args.vxlan_port {
        add("--vxlan-port", port.to_string());
    }
    add("-B", buffer_kib(args).to_string());
    if let Some(how) = &args.attach {
        add("--attach", how.clone());
    }
    // Patterns are meant for the nodes: inside a pod there is its eth0.
    for interface in args.interfaces.iter().filter(|_| place.pod.is_none()) {
        add("-i", interface.clone());
    }
    // The namespaces of pods that are not watched are told of by their node.
    arguments.push(format!("--drops={}", if place.pod.is_none() { "joined" } else { "own" }));
    if args.debug_bpf {
        arguments.push("--debug-bpf".to_owned());
    }
    arguments
}

fn flag(seed: &Seed) -> [String; 2] {
    match (seed.kind, seed.port) {
        (SeedKind::Node, None) => ["--inner-host".to_owned(), seed.address.to_string()],
        (_, None) => ["--host".to_owned(), seed.address.to_string()],
        (_, Some((protocol, port))) => {
            let protocol = protocol.to_string().to_lowercase();
            let socket = SocketAddr::new(seed.address, port);
            ["--host".to_owned(), format!("{socket}/{protocol}")]
        }
    }
}
