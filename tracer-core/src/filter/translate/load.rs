//! Loads of a classic program: of bytes of the packet, and of what is known besides.

use super::super::instruction::{Ancillary, Size, Source};
use super::assembler::{A, Alu, CONTEXT, Compare, PACKET, Register, Value, Width, X};
use super::{PACKET_OUTGOING, TAG, TAG_AT, Translator, memory, skb, stack};

/// `bpf_skb_load_bytes` (linux/bpf.h).
const SKB_LOAD_BYTES: i32 = 26;
/// The farthest that bytes are read where they lie: the verifier takes no offset of 16 bits or more, X and where the
/// packet begins included.
const NEAR: u32 = 0x3fff;
/// The farthest that an index counts: with any constant that is not refused for itself the sum has 32 bits.
const MAX_INDEX: i32 = 0x00ff_ffff;
const MAX_OFFSET: u32 = 0x00ff_ffff;

impl Translator {
    /// Loads A or X.
    pub(super) fn load(&mut self, to: Register, source: Source) {
        match source {
            Source::Constant(constant) => self.code.constant(to, constant.cast_signed()),
            Source::Absolute(size, offset) => self.absolute(to, size, offset),
            Source::Indirect(size, offset) => self.indirect(size, offset),
            Source::Ancillary(ancillary) => self.ancillary(ancillary),
            Source::Length => self.length(to),
            Source::Memory(slot) => self.code.restore_word(to, memory(slot)),
            Source::HeaderLength(offset) => {
                self.absolute(to, Size::Byte, offset);
                self.code.calculate(Alu::And, to, Value::Constant(0xf));
                self.code.calculate(Alu::ShiftLeft, to, Value::Constant(2));
            }
        }
    }

    fn length(&mut self, to: Register) {
        self.code.load_word(to, CONTEXT, skb::LEN);
        self.code.restore(Register(1), stack::ORIGIN);
        self.code.calculate(Alu::Subtract, to, Value::Register(Register(1)));
        if self.is_tagged {
            self.code.calculate(Alu::Add, to, Value::Constant(TAG.cast_signed()));
        }
    }

    fn ancillary(&mut self, ancillary: Ancillary) {
        let code = &mut self.code;
        match ancillary {
            Ancillary::PacketType => {
                let done = code.label();
                code.constant(A, PACKET_OUTGOING);
                code.restore(Register(1), stack::DIRECTION);
                code.branch(Compare::NotEqual, Register(1), Value::Constant(0), done);
                code.load_word(A, CONTEXT, skb::PACKET_TYPE);
                code.bind(done);
            }
            Ancillary::Protocol => {
                code.load_word(A, CONTEXT, skb::PROTOCOL);
                code.swap(A, Width::Half);
            }
            Ancillary::InterfaceIndex => code.load_word(A, CONTEXT, skb::IFINDEX),
            Ancillary::VlanTag => code.load_word(A, CONTEXT, skb::VLAN_TCI),
            Ancillary::VlanTagPresent => code.load_word(A, CONTEXT, skb::VLAN_PRESENT),
        }
    }

    /// Bytes at a constant offset.
    fn absolute(&mut self, to: Register, size: Size, offset: u32) {
        if offset > MAX_OFFSET {
            self.reject();
        } else if !self.is_tagged || offset + size.bytes() <= TAG_AT {
            self.bytes(to, size, offset);
        } else if offset >= TAG_AT + TAG {
            self.bytes(to, size, offset - TAG);
        } else if size == Size::Half && offset == TAG_AT {
            self.tag_protocol(to);
        } else if size == Size::Half && offset == TAG_AT + 2 {
            self.code.load_word(to, CONTEXT, skb::VLAN_TCI);
        } else if size == Size::Byte {
            self.tag_byte(to, offset - TAG_AT);
        } else {
            self.parts(to, size, offset);
        }
    }

    fn tag_protocol(&mut self, to: Register) {
        self.code.load_word(to, CONTEXT, skb::VLAN_PROTOCOL);
        self.code.swap(to, Width::Half);
    }

    fn tag_byte(&mut self, to: Register, number: u32) {
        if number < 2 {
            self.tag_protocol(to);
        } else {
            self.code.load_word(to, CONTEXT, skb::VLAN_TCI);
        }
        if number.is_multiple_of(2) {
            self.code.calculate(Alu::ShiftRight, to, Value::Constant(8));
        }
        self.code.calculate(Alu::And, to, Value::Constant(0xff));
    }

