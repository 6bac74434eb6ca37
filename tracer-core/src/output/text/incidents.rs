//! What happened to the packets of one direction besides being lost.

use std::io::{self, Write};

use super::happened::place as name;
use super::units::duration;
use super::{latency, packets};
use crate::report::{LaneReport, Outliers, Storm, StormKind};

/// Writes a line for each.
pub(super) fn incidents(writer: &mut impl Write, lane: &LaneReport) -> io::Result<()> {
    for again in &lane.retransmitted {
        let cause = match (&again.stopped_after, again.unknown) {
            (Some(after), _) => format!("the transmission before was last seen at {}", name(after)),
            (None, true) => "what became of the transmission before is not known".to_owned(),
            (None, false) => "the transmission before arrived".to_owned(),
        };
        writeln!(writer, "       {} retransmitted: {cause}", packets(again.packets))?;
    }
    if let Some(storm) = &lane.storm {
        writeln!(writer, "       {}", retransmission_storm(storm))?;
    }
    for doubled in &lane.duplicated {
        writeln!(writer, "       {} doubled before {}", packets(doubled.packets), name(&doubled.at))?;
    }
    for overtaking in &lane.reordered {
        writeln!(
            writer,
            "       {} out of order from {} on",
            packets(overtaking.packets),
            name(&overtaking.at)
        )?;
    }
    if lane.zero_windows > 0 {
        let times =
            if lane.zero_windows == 1 { "once".to_owned() } else { format!("{} times", lane.zero_windows) };
        writeln!(
            writer,
            "       receive window closed {times}, for {} in all",
            duration(lane.zero_window_ns)
        )?;
    }
    if let Some((trip, outliers)) =
        lane.round_trip.as_ref().and_then(|trip| Some((trip, trip.outliers.as_ref()?)))
    {
        let times = [trip.latency.p50, trip.latency.p99, trip.latency.max].map(latency).join(", ");
        writeln!(writer, "       answered after {times} ({} samples)", trip.samples)?;
        stood_out(writer, outliers)?;
    }
    lane.outliers.iter().try_for_each(|outliers| stood_out(writer, outliers))
}

fn retransmission_storm(storm: &Storm) -> String {
    let what = match storm.kind {
        StormKind::Delivered => "of what had arrived",
        StormKind::OneSegment => "of one segment",
        StormKind::Probes => "into a closed window",
    };
    format!(
        "storm of {} retransmissions {what}; sequence {} was sent again {} times",
        storm.packets, storm.sequence, storm.times
    )
}

fn stood_out(writer: &mut impl Write, outliers: &Outliers) -> io::Result<()> {
    let place =
        outliers.at.as_ref().map_or_else(|| "round trips".to_owned(), |at| format!("to {}", name(at)));
    let longest = outliers.longest.first().map_or(0, |outlier| outlier.latency_ns);
    writeln!(
        writer,
        "       {} of {} {place} took over {}, up to {}",
        outliers.samples,
        outliers.of,
        duration(outliers.fence_ns),
        duration(longest)
    )
}
