//! `kflow trace` on the lab, as a user calls it. What it writes is read by tshark, tcpdump and capinfos.

mod bulk;
mod compare;
mod drops;
mod ends;
mod files;
mod refusals;
mod stories;
mod support;
