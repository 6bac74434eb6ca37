//! A stream that was made before, and comes in parts at their times.

use std::{
    future::pending,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep_until};

/// A stream, whoever plays it.
#[derive(Debug)]
pub struct Play {
    head: Vec<u8>,
    parts: Vec<(Duration, Vec<u8>)>,
    /// Absent where its times are those since it was asked for.
    begin: Option<watch::Receiver<Option<Instant>>>,
    /// Of the part that came latest, in microseconds.
    late: AtomicU64,
    played: AtomicU64,
}

impl Play {
    /// A stream that begins with `head`; the parts come when so much time has passed since `begin`, which may yet come.
    /// They are in the order of their times.
    pub fn new(
        head: Vec<u8>,
        parts: Vec<(Duration, Vec<u8>)>,
        begin: watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self { head, parts, begin: Some(begin), late: AtomicU64::new(0), played: AtomicU64::new(0) }
    }

    /// A stream whose parts come when so much time has passed since it was asked for.
    pub fn since_asked(parts: Vec<(Duration, Vec<u8>)>) -> Self {
        Self { head: Vec::new(), parts, begin: None, late: AtomicU64::new(0), played: AtomicU64::new(0) }
    }

    /// A stream that comes as fast as it is taken.
    pub(super) fn at_once(bytes: Vec<u8>) -> Self {
        Self::new(bytes, Vec::new(), watch::channel(None).1)
    }

    /// How long after its time the latest part was handed over: a client that does not read holds it up.
    pub fn latest(&self) -> Duration {
        Duration::from_micros(self.late.load(Ordering::Relaxed))
    }

    /// Whether all parts were handed over.
    pub fn is_played(&self) -> bool {
        usize::try_from(self.played.load(Ordering::Acquire)).is_ok_and(|played| played == self.parts.len())
    }

    /// One that plays it from the beginning.
    pub(super) fn player(&self) -> Player<'_> {
        Player { play: self, asked: Instant::now(), begin: self.begin.clone(), next: None }
    }
}

/// Where in a stream one is.
pub(super) struct Player<'a> {
    play: &'a Play,
    asked: Instant,
    begin: Option<watch::Receiver<Option<Instant>>>,
    /// The next part; absent before the head.
    next: Option<usize>,
}

impl<'a> Player<'a> {
    /// What comes next, when it is due; after the end for ever nothing. May be dropped and called again.
    pub(super) async fn next(&mut self) -> &'a [u8] {
        let play = self.play;
        let Some(number) = self.next else {
            self.next = Some(0);
            return &play.head;
        };
        let Some((due, bytes)) = play.parts.get(number) else { return pending().await };
        let begin = match &mut self.begin {
            None => self.asked,
            Some(begin) => match begin.wait_for(Option::is_some).await.map(|begin| *begin) {
                Ok(Some(begin)) => begin,
                _ => return pending().await,
            },
        };
        let due = begin + *due;
        sleep_until(due.into()).await;
        self.next = Some(number + 1);
        let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        play.late.fetch_max(late, Ordering::Relaxed);
        play.played.fetch_max(number as u64 + 1, Ordering::Release);
        bytes
    }
}
