//! The packets that `kflow capture` writes are those that tcpdump writes, of the same traffic at the same time.
//!
//! Where the two differ, it is because their places in the way of a packet do: tcpdump's tap of a received packet is
//! right before TC's hook, its tap of a sent packet is behind TC's hook, the queue, and what the kernel does for a device
//! that cannot segment or sum by itself (`validate_xmit_skb` in `net/core/dev.c`).

mod compare;
mod filters;
mod inner;
mod interfaces;
mod scene;
mod sum;
mod watch;
mod wire;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Test = Result<(), Error>;
