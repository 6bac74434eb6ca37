//! What a capture says, packed: one allocation for some hundred packets, handed over at once between threads.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use tracer_core::capture::{
    CaptureError, CaptureReader, Expected, Frame, Interface, InterfaceId, Item, Section, Statistics,
};
use tracer_core::units::{Direction, Gso, Timestamp};

/// Bytes of packets after which a batch is handed over, however many more there are to read.
const FULL: usize = 128 << 10;
/// Packets after which it is.
const MOST: usize = 1024;

/// Items in their order.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Packed>,
    pub(crate) bytes: Vec<u8>,
    /// When it was handed over.
    pub(crate) arrived: Instant,
}

/// An item whose bytes are in its batch.
#[derive(Debug)]
pub(crate) enum Packed {
    /// A section begins: interfaces are numbered anew.
    Section(Box<Section>),
    Interface(InterfaceId, Box<Interface>),
    Statistics(InterfaceId, Timestamp, Statistics),
    Packet(Packet),
}

/// A packet whose bytes are in its batch.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) interface: InterfaceId,
    pub(crate) time: Timestamp,
    direction: Option<Direction>,
    original_len: u32,
    data: Range<u32>,
    gso: Option<Gso>,
    mark: u32,
    lost_before: u64,
    /// Bytes of it, which are behind the data.
    comment: Option<u32>,
}

impl Packed {
    /// The item with its bytes, which are those of its batch.
    pub(crate) fn into_item(self, bytes: &[u8]) -> Item<'_> {
        match self {
            Self::Section(section) => Item::Section(*section),
            Self::Interface(id, interface) => Item::Interface(id, *interface),
            Self::Statistics(id, time, statistics) => Item::Statistics(id, time, statistics),
            Self::Packet(packet) => Item::Frame(packet.frame(bytes)),
        }
    }
}

impl Packet {
    /// The first of its bytes, which are those of its batch.
    pub(crate) fn first_byte(&self, bytes: &[u8]) -> Option<u8> {
        bytes.get(self.data.start as usize).copied()
    }

    /// The packet with its bytes, which are those of its batch.
    pub(crate) fn frame<'a>(&self, bytes: &'a [u8]) -> Frame<'a> {
        let at = |range: Range<u32>| bytes.get(range.start as usize..range.end as usize).unwrap_or_default();
        let comment =
            |len: u32| String::from_utf8_lossy(at(self.data.end..self.data.end.saturating_add(len)));
        Frame {
            interface: self.interface,
            time: self.time,
            direction: self.direction,
            original_len: self.original_len,
            data: Cow::Borrowed(at(self.data.clone())),
            gso: self.gso,
            mark: self.mark,
            lost_before: self.lost_before,
            comment: self.comment.map(comment),
        }
    }
}

impl Batch {
    /// An empty one, with room for what the last one had.
    fn after(items: usize, bytes: usize) -> Self {
        Self { items: Vec::with_capacity(items), bytes: Vec::with_capacity(bytes), arrived: Instant::now() }
    }

    fn push(&mut self, item: Item<'_>) {
        let packed = match item {
            Item::Section(section) => Packed::Section(Box::new(section)),
            Item::Interface(id, interface) => Packed::Interface(id, Box::new(interface)),
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
        let end = offset(self.bytes.len());
        let comment = frame.comment.as_ref().map(|comment| {
            self.bytes.extend_from_slice(comment.as_bytes());
            offset(comment.len())
        });
        Packet {
            interface: frame.interface,
            time: frame.time,
            direction: frame.direction,
            original_len: frame.original_len,
            data: begin..end,
            gso: frame.gso,
            mark: frame.mark,
            lost_before: frame.lost_before,
            comment,
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= FULL || self.items.len() >= MOST
    }

    /// Bytes of memory that it holds.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.capacity() + self.items.capacity() * size_of::<Packed>()
    }
}

/// Reads a capture of ours to its end, on the calling thread. What there is is handed over before more is waited for: no
/// packet waits for the next one.
///
/// # Errors
/// Where it is not whole; what came before was handed over.
pub(crate) fn read(source: impl Read, hand_over: impl FnMut(Batch)) -> Result<(), CaptureError> {
    let gathered =
        Rc::new(Gathered { batch: RefCell::new(Batch::after(0, 0)), hand_over: RefCell::new(hand_over) });
    let outcome = read_all(source, &gathered);
    gathered.hand_over();
    outcome
}

fn read_all<F: FnMut(Batch)>(source: impl Read, gathered: &Rc<Gathered<F>>) -> Result<(), CaptureError> {
    let source = Attentive { inner: source, gathered: Rc::clone(gathered) };
    let mut reader = CaptureReader::new(source)?.expecting(Expected::Stream);
    while reader.advance()? {
        let mut batch = gathered.batch.borrow_mut();
        batch.push(reader.item());
        let is_full = batch.is_full();
        drop(batch);
        if is_full {
            gathered.hand_over();
        }
    }
    Ok(())
}

/// A batch that is being filled, and who gets it.
struct Gathered<F> {
    batch: RefCell<Batch>,
    hand_over: RefCell<F>,
}

impl<F: FnMut(Batch)> Gathered<F> {
    fn hand_over(&self) {
        let (items, bytes) = {
            let batch = self.batch.borrow();
            (batch.items.len(), batch.bytes.len())
        };
        if items == 0 {
            return;
        }
        let mut batch = self.batch.replace(Batch::after(items, bytes));
        batch.arrived = Instant::now();
        self.hand_over.borrow_mut()(batch);
    }
}

/// Hands over before it waits for more bytes.
struct Attentive<R, F> {
    inner: R,
    gathered: Rc<Gathered<F>>,
}

impl<R: Read, F: FnMut(Batch)> Read for Attentive<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.gathered.hand_over();
        self.inner.read(buffer)
    }
}
