//! The bytes per second that all captures together may send, divided among them.
//!
//! A capture may always use half of an equal part. The other half goes to those that used what they had, so that one busy
//! node is not held to a fiftieth of what fifty quiet ones leave.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;

/// How often the parts are made anew.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// The least that a capture is given, in bytes per second: less than a packet is no stream.
const LEAST: u64 = 4096;

/// All captures of a fleet.
pub(in crate::cluster) struct Rates {
    total: u64,
    captures: Mutex<Vec<Weak<Meter>>>,
}

struct Meter {
    bytes: Arc<AtomicU64>,
    limit: watch::Sender<u64>,
}

/// A capture's part.
pub(in crate::cluster) struct Share {
    /// Bytes that it sent.
    pub(in crate::cluster) bytes: Arc<AtomicU64>,
    limit: watch::Receiver<u64>,
    _meter: Arc<Meter>,
}

impl Share {
    /// Bytes per second that it may send now.
    pub(in crate::cluster) fn limit(&mut self) -> u64 {
        *self.limit.borrow_and_update()
    }

    /// Its next limit. Never returns where there will be none.
    pub(in crate::cluster) async fn changed(&mut self) -> Option<u64> {
        self.limit.changed().await.ok().map(|()| *self.limit.borrow_and_update())
    }
}

impl Rates {
    pub(in crate::cluster) fn new(total: u64) -> Self {
        Self { total, captures: Mutex::default() }
    }

    /// A part for one more capture, until it is dropped; those of the others become smaller.
    pub(in crate::cluster) fn join(&self) -> Share {
        let bytes = Arc::new(AtomicU64::new(0));
        let (limit, told) = watch::channel(self.total);
        let meter = Arc::new(Meter { bytes: Arc::clone(&bytes), limit });
        self.captures.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&meter));
        self.turn();
        Share { bytes, limit: told, _meter: meter }
    }

    /// What sends little and once has no part, and takes nothing from the others.
    pub(super) fn beside(&self) -> Share {
        let bytes = Arc::new(AtomicU64::new(0));
        let (limit, told) = watch::channel(self.total);
        let meter = Arc::new(Meter { bytes: Arc::clone(&bytes), limit });
        Share { bytes, limit: told, _meter: meter }
    }

    /// Divides anew by what was sent since the last time.
    pub(super) fn turn(&self) {
        let mut captures = self.captures.lock().unwrap_or_else(PoisonError::into_inner);
        captures.retain(|capture| capture.strong_count() > 0);
        let alive: Vec<_> = captures.iter().filter_map(Weak::upgrade).collect();
        let used: Vec<_> = alive.iter().map(|meter| meter.bytes.swap(0, Ordering::Relaxed)).collect();
        for (meter, limit) in alive.iter().zip(divide(self.total, &used)) {
            meter.limit.send_if_modified(|told| {
                let differs = told.abs_diff(limit) > *told / 10;
                if differs {
                    *told = limit;
                }
                differs
            });
        }
    }
}

/// Parts of a total by what each used:
/// 1. half of an equal part for each;
/// 2. of the other half, to each what it needs to reach twice its use, or, where that is too much, equally;
/// 3. what is left, equally.
fn divide(total: u64, used: &[u64]) -> Vec<u64> {
    let count = used.len() as u64;
    if count == 0 {
        return Vec::new();
    }
    let floor = total / count / 2;
    let mut parts = vec![floor; used.len()];
    let mut rest = total - floor * count;
    let mut hungry: Vec<usize> = (0..used.len()).collect();
    hungry.sort_by_key(|&at| used[at]);
    for (index, &at) in hungry.iter().enumerate() {
        let equal = rest / (hungry.len() - index) as u64;
        let more = used[at].saturating_mul(2).saturating_sub(floor).min(equal);
        parts[at] += more;
        rest -= more;
    }
    parts.iter().map(|part| (part + rest / count).max(LEAST)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_everything_and_equals_have_equal_parts() {
        assert!(divide(10_000_000, &[]).is_empty());
        assert_eq!(divide(10_000_000, &[0]), [10_000_000]);
        assert_eq!(divide(10_000_000, &[123]), [10_000_000]);
        assert_eq!(divide(10_000_000, &[0, 0, 0, 0]), [2_500_000; 4]);
        assert_eq!(divide(10_000_000, &[9_000_000; 4]), [2_500_000; 4]);
    }

    #[test]
    fn the_busy_have_what_the_quiet_leave_but_never_all() {
        let parts = divide(10_000_000, &[1_000, 5_000_000, 0, 0]);
        assert!(parts[1] > 5_000_000, "{parts:?}");
        assert!(parts[2] >= 1_250_000, "{parts:?}");
        let parts = divide(10_000_000, &[4_000_000, 4_000_000, 0]);
        assert_eq!(parts[0], parts[1]);
        assert!(parts[0] > parts[2], "{parts:?}");
    }

    #[test]
    fn parts_are_never_more_than_the_total() {
        for count in 1..60_usize {
            for busy in 0..=count {
                let used: Vec<_> = (0..count).map(|at| if at < busy { 1 << (at % 30) } else { 0 }).collect();
                let parts = divide(10_000_000, &used);
                assert!(parts.iter().sum::<u64>() <= 10_000_000, "{used:?} {parts:?}");
                assert!(parts.iter().sum::<u64>() > 9_900_000, "{used:?} {parts:?}");
            }
        }
        assert_eq!(divide(10, &[0, 0]), [LEAST; 2], "less than a packet is no stream");
    }

    #[test]
    fn a_capture_that_ends_leaves_its_part_to_the_others() {
        let rates = Rates::new(8_000_000);
        let mut first = rates.join();
        assert_eq!(first.limit(), 8_000_000);
        let mut second = rates.join();
        assert_eq!((first.limit(), second.limit()), (4_000_000, 4_000_000));
        first.bytes.store(4_000_000, Ordering::Relaxed);
        rates.turn();
        assert!(first.limit() > 5_000_000);
        assert!(second.limit() < 3_000_000);
        drop(second);
        rates.turn();
        assert_eq!(first.limit(), 8_000_000);
    }
}
