//! The simulation itself: events in the order of true time, packets from station to station.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::defrag::{Defrag, Routed};
use crate::emission::{Emission, EmissionId, LaneId, Packet, Segment};
use crate::network::{Network, Passage, Station};
use crate::offload::{self, Coalesced};
use crate::plan::{Chances, Faults, Plan, Traffic, US};
use crate::random::Random;
use crate::traffic::{Datagrams, Tcp};

/// How long a device that coalesces waits for more.
const HOLD: u64 = 20 * US;
/// One wire segment at 10 Gbit/s.
const SERIALIZATION: u64 = 1200;

/// A packet at a recorded station.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) lane: LaneId,
    /// Number of the station on the lane's way.
    pub(crate) station: usize,
    /// Nanoseconds of true time.
    pub(crate) time: u64,
    pub(crate) parts: Vec<EmissionId>,
}

/// A wire segment that vanished, or one of its copies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    pub(crate) emission: EmissionId,
    /// The last station that it reached.
    pub(crate) after: usize,
}

/// What happened.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) network: Network,
    pub(crate) emissions: Vec<Emission>,
    /// In the order of true time.
    pub(crate) observations: Vec<Observation>,
    pub(crate) losses: Vec<Loss>,
    /// Time of the last event.
    pub(crate) end: u64,
}

/// What an end of a flow asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alarm {
    /// Its application acts.
    Application,
    /// A timer of its protocol, with a number that tells whether it was set anew since.
    Timer(u32),
}

enum Event {
    /// A packet reaches a station.
    Reach {
        station: usize,
        packet: Packet,
    },
    /// A device that coalesces stops waiting.
    Release {
        lane: LaneId,
        station: usize,
        number: u64,
    },
    /// A packet reaches the other end.
    Deliver(Packet),
    Alarm {
        flow: usize,
        end: usize,
        alarm: Alarm,
    },
}

/// What the two ends of a flow do.
enum Ends {
    Tcp(Box<Tcp>),
    Datagrams(Datagrams),
}

struct Held {
    packet: Packet,
    number: u64,
}

/// What flows may do to the world.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now: u64,
    faults: Faults,
    network: Network,
    emissions: Vec<Emission>,
    observations: Vec<Observation>,
    losses: Vec<Loss>,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    free: Vec<usize>,
    scheduled: u64,
    /// When the last packet reached a station: a way keeps the order, unless it reorders.
    reached: HashMap<(LaneId, usize), u64>,
    held: HashMap<(LaneId, usize), Held>,
    defrag: Defrag,
}

/// Runs a plan to its end.
pub(crate) fn run(plan: &Plan) -> History {
    let mut world = World {
        random: Random::new(plan.seed),
        now: 0,
        faults: plan.faults,
        network: Network::new(plan),
        emissions: Vec::new(),
        observations: Vec::new(),
        losses: Vec::new(),
        queue: BinaryHeap::new(),
        events: Vec::new(),
        free: Vec::new(),
        scheduled: 0,
        reached: HashMap::new(),
        held: HashMap::new(),
        defrag: Defrag::default(),
    };
    let mut flows = Vec::with_capacity(plan.flows.len());
    for (number, flow) in plan.flows.iter().enumerate() {
        flows.push(match &flow.traffic {
            Traffic::Tcp(tcp) => Ends::Tcp(Box::new(Tcp::new(number, flow.family, tcp, &mut world.random))),
            Traffic::Datagrams(datagrams) => {
                Ends::Datagrams(Datagrams::new(number, flow.family, datagrams, &mut world.random))
            }
        });
        world.schedule(flow.start, Event::Alarm { flow: number, end: 0, alarm: Alarm::Application });
    }
    while let Some(Reverse((time, _, slot))) = world.queue.pop() {
        world.now = time;
        let Some(event) = world.events[slot].take() else { continue };
        world.free.push(slot);
        match event {
            Event::Reach { station, packet } => world.reach(station, packet),
            Event::Release { lane, station, number } => world.release(lane, station, number),
            Event::Deliver(packet) => {
                let segments: Vec<Segment> =
                    packet.parts.iter().map(|part| world.emissions[part.index()].segment.clone()).collect();
                let end = 1 - packet.lane.end();
                match &mut flows[packet.lane.flow()] {
                    Ends::Tcp(tcp) => tcp.receive(end, &segments, &mut world),
                    Ends::Datagrams(datagrams) => datagrams.receive(end, &segments, &mut world),
                }
            }
            Event::Alarm { flow, end, alarm } => match &mut flows[flow] {
                Ends::Tcp(tcp) => tcp.alarm(end, alarm, &mut world),
                Ends::Datagrams(datagrams) => datagrams.alarm(end, &mut world),
            },
        }
    }
    for (to, packet) in std::mem::take(&mut world.defrag).rest() {
        world.lose(&packet, to - 1);
    }
    History {
        network: world.network,
        emissions: world.emissions,
        observations: world.observations,
        losses: world.losses,
        end: world.now,
    }
}

