//! Verdicts (`enum nft_verdicts`, `NF_DROP`, `NF_ACCEPT`).

use tracer_core::evidence::Action;

use super::super::super::netlink::{attribute, text};
use super::number::be32;

const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// A verdict.
pub(super) enum Verdict {
    /// It does something.
    Action(Action),
    /// It goes on with the next rule.
    Continue,
}

impl Verdict {
    /// What it does.
    pub(super) fn action(self) -> Option<Action> {
        match self {
            Self::Action(action) => Some(action),
            Self::Continue => None,
        }
    }
}

/// The verdict of data; absent where the data is none.
pub(super) fn of_data(data: &[u8]) -> Option<Verdict> {
    let verdict = attribute(data, DATA_VERDICT)?;
    let code = attribute(verdict, VERDICT_CODE).and_then(be32)?.cast_signed();
    let chain = || text(verdict, VERDICT_CHAIN);
    Some(Verdict::Action(match code {
        0 => Action::Drop,
        1 => Action::Accept,
        -1 | -2 => return Some(Verdict::Continue),
        -3 => Action::Jump { chain: chain()? },
        -4 => Action::Goto { chain: chain()? },
        -5 => Action::Return,
        code if code & 0xff == 3 => {
            Action::Queue { number: u16::try_from(code.cast_unsigned() >> 16).unwrap_or(0) }
        }
        code => Action::Other { text: format!("verdict {code}") },
    }))
}
