//! Text or JSON for whoever started the trace.

use std::io::{self, BufWriter, IsTerminal, Write};

use tracer_core::output::text::{Colour, Style};
use tracer_core::output::{json, text};
use tracer_core::report::Report;
use tracer_core::trace::Event;

use super::OutputError;
use crate::cli::trace::{Format, TraceArgs};

/// Text or JSON on one stream.
pub(super) struct Printer {
    writer: Box<dyn Write>,
    format: Format,
    colour: Colour,
    why: bool,
    max_flows: Option<usize>,
    /// Events of every flow there is are no text for people.
    tells_events: bool,
    had_events: bool,
}

impl Printer {
    /// A printer on standard output, or on standard error where standard output carries the capture.
    pub(super) fn new(args: &TraceArgs) -> Self {
        let is_stdout_taken = args.is_stdout_taken();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_terminal =
            if is_stdout_taken { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
        let colour = if is_terminal && !no_colour { Colour::Always } else { Colour::Never };
        let writer: Box<dyn Write> =
            if is_stdout_taken { Box::new(io::stderr()) } else { Box::new(BufWriter::new(io::stdout())) };
        Self {
            writer,
            format: args.output,
            colour,
            why: args.why,
            max_flows: args.max_flows(),
            tells_events: args.output == Format::Json || args.source.is_some() || args.selector.is_some(),
            had_events: false,
        }
    }

    /// Prints what happened, at once.
    pub(super) fn events(&mut self, events: &[Event]) -> Result<(), OutputError> {
        if events.is_empty() || !self.tells_events {
            return Ok(());
        }
        self.had_events = true;
        for event in events {
            match self.format {
                Format::Text | Format::Pcapng => text::event(&mut self.writer, event, self.colour),
                Format::Json => json::event(&mut self.writer, event),
            }
            .map_err(OutputError::Text)?;
        }
        self.writer.flush().map_err(OutputError::Text)
    }

    /// Prints the report; as text no more flows than asked for.
    pub(super) fn report(&mut self, report: &Report) -> Result<(), OutputError> {
        match self.format {
            Format::Text | Format::Pcapng => self.text(report),
            Format::Json => json::report(&mut self.writer, report),
        }
        .and_then(|()| self.writer.flush())
        .map_err(OutputError::Text)
    }

    fn text(&mut self, report: &Report) -> io::Result<()> {
        if self.had_events {
            writeln!(self.writer)?;
        }
        let all = report.flows.len();
        let told = self.max_flows.unwrap_or(all).min(all);
        let style = Style { colour: self.colour, why: self.why };
        if told < all {
            let mut some = report.clone();
            some.flows.truncate(told);
            text::report(&mut self.writer, &some, style)?;
        } else {
            text::report(&mut self.writer, report, style)?;
        }
        match all - told {
            0 => Ok(()),
            more => writeln!(self.writer, "{more} more flows: --max-flows 0 prints all, as does -o json"),
        }
    }
}
