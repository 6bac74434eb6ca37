//! JSON Lines: one object a line, told apart by its `type`.

use std::io::{self, Write};

use serde::Serialize;

use crate::report::{FlowReport, Report};
use crate::trace::Event;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line<'a> {
    Event(&'a Event),
    Flow(&'a FlowReport),
    Summary {
        flows: usize,
        other_flows: u64,
        nearest: &'a [crate::report::OtherFlow],
        clock_steps: &'a [crate::report::ClockStep],
        missing_evidence: &'a [crate::report::MissingEvidence],
        complete: bool,
        loss: &'a crate::loss::LossReport,
    },
}

/// Writes an event as one line.
pub fn event(writer: &mut impl Write, event: &Event) -> io::Result<()> {
    line(writer, &Line::Event(event))
}

/// Writes a report: a line per flow and a last one of type `summary`.
pub fn report(writer: &mut impl Write, report: &Report) -> io::Result<()> {
    for flow in &report.flows {
        line(writer, &Line::Flow(flow))?;
    }
    line(
        writer,
        &Line::Summary {
            flows: report.flows.len(),
            other_flows: report.others,
            nearest: &report.nearest,
            clock_steps: &report.clock_steps,
            missing_evidence: &report.missing_evidence,
            complete: report.is_complete(),
            loss: &report.loss,
        },
    )
}

fn line(writer: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, line)?;
    writer.write_all(b"\n")
}
