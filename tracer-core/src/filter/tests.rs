use proptest::prelude::*;

use super::*;

fn instruction(code: u16, jump_true: u8, jump_false: u8, k: u32) -> Instruction {
    Instruction { code, jump_true, jump_false, k }
}

const RETURN_A: Instruction = Instruction { code: 0x16, jump_true: 0, jump_false: 0, k: 0 };

/// `ip and tcp port 80`, less what IPv6 and SCTP need, as `tcpdump -ddd` writes it.
const PORT_80: &str = "12\n40 0 0 12\n21 0 9 2048\n48 0 0 23\n21 0 7 6\n40 0 0 20\n69 5 0 8191\n177 0 0 14\n\
                       72 0 0 14\n21 1 0 80\n6 0 0 0\n6 0 0 262144\n6 0 0 0\n";

#[test]
fn programs_are_read_as_they_are_written() {
    let program: Program = PORT_80.parse().unwrap();
    assert_eq!(format!("{program:#}\n"), PORT_80);
    let one_line = PORT_80.trim_end().replace('\n', ",");
    assert_eq!(program.to_string(), one_line);
    for text in [one_line.clone(), format!(" {one_line},\n"), one_line.replace(',', " ,\n ")] {
        assert_eq!(text.parse(), Ok(program.clone()), "{text}");
    }
}

#[test]
fn what_is_no_program_is_told() {
    for (text, expected) in [
        ("", "\"\" is no part of a filter program"),
        ("1", "0 filter instructions, where 1 were announced"),
        (
            "1,6 0 0",
            "\"6 0 0\" is no filter instruction: it needs code, jump if true, jump if false and operand",
        ),
        (
            "1,6 0 0 0 0",
            "\"6 0 0 0 0\" is no filter instruction: it needs code, jump if true, jump if false and operand",
        ),
        ("1,6 256 0 0", "\"256\" is no part of a filter program"),
        ("1,ret 0 0 0", "\"ret\" is no part of a filter program"),
        ("0", "a filter program needs an instruction"),
        ("1,4 0 0 1", "the filter program does not end with a return"),
        ("1,14 0 0 0", "filter instruction 0: unknown operation 0x0e with operand 0x0"),
        // Neither a byte of the packet nor knowledge that we have: SKF_AD_RANDOM.
        (
            "2,32 0 0 4294963256,6 0 0 0",
            "filter instruction 0: unknown operation 0x20 with operand 0xfffff038",
        ),
        ("2,52 0 0 0,6 0 0 0", "filter instruction 0 divides by 0 or shifts by more than 31 bits"),
        ("2,148 0 0 0,6 0 0 0", "filter instruction 0 divides by 0 or shifts by more than 31 bits"),
        ("2,100 0 0 32,6 0 0 0", "filter instruction 0 divides by 0 or shifts by more than 31 bits"),
        ("2,96 0 0 16,6 0 0 0", "filter instruction 0 uses memory slot 16 of 16"),
        ("2,3 0 0 300,6 0 0 0", "filter instruction 0 uses memory slot 300 of 16"),
        ("2,21 0 1 5,6 0 0 0", "filter instruction 0 jumps out of the program"),
        ("2,5 0 0 1,6 0 0 0", "filter instruction 0 jumps out of the program"),
        ("2,5 0 0 4294967294,6 0 0 0", "filter instruction 0 jumps out of the program"),
        ("2,5 0 0 2147483647,6 0 0 0", "filter instruction 0 jumps out of the program"),
    ] {
        assert_eq!(text.parse::<Program>().unwrap_err().to_string(), expected, "{text}");
    }
    let long = vec![RETURN_A; MAX_INSTRUCTIONS + 1];
    assert_eq!(Program::new(long), Err(ProgramError::TooLong(MAX_INSTRUCTIONS + 1)));
    assert!(Program::new(vec![RETURN_A; MAX_INSTRUCTIONS]).is_ok());
}

