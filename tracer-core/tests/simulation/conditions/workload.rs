//! Networks and traffic that the conditions share.

use crate::plan::{
    Chances, Client, Clock, Datagrams, Encapsulation, Family, Faults, Flow, Kind, MS, Plan, Pod, Recorder,
    Reset, SECOND, Target, Tcp, Traffic,
};
use crate::random::{Chance, Random};

pub(super) const NODES: usize = 3;
const PODS: usize = 9;

/// Loss in hundredths of a per cent on the wire, a tenth of that at any other place; some packets are doubled or
/// overtaken.
pub(super) fn faults(loss: u32) -> Faults {
    let wire = Chances {
        loss: Chance::hundredths(loss),
        duplicate: Chance::hundredths(30),
        reorder: Chance::hundredths(100),
    };
    Faults { wire, local: Chances { loss: Chance(loss * 10), ..Chances::default() } }
}

/// The same without duplicates and reordering.
pub(super) fn plain(loss: u32) -> Faults {
    let only = |loss| Chances { loss, ..Chances::default() };
    Faults { wire: only(Chance::hundredths(loss)), local: only(Chance(loss * 10)) }
}

/// Three nodes with three pods each; one pod in three is not entered.
pub(super) fn base(seed: u64, tunnels: &[Encapsulation], faults: Faults) -> Plan {
    Plan {
        seed,
        nodes: vec![Clock::default(); NODES],
        pods: (0..PODS).map(|pod| Pod { node: pod % NODES, is_entered: pod < 2 * NODES }).collect(),
        underlay: Family::V4,
        tunnels: tunnels.to_vec(),
        flows: Vec::new(),
        faults,
        recorder: Recorder::default(),
    }
}

impl Plan {
    /// Connections of all sizes until about so many wire segments are sent.
    pub(super) fn with_tcp(self, family: Family, segments: u32) -> Self {
        self.with_connections(family, segments, Reset::Idle)
    }

    /// The same; some connections are reset.
    pub(super) fn with_connections(mut self, family: Family, segments: u32, reset: Reset) -> Self {
        let mut random = Random::new(self.seed);
        let mut left = i64::from(segments);
        while left > 0 {
            let few = |random: &mut Random| u32::try_from(random.between(1, 6)).unwrap();
            let sizes = match random.below(10) {
                0..=5 => [few(&mut random), few(&mut random) * 4],
                6..=8 => [few(&mut random) * 20, few(&mut random) * 20],
                _ => [few(&mut random), few(&mut random) * 300],
            };
            let tcp = Tcp {
                segments: sizes,
                gso: [44, 16, 1][usize::try_from(random.below(3)).unwrap()],
                is_open: false,
                reset: if random.below(12) == 0 { reset } else { Reset::Never },
                pause: 20 * MS,
            };
            // Handshake and close, and an acknowledgement for what was coalesced to one packet each.
            left -= i64::from(sizes[0] + sizes[1]) * 11 / 20 + 8;
            self.add(family, Traffic::Tcp(tcp), &mut random);
        }
        self.spread(segments);
        self
    }

    /// Flows of datagrams until about so many wire segments are sent.
    pub(super) fn with_datagrams(mut self, family: Family, kind: Kind, segments: u32) -> Self {
        let mut random = Random::new(self.seed);
        let mut left = i64::from(segments);
        while left > 0 {
            let count = u32::try_from(random.between(1, 80)).unwrap();
            left -= i64::from(count) * if matches!(kind, Kind::Quic | Kind::Fragmented) { 5 } else { 2 };
            self.add(family, Traffic::Datagrams(Datagrams { kind, count, pause: 40 * MS }), &mut random);
        }
        self.spread(segments);
        self
    }

    /// Adds a flow between two ends, by every kind of address in turn.
    fn add(&mut self, family: Family, traffic: Traffic, random: &mut Random) {
        let pods = self.pods.len() as u64;
        let any = |random: &mut Random| usize::try_from(random.below(pods)).unwrap();
        let (from, to) = (any(random), any(random));
        let node = usize::try_from(random.below(self.nodes.len() as u64)).unwrap();
        let is_masqueraded = random.below(3) == 0;
        // A pod reaches itself by its service only.
        let (client, target) = match random.below(8) {
            4 if from != to => (Client::Pod(from), Target::Pod(to)),
            5 => (Client::Pod(from), Target::NodePort { node: self.pods[from].node, pod: to }),
            6 | 7 => (Client::Outside, Target::NodePort { node, pod: to }),
            _ => (Client::Pod(from), Target::Service(to)),
        };
        self.flows.push(Flow { family, client, target, is_masqueraded, traffic, start: 0 });
    }

    /// Lets the flows begin at different times, at most some thousand segments a second.
    fn spread(&mut self, segments: u32) {
        let mut random = Random::new(self.seed ^ 1);
        let span = (u64::from(segments) * MS / 4).max(4 * SECOND);
        for flow in &mut self.flows {
            flow.start = 10 * MS + random.below(span);
        }
    }
}
