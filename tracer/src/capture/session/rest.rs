//! What a capture gives up once its programs are attached.

use super::Session;
use crate::capture::{Plan, Product};
use crate::error::chain;
use crate::kernel::confine::{self, Confinement, Needs};
use crate::sink::Target;

/// What the rest of a capture takes, as far as its plan tells.
pub(super) struct Rest {
    how: Confinement,
    needs: Needs,
}

impl Rest {
    pub(super) fn of(plan: &Plan) -> Self {
        let files = match &plan.product {
            Product::Capture(Target::Files(files), _) => Some(files),
            Product::Capture(..) | Product::Lines(_) => None,
        };
        let needs = Needs {
            // Where pods are, or may be looked for later.
            namespaces: plan.pods.is_some() || plan.lead.is_some(),
            files: files.is_some(),
            programs: files.is_some_and(|files| files.postrotate.is_some()),
        };
        Self { how: plan.confinement, needs }
    }
}

impl Session {
    /// Gives up what is not needed any more. A capture that cannot is one all the same, and says so.
    pub(super) fn confine(&mut self, rest: &Rest) {
        if let Err(error) = confine::confine(rest.how, rest.needs) {
            self.say(&format!("this capture keeps more than it needs: {}", chain(&error)));
        }
    }
}
