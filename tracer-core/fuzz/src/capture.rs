//! One capture file.

use std::io::{self, Write as _};
use std::time::Duration;

use tracer_core::capture::{CaptureReader, Item};
use tracer_core::identity::HashKey;
use tracer_core::output::json;
use tracer_core::output::text::{self, Colour};
use tracer_core::packet::Decoder;
use tracer_core::resolve::Names;
use tracer_core::trace::{Budget, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::Timestamp;

/// Reads a file up to its end or its first error and traces what is in it.
pub fn capture(data: &[u8]) {
    let options = TraceOptions {
        window: Duration::from_secs(1),
        hash_key: HashKey([7; 16]),
        decoder: Decoder::default(),
        keep_frames: true,
        keep_journeys: false,
        is_merged: true,
        budget: Budget { sightings: 1000, headers: 100, flows: 10 },
    };
    let mut tracer = Tracer::new(options, None, Names::default());
    let source = tracer.source(&SourceSpec { node: "node".to_owned(), tells_gso: true });
    let Ok(mut reader) = CaptureReader::new(data) else { return };
    let (mut now, mut items) = (Timestamp(0), 0);
    while let Ok(Some(item)) = reader.next_item() {
        items += 1;
        assert!(items <= data.len(), "more items than bytes");
        match &item {
            Item::Frame(frame) => {
                assert!(frame.data.len() <= data.len(), "a packet longer than its file");
                now = now.max(frame.time);
            }
            Item::Statistics(_, time, _) => now = now.max(*time),
            _ => {}
        }
        tracer.take(source, &item, now);
        tracer.advance(now);
    }
    tracer.ended(source, now);
    let (report, _, _) = tracer.finish();
    tell(&report);
}

/// Writes a report in each format. A sink takes everything.
pub(crate) fn tell(report: &tracer_core::report::Report) {
    let mut sink = io::sink();
    let told = text::report(&mut sink, report, Colour::Never).and_then(|()| json::report(&mut sink, report));
    assert!(told.and_then(|()| sink.flush()).is_ok(), "a report that cannot be written");
}
