//! eBPF instructions with labels in the place of distances (RFC 9669).

/// An instruction as the kernel takes it (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EbpfInstruction {
    code: u8,
    /// Destination register, 0 to 10.
    destination: u8,
    /// Source register.
    source: u8,
    offset: i16,
    immediate: i32,
}

/// A register, r0 to r10.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Register(pub(super) u8);

/// The skb.
pub(super) const CONTEXT: Register = Register(6);
/// The classic machine's accumulator; its upper half is always 0.
pub(super) const A: Register = Register(7);
/// The classic machine's index; its upper half is always 0.
pub(super) const X: Register = Register(8);
/// The packet's first byte.
pub(super) const PACKET: Register = Register(9);
const FRAME: Register = Register(10);

/// Classes, sizes, modes and sources of RFC 9669, 2 and 3.
const LDX: u8 = 0x01;
const STX: u8 = 0x03;
const ALU: u8 = 0x04;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
const MEM: u8 = 0x60;
const DOUBLE: u8 = 0x18;
const FROM_REGISTER: u8 = 0x08;
const MOVE: u8 = 0xb0;
const SWAP: u8 = 0xd0;
const CALL: u8 = 0x80;

/// What is calculated, in 32 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Alu {
    Add = 0x00,
    Subtract = 0x10,
    Multiply = 0x20,
    Divide = 0x30,
    Or = 0x40,
    And = 0x50,
    ShiftLeft = 0x60,
    ShiftRight = 0x70,
    Modulo = 0x90,
    Xor = 0xa0,
}

/// How values are compared, without signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Compare {
    Equal = 0x10,
    Greater = 0x20,
    GreaterOrEqual = 0x30,
    AnySet = 0x40,
    NotEqual = 0x50,
    Less = 0xa0,
}

/// The right side of a calculation or comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Constant(i32),
    Register(Register),
}

/// Bytes that a load or store takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Width {
    Word = 0x00,
    Half = 0x08,
    Byte = 0x10,
}

/// A place in the code that may be still to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Label(usize);

/// Code that is being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    instructions: Vec<EbpfInstruction>,
    /// Where each label is.
    labels: Vec<Option<usize>>,
    /// Jumps whose distance is still to be filled in.
    jumps: Vec<(usize, Label)>,
}

impl EbpfInstruction {
    /// Goes on with the next instruction.
    pub(super) const NEXT: Self = Self { code: JMP, destination: 0, source: 0, offset: 0, immediate: 0 };

    pub(super) const fn move_constant(register: u8, immediate: i32) -> Self {
        Self { code: ALU64 | MOVE, destination: register, source: 0, offset: 0, immediate }
    }

    pub(super) const fn skip_if_zero(register: u8, offset: i16) -> Self {
        Self { code: JMP | Compare::Equal as u8, destination: register, source: 0, offset, immediate: 0 }
    }

    /// The eight bytes on a machine of this byte order.
    pub fn to_le_bytes(self) -> [u8; 8] {
        let mut bytes = [self.code, self.source << 4 | self.destination, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&self.offset.to_le_bytes());
        bytes[4..].copy_from_slice(&self.immediate.to_le_bytes());
        bytes
    }
}

impl Assembler {
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label stands for what comes next.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// The instructions, jumps resolved; absent where one goes too far.
    pub(super) fn finish(mut self) -> Option<Vec<EbpfInstruction>> {
        for (at, label) in self.jumps {
            let target = i64::try_from(self.labels[label.0]?).ok()?;
            let distance = target - i64::try_from(at).ok()? - 1;
            self.instructions[at].offset = i16::try_from(distance).ok()?;
        }
        Some(self.instructions)
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.instructions.push(EbpfInstruction::NEXT);
    }

    /// Compares the lower halves.
    pub(super) fn branch(&mut self, compare: Compare, left: Register, right: Value, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.operation(JMP32 | compare as u8, left, right);
    }

    /// Compares packet pointers.
    pub(super) fn branch_beyond(&mut self, left: Register, right: Register, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.operation(JMP | Compare::Greater as u8, left, Value::Register(right));
    }

    pub(super) fn constant(&mut self, to: Register, constant: i32) {
        self.operation(ALU | MOVE, to, Value::Constant(constant));
    }

    /// All 64 bits, a pointer's as well.
    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.operation(ALU64 | MOVE, to, Value::Register(from));
    }

    /// Moves a pointer.
    pub(super) fn add_pointer(&mut self, pointer: Register, by: Register) {
        self.operation(ALU64 | Alu::Add as u8, pointer, Value::Register(by));
    }

    pub(super) fn add_to_pointer(&mut self, pointer: Register, by: i32) {
        self.operation(ALU64 | Alu::Add as u8, pointer, Value::Constant(by));
    }

    pub(super) fn calculate(&mut self, alu: Alu, to: Register, value: Value) {
        self.operation(ALU | alu as u8, to, value);
    }

    pub(super) fn negate(&mut self, register: Register) {
        self.operation(ALU | 0x80, register, Value::Constant(0));
    }

    /// From network byte order.
    pub(super) fn swap(&mut self, register: Register, width: Width) {
        let bits = match width {
            Width::Byte => return,
            Width::Half => 16,
            Width::Word => 32,
        };
        // To big endian, the flag of which is that of a register.
        self.push(ALU | SWAP | FROM_REGISTER, register, Register(0), 0, bits);
    }

    /// From a pointer's target to a register.
    pub(super) fn load(&mut self, width: Width, to: Register, from: Register, offset: i16) {
        self.push(LDX | MEM | width as u8, to, from, offset, 0);
    }

    pub(super) fn load_word(&mut self, to: Register, from: Register, offset: i16) {
        self.load(Width::Word, to, from, offset);
    }

    /// 64 bits of the stack.
    pub(super) fn restore(&mut self, to: Register, offset: i16) {
        self.push(LDX | MEM | DOUBLE, to, FRAME, offset, 0);
    }

    /// 64 bits to the stack.
    pub(super) fn store(&mut self, offset: i16, from: Register) {
        self.push(STX | MEM | DOUBLE, FRAME, from, offset, 0);
    }

    /// 32 bits of the stack.
    pub(super) fn restore_word(&mut self, to: Register, offset: i16) {
        self.load(Width::Word, to, FRAME, offset);
    }

    /// From the stack, of any width.
    pub(super) fn restore_width(&mut self, width: Width, to: Register, offset: i16) {
        self.load(width, to, FRAME, offset);
    }

    /// 32 bits to the stack.
    pub(super) fn store_word(&mut self, offset: i16, from: Register) {
        self.push(STX | MEM | Width::Word as u8, FRAME, from, offset, 0);
    }

    /// The address of a place on the stack.
    pub(super) fn stack_address(&mut self, to: Register, offset: i16) {
        self.copy(to, FRAME);
        self.add_to_pointer(to, offset.into());
    }

    /// Calls a helper of the kernel; r1 to r5 are lost.
    pub(super) fn call(&mut self, helper: i32) {
        self.push(JMP | CALL, Register(0), Register(0), 0, helper);
    }

    fn operation(&mut self, code: u8, to: Register, value: Value) {
        match value {
            Value::Constant(constant) => self.push(code, to, Register(0), 0, constant),
            Value::Register(from) => self.push(code | FROM_REGISTER, to, from, 0, 0),
        }
    }

    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, immediate: i32) {
        let (destination, source) = (to.0, from.0);
        self.instructions.push(EbpfInstruction { code, destination, source, offset, immediate });
    }
}
