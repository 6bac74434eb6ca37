//! `kflow evidence`, and what `kflow trace` makes of it: verdicts as text, and the archive for a ticket.

mod archive;
mod led;
mod noted;
mod support;
mod verdict;
