//! Programs that turn in loops, made straight for machines that know no way back.

use super::instruction::{Instruction, Operation};
use super::program::{Program, ProgramError};

/// What a packet comes to that has more headers than the program has turns.
const NO_MATCH: Instruction = Instruction { code: 0x06, jump_true: 0, jump_false: 0, k: 0 };

impl Program {
    /// The same program without jumps backward, which goes through each loop at most `turns` times: a packet that
    /// needs more does not match. `protochain` turns once for each header that it goes past.
    ///
    /// Fails where it becomes longer than programs may be. A program without loops stays as it is.
    pub fn unrolled(&self, turns: usize) -> Result<Self, ProgramError> {
        if !self.has_loop() {
            return Ok(self.clone());
        }
        let count = self.operations().len();
        let mut instructions = Vec::new();
        for turn in 0..=turns {
            let last = turn == turns;
            instructions
                .extend(self.instructions().iter().map(|instruction| forward(*instruction, count, last)));
        }
        Self::new(reachable(&instructions))
    }
}

/// The instruction, going to the next of the copies where it went back.
fn forward(instruction: Instruction, count: usize, is_last: bool) -> Instruction {
    match instruction.operation() {
        Some(Operation::Jump(..0)) if is_last => NO_MATCH,
        Some(Operation::Jump(..0)) => {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            Instruction { k: instruction.k.wrapping_add(count), ..instruction }
        }
        _ => instruction,
    }
}

/// Those of the instructions, all of which go forward, that can be come to.
fn reachable(instructions: &[Instruction]) -> Vec<Instruction> {
    let mut is_reached = vec![false; instructions.len()];
    is_reached[..1].fill(true);
    for (at, instruction) in instructions.iter().enumerate() {
        if !is_reached[at] {
            continue;
        }
        for target in next(at, *instruction) {
            if let Some(reached) = is_reached.get_mut(target) {
                *reached = true;
            }
        }
    }
    let mut places = Vec::with_capacity(instructions.len());
    let mut place = 0_usize;
    for reached in &is_reached {
        places.push(place);
        place += usize::from(*reached);
    }
    let distance = |from: usize, to: usize| places.get(to).map_or(0, |to| to - places[from] - 1);
    let moved = |(at, instruction): (usize, &Instruction)| {
        let narrow = |past: u8| u8::try_from(distance(at, at + 1 + usize::from(past))).unwrap_or(past);
        let Instruction { code, jump_true, jump_false, k } = *instruction;
        match instruction.operation() {
            Some(Operation::Jump(_)) => {
                let k = u32::try_from(distance(at, at + 1 + k as usize)).unwrap_or(k);
                Instruction { k, ..*instruction }
            }
            Some(Operation::Branch { .. }) => {
                Instruction { code, jump_true: narrow(jump_true), jump_false: narrow(jump_false), k }
            }
            _ => *instruction,
        }
    };
    instructions.iter().enumerate().filter(|(at, _)| is_reached[*at]).map(moved).collect()
}

/// Where it goes from there.
fn next(at: usize, instruction: Instruction) -> Vec<usize> {
    match instruction.operation() {
        Some(Operation::Jump(_)) => vec![at + 1 + instruction.k as usize],
        Some(Operation::Branch { jump_true, jump_false, .. }) => {
            [jump_true, jump_false].map(|past| at + 1 + usize::from(past)).to_vec()
        }
        Some(Operation::ReturnA | Operation::ReturnConstant(_)) | None => Vec::new(),
        Some(_) => vec![at + 1],
    }
}
