//! Streams that were saved, merged as live ones are: what merging costs can be measured without a cluster.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tracer_core::capture::{SNAP_WHOLE, Section};
use tracer_core::units::Timestamp;

use super::merge::{Merge, Turn};
use super::output::{Manner, Output};
use super::reader;
use super::session::DEPTH;
use super::wake::Wake;
use crate::capture::pipeline::{Beginning, Pipeline};
use crate::capture::{Keep, Product, Shape};
use crate::error::chain;
use crate::sink::{FilePlan, Format, SinkError, Target};

/// Why saved streams cannot be merged.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refused an ordinary call.
    #[error("cannot wait for packets")]
    Wait(#[from] io::Error),
    /// A file is not whole, or the output takes no more.
    #[error("{0}")]
    Broken(String),
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// What was merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Replayed {
    /// Packets written.
    pub packets: u64,
    /// Packets that came after younger ones had been written.
    pub late: u64,
    /// Time that it took.
    pub took: Duration,
}

/// Merges captures into one, as `kflow capture` does on a cluster.
pub fn replay(streams: &[PathBuf], to: &Path) -> Result<Replayed, ReplayError> {
    let begin = Instant::now();
    let mut output = open(to)?;
    let wake = Arc::new(Wake::new()?);
    let mut merge = Merge::default();
    for path in streams {
        let file = File::open(path).map_err(|source| ReplayError::Open { path: path.clone(), source })?;
        let (sender, receiver) = sync_channel(DEPTH);
        merge.add(receiver, begin);
        output.add(&path.display().to_string(), None);
        let wake = Arc::clone(&wake);
        thread::spawn(move || reader::read(file, &sender, &wake));
    }
    loop {
        wake.fall_asleep();
        match merge.turn(Instant::now(), &mut output) {
            Turn::Over => break,
            Turn::More => {}
            Turn::Wait(_) => {
                wake.sleep(Duration::from_millis(50), None, None)?;
            }
        }
        if let Some(error) = output.failed() {
            return Err(ReplayError::Broken(chain(error)));
        }
    }
    if let Some((_, Some(reason))) = output.take_ended().into_iter().find(|(_, reason)| reason.is_some()) {
        return Err(ReplayError::Broken(reason));
    }
    let late = merge.late();
    let (_, packets, failed) = output.finish();
    failed.map_or(Ok(Replayed { packets, late, took: begin.elapsed() }), |error| Err(error.into()))
}

fn open(to: &Path) -> Result<Output, SinkError> {
    let shape = Shape { keep: Keep::Bytes(SNAP_WHOLE), segment: false, true_link_types: false };
    let beginning = Beginning {
        section: Section::default(),
        time: Timestamp::default(),
        label: true,
        limit: None,
        source: None,
    };
    let product = Product::Capture(Target::Files(FilePlan::single(to)), Format::Pcapng);
    let pipeline = Pipeline::open(product, shape, beginning, None)?;
    Ok(Output::new(pipeline, Manner { true_link_types: false, packet_buffered: false, packets: None }))
}
