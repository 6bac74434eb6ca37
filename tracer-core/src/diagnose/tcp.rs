//! What sockets do: listeners with too many waiting, receivers that do not read, buffers without room.

mod buffer;
mod listen;
mod window;

#[cfg(test)]
mod tests;

use super::finding::Rule;

/// Rules about sockets.
pub(super) const RULES: &[Rule] = &[listen::overflow, buffer::full, window::closed];