#[test]
fn every_code_of_the_kernel_is_known_and_no_other() {
    // The table of `chk_code_allowed` (net/core/filter.c).
    let known = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x0c, 0x14, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x3c, 0x40, 0x44,
        0x48, 0x4c, 0x50, 0x54, 0x5c, 0x60, 0x61, 0x64, 0x6c, 0x74, 0x7c, 0x80, 0x81, 0x84, 0x94, 0x9c, 0xa4,
        0xac, 0xb1, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87,
    ];
    for code in 0..=u16::MAX {
        let is_known = instruction(code, 0, 0, 1).operation().is_some();
        assert_eq!(is_known, known.contains(&code), "{code:#x}");
    }
}

/// Loads one thing and returns it.
fn loaded(code: u16, k: u32, input: &FilterInput<'_>) -> u32 {
    Program::new([instruction(code, 0, 0, k), RETURN_A]).unwrap().run(input)
}

#[test]
fn bytes_beyond_what_was_captured_are_no_match() {
    let input = FilterInput { data: &[1, 2, 3, 4, 5], original_len: 99, ..FilterInput::default() };
    for (code, k, expected) in [
        (0x30, 0, 1),
        (0x30, 4, 5),
        (0x30, 5, 0),
        (0x28, 3, 0x0405),
        (0x28, 4, 0),
        (0x20, 1, 0x0203_0405),
        (0x20, 2, 0),
        (0x20, 0x7fff_ffff, 0),
        (0x28, 0xffff_efff, 0),
        (0x80, 0, 99),
        (0x60, 3, 0),
    ] {
        assert_eq!(loaded(code, k, &input), expected, "{code:#x} {k}");
    }
    // X and the offset are added without wrapping around: X is -1 here.
    let program =
        Program::new([instruction(0x01, 0, 0, u32::MAX), instruction(0x50, 0, 0, 2), RETURN_A]).unwrap();
    assert_eq!(program.run(&input), 0);
    let program = Program::new([instruction(0xb1, 0, 0, 2), instruction(0x87, 0, 0, 0), RETURN_A]).unwrap();
    assert_eq!(program.run(&input), 12);
}

#[test]
fn what_is_known_beyond_the_bytes_is_loaded_by_any_width() {
    let input = FilterInput {
        protocol: 0x0800,
        packet_type: 4,
        ifindex: 77,
        vlan: Some(0x2005),
        ..FilterInput::default()
    };
    for (number, expected, without) in [(0, 0x0800, 0), (4, 4, 0), (8, 77, 0), (44, 0x2005, 0), (48, 1, 0)] {
        for code in [0x20, 0x28, 0x30] {
            assert_eq!(loaded(code, 0xffff_f000 + number, &input), expected);
            assert_eq!(loaded(code, 0xffff_f000 + number, &FilterInput::default()), without);
        }
    }
}

#[test]
fn sums_wrap_and_divisions_by_zero_are_no_match() {
    for (code, a, x, expected) in [
        (0x0c, u32::MAX, 3, 2),
        (0x1c, 1, 3, u32::MAX - 1),
        (0x2c, 1 << 31, 3, 1 << 31),
        (0x3c, u32::MAX, 2, u32::MAX / 2),
        (0x3c, 7, 0, 0),
        (0x9c, 7, 4, 3),
        (0x9c, 7, 0, 0),
        (0x6c, 3, 31, 1 << 31),
        (0x6c, 3, 32, 0),
        (0x7c, u32::MAX, 31, 1),
        (0x7c, u32::MAX, 33, 0),
        (0x84, 5, 0, 5_u32.wrapping_neg()),
        (0xac, 0b1100, 0b1010, 0b0110),
    ] {
        let program =
            [instruction(0x00, 0, 0, a), instruction(0x01, 0, 0, x), instruction(code, 0, 0, 0), RETURN_A];
        assert_eq!(
            Program::new(program).unwrap().run(&FilterInput::default()),
            expected,
            "{code:#x} {a} {x}"
        );
    }
}

/// Counts A down to 0: `A = len; do A -= 1 while A > 0; return 9`.
fn countdown() -> Program {
    let back = instruction(0x05, 0, 0, 3_u32.wrapping_neg());
    Program::new([
        instruction(0x80, 0, 0, 0),
        instruction(0x14, 0, 0, 1),
        instruction(0x15, 1, 0, 0),
        back,
        instruction(0x06, 0, 0, 9),
    ])
    .unwrap()
}

