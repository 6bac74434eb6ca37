//! Classic BPF programs as eBPF, to be a function of a TC program.
//!
//! The function gets the skb in r1, the offset of the packet's first byte in it in r2 and the direction in r3 (0 ingress,
//! 1 egress), and leaves 1 or 0 in r0. Bytes are read where they lie if they are in the linear part of the skb, else by
//! `bpf_skb_load_bytes`. Written for the verifier of Linux 5.10.

mod assembler;
mod load;

use thiserror::Error;

use self::assembler::{A, Alu, Assembler, CONTEXT, Compare, Label, PACKET, Register as Place, Value, X};
use super::instruction::{Condition, Operand, Operation, Operator, Register};
use super::program::Program;

pub use self::assembler::EbpfInstruction;

/// `__sk_buff` (linux/bpf.h): offsets of what is read.
mod skb {
    pub(super) const LEN: i16 = 0;
    pub(super) const PACKET_TYPE: i16 = 4;
    pub(super) const PROTOCOL: i16 = 16;
    pub(super) const VLAN_PRESENT: i16 = 20;
    pub(super) const VLAN_TCI: i16 = 24;
    pub(super) const VLAN_PROTOCOL: i16 = 28;
    pub(super) const IFINDEX: i16 = 40;
    pub(super) const DATA: i16 = 76;
    pub(super) const DATA_END: i16 = 80;
}

/// The stack frame: offsets from r10.
mod stack {
    /// The first of 16 slots of 4 bytes.
    pub(super) const MEMORY: i16 = -64;
    pub(super) const DATA_END: i16 = -72;
    pub(super) const ORIGIN: i16 = -80;
    /// What a helper loads.
    pub(super) const LOADED: i16 = -88;
    pub(super) const DIRECTION: i16 = -96;
    /// A number put together of bytes.
    pub(super) const PARTS: i16 = -104;
}

/// The farthest that a packet may begin behind the start of the skb.
const MAX_ORIGIN: i32 = 0x0fff;
/// `PACKET_OUTGOING` (`linux/if_packet.h`): of packets that leave, the kernel marks only the copies for packet sockets.
const PACKET_OUTGOING: i32 = 4;
/// Bytes of a VLAN tag, and where it stands in a frame.
const TAG: u32 = 4;
const TAG_AT: u32 = 12;

/// A translated program, which can be put into a room of instructions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Translated(Vec<EbpfInstruction>);

/// Where a VLAN tag is that the kernel keeps beside the packet's bytes, as far as the program is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TagView {
    /// Beside the bytes: the program sees the packet as if it had no tag, as a packet socket's filter does.
    Beside,
    /// In its place behind the addresses, as in a capture file.
    Inside,
}

/// Why a program has no translation.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TranslateError {
    /// A jump backward (`protochain`): how often cannot be shown to the verifier.
    #[error("the filter has a loop, which the kernel does not take")]
    Loop,
    /// A jump farther than eBPF's 32767 instructions.
    #[error("the filter is too long for the kernel")]
    TooLong,
}

impl Translated {
    /// Instructions.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        // Two go past the rest of the room.
        self.0.len() + 2
    }

    /// Fills a room of so many instructions, whose end the answer falls out of; absent where it is too small.
    ///
    /// What is not needed is jumped over on a condition that always holds: the verifier refuses instructions that
    /// nothing leads to, and removes those that are never come to.
    pub fn in_room(&self, room: usize) -> Option<Vec<EbpfInstruction>> {
        let rest = room.checked_sub(self.len())?;
        let distance = i16::try_from(rest).ok()?;
        let mut instructions = Vec::with_capacity(room);
        instructions.push(EbpfInstruction::move_constant(0, 0));
        instructions.push(EbpfInstruction::skip_if_zero(0, distance));
        instructions.resize(2 + rest, EbpfInstruction::NEXT);
        instructions.extend_from_slice(&self.0);
        Some(instructions)
    }
}

impl Program {
    /// Translates the program.
    pub fn translate(&self, tags: TagView) -> Result<Translated, TranslateError> {
        let mut translator = Translator::new();
        translator.begin(self);
        if tags == TagView::Inside {
            let tagged = translator.code.label();
            translator.code.load_word(Place(1), CONTEXT, skb::VLAN_PRESENT);
            translator.code.branch(Compare::NotEqual, Place(1), Value::Constant(0), tagged);
            translator.body(self, false)?;
            translator.code.bind(tagged);
            translator.body(self, true)?;
        } else {
            translator.body(self, false)?;
        }
        translator.end()
    }
}

