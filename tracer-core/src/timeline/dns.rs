//! Questions to name servers within one flow, and their answers.

use crate::journey::{Journey, Sighting};
use crate::packet::dns::{Message, Question, ResponseCode};
use crate::point::InterfaceIndex;
use crate::units::Timestamp;

/// Questions kept of one flow; the rest is counted.
const MAX_LOOKUPS: usize = 64;

/// All lookups of one flow.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    kept: Vec<Lookup>,
    /// Messages about questions that there was no room for.
    pub overflow: u64,
}

/// One question, and what became of it.
#[derive(Clone, Debug)]
pub struct Lookup {
    id: u16,
    /// What is asked; absent where neither the query nor the response told it.
    pub question: Option<Question>,
    /// When it was asked first, at the query's first hop; absent where no query was seen.
    pub asked: Option<Timestamp>,
    /// Queries seen: more than one where it was asked again.
    pub queries: u64,
    /// The first answer.
    pub answer: Option<Answer>,
    /// Responses seen.
    pub responses: u64,
    /// Where and when the first query was seen first.
    asker: Option<(InterfaceIndex, Timestamp)>,
    /// Where and when the latest query was seen last.
    server: Option<(InterfaceIndex, Timestamp)>,
}

/// How a question was answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// How the query went.
    pub code: ResponseCode,
    /// Records in the answer section.
    pub records: u16,
    /// Whether it was too long for a datagram.
    pub is_truncated: bool,
    /// When it was seen first.
    pub time: Timestamp,
    /// Nanoseconds from the first query at its first hop to the answer there, by that one clock; absent where the answer
    /// was not seen there.
    pub latency: Option<u64>,
    /// Nanoseconds from the latest query at its last hop to the answer there: what the server took, or what is behind it.
    pub server: Option<u64>,
}

/// What a message added.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DnsNews {
    /// A question was asked for the first time.
    Asked(Question),
    /// A question was answered for the first time.
    Answered(Option<Question>, Answer),
}

impl Lookups {
    /// Notes a message that took this way.
    pub fn note(&mut self, message: &Message, journey: &Journey) -> Option<DnsNews> {
        let known = self.kept.iter().rposition(|lookup| lookup.is_about(message));
        let number = match known {
            Some(number) => number,
            None if self.kept.len() < MAX_LOOKUPS => {
                self.kept.push(Lookup::new(message));
                self.kept.len() - 1
            }
            None => {
                self.overflow += 1;
                return None;
            }
        };
        let lookup = self.kept.get_mut(number)?;
        lookup.learn(message);
        if message.is_response { lookup.note_response(message, journey) } else { lookup.note_query(journey) }
    }

    /// What was asked, in the order in which it was seen.
    pub fn kept(&self) -> &[Lookup] {
        &self.kept
    }

    /// Takes over what another flow noted that turned out to be the same one.
    pub fn absorb(&mut self, other: Self) {
        self.overflow += other.overflow;
        for lookup in other.kept {
            let other_half = self.kept.iter().position(|mine| mine.is_other_half(&lookup));
            match other_half {
                Some(number) => self.kept[number].complete(lookup),
                None if self.kept.len() < MAX_LOOKUPS => self.kept.push(lookup),
                None => self.overflow += 1,
            }
        }
        self.kept.sort_by_key(|lookup| lookup.asked.or(lookup.answer.map(|answer| answer.time)));
    }
}

impl Lookup {
    fn new(message: &Message) -> Self {
        Self {
            id: message.id,
            question: None,
            asked: None,
            queries: 0,
            answer: None,
            responses: 0,
            asker: None,
            server: None,
        }
    }

    /// Whether a message is its query, asked again or not, or a response to it.
    fn is_about(&self, message: &Message) -> bool {
        // An id may be used again once it was answered.
        let is_open = message.is_response || self.answer.is_none();
        let is_same = match (&self.question, &message.question) {
            (Some(mine), Some(theirs)) => mine.is_same(theirs),
            _ => true,
        };
        self.id == message.id && is_open && is_same
    }

    fn learn(&mut self, message: &Message) {
        let Some(told) = &message.question else { return };
        let is_better = self.question.as_ref().is_none_or(|known| {
            (known.name.len(), known.kind.is_some()) < (told.name.len(), told.kind.is_some())
        });
        if is_better {
            self.question = Some(told.clone());
        }
    }

    fn note_query(&mut self, journey: &Journey) -> Option<DnsNews> {
        let (first, last) = (journey.first(), journey.last());
        self.queries += 1;
        self.server = Some((last.point.interface, last.time));
        if self.asked.is_some() {
            return None;
        }
        self.asked = Some(first.time);
        self.asker = Some((first.point.interface, first.time));
        self.question.clone().map(DnsNews::Asked)
    }

    fn note_response(&mut self, message: &Message, journey: &Journey) -> Option<DnsNews> {
        self.responses += 1;
        if self.answer.is_some() {
            return None;
        }
        let answer = Answer {
            code: message.code,
            records: message.answers,
            is_truncated: message.is_truncated,
            time: journey.first().time,
            latency: since(self.asker, journey.hops.iter().rev()),
            server: since(self.server, journey.hops.iter()),
        };
        self.answer = Some(answer);
        Some(DnsNews::Answered(self.question.clone(), answer))
    }

    fn is_other_half(&self, other: &Self) -> bool {
        let is_same = match (&self.question, &other.question) {
            (Some(mine), Some(theirs)) => mine.is_same(theirs),
            _ => true,
        };
        self.id == other.id && is_same && (self.queries == 0) != (other.queries == 0)
    }

    fn complete(&mut self, other: Self) {
        self.queries += other.queries;
        self.responses += other.responses;
        self.question = self.question.take().or(other.question);
        self.asked = self.asked.or(other.asked);
        self.asker = self.asker.or(other.asker);
        self.server = self.server.or(other.server);
        self.answer = self.answer.or(other.answer);
    }
}

/// Nanoseconds from a time at an interface to the first of these hops that is there; absent where none is, or clocks ran
/// back.
fn since<'a>(
    from: Option<(InterfaceIndex, Timestamp)>,
    mut hops: impl Iterator<Item = &'a Sighting>,
) -> Option<u64> {
    let (interface, time) = from?;
    let hop = hops.find(|hop| hop.point.interface == interface)?;
    u64::try_from(hop.time.since(time)).ok()
}

#[cfg(test)]
mod tests;
