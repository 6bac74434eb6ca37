//! kflow on a cluster, as a user calls it: a double of an API server, with the lab's nodes behind it. The double itself
//! is checked by the client that kflow uses, and against what a real server was recorded to say.

mod access;
mod capture;
mod changes;
mod client;
mod ends;
mod fates;
mod fidelity;
mod many;
mod old;
mod raw;
mod refusals;
mod support;
mod ways;
