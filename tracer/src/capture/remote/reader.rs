//! One thread's work: a stream from its first byte to its last, handed over to who merges.

use std::io::Read;
use std::sync::mpsc::SyncSender;

use super::wake::Wake;
use crate::batch::{self, Batch};
use crate::error::chain;

/// What a stream sends.
#[derive(Debug)]
pub(super) enum Message {
    /// What came next.
    Batch(Batch),
    /// Nothing more comes; why not all of it could be read.
    End(Option<String>),
}

/// Reads a capture to its end and sends what it has, on the calling thread.
pub(super) fn read(source: impl Read, sender: &SyncSender<Message>, wake: &Wake) {
    let send = |message| {
        // Nobody listens any more when the capture itself is over.
        let _ = sender.send(message);
        wake.wake();
    };
    let outcome = batch::read(source, |batch| send(Message::Batch(batch)));
    send(Message::End(outcome.err().map(|error| chain(&error))));
}
