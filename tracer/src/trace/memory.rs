//! Whether control groups leave memory for the processes of a trace: one that the kernel kills for want of it could only be
//! told of as missing.

use super::TraceError;
use super::plan::{self, TracePlan};
use crate::kernel::memory;

/// What a capture takes at most, without its buffer: while the kernel checks its programs.
const CAPTURE: u64 = 32 << 20;
/// What a witness takes, where there are few rules.
const WITNESS: u64 = 8 << 20;
/// What the trace itself takes.
const TRACE: u64 = 12 << 20;
/// The least buffer that is worth proposing.
const LEAST_BUFFER: u64 = 512 << 10;

/// What the processes of a trace on this machine need.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// Network namespaces.
    places: u64,
    /// Bytes of the buffer of each.
    buffer: u64,
    has_witnesses: bool,
}

/// Refuses a trace whose processes would not fit into the memory that control groups allow.
pub(super) fn check(plan: &TracePlan) -> Result<(), TraceError> {
    let Some(limit) = memory::limit_here().filter(|_| plan.cluster.is_none()) else { return Ok(()) };
    let need = Need {
        places: plan.places.len() as u64,
        // As the kernel takes it.
        buffer: (u64::from(plan::buffer_kib(&plan.args)) << 10).next_power_of_two(),
        has_witnesses: !plan.args.no_evidence,
    };
    match need.remedy(limit.bytes) {
        None => Ok(()),
        Some(remedy) => Err(TraceError::Memory {
            places: need.places,
            need: need.bytes() >> 20,
            limit: limit.bytes >> 20,
            file: limit.file,
            remedy,
        }),
    }
}

impl Need {
    /// Of one namespace, without its buffer.
    const fn each(self) -> u64 {
        CAPTURE + if self.has_witnesses { WITNESS } else { 0 }
    }

    const fn bytes(self) -> u64 {
        TRACE + self.places * (self.each() + self.buffer)
    }

    /// What would fit; absent where this does.
    fn remedy(self, limit: u64) -> Option<String> {
        if self.bytes() <= limit {
            return None;
        }
        let left = limit.saturating_sub(TRACE);
        let for_buffer = (left / self.places.max(1)).saturating_sub(self.each());
        if for_buffer >= LEAST_BUFFER {
            // Buffers are powers of two.
            return Some(format!("lower the buffer with -B {}", (1_u64 << for_buffer.ilog2()) >> 10));
        }
        match left / (self.each() + self.buffer) {
            0 => Some("raise it".to_owned()),
            places => Some(format!("watch no more than {places} (--node, --pod), or raise it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_proposed() {
        let table = [
            ((1, 8, true), 64, None),
            ((1, 32, true), 64, Some("lower the buffer with -B 8192")),
            ((5, 8, true), 64, Some("watch no more than 1 (--node, --pod), or raise it")),
            ((5, 8, true), 256, None),
            ((5, 8, true), 220, Some("lower the buffer with -B 1024")),
            ((5, 8, false), 215, None),
            ((1, 8, true), 32, Some("raise it")),
        ];
        for ((places, mebibytes, has_witnesses), limit, expected) in table {
            let need = Need { places, buffer: mebibytes << 20, has_witnesses };
            assert_eq!(need.remedy(limit << 20).as_deref(), expected, "{need:?} in {limit} MiB");
        }
    }
}
