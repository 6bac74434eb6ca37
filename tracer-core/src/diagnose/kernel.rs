//! What the kernel says that it dropped, where nothing tells why in other words.

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::verdict::{Cause, Outcome};
use super::words;

pub(super) const RULES: &[Rule] = &[dropped];

fn dropped(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| reason(case, failure)).collect()
}

fn reason(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let drop = failure.drops.iter().max_by_key(|drop| drop.packets)?;
    let named = drop.reason.as_deref().filter(|reason| *reason != "NOT_SPECIFIED");
    // A TCP that has a connection passes over what is old, doubled or out of order: that follows from something else.
    let is_tcps_own = named.is_some_and(|reason| reason.starts_with("TCP_")) && case.is_answered();
    if is_tcps_own {
        return None;
    }
    let why = match (named, drop.function.as_deref()) {
        (Some(reason), Some(function)) => format!("{reason} (in {function})"),
        (Some(reason), None) => reason.to_owned(),
        (None, Some(function)) => format!("in {function}"),
        (None, None) => return None,
    };
    let actor = words::actor(&failure.spot);
    let text = format!("{actor} dropped {}: {why}", case.subject(failure));
    let function = drop.function.as_deref().unwrap_or("the function named");
    Some(
        Finding::of(failure, Cause::KernelDrop, Rank::Hint, Outcome::Dropped, text)
            .remedy(format!("read what {function} of this kernel drops packets for")),
    )
}
