//! The system's libpcap, which compiles filter expressions.
//!
//! It is loaded when it is needed and not linked: kflow captures without filters where there is none. Nothing but
//! its compiler is used.

mod library;
mod offline;
mod place;

use std::ffi::{CString, NulError};
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use thiserror::Error;
use tracer_core::filter::{Program, ProgramError};

pub use library::LibpcapError;
use library::Library;
pub use offline::OfflineFilter;

/// Versions before 1.8 keep the state of the compiler in global variables.
static COMPILER: Mutex<()> = Mutex::new(());

/// libpcap, loaded.
#[derive(Debug)]
pub struct Libpcap(Library);

/// What packets begin with, by libpcap's numbers (`DLT_*`, `pcap/dlt.h`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Dlt(pub u32);

impl Dlt {
    /// Ethernet (`DLT_EN10MB`).
    pub const ETHERNET: Self = Self(1);
    /// IPv4 or IPv6 without a header before it (`DLT_RAW`; 12 everywhere but on OpenBSD).
    pub const RAW: Self = Self(12);

    /// By the number in a file, which differs for a few (`pcap-common.c`). 14 is taken for OpenBSD's raw IP.
    pub fn of_link_type(number: u32) -> Self {
        match number {
            14 | 101 => Self::RAW,
            100 => Self(11),
            other => Self(other),
        }
    }
}

/// Why an expression does not become a program.
#[derive(Debug, Error)]
pub enum ExpressionError {
    /// libpcap does not take it.
    #[error(transparent)]
    Rejected(Box<Rejection>),
    /// It cannot be handed to libpcap.
    #[error("a filter expression cannot hold the character NUL")]
    Nul(#[from] NulError),
    /// libpcap has no memory for a handle.
    #[error("libpcap cannot compile filters for link type {}", (.0).0)]
    NoHandle(Dlt),
    /// libpcap made a program that we do not take.
    #[error("cannot use libpcap's program for the filter \"{expression}\"")]
    Program {
        /// The expression.
        expression: String,
        /// What is wrong with the program.
        source: ProgramError,
    },
}

impl ExpressionError {
    /// Whether the expression is in order and no packet of the link type can match it, such as `arp` without a
    /// link layer.
    pub fn matches_nothing(&self) -> bool {
        matches!(self, Self::Rejected(rejection) if rejection.message == "expression rejects all packets")
    }
}

/// An expression that libpcap does not take. Displayed with the place underlined, on three lines.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub struct Rejection {
    /// What libpcap says.
    pub message: String,
    /// The expression.
    pub expression: String,
    /// The bytes of it that libpcap stumbles over; at its end where something is missing there; absent where no
    /// one place is wrong.
    pub place: Option<Range<usize>>,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, expression, place } = self;
        let expression: String =
            expression.chars().map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c }).collect();
        // A character that was replaced may have had more bytes.
        let count = |to: usize| self.expression.get(..to).map_or(0, |before| before.chars().count());
        write!(f, "libpcap does not take the filter: {message}\n  {expression}")?;
        if let Some(place) = place {
            let (begin, end) = (count(place.start), count(place.end));
            write!(f, "\n  {:begin$}{}", "", "^".repeat(end.saturating_sub(begin).max(1)))?;
        }
        if place.as_ref().is_some_and(Range::is_empty) {
            write!(f, " something is missing here")?;
        }
        Ok(())
    }
}

impl Libpcap {
    /// Loads the library.
    pub fn load() -> Result<Self, LibpcapError> {
        Library::load().map(Self)
    }

    /// What it says of itself, as `libpcap version 1.10.3 (with TPACKET_V3)`.
    pub fn version(&self) -> String {
        self.0.version()
    }

    /// Compiles an expression for packets that begin with `link`. The program keeps `snap` bytes of those that match.
    ///
    /// `ip broadcast` needs the netmask of the interface as a number, 0xffffff00 for 255.255.255.0: libpcap compares
    /// it so. Absent, the expression is refused; 0, it matches 0.0.0.0 and 255.255.255.255, which is what tcpdump
    /// has without `-f`.
    pub fn compile(
        &self,
        expression: &str,
        link: Dlt,
        snap: u32,
        netmask: Option<u32>,
    ) -> Result<Program, ExpressionError> {
        let _only = COMPILER.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = self.0.open(link, snap).ok_or(ExpressionError::NoHandle(link))?;
        match handle.compile(&CString::new(expression)?, true, netmask) {
            Ok(instructions) => Program::new(instructions)
                .map_err(|source| ExpressionError::Program { expression: expression.to_owned(), source }),
            Err(message) => {
                let message = message.strip_prefix(CONTEXT).unwrap_or(&message).to_owned();
                let place = place::find(expression, &message, |prefix| {
                    CString::new(prefix).is_ok_and(|prefix| handle.compile(&prefix, false, netmask).is_ok())
                });
                let expression = expression.to_owned();
                Err(ExpressionError::Rejected(Box::new(Rejection { message, expression, place })))
            }
        }
    }

    /// Runs a program by libpcap's interpreter (`bpf_filter`), against which ours is held. It does not end where a
    /// program turns in a loop, and memory that was not written has any value.
    pub fn run(&self, program: &Program, data: &[u8], original_len: u32) -> u32 {
        self.0.run(program.instructions(), data, original_len)
    }
}

/// What syntax errors have before them since libpcap 1.8.
const CONTEXT: &str = "can't parse filter expression: ";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expression: &str, place: Option<Range<usize>>) -> String {
        let rejection = Rejection { message: "syntax error".into(), expression: expression.into(), place };
        rejection.to_string()
    }

    #[test]
    fn the_place_is_underlined() {
        let head = "libpcap does not take the filter: syntax error\n  ";
        assert_eq!(shown("tcp prot 80", Some(4..8)), format!("{head}tcp prot 80\n      ^^^^"));
        assert_eq!(
            shown("tcp port", Some(8..8)),
            format!("{head}tcp port\n          ^ something is missing here")
        );
        assert_eq!(shown("é\tx\n", Some(3..4)), format!("{head}é x \n    ^"));
        assert_eq!(shown("arp", None), format!("{head}arp"));
    }

    #[test]
    fn numbers_in_files_are_not_all_libpcaps() {
        for (link_type, dlt) in [(1, 1), (101, 12), (12, 12), (113, 113), (276, 276), (0, 0), (100, 11)] {
            assert_eq!(Dlt::of_link_type(link_type), Dlt(dlt));
        }
    }
}
