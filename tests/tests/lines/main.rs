//! The lines of packets, beside those of tcpdump itself.

mod compare;
mod craft;
mod crafted;
mod live;
