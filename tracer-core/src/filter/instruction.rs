//! Instructions of classic BPF: four numbers, and what they mean.

/// One instruction as libpcap and the kernel write it (`struct sock_filter`, linux/filter.h).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// Instructions to go past where a condition holds.
    pub jump_true: u8,
    /// Instructions to go past where it does not hold.
    pub jump_false: u8,
    /// The operand: a constant, an offset, a slot, a distance.
    pub k: u32,
}

/// One of the two registers, of 32 bits each. Both are 0 at the beginning.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Register {
    /// The accumulator.
    A,
    /// The index register.
    X,
}

/// Width of a number in a packet, where it stands in network byte order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Size {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

impl Size {
    /// Bytes that it takes: 1, 2 or 4.
    pub fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// What is known of a packet beyond its bytes (`SKF_AD_*`, linux/filter.h).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ancillary {
    /// Ethertype, in host byte order (`SKF_AD_PROTOCOL`).
    Protocol,
    /// `PACKET_HOST` and so on, `linux/if_packet.h` (`SKF_AD_PKTTYPE`).
    PacketType,
    /// Index of the interface (`SKF_AD_IFINDEX`).
    InterfaceIndex,
    /// Tag control information of the VLAN tag that is not in the bytes; 0 without (`SKF_AD_VLAN_TAG`).
    VlanTag,
    /// 1 where there is such a tag, or else 0 (`SKF_AD_VLAN_TAG_PRESENT`).
    VlanTagPresent,
}

/// Where a register is loaded from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Source {
    /// The constant.
    Constant(u32),
    /// Bytes at this offset. The program ends with 0 where one of them was not captured.
    Absolute(Size, u32),
    /// Bytes at X plus this offset, a sum that may have 33 bits. Ends as [`Self::Absolute`].
    Indirect(Size, u32),
    /// What is known beyond the bytes.
    Ancillary(Ancillary),
    /// Length of the packet on the wire.
    Length,
    /// This slot of the memory; slots are 0 at the beginning.
    Memory(u8),
    /// Four times the low four bits of the byte at this offset: the length of an IPv4 header. Ends as
    /// [`Self::Absolute`].
    HeaderLength(u32),
}

/// What A is reckoned with, in 32 bits that wrap around.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operator {
    /// A + operand.
    Add,
    /// A - operand.
    Subtract,
    /// A * operand.
    Multiply,
    /// A / operand. The program ends with 0 where the operand is 0.
    Divide,
    /// A % operand. The program ends with 0 where the operand is 0.
    Modulo,
    /// A & operand.
    And,
    /// A | operand.
    Or,
    /// A ^ operand.
    Xor,
    /// A << operand; 0 where the operand is 32 or more.
    ShiftLeft,
    /// A >> operand, filled with zeros; 0 where the operand is 32 or more.
    ShiftRight,
}

/// How A is compared, without signs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Condition {
    /// A = operand.
    Equal,
    /// A > operand.
    Greater,
    /// A >= operand.
    GreaterOrEqual,
    /// A & operand is not 0.
    AnySet,
}

/// The other side of a calculation or comparison with A.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operand {
    /// The constant.
    Constant(u32),
    /// Register X.
    X,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// Register = source. Of the sources, X takes only constants, memory, length and header length.
    Load(Register, Source),
    /// Memory slot = register.
    Store(Register, u8),
    /// A = A operator operand.
    Calculate(Operator, Operand),
    /// A = -A.
    Negate,
    /// Goes past so many instructions; backward where negative, which only `protochain` does.
    Jump(i32),
    /// Goes past so many instructions.
    Branch {
        /// How A is compared.
        condition: Condition,
        /// What A is compared with.
        operand: Operand,
        /// Instructions to go past where the condition holds.
        jump_true: u8,
        /// Instructions to go past where it does not hold.
        jump_false: u8,
    },
    /// X = A.
    CopyToX,
    /// A = X.
    CopyToA,
    /// Ends with this number of bytes to keep; 0 where the packet does not match.
    ReturnConstant(u32),
    /// Ends with A bytes to keep.
    ReturnA,
}

