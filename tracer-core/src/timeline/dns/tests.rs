use super::*;
use crate::headers::HeadersId;
use crate::identity::{Segment, SegmentKey};
use crate::journey::{Confidence, ObservationId};
use crate::packet::TcpFlags;
use crate::packet::dns::RecordType;
use crate::point::Point;

const MILLISECOND: u64 = 1_000_000;

/// A datagram that was seen at these interfaces, a tenth of a millisecond apart.
fn journey(begin: u64, interfaces: &[u32]) -> Journey {
    let hop = |(number, interface): (u64, &u32)| Sighting {
        point: Point { interface: InterfaceIndex(*interface), direction: None },
        time: Timestamp(begin + number * MILLISECOND / 10),
        headers: HeadersId::default(),
        ttl: 64,
        observation: ObservationId(number),
        part: 0,
    };
    Journey {
        segment: Segment {
            key: SegmentKey(begin),
            sequence: 0,
            acknowledgement: 0,
            payload_len: 40,
            flags: TcpFlags::default(),
            is_window_zero: false,
            may_vanish: false,
        },
        hops: (0..).zip(interfaces).map(hop).collect(),
        confidence: Confidence::Exact,
        is_copy: false,
    }
}

fn message(id: u16, name: &str, kind: u16, code: Option<u8>) -> Message {
    Message {
        id,
        is_response: code.is_some(),
        is_truncated: false,
        code: ResponseCode(code.unwrap_or_default()),
        answers: 0,
        question: Some(Question { name: name.to_owned(), is_cut: false, kind: Some(RecordType(kind)) }),
    }
}

const THERE: [u32; 3] = [1, 2, 3];
const BACK: [u32; 3] = [3, 2, 1];

#[test]
fn a_question_is_answered_and_the_server_took_its_part() {
    let mut lookups = Lookups::default();
    let asked = lookups.note(&message(7, "a.b", 1, None), &journey(0, &THERE));
    assert!(matches!(asked, Some(DnsNews::Asked(question)) if question.name == "a.b"));
    // The last hop was reached after 0.2 ms, the answer left there after 5 ms.
    lookups.note(&message(7, "a.b", 1, Some(3)), &journey(5 * MILLISECOND, &BACK));
    let [lookup] = lookups.kept() else { panic!("{lookups:?}") };
    let answer = lookup.answer.unwrap();
    assert_eq!(answer.code, ResponseCode::NX_DOMAIN);
    assert_eq!(answer.latency, Some(5 * MILLISECOND + MILLISECOND / 5));
    assert_eq!(answer.server, Some(5 * MILLISECOND - MILLISECOND / 5));
}

#[test]
fn two_questions_with_one_id_are_two() {
    let mut lookups = Lookups::default();
    for kind in [1, 28] {
        lookups.note(&message(7, "a.b", kind, None), &journey(0, &THERE));
    }
    lookups.note(&message(7, "a.b", 28, Some(0)), &journey(MILLISECOND, &BACK));
    let [first, second] = lookups.kept() else { panic!("{lookups:?}") };
    assert!(first.answer.is_none() && second.answer.is_some());
}

#[test]
fn a_question_that_is_asked_again_counts_from_the_first_time() {
    let mut lookups = Lookups::default();
    lookups.note(&message(7, "a.b", 1, None), &journey(0, &THERE[..1]));
    assert_eq!(lookups.note(&message(7, "a.b", 1, None), &journey(5000 * MILLISECOND, &THERE)), None);
    lookups.note(&message(7, "a.b", 1, Some(0)), &journey(5001 * MILLISECOND, &BACK));
    assert_eq!(lookups.note(&message(7, "a.b", 1, Some(0)), &journey(5002 * MILLISECOND, &BACK)), None);
    let [lookup] = lookups.kept() else { panic!("{lookups:?}") };
    assert_eq!((lookup.queries, lookup.responses), (2, 2));
    let answer = lookup.answer.unwrap();
    assert_eq!(answer.latency, Some(5001 * MILLISECOND + MILLISECOND / 5));
    assert_eq!(answer.server, Some(MILLISECOND * 8 / 10));
}

#[test]
fn an_answer_that_gets_lost_on_its_way_has_no_latency() {
    let mut lookups = Lookups::default();
    lookups.note(&message(7, "a.b", 1, None), &journey(0, &THERE));
    lookups.note(&message(7, "a.b", 1, Some(0)), &journey(MILLISECOND, &BACK[..2]));
    let answer = lookups.kept()[0].answer.unwrap();
    assert_eq!((answer.latency, answer.server.is_some()), (None, true));
}

#[test]
fn halves_of_two_flows_are_joined_and_memory_is_bounded() {
    let (mut questions, mut answers) = (Lookups::default(), Lookups::default());
    questions.note(&message(7, "a.b", 1, None), &journey(0, &THERE));
    answers.note(&message(7, "a.b", 1, Some(0)), &journey(MILLISECOND, &BACK));
    questions.absorb(answers);
    assert_eq!(questions.kept().len(), 1);
    assert!(questions.kept()[0].answer.is_some());
    for id in 0..1000 {
        questions.note(&message(id, "c.d", 1, None), &journey(0, &THERE));
    }
    assert_eq!((questions.kept().len(), questions.overflow), (MAX_LOOKUPS, 1000 - 63));
}
