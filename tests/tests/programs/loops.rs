//! What the verifiers of old kernels refuse and those of new ones take: only a look at the instructions tells here.

use std::collections::HashMap;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};
use tracer::kernel::object::embedded;

/// Bytes of an instruction.
const SIZE: usize = 8;

/// Where an instruction leads, and whether it may lead back: a plain one may not.
fn edges(code: &[[u8; SIZE]], at: usize) -> Vec<(usize, bool)> {
    const EXIT: u8 = 0x95;
    const JUMP: u8 = 0x05;
    const CALL: u8 = 0x85;
    const LOAD_64: u8 = 0x18;
    let [operation, _, low, high, ..] = code[at];
    let target = || (at + 1).checked_add_signed(i16::from_le_bytes([low, high]).into()).unwrap();
    match operation {
        EXIT => vec![],
        JUMP => vec![(target(), true)],
        LOAD_64 => vec![(at + 2, false)],
        CALL => vec![(at + 1, false)],
        // The classes of jumps in 64 and 32 bits.
        other if matches!(other & 7, 5 | 6) => vec![(at + 1, true), (target(), true)],
        _ => vec![(at + 1, false)],
    }
}

/// Plain instructions that lead back into a loop, as `check_cfg` of Linux 5.10 finds them.
fn back_edges(code: &[[u8; SIZE]]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    // Whether an instruction that was come to is done with.
    let mut is_done: HashMap<usize, bool> = HashMap::from([(0, false)]);
    let mut way = vec![(0, edges(code, 0).into_iter())];
    while let Some((at, rest)) = way.last_mut() {
        let at = *at;
        let Some((next, may_lead_back)) = rest.next() else {
            is_done.insert(at, true);
            way.pop();
            continue;
        };
        match is_done.get(&next) {
            None if next < code.len() => {
                is_done.insert(next, false);
                way.push((next, edges(code, next).into_iter()));
            }
            Some(false) if !may_lead_back => found.push((at, next)),
            _ => {}
        }
    }
    found
}

#[test]
fn loops_are_those_that_old_kernels_take() {
    let file = object::File::parse(embedded()).unwrap();
    let mut functions = 0;
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        let bytes = section.data_range(symbol.address(), symbol.size()).unwrap().unwrap();
        let (code, rest) = bytes.as_chunks::<SIZE>();
        assert!(rest.is_empty());
        assert_eq!(back_edges(code), [], "{}", symbol.name().unwrap());
        functions += 1;
    }
    assert!(functions >= 4, "{functions} functions, both programs and both rooms among them");
}

#[test]
fn plain_instruction_into_a_loop_is_found() {
    const ADD: [u8; SIZE] = [0x07, 1, 0, 0, 1, 0, 0, 0];
    const EXIT: [u8; SIZE] = [0x95, 0, 0, 0, 0, 0, 0, 0];
    let jump = |operation: u8, distance: i16| {
        let [low, high] = distance.to_le_bytes();
        [operation, 1, low, high, 0, 0, 0, 0]
    };
    // if r1 == 0 goto +2; r1 += 1; goto -3; exit
    let in_order = [jump(0x15, 2), ADD, jump(0x05, -3), EXIT];
    assert_eq!(back_edges(&in_order), []);
    // goto +1; r1 += 1; if r1 == 0 goto +1; goto -3; exit: the addition falls into the condition.
    let refused = [jump(0x05, 1), ADD, jump(0x15, 1), jump(0x05, -3), EXIT];
    assert_eq!(back_edges(&refused), [(1, 2)]);
}