/// A translation that is being made.
struct Translator {
    code: Assembler,
    reject: Label,
    end: Label,
    /// Whether the packet has a tag beside it that the program sees inside.
    is_tagged: bool,
}

impl Translator {
    fn new() -> Self {
        let mut code = Assembler::default();
        let (reject, end) = (code.label(), code.label());
        Self { code, reject, end, is_tagged: false }
    }

    /// Registers and the stack as all that follows expects them.
    fn begin(&mut self, program: &Program) {
        let code = &mut self.code;
        code.copy(CONTEXT, Place(1));
        code.branch(Compare::Greater, Place(2), Value::Constant(MAX_ORIGIN), self.reject);
        code.store(stack::ORIGIN, Place(2));
        code.store(stack::DIRECTION, Place(3));
        code.load_word(PACKET, CONTEXT, skb::DATA);
        code.load_word(Place(1), CONTEXT, skb::DATA_END);
        code.store(stack::DATA_END, Place(1));
        code.add_pointer(PACKET, Place(2));
        code.constant(A, 0);
        code.constant(X, 0);
        let unwritten = program.unwritten_slots();
        for slot in (0..16_u8).filter(|slot| unwritten >> slot & 1 != 0) {
            code.store_word(memory(slot), A);
        }
    }

    /// The program once, for packets with a tag to be seen inside or for those without.
    fn body(&mut self, program: &Program, is_tagged: bool) -> Result<(), TranslateError> {
        self.is_tagged = is_tagged;
        let operations = program.operations();
        let reachable = reachable(operations)?;
        let labels: Vec<_> = operations.iter().map(|_| self.code.label()).collect();
        for (at, operation) in operations.iter().enumerate().filter(|(at, _)| reachable[*at]) {
            self.code.bind(labels[at]);
            let target = |distance: usize| labels[at + 1 + distance];
            match *operation {
                Operation::Jump(distance) => self.code.jump(target(distance.unsigned_abs() as usize)),
                Operation::Branch { condition, operand, jump_true, jump_false } => {
                    self.code.branch(compare(condition), A, value(operand), target(jump_true.into()));
                    if jump_false != 0 {
                        self.code.jump(target(jump_false.into()));
                    }
                }
                operation => self.straight(operation),
            }
        }
        Ok(())
    }

    /// An operation after which the next one follows, or none.
    fn straight(&mut self, operation: Operation) {
        match operation {
            Operation::Load(register, source) => self.load(place(register), source),
            Operation::Store(register, slot) => self.code.store_word(memory(slot), place(register)),
            Operation::Calculate(operator, operand) => self.calculate(operator, operand),
            Operation::Negate => self.code.negate(A),
            Operation::CopyToX => self.code.copy(X, A),
            Operation::CopyToA => self.code.copy(A, X),
            Operation::ReturnConstant(0) => self.code.jump(self.reject),
            Operation::ReturnConstant(_) => self.accept(),
            Operation::ReturnA => {
                self.code.branch(Compare::Equal, A, Value::Constant(0), self.reject);
                self.accept();
            }
            Operation::Jump(_) | Operation::Branch { .. } => {}
        }
    }

    fn calculate(&mut self, operator: Operator, operand: Operand) {
        let code = &mut self.code;
        let alu = match operator {
            Operator::Add => Alu::Add,
            Operator::Subtract => Alu::Subtract,
            Operator::Multiply => Alu::Multiply,
            Operator::Divide => Alu::Divide,
            Operator::Modulo => Alu::Modulo,
            Operator::And => Alu::And,
            Operator::Or => Alu::Or,
            Operator::Xor => Alu::Xor,
            Operator::ShiftLeft => Alu::ShiftLeft,
            Operator::ShiftRight => Alu::ShiftRight,
        };
        let value = value(operand);
        match (alu, operand) {
            (Alu::Divide | Alu::Modulo, Operand::X) => {
                code.branch(Compare::Equal, X, Value::Constant(0), self.reject);
                code.calculate(alu, A, value);
            }
            (Alu::ShiftLeft | Alu::ShiftRight, Operand::X) => {
                let (shift, done) = (code.label(), code.label());
                code.branch(Compare::Less, X, Value::Constant(32), shift);
                code.constant(A, 0);
                code.jump(done);
                code.bind(shift);
                code.calculate(alu, A, value);
                code.bind(done);
            }
            _ => code.calculate(alu, A, value),
        }
    }

