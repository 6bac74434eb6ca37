//! What the two ends of a flow send, and when.

mod datagrams;
mod tcp;

pub(crate) use datagrams::Datagrams;
pub(crate) use tcp::Tcp;
