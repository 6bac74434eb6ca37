use std::sync::mpsc::{SyncSender, sync_channel};

use tracer_core::capture::{
    CaptureWriter, Interface, InterfaceId, LinkLayer, SNAP_WHOLE, Section, Statistics,
};

use super::super::reader;
use super::super::wake::Wake;
use super::*;

const MS: u64 = 1_000_000;

/// What came, in its order.
#[derive(Default)]
struct Log {
    frames: Vec<(usize, u64)>,
    notes: Vec<(usize, Note)>,
}

impl Taker for Log {
    fn frame(&mut self, stream: StreamId, frame: &Frame<'_>) {
        assert_eq!(frame.data, frame.time.0.to_be_bytes().as_slice(), "each has its own bytes");
        self.frames.push((stream.0, frame.time.0 / MS));
    }

    fn note(&mut self, stream: StreamId, note: Note) {
        self.notes.push((stream.0, note));
    }
}

/// What a stream delivers.
#[derive(Clone, Copy)]
enum Step {
    Packet(u64),
    Counters(u64),
}
use Step::{Counters, Packet};

/// A stream's bytes, of one interface, with times in milliseconds.
fn capture(steps: &[Step]) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new(), &Section::default(), SNAP_WHOLE).unwrap();
    let eth0 = Interface {
        name: "eth0".to_owned(),
        node: None,
        pod: None,
        ifindex: Some(2),
        link: LinkLayer::Ethernet,
        mac: None,
    };
    let id = writer.interface(&eth0).unwrap();
    let mut counted = Statistics::default();
    for step in steps {
        match *step {
            Packet(time) => {
                counted.written += 1;
                writer.frame(&frame(id, time * MS)).unwrap();
            }
            Counters(time) => writer.statistics(id, Timestamp(time * MS), &counted).unwrap(),
        }
    }
    writer.into_inner()
}

fn frame(interface: InterfaceId, time: u64) -> Frame<'static> {
    Frame {
        interface,
        time: Timestamp(time),
        direction: None,
        original_len: 60,
        data: time.to_be_bytes().to_vec().into(),
        gso: None,
        mark: 0,
        lost_before: 0,
        comment: None,
    }
}

/// Sends what a stream says, and its end unless it stays open.
fn deliver(sender: &SyncSender<Message>, steps: &[Step], is_open: bool) {
    deliver_at(sender, steps, is_open, Instant::now());
}

/// Likewise, as if it had come then.
fn deliver_at(sender: &SyncSender<Message>, steps: &[Step], is_open: bool, at: Instant) {
    let (own, receiver) = sync_channel(1 << 16);
    reader::read(capture(steps).as_slice(), &own, &Wake::new().unwrap());
    drop(own);
    for mut message in receiver {
        if let Message::Batch(batch) = &mut message {
            batch.arrived = at;
        }
        if !(is_open && matches!(message, Message::End(_))) {
            sender.send(message).unwrap();
        }
    }
}

fn streams(all: &[&[Step]], is_open: bool, now: Instant) -> (Merge, Vec<SyncSender<Message>>) {
    let mut merge = Merge::default();
    let open = |steps: &&[Step]| {
        let (sender, receiver) = sync_channel(1 << 16);
        deliver_at(&sender, steps, is_open, now);
        merge.add(receiver, now);
        sender
    };
    let senders = all.iter().map(open).collect();
    (merge, senders)
}

#[test]
fn packets_come_by_time_whatever_the_streams_lengths() {
    let (mut merge, _) = streams(
        &[
            &[Packet(10), Packet(30), Packet(35), Counters(35)],
            &[Packet(20), Counters(20)],
            &[Packet(5), Packet(31), Counters(31)],
            &[],
        ],
        false,
        Instant::now(),
    );
    let mut log = Log::default();
    assert_eq!(merge.turn(Instant::now(), &mut log), Turn::Over);
    assert_eq!(log.frames, [(2, 5), (0, 10), (1, 20), (0, 30), (2, 31), (0, 35)]);
    assert_eq!(merge.late(), 0);
    assert_eq!(merge.weight, 0, "nothing is kept of what was handed on");
    let ends = log.notes.iter().filter(|(_, note)| *note == Note::Ended(None)).count();
    assert_eq!(ends, 4);
}

