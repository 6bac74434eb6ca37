//! Packet filters as libpcap compiles them: classic BPF programs.
//!
//! The machine is that of 4.3BSD (The BSD Packet Filter, USENIX 1993) with Linux's additions
//! (Documentation/networking/filter.rst). Where libpcap's interpreter (`bpf_filter.c`) and the kernel
//! (net/core/filter.c) differ, libpcap's meaning holds here: an offset that a register overflows is beyond the
//! packet, and a shift by 32 bits or more leaves 0.

mod conjuncts;
mod instruction;
mod near;
mod program;
mod run;
mod text;
mod translate;
mod unroll;
mod words;

pub use conjuncts::conjuncts;
pub use instruction::{
    Ancillary, Condition, Instruction, Operand, Operation, Operator, Register, Size, Source,
};
pub use near::{NearMisses, near_misses};
pub use program::{MAX_INSTRUCTIONS, Program, ProgramError, SLOTS};
pub use run::FilterInput;
pub use text::ProgramTextError;
pub use translate::{EbpfInstruction, TagView, TranslateError, Translated};
pub use words::{Word, vlan_matters, words};

#[cfg(test)]
mod tests;
