//! Who captured what, when and how much: a line at the beginning, for each change, and at the end.

use std::time::Instant;

use serde_json::{Value, json};

use crate::audit::{Log, cut, list};
use crate::capture::orders::Orders;
use crate::capture::{CaptureFailure, Expression, Keep, Plan, Product, Summary};
use crate::error::{ExitStatus as _, chain};
use crate::kernel::filter::AddressSet;
use crate::sink::Target;

/// A capture that is noted.
pub(in crate::capture) struct Audit {
    log: Log,
    began: Instant,
}

impl Audit {
    /// Notes that a capture begins, where the environment names a log.
    pub(in crate::capture) fn begin(plan: &Plan) -> Option<Self> {
        let mut log = Log::of_environment("capture", plan.claim.user.as_deref())?;
        log.note("begin", beginning(plan));
        Some(Self { log, began: Instant::now() })
    }

    /// Notes what is captured from now on.
    pub(in crate::capture) fn change(&mut self, orders: &Orders) {
        let addresses = orders.addresses.as_ref().map(addresses);
        let pods = orders.pods.as_ref().map(|pods| list(pods.addresses.iter().copied()));
        if addresses.is_some() || pods.is_some() {
            self.log.note("change", json!({"addresses": addresses, "pods": pods}));
        }
    }

    /// Notes how it ended.
    pub(in crate::capture) fn end(mut self, ended: &Result<Summary, CaptureFailure>) {
        let seconds = self.began.elapsed().as_secs_f64();
        let facts = match ended {
            Ok(summary) => {
                let total = summary.total();
                json!({
                    "seconds": seconds,
                    "packets": total.written,
                    "bytes": summary.bytes,
                    "lost": total.lost,
                    "why": format!("{:?}", summary.end),
                    "exit": summary.exit().code(),
                })
            }
            Err(error) => {
                json!({"seconds": seconds, "error": cut(&chain(error)), "exit": error.exit().code()})
            }
        };
        self.log.note("end", facts);
    }
}
fn beginning(plan: &Plan) -> Value {
    let keep = match plan.shape.keep {
        Keep::Headers => json!("headers"),
        Keep::Bytes(snap) => json!(snap.0),
    };
    let output = match &plan.product {
        Product::Lines(_) => "lines".to_owned(),
        Product::Capture(Target::Files(files), _) => cut(&files.path.to_string_lossy()),
        Product::Capture(Target::Wireshark, _) => "wireshark".to_owned(),
        Product::Capture(Target::Stdout | Target::CompressedStdout, _) => "stdout".to_owned(),
    };
    let filter = plan.expression.as_ref().map(Expression::text).filter(|text| !text.is_empty());
    json!({
        "node": cut(&plan.node),
        "interfaces": cut(&plan.selection.to_string()),
        "pods": plan.pods.as_ref().map(|pods| list(pods.addresses.iter().copied())),
        "netns": plan.netns.as_ref().map(|netns| cut(&netns.to_string())),
        "addresses": addresses(&plan.addresses),
        // One that came compiled has no text but that which the client told.
        "filter": filter.or(plan.claim.filter.as_deref()).map(cut),
        "filtered": plan.expression.is_some(),
        "keep": keep,
        "drops": plan.drops.is_some(),
        "output": output,
    })
}

fn addresses(set: &AddressSet) -> Value {
    if set.is_everything() { json!("all") } else { list(set.addresses()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_is_all() {
        assert_eq!(addresses(&AddressSet::everything()), json!("all"));
    }
}