#[test]
fn packets_of_one_stream_are_put_in_order() {
    let (mut merge, _) =
        streams(&[&[Packet(10), Packet(12), Packet(11), Packet(9), Packet(13)]], false, Instant::now());
    let mut log = Log::default();
    merge.turn(Instant::now(), &mut log);
    assert_eq!(log.frames.iter().map(|(_, time)| *time).collect::<Vec<_>>(), [9, 10, 11, 12, 13]);
}

#[test]
fn a_packet_waits_until_every_stream_has_come_past_it() {
    let now = Instant::now();
    let (mut merge, senders) =
        streams(&[&[Packet(1000), Counters(1300)], &[Packet(800), Counters(900)]], true, now);
    let mut log = Log::default();
    assert!(matches!(merge.turn(now, &mut log), Turn::Wait(Some(_))));
    assert_eq!(log.frames, [(1, 800)], "the other one may still have something before 1000");
    deliver(&senders[1], &[Packet(950), Counters(1100)], true);
    merge.turn(now, &mut log);
    assert_eq!(log.frames, [(1, 800), (1, 950), (0, 1000)]);
}

#[test]
fn a_packet_is_no_word_that_none_before_it_comes() {
    let now = Instant::now();
    let (mut merge, senders) = streams(&[&[Packet(1000)], &[Packet(1001), Packet(1200)]], true, now);
    let mut log = Log::default();
    merge.turn(now, &mut log);
    assert_eq!(log.frames, [], "another processor of the first node may be behind by a moment");
    deliver(&senders[0], &[Packet(999), Counters(1100)], true);
    merge.turn(now, &mut log);
    assert_eq!(log.frames, [(0, 999), (0, 1000), (1, 1001)]);
}

#[test]
fn a_silent_stream_does_not_hold_up_the_others() {
    let now = Instant::now();
    let (mut merge, senders) = streams(&[&[Packet(1000), Counters(2000)], &[Counters(900)]], true, now);
    let mut log = Log::default();
    let Turn::Wait(Some(due)) = merge.turn(now, &mut log) else { panic!("it has to wait") };
    assert!(log.frames.is_empty() && due > now && due <= now + PATIENCE, "{:?}", due - now);
    deliver(&senders[0], &[Counters(3000)], true);
    merge.turn(Instant::now() + SILENCE, &mut log);
    assert_eq!(log.frames, [(0, 1000)]);
}

#[test]
fn a_wrong_clock_delays_and_does_nothing_worse() {
    let now = Instant::now();
    let slow: &[Step] = &[Packet(100), Counters(200)];
    let (mut merge, senders) = streams(&[&[Packet(60_000), Counters(60_500)], slow], true, now);
    let mut log = Log::default();
    merge.turn(now, &mut log);
    assert_eq!(log.frames, [(1, 100)]);
    // Both go on: nobody is silent.
    let later = now + PATIENCE;
    deliver_at(&senders[0], &[Packet(62_000)], true, later);
    deliver_at(&senders[1], &[Packet(2100), Counters(2200)], true, later);
    merge.turn(later, &mut log);
    assert_eq!(log.frames, [(1, 100), (1, 2100), (0, 60_000)], "it has waited long enough");
    deliver_at(&senders[1], &[Packet(2300), Counters(2400)], true, later);
    merge.turn(later, &mut log);
    assert_eq!(merge.late(), 1, "what comes too late is counted");
}

#[test]
fn streams_that_do_not_begin_or_have_ended_hold_up_nobody() {
    let now = Instant::now();
    let (mut merge, senders) = streams(&[&[Packet(1000), Counters(1500)]], true, now);
    let (_pending, receiver) = sync_channel(1);
    merge.add(receiver, now);
    let (sender, receiver) = sync_channel(64);
    merge.add(receiver, now);
    deliver(&sender, &[Packet(10)], false);
    let mut log = Log::default();
    merge.turn(now, &mut log);
    let soon = now + SILENCE;
    deliver_at(&senders[0], &[Packet(2500), Counters(3000)], true, soon);
    merge.turn(soon, &mut log);
    assert_eq!(log.frames, [], "one may begin in a moment, with what it has seen since it attached");
    let later = now + PATIENCE;
    merge.turn(later, &mut log);
    assert_eq!(log.frames, [(2, 10), (0, 1000)], "what came at the begin has waited long enough");
    drop(senders);
    merge.turn(later, &mut log);
    assert!(log.notes.contains(&(0, Note::Ended(Some("its reader failed".to_owned())))));
}

