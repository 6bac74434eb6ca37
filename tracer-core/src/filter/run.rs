//! Programs run over packets that are here.

use super::instruction::{Ancillary, Condition, Operand, Operation, Operator, Register, Size, Source};
use super::program::{Program, SLOTS};

/// Jumps backward after which a program has had its time. `protochain` jumps once for each header, and a header has
/// 8 bytes.
const MAX_TURNS: u32 = 1 << 16;

/// A packet and what is known of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FilterInput<'a> {
    /// The bytes that were captured, from the link-layer header on.
    pub data: &'a [u8],
    /// Bytes that the packet had.
    pub original_len: u32,
    /// Ethertype, in host byte order.
    pub protocol: u16,
    /// `linux/if_packet.h`: 0 (`PACKET_HOST`) to us, 4 (`PACKET_OUTGOING`) from us.
    pub packet_type: u8,
    /// Index of the interface.
    pub ifindex: u32,
    /// Tag control information of a VLAN tag that is not in the bytes.
    pub vlan: Option<u16>,
}

/// The end of a program that loads what is not there or divides by zero.
const NO_MATCH: u32 = 0;

impl Program {
    /// How many bytes of the packet are to be kept; 0 where it does not match.
    pub fn run(&self, packet: &FilterInput<'_>) -> u32 {
        Machine { a: 0, x: 0, memory: [0; SLOTS] }.run(self.operations(), packet).unwrap_or(NO_MATCH)
    }
}

struct Machine {
    a: u32,
    x: u32,
    memory: [u32; SLOTS],
}

impl Machine {
    fn run(&mut self, operations: &[Operation], packet: &FilterInput<'_>) -> Option<u32> {
        let (mut at, mut turns) = (0_usize, 0);
        loop {
            let operation = operations.get(at)?;
            at += 1;
            match *operation {
                Operation::Load(Register::A, source) => self.a = self.load(source, packet)?,
                Operation::Load(Register::X, source) => self.x = self.load(source, packet)?,
                Operation::Store(register, slot) => {
                    let value = if register == Register::A { self.a } else { self.x };
                    *self.memory.get_mut(usize::from(slot))? = value;
                }
                Operation::Calculate(operator, operand) => {
                    self.a = calculate(operator, self.a, self.operand(operand))?;
                }
                Operation::Negate => self.a = self.a.wrapping_neg(),
                Operation::Jump(distance) => {
                    turns += u32::from(distance < 0);
                    if turns > MAX_TURNS {
                        return None;
                    }
                    at = at.checked_add_signed(isize::try_from(distance).ok()?)?;
                }
                Operation::Branch { condition, operand, jump_true, jump_false } => {
                    let holds = holds(condition, self.a, self.operand(operand));
                    at += usize::from(if holds { jump_true } else { jump_false });
                }
                Operation::CopyToX => self.x = self.a,
                Operation::CopyToA => self.a = self.x,
                Operation::ReturnConstant(bytes) => return Some(bytes),
                Operation::ReturnA => return Some(self.a),
            }
        }
    }

    fn operand(&self, operand: Operand) -> u32 {
        match operand {
            Operand::Constant(constant) => constant,
            Operand::X => self.x,
        }
    }

    fn load(&self, source: Source, packet: &FilterInput<'_>) -> Option<u32> {
        match source {
            Source::Constant(constant) => Some(constant),
            Source::Absolute(size, offset) => read(packet.data, size, offset as usize),
            Source::Indirect(size, offset) => {
                read(packet.data, size, (self.x as usize).checked_add(offset as usize)?)
            }
            Source::Ancillary(ancillary) => Some(packet.ancillary(ancillary)),
            Source::Length => Some(packet.original_len),
            Source::Memory(slot) => self.memory.get(usize::from(slot)).copied(),
            Source::HeaderLength(offset) => {
                read(packet.data, Size::Byte, offset as usize).map(|byte| (byte & 0xf) << 2)
            }
        }
    }
}

impl FilterInput<'_> {
    fn ancillary(&self, ancillary: Ancillary) -> u32 {
        match ancillary {
            Ancillary::Protocol => self.protocol.into(),
            Ancillary::PacketType => self.packet_type.into(),
            Ancillary::InterfaceIndex => self.ifindex,
            Ancillary::VlanTag => self.vlan.unwrap_or_default().into(),
            Ancillary::VlanTagPresent => self.vlan.is_some().into(),
        }
    }
}

fn read(data: &[u8], size: Size, offset: usize) -> Option<u32> {
    let bytes = data.get(offset..)?;
    match size {
        Size::Byte => bytes.first().map(|byte| u32::from(*byte)),
        Size::Half => bytes.first_chunk().map(|bytes| u16::from_be_bytes(*bytes).into()),
        Size::Word => bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)),
    }
}

fn calculate(operator: Operator, a: u32, operand: u32) -> Option<u32> {
    Some(match operator {
        Operator::Add => a.wrapping_add(operand),
        Operator::Subtract => a.wrapping_sub(operand),
        Operator::Multiply => a.wrapping_mul(operand),
        Operator::Divide => a.checked_div(operand)?,
        Operator::Modulo => a.checked_rem(operand)?,
        Operator::And => a & operand,
        Operator::Or => a | operand,
        Operator::Xor => a ^ operand,
        Operator::ShiftLeft => a.checked_shl(operand).unwrap_or(0),
        Operator::ShiftRight => a.checked_shr(operand).unwrap_or(0),
    })
}

fn holds(condition: Condition, a: u32, operand: u32) -> bool {
    match condition {
        Condition::Equal => a == operand,
        Condition::Greater => a > operand,
        Condition::GreaterOrEqual => a >= operand,
        Condition::AnySet => a & operand != 0,
    }
}
