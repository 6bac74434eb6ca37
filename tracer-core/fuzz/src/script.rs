//! What happens in a network, as bytes: each step has the same length, so that a mutation changes one of them.

/// A few settings and the steps that follow.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Script {
    /// How the trace works.
    pub settings: Settings,
    /// What happens, in the order of arrival.
    pub steps: Vec<Step>,
}

/// How the trace works.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// Window in milliseconds, less one.
    pub window: u8,
    /// Sightings held at most, in tens, less ten.
    pub sightings: u8,
    /// Flows and headers held at most, less one.
    pub tables: u8,
    /// Bit 0: items come merged; bit 1: frames are kept; bit 4: one capture, by bits 2 and 3, tells no `gso_size`.
    pub flags: u8,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Step {
    /// Microseconds since the step before.
    pub delay: u16,
    /// How far the clock of the packet's capture is ahead, in units of 10 microseconds.
    pub clock: i16,
    /// What.
    pub action: Action,
    /// Where.
    pub place: Place,
    /// Of which packet.
    pub packet: Packet,
}

/// What happens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Action {
    /// A packet is seen.
    #[default]
    See,
    /// The capture tells its counters: so many packets lost.
    Count(u8),
    /// The capture begins again.
    Begin,
    /// The capture ends.
    End,
    /// The capture breaks off.
    Break,
}

/// Where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// Capture, 0 to 3: each is a node.
    pub source: u8,
    /// Interface, 0 to 3; 3 is inside a pod.
    pub interface: u8,
    /// 1: in, 2: out, others: not told.
    pub direction: u8,
}

/// A packet as it is at a place.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Packet {
    /// Transport: TCP, TCP over IPv6, UDP, echo, an error that quotes TCP, a fragment, SCTP, unknown.
    pub kind: u8,
    /// Sequence number in hundreds, identification and contents.
    pub number: u8,
    /// TCP flags, or whether an echo is a reply.
    pub flags: u8,
    /// Payload bytes in tens.
    pub payload: u8,
    /// Segment size in tens; 0 where it is one wire segment.
    pub segment: u8,
    /// Bits 0 and 1: source; bits 2 and 3: destination; bit 4: they change places; bits 5 to 7: encapsulation.
    pub wear: u8,
    /// Time to live.
    pub ttl: u8,
}

impl Script {
    const STEP: usize = 13;
    /// What comes behind is not looked at.
    const STEPS: usize = 128;

    /// Any bytes are a script; what is left at the end is no step.
    pub fn parse(data: &[u8]) -> Self {
        let Some(([window, sightings, tables, flags], rest)) = data.split_first_chunk::<4>() else {
            return Self::default();
        };
        let settings = Settings { window: *window, sightings: *sightings, tables: *tables, flags: *flags };
        let (steps, _) = rest.as_chunks::<{ Self::STEP }>();
        Self { settings, steps: steps.iter().take(Self::STEPS).map(Step::parse).collect() }
    }

    /// The reverse.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Settings { window, sightings, tables, flags } = self.settings;
        let steps = self.steps.iter().copied().flat_map(Step::to_bytes);
        [window, sightings, tables, flags].into_iter().chain(steps).collect()
    }
}

impl Step {
    fn parse(bytes: &[u8; Script::STEP]) -> Self {
        let [d0, d1, c0, c1, action, place, kind, number, flags, payload, segment, wear, ttl] = *bytes;
        Self {
            delay: u16::from_le_bytes([d0, d1]),
            clock: i16::from_le_bytes([c0, c1]),
            action: match action {
                250 => Action::Begin,
                251 => Action::End,
                252 => Action::Break,
                200..250 => Action::Count(action - 200),
                _ => Action::See,
            },
            place: Place { source: place & 3, interface: place >> 2 & 3, direction: place >> 4 & 3 },
            packet: Packet { kind: kind & 7, number, flags, payload, segment, wear, ttl },
        }
    }

    fn to_bytes(self) -> [u8; Script::STEP] {
        let ([d0, d1], [c0, c1]) = (self.delay.to_le_bytes(), self.clock.to_le_bytes());
        let action = match self.action {
            Action::See => 0,
            Action::Count(lost) => 200 + lost.min(49),
            Action::Begin => 250,
            Action::End => 251,
            Action::Break => 252,
        };
        let place = self.place.source | self.place.interface << 2 | self.place.direction << 4;
        let Packet { kind, number, flags, payload, segment, wear, ttl } = self.packet;
        [d0, d1, c0, c1, action, place, kind, number, flags, payload, segment, wear, ttl]
    }
}
