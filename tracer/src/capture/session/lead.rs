//! A capture that is led from afar: what it is told, where pods are now, and how much its output may have.

use std::time::Instant;

use super::{BATCH, CaptureFailure, Session};
use crate::capture::Plan;
use crate::capture::chooser::Chooser;
use crate::capture::orders::Reins;
use crate::capture::policy::Audit;
use crate::capture::throttle::Throttle;
use crate::capture::wait::Waiter;
use crate::kernel::attach::{self, AttachMode};
use crate::kernel::confine::Confinement;
use crate::kernel::interfaces::Watch;
use crate::kernel::netlink::NetlinkError;
use crate::sink::SinkError;

/// Listens to standard input, or waits for its end.
pub(super) fn reins(plan: &Plan, waiter: &mut Waiter) -> Result<Option<Reins>, CaptureFailure> {
    if let Some(lead) = plan.lead {
        let failed = |source| CaptureFailure::System { operation: "listen to standard input", source };
        // Who becomes another user does so in all threads at once, which one without capabilities could not.
        let confinement = if plan.user.is_some() { Confinement::Off } else { plan.confinement };
        return Reins::take(lead, confinement).map(Some).map_err(failed);
    }
    if plan.limits.stdin {
        waiter.add_stdin()?;
    }
    Ok(None)
}

/// Routes are watched where pods are looked for, or may be later.
pub(super) fn watch(plan: &Plan) -> Result<Watch, NetlinkError> {
    if plan.pods.is_some() || plan.lead.is_some() { Watch::with_routes() } else { Watch::new() }
}

/// Who leads it may be cut off, and the pod that it runs in be killed whole: only TCX leaves nothing behind then. It
/// takes more time on many interfaces.
pub(super) fn attach_mode(plan: &Plan) -> AttachMode {
    match plan.attach {
        AttachMode::Auto if plan.lead.is_some() && attach::has_tcx() => AttachMode::Tcx,
        mode => mode,
    }
}

/// Finds out where pods are, and says what cannot be told, also where nothing but errors is wanted: more is captured
/// than was asked for.
pub(super) fn look(chooser: &mut Chooser) -> Result<(), CaptureFailure> {
    if let Some(pods) = chooser.pods()
        && let Some(word) = pods.look(Instant::now()).map_err(CaptureFailure::Interfaces)?
    {
        say!("kflow: {word}");
    }
    Ok(())
}

impl Session {
    /// Does what was ordered since the last turn.
    pub(super) fn obey(&mut self, audit: Option<&mut Audit>) -> Result<(), CaptureFailure> {
        let Some(reins) = &self.reins else { return Ok(()) };
        let orders = reins.orders();
        if let Some(audit) = audit {
            audit.change(&orders);
        }
        if let Some(addresses) = orders.addresses {
            self.filter.set(addresses).map_err(CaptureFailure::Filter)?;
        }
        if let Some(rate) = orders.max_rate {
            match &mut self.throttle {
                Some(throttle) => throttle.set_rate(rate),
                None => self.throttle = Some(Throttle::new(rate, self.snap, Instant::now())),
            }
        }
        if let Some(pods) = orders.pods {
            self.chooser.order(pods);
            self.look()?;
        }
        Ok(())
    }

    /// Looks where pods are once something has changed.
    pub(super) fn look_again(&mut self) -> Result<(), CaptureFailure> {
        if self.chooser.pods().is_some_and(|pods| pods.is_due(Instant::now())) {
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), CaptureFailure> {
        look(&mut self.chooser)?;
        self.reconcile()
    }

    /// Writes as many records as the output may have now. Returns whether there may be more.
    pub(super) fn drain_within_rate(&mut self) -> Result<bool, SinkError> {
        let sent = self.sink.pipeline().sent();
        let Some(throttle) = &mut self.throttle else { return self.drain() };
        let now = Instant::now();
        let limit = throttle.packets(sent, now).min(BATCH);
        self.is_throttled = limit == 0;
        if limit > 0 {
            return self.drain_up_to(limit);
        }
        if self.behind
            && let Some(word) = throttle.word(now)
        {
            say!("kflow: {word}");
        }
        Ok(true)
    }

    /// At the end: what output may have in one more second is written, and what is left then is lost.
    pub(super) fn spend_the_rest(&mut self) -> Result<(), SinkError> {
        if let Some(throttle) = &mut self.throttle {
            throttle.grant_second();
        }
        while let Some(throttle) = &mut self.throttle {
            let limit = throttle.last_packets(self.sink.pipeline().sent()).min(BATCH);
            let is_more = limit == 0 || self.drain_up_to(limit)?;
            self.sink.flush()?;
            if limit == 0 {
                self.sink.discard();
            }
            if limit == 0 || !is_more {
                break;
            }
        }
        Ok(())
    }
}
