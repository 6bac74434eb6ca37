//! What packets say besides their headers: questions to name servers, numbers of echoes.

use std::collections::HashMap;

use super::{EventKind, Tracer};
use crate::identity::SegmentKey;
use crate::journey::Journey;
use crate::packet::dns::Message;
use crate::packet::{Packet, Transport};
use crate::report::{DnsAnswer, DnsQuestion};
use crate::timeline::{Added, DnsNews};

/// Packets whose windows are open and of which something is kept at most; the rest is counted.
const MAX_HEARD: usize = 65_536;

/// What one packet says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Said {
    /// A message of DNS, by the observation that shows the most of it.
    Dns(Box<Message>),
    /// An ICMP echo or its reply, and its sequence number.
    Echo(bool, u16),
}

/// What the packets of open groups say.
#[derive(Debug, Default)]
pub(super) struct Heard {
    by_key: HashMap<SegmentKey, Said>,
}

impl Heard {
    /// Takes what the packet with this key says.
    pub(super) fn take(&mut self, key: SegmentKey) -> Option<Said> {
        if self.by_key.is_empty() { None } else { self.by_key.remove(&key) }
    }

    /// Keeps what a packet says; false where there is no room.
    fn keep(&mut self, key: SegmentKey, said: Said) -> bool {
        let is_full = self.by_key.len() >= MAX_HEARD;
        match (self.by_key.get_mut(&key), said) {
            (None, _) if is_full => return false,
            (Some(Said::Dns(known)), Said::Dns(message)) if !message.tells_more_than(known) => {}
            (_, said) => {
                self.by_key.insert(key, said);
            }
        }
        true
    }
}

impl Tracer {
    /// Keeps what a packet says until its group closes; a message is in the first of its segments.
    pub(super) fn hear(&mut self, packet: &Packet<'_>, part: u16, key: SegmentKey) {
        let said = match packet.transport {
            Transport::Echo { reply, sequence } => Some(Said::Echo(reply, sequence)),
            Transport::Udp | Transport::Tcp(_) if part == 0 => {
                Message::of(packet).map(|message| Said::Dns(Box::new(message)))
            }
            _ => None,
        };
        if let Some(said) = said
            && !self.heard.keep(key, said)
        {
            self.loss.overflow += 1;
        }
    }

    /// Notes what a packet said in the flow that it belongs to.
    pub(super) fn note_heard(&mut self, added: &Added, heard: Option<&Said>, journey: &Journey) {
        let Some(flow) = heard.and_then(|_| self.timeline.flow_mut(added.flow)) else { return };
        let news = match heard {
            Some(Said::Dns(message)) if !journey.is_copy => flow.note_message(message, journey),
            Some(Said::Echo(is_reply, sequence)) => {
                flow.note_echo(*is_reply, *sequence, added.orientation, journey);
                None
            }
            _ => None,
        };
        let kind = match news {
            Some(DnsNews::Asked(question)) => EventKind::DnsQuestion(DnsQuestion::of(&question)),
            Some(DnsNews::Answered(question, answer)) => EventKind::DnsAnswer {
                question: question.as_ref().map(DnsQuestion::of),
                answer: DnsAnswer::of(&answer),
            },
            None => return,
        };
        self.tell_lookup(added.flow, journey.first().time, kind);
    }
}