/// Offsets from here on are no offsets but [`Ancillary`] (`SKF_AD_OFF`).
const ANCILLARY: u32 = 0x1000_u32.wrapping_neg();

impl Instruction {
    /// What it does; absent for codes that the kernel does not know, and for knowledge that we do not have.
    pub fn operation(&self) -> Option<Operation> {
        let k = self.k;
        // The classes of `linux/bpf_common.h`.
        match self.code & 0x07 {
            0x00 => Some(Operation::Load(Register::A, load(self.code, k)?)),
            0x01 => Some(Operation::Load(Register::X, load_index(self.code, k)?)),
            0x02 | 0x03 => store(self.code, k),
            0x04 if self.code == 0x84 => Some(Operation::Negate),
            0x04 => Some(Operation::Calculate(operator(self.code)?, operand(self.code, k))),
            0x05 if self.code == 0x05 => Some(Operation::Jump(k.cast_signed())),
            0x05 => self.branch(),
            0x06 if self.code == 0x06 => Some(Operation::ReturnConstant(k)),
            0x06 if self.code == 0x16 => Some(Operation::ReturnA),
            0x07 if self.code == 0x07 => Some(Operation::CopyToX),
            0x07 if self.code == 0x87 => Some(Operation::CopyToA),
            _ => None,
        }
    }

    fn branch(self) -> Option<Operation> {
        let condition = match self.code & !0x08 {
            0x15 => Condition::Equal,
            0x25 => Condition::Greater,
            0x35 => Condition::GreaterOrEqual,
            0x45 => Condition::AnySet,
            _ => return None,
        };
        let Self { jump_true, jump_false, .. } = self;
        Some(Operation::Branch { condition, operand: operand(self.code, self.k), jump_true, jump_false })
    }
}

fn load(code: u16, k: u32) -> Option<Source> {
    Some(match code {
        0x00 => Source::Constant(k),
        0x20 | 0x28 | 0x30 if k >= ANCILLARY => Source::Ancillary(ancillary(k - ANCILLARY)?),
        0x20 => Source::Absolute(Size::Word, k),
        0x28 => Source::Absolute(Size::Half, k),
        0x30 => Source::Absolute(Size::Byte, k),
        0x40 => Source::Indirect(Size::Word, k),
        0x48 => Source::Indirect(Size::Half, k),
        0x50 => Source::Indirect(Size::Byte, k),
        0x60 => Source::Memory(u8::try_from(k).ok()?),
        0x80 => Source::Length,
        _ => return None,
    })
}

fn load_index(code: u16, k: u32) -> Option<Source> {
    Some(match code {
        0x01 => Source::Constant(k),
        0x61 => Source::Memory(u8::try_from(k).ok()?),
        0x81 => Source::Length,
        0xb1 => Source::HeaderLength(k),
        _ => return None,
    })
}

fn store(code: u16, k: u32) -> Option<Operation> {
    let register = match code {
        0x02 => Register::A,
        0x03 => Register::X,
        _ => return None,
    };
    Some(Operation::Store(register, u8::try_from(k).ok()?))
}

fn ancillary(number: u32) -> Option<Ancillary> {
    Some(match number {
        0 => Ancillary::Protocol,
        4 => Ancillary::PacketType,
        8 => Ancillary::InterfaceIndex,
        44 => Ancillary::VlanTag,
        48 => Ancillary::VlanTagPresent,
        _ => return None,
    })
}

fn operator(code: u16) -> Option<Operator> {
    Some(match code & !0x08 {
        0x04 => Operator::Add,
        0x14 => Operator::Subtract,
        0x24 => Operator::Multiply,
        0x34 => Operator::Divide,
        0x44 => Operator::Or,
        0x54 => Operator::And,
        0x64 => Operator::ShiftLeft,
        0x74 => Operator::ShiftRight,
        0x94 => Operator::Modulo,
        0xa4 => Operator::Xor,
        _ => return None,
    })
}

/// By the bit that tells a register from a constant (`BPF_X`).
fn operand(code: u16, k: u32) -> Operand {
    if code & 0x08 == 0 { Operand::Constant(k) } else { Operand::X }
}