    /// A number that is in part within the tag: byte by byte.
    fn parts(&mut self, to: Register, size: Size, offset: u32) {
        self.code.constant(to, 0);
        self.code.store(stack::PARTS, to);
        for at in offset..offset + size.bytes() {
            self.absolute(to, Size::Byte, at);
            self.code.restore_word(Register(1), stack::PARTS);
            self.code.calculate(Alu::ShiftLeft, Register(1), Value::Constant(8));
            self.code.calculate(Alu::Or, to, Value::Register(Register(1)));
            self.code.store(stack::PARTS, to);
        }
    }

    /// Bytes of the skb at a constant offset: where they lie, or by the helper if they are not in the linear part.
    fn bytes(&mut self, to: Register, size: Size, offset: u32) {
        let (far, done) = (self.code.label(), self.code.label());
        let near = i16::try_from(offset).ok().filter(|_| offset <= NEAR);
        if let Some(near) = near {
            self.code.copy(Register(3), PACKET);
            self.code.add_to_pointer(Register(3), i32::from(near) + size.bytes().cast_signed());
            self.code.restore(Register(4), stack::DATA_END);
            self.code.branch_beyond(Register(3), Register(4), far);
            self.code.load(width(size), to, PACKET, near);
            self.code.jump(done);
        }
        self.code.bind(far);
        self.code.restore(Register(2), stack::ORIGIN);
        self.code.add_to_pointer(Register(2), offset.cast_signed());
        self.by_helper(to, size);
        self.code.bind(done);
        self.code.swap(to, width(size));
    }

    /// Bytes at X plus a constant, into A.
    fn indirect(&mut self, size: Size, offset: u32) {
        if offset > MAX_OFFSET {
            self.reject();
            return;
        }
        let (far, done) = (self.code.label(), self.code.label());
        self.code.copy(Register(1), X);
        let offset = match offset.checked_sub(TAG_AT + TAG) {
            _ if !self.is_tagged => offset,
            Some(behind) => behind + TAG_AT,
            None => {
                self.around_the_tag(size, offset);
                0
            }
        };
        self.code.branch(Compare::Greater, Register(1), Value::Constant(NEAR.cast_signed()), far);
        if let Some(near) = i16::try_from(offset).ok().filter(|_| offset <= NEAR) {
            self.code.copy(Register(2), PACKET);
            self.code.add_pointer(Register(2), Register(1));
            self.code.copy(Register(3), Register(2));
            self.code.add_to_pointer(Register(3), i32::from(near) + size.bytes().cast_signed());
            self.code.restore(Register(4), stack::DATA_END);
            self.code.branch_beyond(Register(3), Register(4), far);
            self.code.load(width(size), A, Register(2), near);
            self.code.jump(done);
        }
        self.code.bind(far);
        self.code.branch(Compare::Greater, Register(1), Value::Constant(MAX_INDEX), self.reject);
        self.code.restore(Register(2), stack::ORIGIN);
        self.code.add_pointer(Register(2), Register(1));
        self.code.add_to_pointer(Register(2), offset.cast_signed());
        self.by_helper(A, size);
        self.code.bind(done);
        self.code.swap(A, width(size));
    }

    /// Makes the index in r1 the offset in the skb of a packet whose tag is beside it. A number that is in part within the
    /// tag, at an offset that is not constant, is taken for none: nobody indexes into a tag.
    fn around_the_tag(&mut self, size: Size, offset: u32) {
        let (behind, done) = (self.code.label(), self.code.label());
        let constant = |constant: u32| Value::Constant(constant.cast_signed());
        self.code.branch(Compare::Greater, Register(1), Value::Constant(MAX_INDEX), self.reject);
        self.code.calculate(Alu::Add, Register(1), constant(offset));
        self.code.branch(Compare::GreaterOrEqual, Register(1), constant(TAG_AT + TAG), behind);
        self.code.branch(Compare::Greater, Register(1), constant(TAG_AT - size.bytes()), self.reject);
        self.code.jump(done);
        self.code.bind(behind);
        self.code.calculate(Alu::Subtract, Register(1), constant(TAG));
        self.code.bind(done);
    }

    /// Bytes at the offset in r2, still in network byte order.
    fn by_helper(&mut self, to: Register, size: Size) {
        self.code.copy(Register(1), CONTEXT);
        self.code.stack_address(Register(3), stack::LOADED);
        self.code.constant(Register(4), size.bytes().cast_signed());
        self.code.call(SKB_LOAD_BYTES);
        self.code.branch(Compare::NotEqual, Register(0), Value::Constant(0), self.reject);
        self.code.restore_width(width(size), to, stack::LOADED);
    }
}

fn width(size: Size) -> Width {
    match size {
        Size::Byte => Width::Byte,
        Size::Half => Width::Half,
        Size::Word => Width::Word,
    }
}
