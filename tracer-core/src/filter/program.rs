//! Programs that are known to be in order.

use thiserror::Error;

use super::instruction::{Instruction, Operand, Operation, Operator, Source};

/// The most that a program may have (`BPF_MAXINSNS`, `linux/bpf_common.h`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Slots of memory (`BPF_MEMWORDS`, linux/filter.h).
pub const SLOTS: usize = 16;

/// A filter program that every interpreter can run: it stays within itself and comes to an end.
///
/// In order is what `bpf_check_classic` (net/core/filter.c) lets pass, but for two things that libpcap compiles
/// and only interprets itself: jumps backward (`protochain`), and memory that is read before it was written.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Program {
    instructions: Box<[Instruction]>,
    operations: Box<[Operation]>,
}

/// Why instructions are no program. Instructions are counted from 0.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ProgramError {
    /// There is none.
    #[error("a filter program needs an instruction")]
    Empty,
    /// There are too many.
    #[error("a filter program of {0} instructions is longer than {MAX_INSTRUCTIONS}")]
    TooLong(usize),
    /// A code that nobody knows, or what is loaded is not known here.
    #[error("filter instruction {at}: unknown operation {code:#04x} with operand {k:#x}")]
    Unknown {
        /// The instruction.
        at: usize,
        /// Its code.
        code: u16,
        /// Its operand.
        k: u32,
    },
    /// A jump out of the program.
    #[error("filter instruction {at} jumps out of the program")]
    Jump {
        /// The instruction.
        at: usize,
    },
    /// A constant by which A cannot be divided or shifted.
    #[error("filter instruction {at} divides by 0 or shifts by more than 31 bits")]
    Operand {
        /// The instruction.
        at: usize,
    },
    /// Memory that there is not.
    #[error("filter instruction {at} uses memory slot {slot} of {SLOTS}")]
    Slot {
        /// The instruction.
        at: usize,
        /// The slot.
        slot: u32,
    },
    /// The last instruction does not end the program.
    #[error("the filter program does not end with a return")]
    NoReturn,
}

impl Program {
    /// Takes instructions that are in order.
    pub fn new(instructions: impl Into<Box<[Instruction]>>) -> Result<Self, ProgramError> {
        let instructions = instructions.into();
        if instructions.len() > MAX_INSTRUCTIONS {
            return Err(ProgramError::TooLong(instructions.len()));
        }
        let operations = instructions
            .iter()
            .enumerate()
            .map(|(at, instruction)| check(at, *instruction, instructions.len()))
            .collect::<Result<Box<[Operation]>, _>>()?;
        match operations.last() {
            None => Err(ProgramError::Empty),
            Some(Operation::ReturnA | Operation::ReturnConstant(_)) => Ok(Self { instructions, operations }),
            Some(_) => Err(ProgramError::NoReturn),
        }
    }

    /// The instructions, at least one.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// What each instruction does.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether it jumps backward, as `protochain` does: the kernel takes no such program.
    pub fn has_loop(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation, Operation::Jump(..0)))
    }

    /// The memory slots that may be read before they were written, the lowest bit for slot 0; all that are read
    /// where there is a loop. The kernel refuses such programs (`check_load_and_stores`, net/core/filter.c).
    pub fn unwritten_slots(&self) -> u16 {
        let has_loop = self.has_loop();
        let mut written_before = vec![u16::MAX; self.operations.len()];
        let (mut written, mut unwritten) = (0, 0);
        for (at, operation) in self.operations.iter().enumerate() {
            written &= written_before[at];
            match *operation {
                Operation::Store(_, slot) => written |= 1 << slot,
                Operation::Load(_, Source::Memory(slot)) if has_loop => unwritten |= 1 << slot,
                Operation::Load(_, Source::Memory(slot)) => unwritten |= (1 << slot) & !written,
                _ => {}
            }
            let [one, other] = targets(at, *operation);
            for target in [one, other].into_iter().flatten() {
                if let Some(before) = written_before.get_mut(target) {
                    *before &= written;
                }
            }
            if one.is_some() || is_end(*operation) {
                // What follows is reached by jumps only.
                written = u16::MAX;
            }
        }
        unwritten
    }
}

/// Whether nothing is run after it.
fn is_end(operation: Operation) -> bool {
    matches!(operation, Operation::ReturnA | Operation::ReturnConstant(_))
}

/// Where it jumps to; one of them at least for each that jumps. Nowhere is beyond all programs.
fn targets(at: usize, operation: Operation) -> [Option<usize>; 2] {
    match operation {
        Operation::Jump(distance) => [Some(target(at, i64::from(distance))), None],
        Operation::Branch { jump_true, jump_false, .. } => {
            [jump_true, jump_false].map(|distance| Some(target(at, i64::from(distance))))
        }
        _ => [None; 2],
    }
}

fn target(at: usize, distance: i64) -> usize {
    let distance = isize::try_from(distance).unwrap_or(isize::MAX);
    (at + 1).checked_add_signed(distance).unwrap_or(usize::MAX)
}

fn check(at: usize, instruction: Instruction, count: usize) -> Result<Operation, ProgramError> {
    let Instruction { code, k, .. } = instruction;
    // The codes that have a slot: ST, STX, and MEM of LD and LDX.
    if matches!(code, 0x02 | 0x03 | 0x60 | 0x61) && k as usize >= SLOTS {
        return Err(ProgramError::Slot { at, slot: k });
    }
    let operation = instruction.operation().ok_or(ProgramError::Unknown { at, code, k })?;
    if targets(at, operation).into_iter().flatten().any(|target| target >= count) {
        return Err(ProgramError::Jump { at });
    }
    match operation {
        Operation::Calculate(Operator::Divide | Operator::Modulo, Operand::Constant(0))
        | Operation::Calculate(Operator::ShiftLeft | Operator::ShiftRight, Operand::Constant(32..)) => {
            Err(ProgramError::Operand { at })
        }
        _ => Ok(operation),
    }
}
