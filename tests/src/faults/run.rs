//! A variant from its lab to what kflow says.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use thiserror::Error;

use super::{
    exchange::{self, NamespaceOrIo, Rounds},
    judge::{self, Judged},
    queue::{self, Queue},
    site::Site,
    variant::{Step, Traffic, Transport, Variant, Works},
};
use crate::{CommandError, Kflow, LabError, NamespaceError, kflow::KflowError};

/// The engine takes what was last seen shortly before its node's capture ended for packets on their way.
const SETTLE: Duration = Duration::from_millis(400);

/// A variant that could not be tried.
#[derive(Debug, Error)]
pub enum FaultError {
    /// The lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A program in the lab.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// Traffic.
    #[error("traffic: {0}")]
    Traffic(#[from] NamespaceOrIo),
    /// kflow.
    #[error(transparent)]
    Kflow(#[from] KflowError),
    /// The exchange fails without the fault.
    #[error("the exchange fails before the fault is injected")]
    Ill,
    /// The exchange does not fail, or does.
    #[error("the fault is without effect: the exchange {}", if *succeeded { "succeeds" } else { "fails" })]
    Harmless {
        /// Whether it succeeded.
        succeeded: bool,
    },
}

/// How to try.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The `kflow` to ask.
    pub program: &'a Path,
    /// Variants at a time.
    pub jobs: usize,
    /// Whether kflow is left out: only what the fault does to packets is looked at.
    pub is_dry: bool,
}

/// Tries a variant.
pub fn attempt(variant: &Variant, options: Options<'_>) -> Result<Judged, FaultError> {
    let site = Site::up(&variant.scene)?;
    if variant.scene.is_warm {
        let warm = Traffic::Rounds { count: 1, up: 64, down: 64 };
        if !send(&site, warm, &[])? {
            return Err(FaultError::Ill);
        }
    }
    variant.steps.iter().try_for_each(|step| site.take(step))?;
    if options.is_dry {
        let succeeded = send(&site, variant.traffic, &variant.later)?;
        check(variant, succeeded)?;
        return Ok(Judged::untold());
    }
    let kflow = Kflow::tracing(options.program, arguments(&site))?;
    let succeeded = send(&site, variant.traffic, &variant.later)?;
    thread::sleep(SETTLE);
    let outcome = kflow.stop()?;
    check(variant, succeeded)?;
    Ok(judge::judge(variant, &site, &outcome.told()?, &outcome))
}

fn check(variant: &Variant, succeeded: bool) -> Result<(), FaultError> {
    match variant.works {
        Works::Perhaps => Ok(()),
        Works::Yes if succeeded => Ok(()),
        Works::No if !succeeded => Ok(()),
        Works::Yes | Works::No => Err(FaultError::Harmless { succeeded }),
    }
}

/// `trace`, the lab, JSON, and the two ends.
pub(super) fn arguments(site: &Site) -> Vec<OsString> {
    let words = ["-o", "json"].into_iter().chain(site.scene.words());
    let first = [OsString::from("trace")].into_iter().chain(site.kflow_arguments());
    first.chain(words.map(OsString::from)).collect()
}

/// The exchange of a variant, with steps after its first round. Whether it succeeded.
pub(super) fn send(site: &Site, traffic: Traffic, later: &[Step]) -> Result<bool, FaultError> {
    let (scene, to) = (site.scene.clone(), SocketAddr::from(site.scene.target()));
    let mut failed = None;
    let client = scene.client();
    let ns = site.namespace(client);
    let mut between = || {
        if let Err(error) = later.iter().try_for_each(|step| site.take(step)) {
            failed = Some(error);
        }
    };
    let succeeded = match traffic {
        Traffic::Rounds { count, up, down } => {
            let rounds = Rounds { count, up, down };
            match scene.transport {
                Transport::Tcp => exchange::tcp(ns, to, rounds, &mut between)?,
                Transport::Udp => exchange::udp(ns, to, rounds, &mut between)?,
                Transport::Icmp => exchange::ping(ns, to.ip(), site.identifier(), rounds, &mut between)?,
            }
        }
        Traffic::Burst { count, len } => exchange::burst(ns, to, count, len)?,
        Traffic::Connections(count) => exchange::connections(ns, to, count)?,
        Traffic::Dns(questions) => questions.ask(ns, to)?,
        Traffic::Clash => {
            let queue = Queue::bind(site.namespace("k8s-node2"))?;
            let passing = SocketAddr::from((site.scene.address_of("pod-dest"), super::dns::DNS_PORT));
            queue::clash(ns, &queue, (to, passing))?
        }
    };
    failed.map_or(Ok(succeeded), Err)
}

/// Who hears of each variant as it is done.
pub type Tell<'a> = &'a (dyn Fn(&str, &Variant, &Result<Judged, FaultError>) + Sync);

/// Tries variants, several at a time; `tell` hears of each as it is done.
pub fn attempt_all<'a>(
    variants: &[(&'a str, &'a Variant)],
    options: Options<'_>,
    tell: Tell<'_>,
) -> Vec<(&'a str, Result<Judged, FaultError>)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some((name, variant)) = variants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let judged = attempt(variant, options);
                    tell(name, variant, &judged);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((*name, judged));
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}
