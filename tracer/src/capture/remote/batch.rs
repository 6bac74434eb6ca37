//! A stream's packets, packed: one allocation for some hundred of them, handed over at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use tracer_core::capture::{
    CaptureError, CaptureReader, Expected, Frame, Interface, InterfaceId, Item, Statistics,
};
use tracer_core::units::{Direction, Gso, Timestamp};

use super::wake::Wake;
use crate::error::chain;

/// Bytes of packets after which a batch is handed over, however many more there are to read.
const FULL: usize = 256 << 10;
/// Packets after which it is.
const MOST: usize = 4096;

/// What a stream sends.
#[derive(Debug)]
pub(super) enum Message {
    /// What came next.
    Batch(Batch),
    /// Nothing more comes; why not all of it could be read.
    End(Option<String>),
}

/// Items in their order.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) items: Vec<Packed>,
    pub(super) bytes: Vec<u8>,
    /// When it was handed over.
    pub(super) arrived: Instant,
}

/// An item whose bytes are in its batch.
#[derive(Debug)]
pub(super) enum Packed {
    /// A section begins: interfaces are numbered anew.
    Section,
    Interface(Box<Interface>),
    Statistics(InterfaceId, Timestamp, Statistics),
    Packet(Packet),
}

/// A packet whose bytes are in its batch.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) interface: InterfaceId,
    pub(super) time: Timestamp,
    direction: Option<Direction>,
    original_len: u32,
    data: Range<u32>,
    gso: Option<Gso>,
    mark: u32,
    lost_before: u64,
}

impl Packet {
    /// The packet with its bytes.
    pub(super) fn frame<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        let data = bytes.get(self.data.start as usize..self.data.end as usize).unwrap_or_default();
        Frame {
            interface: self.interface,
            time: self.time,
            direction: self.direction,
            original_len: self.original_len,
            data: Cow::Borrowed(data),
            gso: self.gso,
            mark: self.mark,
            lost_before: self.lost_before,
            comment: None,
        }
    }
}

impl Batch {
    fn new() -> Self {
        Self { items: Vec::new(), bytes: Vec::new(), arrived: Instant::now() }
    }

    fn push(&mut self, item: Item<'_>) {
        let packed = match item {
            Item::Section(_) => Packed::Section,
            Item::Interface(_, interface) => Packed::Interface(Box::new(interface)),
            Item::Statistics(id, time, statistics) => Packed::Statistics(id, time, statistics),
            Item::Frame(frame) => Packed::Packet(self.pack(&frame)),
            Item::Other(_) => return,
        };
        self.items.push(packed);
    }

    fn pack(&mut self, frame: &Frame<'_>) -> Packet {
        let offset = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let begin = offset(self.bytes.len());
        self.bytes.extend_from_slice(&frame.data);
        Packet {
            interface: frame.interface,
            time: frame.time,
            direction: frame.direction,
            original_len: frame.original_len,
            data: begin..offset(self.bytes.len()),
            gso: frame.gso,
            mark: frame.mark,
            lost_before: frame.lost_before,
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= FULL || self.items.len() >= MOST
    }

    /// Bytes of memory that it holds.
    pub(super) fn weight(&self) -> usize {
        self.bytes.capacity() + self.items.capacity() * size_of::<Packed>()
    }
}

/// Reads a capture to its end and sends what it has, on the calling thread.
pub(super) fn read(source: impl Read, sender: SyncSender<Message>, wake: Arc<Wake>) {
    let sending = Rc::new(Sending { batch: RefCell::new(Batch::new()), sender, wake });
    let outcome = read_all(source, &sending);
    sending.hand_over();
    sending.send(Message::End(outcome.err().map(|error| chain(&error))));
}

fn read_all(source: impl Read, sending: &Rc<Sending>) -> Result<(), CaptureError> {
    let source = Attentive { inner: source, sending: Rc::clone(sending) };
    let mut reader = CaptureReader::new(source)?.expecting(Expected::Stream);
    while reader.advance()? {
        sending.batch.borrow_mut().push(reader.item());
        if sending.batch.borrow().is_full() {
            sending.hand_over();
        }
    }
    Ok(())
}

/// A batch on its way to who merges.
struct Sending {
    batch: RefCell<Batch>,
    sender: SyncSender<Message>,
    wake: Arc<Wake>,
}

impl Sending {
    fn hand_over(&self) {
        if self.batch.borrow().items.is_empty() {
            return;
        }
        let mut batch = self.batch.replace(Batch::new());
        batch.arrived = Instant::now();
        self.send(Message::Batch(batch));
    }

    fn send(&self, message: Message) {
        // Nobody listens any more when the capture itself is over.
        let _ = self.sender.send(message);
        self.wake.wake();
    }
}

/// Hands a batch over before it waits for more bytes: no packet waits for the next one.
struct Attentive<R> {
    inner: R,
    sending: Rc<Sending>,
}

impl<R: Read> Read for Attentive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.sending.hand_over();
        self.inner.read(buffer)
    }
}
