//! `kflow capture --drops` beside what really drops packets: rules, routes, settings, sockets. Each drop is told once, with
//! its reason and its namespace, and as often as the rule has counted; of what arrives nothing is told to be lost.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod causes;
mod healthy;
mod line;
mod recorder;
mod traced;

type Tested = Result<(), Box<dyn std::error::Error>>;
