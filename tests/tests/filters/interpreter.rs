//! Our interpreter beside libpcap's own (`bpf_filter`), on the table, on expressions of a grammar, and on programs
//! that no compiler makes.

use tests::expressions::packets::packets;
use tests::expressions::{TABLE, generate, link};
use tests::truth::random::Random;
use tracer::libpcap::{Dlt, Libpcap};
use tracer_core::filter::{FilterInput, Instruction, Program, SLOTS};

/// Headers enough for any packet here.
const TURNS: usize = 16;

/// How often a program said yes and no.
#[derive(Debug, Default)]
struct Answers {
    yes: usize,
    no: usize,
}

/// Runs the program by both over the packet, whole and as it is after some accidents.
fn compare(libpcap: &Libpcap, program: &Program, frame: &[u8], random: &mut Random, answers: &mut Answers) {
    // Loops of long programs may become longer than programs may be.
    let straight = program.unrolled(TURNS).ok();
    let theirs = with_memory(program);
    for data in [frame.to_vec(), generate::mutated(random, frame)] {
        let original_len = u32::try_from(data.len() + random.between(0, 2) * 1000).unwrap();
        let input = FilterInput { data: &data, original_len, ..FilterInput::default() };
        let (ours, theirs) = (program.run(&input), libpcap.run(&theirs, &data, original_len));
        assert_eq!(ours, theirs, "{program} over {data:02x?} of {original_len}");
        if let Some(straight) = &straight {
            assert_eq!(ours, straight.run(&input), "{straight} over {data:02x?} of {original_len}");
        }
        *(if ours == 0 { &mut answers.no } else { &mut answers.yes }) += 1;
    }
}

/// The program with memory that begins as 0: that of libpcap begins with any values, and some programs that it
/// compiles read them.
fn with_memory(program: &Program) -> Program {
    let store = |slot| Instruction { code: 0x02, k: slot, ..Instruction::default() };
    let stores = (0..u32::try_from(SLOTS).unwrap()).map(store);
    Program::new(stores.chain(program.instructions().iter().copied()).collect::<Vec<_>>()).unwrap()
}

#[test]
fn expressions_of_the_table_have_one_answer() {
    let libpcap = Libpcap::load().unwrap();
    let (packets, random) = (packets(), &mut Random(1));
    let mut constant = Vec::new();
    for link in link::ALL {
        let frames: Vec<Vec<u8>> = packets.iter().filter_map(|packet| packet.frame(link)).collect();
        for expression in TABLE.iter().filter(|expression| expression.is_for(link)) {
            let program = libpcap.compile(expression.text, Dlt::of_link_type(link), 96, Some(0)).unwrap();
            let mut answers = Answers::default();
            for frame in &frames {
                compare(&libpcap, &program, frame, random, &mut answers);
            }
            // An expression to which all packets are the same proves nothing.
            if link == link::ETHERNET && (answers.yes == 0 || answers.no == 0) {
                constant.push(expression.text);
            }
        }
    }
    assert_eq!(constant, ["1 = 1"]);
}

#[test]
fn expressions_of_the_grammar_have_one_answer() {
    const EXPRESSIONS: usize = 6000;
    let libpcap = Libpcap::load().unwrap();
    let (packets, random) = (packets(), &mut Random(2));
    let (mut compiled, mut answers) = (0, Answers::default());
    for _ in 0..EXPRESSIONS {
        let text = generate::expression(random);
        let link = link::ALL[random.between(0, link::ALL.len())];
        let Ok(program) = libpcap.compile(&text, Dlt::of_link_type(link), 262_144, Some(0)) else { continue };
        compiled += 1;
        for _ in 0..20 {
            let packet = &packets[random.between(0, packets.len())];
            let Some(frame) = packet.frame(link) else { continue };
            compare(&libpcap, &program, &frame, random, &mut answers);
        }
    }
    assert!(compiled > EXPRESSIONS / 3, "{compiled} of {EXPRESSIONS} expressions were compiled");
    assert!(answers.yes > 10_000 && answers.no > 10_000, "{answers:?}");
}

#[test]
fn programs_that_no_compiler_makes_have_one_answer() {
    const PROGRAMS: usize = 20_000;
    let libpcap = Libpcap::load().unwrap();
    let (packets, random) = (packets(), &mut Random(3));
    let mut answers = Answers::default();
    for _ in 0..PROGRAMS {
        let program = Program::new(generate::instructions(random)).unwrap();
        assert!(!program.has_loop() && program.unwritten_slots() == 0, "{program}");
        assert_eq!(program.to_string().parse::<Program>().as_ref(), Ok(&program));
        let packet = &packets[random.between(0, packets.len())];
        let Some(frame) = packet.frame(link::ETHERNET) else { continue };
        compare(&libpcap, &program, &frame, random, &mut answers);
    }
    assert!(answers.yes > PROGRAMS / 20 && answers.no > PROGRAMS / 20, "{answers:?}");
}