#[test]
fn a_stream_that_begins_late_is_in_order() {
    let now = Instant::now();
    let (mut merge, _senders) = streams(&[&[Packet(1000), Packet(1020), Counters(1500)]], true, now);
    let (late, receiver) = sync_channel(64);
    merge.add(receiver, now);
    let mut log = Log::default();
    let then = now + PATIENCE.saturating_sub(Duration::from_millis(200));
    merge.turn(then, &mut log);
    deliver_at(&late, &[Packet(1010), Counters(1500)], true, then);
    merge.turn(then, &mut log);
    assert_eq!(log.frames, [(0, 1000), (1, 1010), (0, 1020)]);
    assert_eq!(merge.late(), 0);
}

#[test]
fn counters_are_older_than_they_say() {
    let now = Instant::now();
    let (mut merge, senders) = streams(&[&[Packet(1000), Counters(1200)], &[Counters(1001)]], true, now);
    let mut log = Log::default();
    merge.turn(now, &mut log);
    assert_eq!(log.frames, [], "a packet from before the counters may be in the ring still");
    deliver_at(&senders[1], &[Packet(999), Counters(1100)], true, now);
    merge.turn(now, &mut log);
    assert_eq!(log.frames, [(1, 999), (0, 1000)]);
}

#[test]
fn memory_is_bounded_while_one_stream_holds_up_another() {
    let now = Instant::now();
    let mut merge = Merge::default();
    let (fast, receiver) = sync_channel(4);
    merge.add(receiver, now);
    let (slow, receiver) = sync_channel(4);
    merge.add(receiver, now);
    deliver(&slow, &[Counters(1)], true);
    merge.budget = 1 << 20;
    let mut log = Log::default();
    let mut most = 0;
    for round in 0..20 {
        // Some 150 kB that the slow stream would hold up for ever.
        let steps: Vec<Step> = (0..1500).map(|number| Packet(1000 + 1500 * round + number)).collect();
        deliver_at(&fast, &steps, true, now);
        merge.turn(now, &mut log);
        most = most.max(merge.weight);
    }
    assert!(most > 1 << 19 && most <= (1 << 20) + (1 << 19), "{most}");
    assert!(log.frames.len() > 1500, "{}", log.frames.len());
    assert!(log.frames.is_sorted_by_key(|(_, time)| *time));
}

#[test]
fn a_further_section_numbers_interfaces_on() {
    let (sender, receiver) = sync_channel(1 << 10);
    let mut bytes = capture(&[Packet(1), Counters(1)]);
    bytes.extend(capture(&[Packet(2), Counters(2)]));
    reader::read(bytes.as_slice(), &sender, &Wake::new().unwrap());
    drop(sender);
    let mut queue = Queue::new(receiver, Instant::now());
    let mut notes = Vec::new();
    while queue.pull(&mut |note| notes.push(note)) == Pulled::More {}
    let interfaces: Vec<_> = std::iter::from_fn(|| queue.pop(|frame| frame.interface)).collect();
    assert_eq!(interfaces, [InterfaceId(0), InterfaceId(1)]);
    assert_eq!(notes.iter().filter(|note| **note == Note::Began).count(), 1);
}

#[test]
fn what_is_cut_short_is_told_behind_what_came() {
    let bytes = capture(&[Packet(1), Packet(2)]);
    let (sender, receiver) = sync_channel(64);
    reader::read(&bytes[..bytes.len() - 3], &sender, &Wake::new().unwrap());
    drop(sender);
    let mut merge = Merge::default();
    merge.add(receiver, Instant::now());
    let mut log = Log::default();
    assert_eq!(merge.turn(Instant::now(), &mut log), Turn::Over);
    assert_eq!(log.frames, [(0, 1)]);
    let Some((0, Note::Ended(Some(reason)))) = log.notes.last() else { panic!("{:?}", log.notes) };
    assert!(reason.contains("ends in the middle"), "{reason}");
}
