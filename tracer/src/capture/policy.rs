//! What whoever runs an agent lays down for every capture in it, by variables of its container: they cannot be changed by who
//! starts a capture there.

mod audit;

use thiserror::Error;
use tracer_core::units::SnapLength;

pub(super) use self::audit::Audit;
use super::{Keep, Plan};

/// The most that is kept of a packet: bytes, or `headers`.
pub const MAX_SNAP: &str = "KFLOW_MAX_SNAP";

/// Why a capture may not begin.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// What is laid down cannot be understood: nothing is captured rather than too much.
    #[error("{MAX_SNAP} is `{text}`: expected a number of bytes above 0, or `headers`")]
    Ceiling {
        /// As it is.
        text: String,
    },
}

/// What a process is bound to.
#[derive(Debug, Default)]
pub(super) struct Policy {
    ceiling: Option<Keep>,
}

impl Policy {
    /// As the environment of this process has it.
    pub(super) fn of_environment() -> Result<Self, PolicyError> {
        let set = std::env::var_os(MAX_SNAP).filter(|value| !value.is_empty());
        let ceiling = set.map(|text| ceiling(&text.to_string_lossy())).transpose()?;
        Ok(Self { ceiling })
    }

    /// Cuts a plan down to what may be kept. Returns what has to be said of it.
    pub(super) fn bind(&self, plan: &mut Plan) -> Option<String> {
        let ceiling = self.ceiling?;
        let kept = lower(plan.shape.keep, ceiling);
        if kept == plan.shape.keep {
            return None;
        }
        plan.shape.keep = kept;
        let what = match kept {
            Keep::Headers => "headers alone".to_owned(),
            Keep::Bytes(snap) => format!("{} bytes", snap.0),
        };
        Some(format!("{what} are kept of each packet, as whoever placed this agent wants it ({MAX_SNAP})"))
    }
}

/// A ceiling as it is written. Absence of one is no text at all.
pub fn ceiling(text: &str) -> Result<Keep, PolicyError> {
    if text == "headers" {
        return Ok(Keep::Headers);
    }
    let refused = || PolicyError::Ceiling { text: text.to_owned() };
    let bytes = text.parse().ok().filter(|bytes| *bytes > 0).ok_or_else(refused)?;
    Ok(Keep::Bytes(SnapLength(bytes)))
}

/// The less of two. Headers are less than any number of bytes: what follows them is what they leave out.
fn lower(asked: Keep, ceiling: Keep) -> Keep {
    match (asked, ceiling) {
        (Keep::Bytes(asked), Keep::Bytes(most)) => Keep::Bytes(asked.min(most)),
        (Keep::Headers, _) | (_, Keep::Headers) => Keep::Headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes: u32) -> Keep {
        Keep::Bytes(SnapLength(bytes))
    }

    #[test]
    fn no_more_than_the_ceiling_is_kept() {
        for (asked, most, kept) in [
            (bytes(262_144), Keep::Headers, Keep::Headers),
            (bytes(64), Keep::Headers, Keep::Headers),
            (bytes(128), bytes(96), bytes(96)),
            (bytes(64), bytes(96), bytes(64)),
            (Keep::Headers, bytes(96), Keep::Headers),
        ] {
            assert_eq!(lower(asked, most), kept, "{asked:?} {most:?}");
        }
    }

    #[test]
    fn a_ceiling_that_makes_no_sense_is_none() {
        assert_eq!(ceiling("headers").unwrap(), Keep::Headers);
        assert_eq!(ceiling("96").unwrap(), bytes(96));
        for text in ["", "0", "header", "-1", "all"] {
            assert!(ceiling(text).is_err(), "{text}");
        }
    }
}