#[test]
fn loops_come_to_an_end() {
    let of_len = |original_len| FilterInput { original_len, ..FilterInput::default() };
    let program = countdown();
    assert!(program.has_loop());
    assert_eq!(program.run(&of_len(40_000)), 9);
    // A begins at 0 and would go around all of 32 bits.
    assert_eq!(program.run(&of_len(0)), 0);
}

#[test]
fn an_unrolled_loop_is_the_same_up_to_its_turns() {
    let straight = countdown().unrolled(4).unwrap();
    assert!(!straight.has_loop());
    for original_len in 1..8 {
        let input = FilterInput { original_len, ..FilterInput::default() };
        assert_eq!(straight.run(&input), if original_len <= 5 { 9 } else { 0 }, "{original_len}");
    }
    let program: Program = PORT_80.parse().unwrap();
    assert_eq!(program.unrolled(4), Ok(program));
    assert!(matches!(countdown().unrolled(MAX_INSTRUCTIONS), Err(ProgramError::TooLong(_))));
}

#[test]
fn memory_that_may_be_read_before_it_is_written_is_told() {
    let (store, load) = (|slot| instruction(0x02, 0, 0, slot), |slot| instruction(0x60, 0, 0, slot));
    let branch = |jump_true, jump_false| instruction(0x15, jump_true, jump_false, 0);
    let go = |k| instruction(0x05, 0, 0, k);
    for (body, expected) in [
        (vec![store(3), load(3)], 0),
        (vec![load(3), store(3)], 1 << 3),
        // Written on one way only.
        (vec![branch(0, 1), store(1), load(1)], 1 << 1),
        (vec![branch(0, 2), store(1), go(1), store(1), load(1)], 0),
        // What follows an end is come to from elsewhere only.
        (vec![store(2), branch(1, 0), RETURN_A, load(2)], 0),
        (vec![branch(2, 0), store(2), go(1), load(2)], 1 << 2),
        (vec![go(1), load(15), store(0), load(0)], 0),
    ] {
        let program = Program::new([body, vec![RETURN_A]].concat()).unwrap();
        assert_eq!(program.unwritten_slots(), expected, "{program}");
    }
}

fn any_instruction() -> impl Strategy<Value = Instruction> {
    // Codes and operands that are known more often than by chance.
    let code =
        prop_oneof![0..0x100_u16, prop::sample::select(vec![0x20, 0x30, 0x50, 0x15, 0x05, 0x02, 0x60, 0x06])];
    let k = prop_oneof![0..20_u32, any::<u32>(), 0xffff_f000..=u32::MAX];
    (code, 0..6_u8, 0..6_u8, k).prop_map(|(code, yes, no, k)| instruction(code, yes, no, k))
}

proptest! {
    #[test]
    fn no_instructions_and_bytes_do_harm(
        mut body in prop::collection::vec(any_instruction(), 0..12),
        data in prop::collection::vec(any::<u8>(), 0..64),
        original_len: u32,
    ) {
        body.push(RETURN_A);
        if let Ok(program) = Program::new(body) {
            let input = FilterInput { data: &data, original_len, ..FilterInput::default() };
            let kept = program.run(&input);
            prop_assert_eq!(program.to_string().parse(), Ok(program.clone()));
            let _ = program.unwritten_slots();
            if !program.has_loop() {
                prop_assert_eq!(program.unrolled(3).map(|straight| straight.run(&input)), Ok(kept));
            } else if let Ok(straight) = program.unrolled(3) {
                prop_assert!(!straight.has_loop());
                let _ = straight.run(&input);
            }
        }
    }

    #[test]
    fn no_text_does_harm(text in "[a-z0-9 ,.:()\\[\\]&|!<>=é\n\\\\-]{0,40}") {
        let _ = text.parse::<Program>();
        let _ = vlan_matters(&text);
        for word in words(&text) {
            prop_assert_eq!(&text[word.range()], word.text);
        }
        for part in conjuncts(&text) {
            prop_assert!(text.contains(part));
        }
    }
}
