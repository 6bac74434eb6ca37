//! What a packet costs: `cargo test --release -p tests --test files -- --ignored --nocapture cost`.

use std::fs;
use std::time::Instant;

use tracer::sink::{FilePlan, Format, Recorder};
use tracer_core::capture::{CaptureWriter, Frame, Section};
use tracer_core::units::Gso;

use super::support::{SNAP, Scratch, eth0, files, frame};

const ROUNDS: usize = 5;
const PACKETS: u32 = 2_000_000;
const FULL: usize = 256 << 10;

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// Nanoseconds for each of `PACKETS`.
fn nanoseconds(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(PACKETS)
}

fn encode(frame: &Frame<'_>) {
    let mut writer = CaptureWriter::new(Vec::with_capacity(2 * FULL), &Section::default(), SNAP).unwrap();
    writer.interface(&eth0()).unwrap();
    for _ in 0..PACKETS {
        writer.frame(std::hint::black_box(frame)).unwrap();
        if writer.get_ref().len() >= FULL {
            std::hint::black_box(writer.get_mut()).clear();
        }
    }
}

fn write(plan: FilePlan, frame: &Frame<'_>) {
    let mut recorder = Recorder::open(files(plan, Format::Pcapng), None).unwrap();
    recorder.interface(&eth0()).unwrap();
    for _ in 0..PACKETS {
        recorder.frame(std::hint::black_box(frame)).unwrap();
    }
    recorder.finish().unwrap();
}

#[test]
#[ignore = "measures, and asserts nothing"]
fn cost() {
    let data = [0x5a; 1500];
    let usual = |len| Frame { gso: None, mark: 0, ..frame(1, &data[..len]) };
    let custom = |len| Frame { gso: Some(Gso { size: 1448, segments: 9 }), mark: 1, ..usual(len) };
    for (name, frame) in [("96", usual(96)), ("96, all options", custom(96)), ("1500", usual(1500))] {
        let directory = Scratch::new();
        let encoded = median((0..ROUNDS).map(|_| nanoseconds(|| encode(&frame))).collect());
        let run = |path: std::path::PathBuf, size| {
            let plan = FilePlan { size, ..FilePlan::single(&path) };
            nanoseconds(|| write(plan, &frame))
        };
        let null = median((0..ROUNDS).map(|_| run("/dev/null".into(), None)).collect());
        let file = median((0..ROUNDS).map(|_| run(directory.join("f"), None)).collect());
        let ring = median((0..ROUNDS).map(|_| run(directory.join("r"), Some(100_000_000))).collect());
        println!(
            "{name:16} encoded {encoded:6.1} ns, to /dev/null {null:6.1}, to a file {file:6.1}, rotating {ring:6.1}"
        );
        fs::remove_dir_all(directory.path()).unwrap();
    }
}
