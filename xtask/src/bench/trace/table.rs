//! Figures as a table, in the form of Markdown.

use crate::bench::measure::Run;

/// What was measured on one capture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) frames: u64,
    pub(super) connections: u64,
    pub(super) kflow: Run,
    /// What tshark took, and how many times as much of the processor's time, by pairs of runs.
    pub(super) tshark: Option<(Run, f64)>,
}

pub(super) const HEAD: &str = "\
| observations | connections | kflow on the wall | processor | each | observations/s | memory | each | tshark on the wall | processor | memory | times as long |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";

impl Row {
    /// Of the processor's time: what others do on the machine does not count.
    pub(super) fn observations_per_second(&self) -> f64 {
        self.count() / self.kflow.processor
    }

    /// Nanoseconds of the processor.
    pub(super) fn time_each(&self) -> f64 {
        self.kflow.processor * 1e9 / self.count()
    }

    /// Bytes.
    pub(super) fn memory_each(&self) -> f64 {
        self.kflow.memory * 1024.0 / self.count()
    }

    /// MiB.
    pub(super) fn memory(&self) -> f64 {
        self.kflow.memory / 1024.0
    }

    #[expect(clippy::cast_precision_loss, reason = "no capture has 2^53 frames")]
    fn count(&self) -> f64 {
        self.frames as f64
    }

    pub(super) fn line(&self) -> String {
        let tshark = self.tshark.map_or_else(
            || " | | | |".to_owned(),
            |(run, ratio)| {
                let (seconds, processor, memory) = (run.seconds, run.processor, run.memory / 1024.0);
                format!(" {seconds:.1} s | {processor:.1} s | {memory:.0} MiB | {ratio:.1} |")
            },
        );
        format!(
            "| {} | {} | {:.2} s | {:.2} s | {:.0} ns | {:.2} M | {:.0} MiB | {:.0} B |{tshark}",
            self.frames,
            self.connections,
            self.kflow.seconds,
            self.kflow.processor,
            self.time_each(),
            self.observations_per_second() / 1e6,
            self.memory(),
            self.memory_each(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row() {
        let kflow = Run { seconds: 4.1, processor: 4.0, memory: 409_600.0, exit_code: 0 };
        let row = Row { frames: 5_000_000, connections: 10_000, kflow, tshark: None };
        assert_eq!(
            row.line(),
            "| 5000000 | 10000 | 4.10 s | 4.00 s | 800 ns | 1.25 M | 400 MiB | 84 B | | | | |"
        );
        let tshark = Some((Run { seconds: 100.0, ..kflow }, 25.0));
        assert!(Row { tshark, ..row }.line().ends_with("| 100.0 s | 4.0 s | 400 MiB | 25.0 |"));
        assert_eq!(
            HEAD.lines().next().map(|head| head.matches('|').count()),
            Some(row.line().matches('|').count())
        );
    }
}