impl World {
    /// Sends wire segments as one packet.
    pub(crate) fn send(&mut self, segments: Vec<Emission>) {
        let Some(first) = segments.first() else { return };
        let lane = first.lane;
        let mut parts = Vec::with_capacity(segments.len());
        for emission in segments {
            parts.push(EmissionId(u32::try_from(self.emissions.len()).unwrap()));
            self.emissions.push(emission);
        }
        self.go(Packet { lane, parts }, 0);
    }

    /// Wakes an end of a flow after a while.
    pub(crate) fn wake(&mut self, flow: usize, end: usize, alarm: Alarm, after: u64) {
        self.schedule(self.now + after, Event::Alarm { flow, end, alarm });
    }

    fn schedule(&mut self, time: u64, event: Event) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[slot] = Some(event);
        self.scheduled += 1;
        self.queue.push(Reverse((time, self.scheduled, slot)));
    }

    fn station(&self, lane: LaneId, number: usize) -> Option<&Station> {
        self.network.ways[lane.0].get(number)
    }

    /// Sets a packet on its way to a station, or to the other end if there is none.
    fn go(&mut self, packet: Packet, to: usize) {
        let Some(passage) = self.station(packet.lane, to).map(|station| station.before) else {
            let after = self.random.between(US, 4 * US);
            let time = self.in_order(packet.lane, to, after);
            self.schedule(time, Event::Deliver(packet));
            return;
        };
        if to == 0 {
            let after = self.random.between(200, US);
            let time = self.in_order(packet.lane, to, after);
            self.schedule(time, Event::Reach { station: to, packet });
        } else if passage == Passage::Wire {
            for segment in offload::cut(packet) {
                self.pass(&segment, to, self.faults.wire, (30 * US, 50 * US));
            }
        } else if self.is_routed(packet.lane, to) {
            match self.defrag.take(packet.clone(), to, &self.emissions) {
                Routed::On(packets) => {
                    for packet in packets {
                        self.pass(&packet, to, self.faults.local, (500, 6 * US));
                    }
                }
                Routed::Waits => {}
                Routed::Again => self.lose(&packet, to - 1),
            }
        } else {
            self.pass(&packet, to, self.faults.local, (500, 6 * US));
        }
    }

    /// Whether a node routes packets between the station before and this one.
    fn is_routed(&self, lane: LaneId, to: usize) -> bool {
        let way = &self.network.ways[lane.0];
        way[to].ttl < way[to - 1].ttl
    }

    fn lose(&mut self, packet: &Packet, after: usize) {
        self.losses.extend(packet.parts.iter().map(|emission| Loss { emission: *emission, after }));
    }

    fn pass(&mut self, packet: &Packet, to: usize, chances: Chances, delay: (u64, u64)) {
        let mut copies = 1;
        if self.random.happens(chances.duplicate) {
            copies += 1;
        }
        for _ in 0..copies {
            if self.random.happens(chances.loss) {
                self.lose(packet, to - 1);
                continue;
            }
            let after = self.random.between(delay.0, delay.1);
            let time = if self.random.happens(chances.reorder) {
                self.now + after + self.random.between(40 * US, 300 * US)
            } else {
                self.in_order(packet.lane, to, after)
            };
            self.schedule(time, Event::Reach { station: to, packet: packet.clone() });
        }
    }

    /// When a packet that takes so long gets there without overtaking.
    fn in_order(&mut self, lane: LaneId, to: usize, after: u64) -> u64 {
        let last = self.reached.entry((lane, to)).or_default();
        *last = (self.now + after).max(*last + SERIALIZATION);
        *last
    }

    fn reach(&mut self, station: usize, packet: Packet) {
        if self.station(packet.lane, station).is_some_and(|at| at.before == Passage::Local) {
            return self.observe(station, packet);
        }
        let place = (packet.lane, station);
        let held = self.held.get_mut(&place).map(|held| &mut held.packet);
        match offload::coalesce(held, &packet, &self.emissions) {
            Coalesced::Joined => {}
            Coalesced::Completed => self.let_go(place),
            Coalesced::Passed => {
                self.let_go(place);
                self.observe(station, packet);
            }
            Coalesced::Held => {
                self.let_go(place);
                let number = self.scheduled;
                let after = self.random.between(US, HOLD);
                self.schedule(self.now + after, Event::Release { lane: packet.lane, station, number });
                self.held.insert(place, Held { packet, number });
            }
        }
    }

    fn release(&mut self, lane: LaneId, station: usize, number: u64) {
        if self.held.get(&(lane, station)).is_some_and(|held| held.number == number) {
            self.let_go((lane, station));
        }
    }

    fn let_go(&mut self, place: (LaneId, usize)) {
        if let Some(held) = self.held.remove(&place) {
            self.observe(place.1, held.packet);
        }
    }

    fn observe(&mut self, station: usize, packet: Packet) {
        let at = &self.network.ways[packet.lane.0][station];
        if self.network.is_recorded(at) {
            self.observations.push(Observation {
                lane: packet.lane,
                station,
                time: self.now,
                parts: packet.parts.clone(),
            });
        }
        self.go(packet, station + 1);
    }
}
