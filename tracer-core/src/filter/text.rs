//! Programs as text: the form of `tcpdump -ddd`, on one line or several.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use thiserror::Error;

use super::instruction::Instruction;
use super::program::{Program, ProgramError};

/// Why a text is no program.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ProgramTextError {
    /// An instruction, or the count before them, is not made of numbers of its size.
    #[error("\"{text}\" is no part of a filter program")]
    Number {
        /// What should be numbers.
        text: String,
        /// Why it is not.
        source: ParseIntError,
    },
    /// An instruction without its four numbers.
    #[error("\"{0}\" is no filter instruction: it needs code, jump if true, jump if false and operand")]
    Fields(String),
    /// The count before the instructions is not theirs.
    #[error("{there} filter instructions, where {announced} were announced")]
    Count {
        /// As announced.
        announced: usize,
        /// How many there are.
        there: usize,
    },
    /// Instructions that are no program.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// The count of the instructions, then `code jt jf k` for each: between them a comma, and in the alternate form
/// (`{:#}`) a newline, as `tcpdump -ddd` has it.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if f.alternate() { '\n' } else { ',' };
        write!(f, "{}", self.instructions().len())?;
        for Instruction { code, jump_true, jump_false, k } in self.instructions() {
            write!(f, "{separator}{code} {jump_true} {jump_false} {k}")?;
        }
        Ok(())
    }
}

/// Of the form that [`Program`] is displayed in, with commas, newlines or both between the instructions.
impl FromStr for Program {
    type Err = ProgramTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
        let announced = number(parts.next().unwrap_or_default())?;
        let instructions = parts.map(instruction).collect::<Result<Box<[Instruction]>, _>>()?;
        if instructions.len() != announced {
            return Err(ProgramTextError::Count { announced, there: instructions.len() });
        }
        Ok(Self::new(instructions)?)
    }
}

fn instruction(text: &str) -> Result<Instruction, ProgramTextError> {
    let mut fields = text.split_whitespace();
    let (Some(code), Some(jump_true), Some(jump_false), Some(k), None) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(ProgramTextError::Fields(text.to_owned()));
    };
    Ok(Instruction {
        code: number(code)?,
        jump_true: number(jump_true)?,
        jump_false: number(jump_false)?,
        k: number(k)?,
    })
}

fn number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, ProgramTextError> {
    text.parse().map_err(|source| ProgramTextError::Number { text: text.to_owned(), source })
}
