//! One condition from its lab to its score.

use std::{fs, io, path::Path, thread, time::Duration};

use tracer_core::resolve::{ClusterState, Names};

use super::{CONNECTIONS, Condition, Demand, PORT, SERVER, Traffic};
use crate::{
    Lab, LabConfig,
    lab::topology::K8S_NODE1,
    truth::{
        TruthError,
        craft::{Craft, Ends, INLET},
        loss::{Dropped, Dropping},
        recorder::{Recorder, RecorderOptions},
        replay::replay,
        score::{Expected, Score, score},
        stream::Streams,
        udp::Datagrams,
        way::Lane,
    },
};

/// The engine takes what was last seen shortly before its node's capture ended for packets on their way: the
/// captures have to outlast the traffic.
const SETTLE: Duration = Duration::from_millis(400);
/// A connection that waits for its timer after a loss waits this long at least, in microseconds (Linux 6.11).
const RETRANSMISSION_TIMER: (&str, &str) = ("/proc/sys/net/ipv4/tcp_rto_min_us", "10000");

/// Segments that no ring takes while nobody empties it: where whole packets are recorded it is of 1 MiB at least, and
/// these are four times as much.
const MORE_THAN_A_RING: u64 = 8_000;

/// How to measure.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions<'a> {
    /// The `kflow` to record with.
    pub program: &'a Path,
}

/// Runs the traffic of a condition, and compares what the engine makes of it with what was so.
pub fn measure(condition: &Condition, options: RunOptions<'_>) -> Result<Score, TruthError> {
    let lab = Lab::up(&LabConfig { overlay: condition.overlay, udp: true, ..LabConfig::default() })?;
    lab.set_offloads(condition.offloads)?;
    hurry(condition, &lab)?;
    let mut ends = match condition.traffic {
        Traffic::Crafted { .. } => Some(Ends::prepare(&lab, condition.way)?),
        Traffic::Streams { .. } | Traffic::Datagrams { .. } => None,
    };
    let recorder = Recorder::start(
        &lab,
        RecorderOptions { program: options.program, buffer_kib: condition.buffer_kib, name: "truth" },
    )?;
    let dropping = condition.loss.map(|loss| Dropping::start(&lab, loss)).transpose()?;
    condition.impairment.map(|impairment| impairment.start(&lab)).transpose()?;
    if condition.demand == Demand::Overflowing {
        overflow(condition, &lab, &recorder)?;
    } else {
        send(condition, &lab, 0, ends.as_mut())?;
    }
    let dropped = dropping.map(Dropping::stop).transpose()?.unwrap_or_default();
    thread::sleep(SETTLE);
    let recordings = recorder.stop()?;
    let state = fs::read(lab.state_path()).map_err(TruthError::Recorder)?;
    let names = Names::of(&ClusterState::from_json(&state).map_err(TruthError::State)?);
    let replay = replay(&recordings, names, condition.clocks)?;
    Ok(score(&replay, &expected(condition, dropped)))
}

/// A third of the traffic while the recorders at the end of its way write nothing, or what their rings have no room
/// for where that is more, and a third before and behind it.
fn overflow(condition: &Condition, lab: &Lab, recorder: &Recorder) -> Result<(), TruthError> {
    let third = Condition { segments: condition.segments / 3, ..condition.clone() };
    send(&third, lab, 0, None)?;
    recorder.pause(K8S_NODE1.name)?;
    let much = Condition { segments: third.segments.max(MORE_THAN_A_RING), ..third.clone() };
    let sent = send(&much, lab, CONNECTIONS, None);
    recorder.resume(K8S_NODE1.name)?;
    sent?;
    send(&third, lab, 2 * CONNECTIONS, None)
}

fn expected(condition: &Condition, dropped: Dropped) -> Expected {
    let places = |lane| match condition.traffic {
        Traffic::Crafted { .. } => condition.way.places_from(condition.overlay, lane, INLET),
        Traffic::Streams { .. } | Traffic::Datagrams { .. } => condition.way.places(condition.overlay, lane),
    };
    let paths = Lane::BOTH.map(|lane| (lane, places(lane)));
    Expected {
        paths: paths.to_vec(),
        dropped: dropped.pieces,
        is_one_flow: condition.is_one_flow(),
        is_recut: condition.demand == Demand::Refragmented,
        is_overflowing: condition.demand == Demand::Overflowing,
    }
}

/// Lets connections recover from losses quickly; an older kernel does without.
fn hurry(condition: &Condition, lab: &Lab) -> Result<(), TruthError> {
    let (setting, value) = RETRANSMISSION_TIMER;
    for ns in [condition.way.origin(lab), lab.pod(SERVER)] {
        let set = ns.run(|| if Path::new(setting).exists() { fs::write(setting, value) } else { Ok(()) });
        set.map_err(io::Error::other).flatten().map_err(TruthError::Recorder)?;
    }
    Ok(())
}

/// Sends what the condition says, as flows with numbers from `first`.
fn send(condition: &Condition, lab: &Lab, first: u8, ends: Option<&mut Ends>) -> Result<(), TruthError> {
    let (client, server) = (condition.way.origin(lab), lab.pod(SERVER));
    let to = condition.way.target();
    let sent = match condition.traffic {
        Traffic::Streams { segment } => {
            let bytes = condition.segments * u64::from(segment) / u64::from(CONNECTIONS);
            let bytes = (bytes * 3 / 4, bytes / 4);
            let streams = Streams { to, port: PORT, first, connections: CONNECTIONS, bytes, segment };
            streams.run(client, server)
        }
        Traffic::Datagrams { shape, identification } => {
            // Each is answered.
            let count = condition.segments / 2;
            let datagrams = Datagrams { to, port: PORT, flow: first, count, shape, identification };
            datagrams.run(client, server)
        }
        Traffic::Crafted { numbering, segment } => {
            let craft = Craft { way: condition.way, numbering, segment, segments: condition.segments };
            ends.map_or(Ok(()), |ends| craft.run(ends))
        }
    };
    sent.map_err(|source| TruthError::Traffic { condition: condition.label(), source })
}