    fn accept(&mut self) {
        self.code.constant(Place(0), 1);
        self.code.jump(self.end);
    }

    /// Ends with no match, whatever comes; as a condition, so that the verifier finds a way to what follows.
    fn reject(&mut self) {
        self.code.constant(Place(0), 0);
        self.code.branch(Compare::Equal, Place(0), Value::Constant(0), self.reject);
    }

    /// Where all that does not match comes together.
    fn end(mut self) -> Result<Translated, TranslateError> {
        self.code.bind(self.reject);
        self.code.constant(Place(0), 0);
        self.code.bind(self.end);
        self.code.finish().map(Translated).ok_or(TranslateError::TooLong)
    }
}

/// Which operations something leads to: the verifier refuses the others.
fn reachable(operations: &[Operation]) -> Result<Vec<bool>, TranslateError> {
    let mut reachable = vec![false; operations.len()];
    reachable[0] = true;
    for (at, operation) in operations.iter().enumerate() {
        let mut lead = |distance: usize| {
            if reachable[at]
                && let Some(place) = reachable.get_mut(at + 1 + distance)
            {
                *place = true;
            }
        };
        match *operation {
            Operation::Jump(distance) => lead(usize::try_from(distance).map_err(|_| TranslateError::Loop)?),
            Operation::Branch { jump_true, jump_false, .. } => {
                lead(jump_true.into());
                lead(jump_false.into());
            }
            Operation::ReturnConstant(_) | Operation::ReturnA => {}
            _ => lead(0),
        }
    }
    Ok(reachable)
}

fn place(register: Register) -> Place {
    match register {
        Register::A => A,
        Register::X => X,
    }
}

fn memory(slot: u8) -> i16 {
    stack::MEMORY + 4 * i16::from(slot)
}

fn value(operand: Operand) -> Value {
    match operand {
        Operand::Constant(constant) => Value::Constant(constant.cast_signed()),
        Operand::X => Value::Register(X),
    }
}

fn compare(condition: Condition) -> Compare {
    match condition {
        Condition::Equal => Compare::Equal,
        Condition::Greater => Compare::Greater,
        Condition::GreaterOrEqual => Compare::GreaterOrEqual,
        Condition::AnySet => Compare::AnySet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Instruction;

    fn program(text: &str) -> Program {
        text.parse().unwrap()
    }

    #[test]
    fn room_is_filled_to_its_end() {
        let translated = program("1,6 0 0 1").translate(TagView::Beside).unwrap();
        let len = translated.len();
        let room = translated.in_room(len + 5).unwrap();
        assert_eq!(room.len(), len + 5);
        assert_eq!(room[0], EbpfInstruction::move_constant(0, 0));
        assert_eq!(room[1], EbpfInstruction::skip_if_zero(0, 5));
        assert_eq!(room[2..7], [EbpfInstruction::NEXT; 5]);
        assert_eq!(room[7..], translated.0);
        assert_eq!(translated.in_room(len).map(|room| room.len()), Some(len));
        assert_eq!(translated.in_room(len - 1), None);
    }

    #[test]
    fn instructions_are_those_of_the_kernel() {
        // r0 = 7; if r0 == 0 goto +2, as llvm-objdump shows them.
        assert_eq!(EbpfInstruction::move_constant(0, 7).to_le_bytes(), [0xb7, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(EbpfInstruction::skip_if_zero(0, 2).to_le_bytes(), [0x15, 0, 2, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_nothing_leads_to_is_left_out() {
        let end = Instruction { code: 0x06, k: 1, ..Instruction::default() };
        let load = Instruction { code: 0x30, k: 9, ..Instruction::default() };
        let straight = Program::new([end]).unwrap().translate(TagView::Beside).unwrap();
        let with_rest = Program::new([end, load, end]).unwrap().translate(TagView::Beside).unwrap();
        assert_eq!(straight, with_rest);
    }

    #[test]
    fn loops_are_refused() {
        // ja -2, as `protochain` compiles.
        let looping = program("3,48 0 0 9,5 0 0 4294967294,6 0 0 1");
        assert_eq!(looping.translate(TagView::Beside), Err(TranslateError::Loop));
        assert!(looping.unrolled(3).unwrap().translate(TagView::Inside).is_ok());
    }
}
