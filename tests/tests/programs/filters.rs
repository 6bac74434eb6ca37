//! Filters of the user as the kernel runs them, beside libpcap's meaning: each translation passes the verifier and
//! answers as the interpreter does, which is held against libpcap's own elsewhere.

use tests::expressions::packets::packets;
use tests::expressions::{TABLE, generate, link};
use tests::truth::random::Random;
use tracer::kernel::interfaces::LinkType;
use tracer::kernel::object::Settings;
use tracer::kernel::room::PacketFilter;
use tracer::libpcap::{Dlt, Libpcap};
use tracer_core::filter::{FilterInput, Program, TagView};

use crate::kernel::{Kernel, settings};

/// Headers that are followed of a chain.
const TURNS: usize = 8;

/// Frames of this link type that the kernel takes for a test run: longer than an Ethernet and an IP header.
fn frames(link: u32) -> Vec<Vec<u8>> {
    const LEAST: usize = 60;
    let frames = packets().into_iter().filter_map(|packet| packet.frame(link));
    frames.filter(|frame| frame.len() >= LEAST).collect()
}

/// The programs of an expression for both kinds of interface, where libpcap makes them.
struct Programs {
    ethernet: Option<Program>,
    ip: Option<Program>,
}

impl Programs {
    fn compile(libpcap: &Libpcap, text: &str) -> Self {
        let compile = |link| {
            let program = libpcap.compile(text, link, 262_144, Some(0)).ok()?;
            Some(program.unrolled(TURNS).unwrap())
        };
        Self { ethernet: compile(Dlt::ETHERNET), ip: compile(Dlt::RAW) }
    }

    fn load(&self) -> Kernel {
        let translate = |program: &Option<Program>| {
            program.as_ref().map(|program| program.translate(TagView::Beside).unwrap())
        };
        let filter =
            PacketFilter { ethernet: translate(&self.ethernet), ip: translate(&self.ip), innermost: false };
        Kernel::with(&Settings { filter: Some(filter), ..settings(64, 64) })
    }
}

/// Runs both over frames; an absent program takes none. Returns how many frames were taken.
fn compare<'a>(
    kernel: &mut Kernel,
    name: &str,
    program: Option<&Program>,
    frames: impl Iterator<Item = &'a [u8]>,
) -> usize {
    let mut taken = 0;
    for frame in frames {
        let original_len = u32::try_from(frame.len()).unwrap();
        let input = FilterInput { data: frame, original_len, ..FilterInput::default() };
        let expected = program.is_some_and(|program| program.run(&input) != 0);
        assert_eq!(kernel.matches(frame), expected, "{name} over {frame:02x?}");
        taken += usize::from(expected);
    }
    taken
}

/// Every second expression of the table, beginning with the first or with the second.
fn half_of_the_table(first: usize) {
    let libpcap = Libpcap::load().unwrap();
    let (ethernet, ip) = (frames(link::ETHERNET), frames(link::RAW));
    let (mut done, mut matching) = (0, 0);
    for expression in TABLE.iter().skip(first).step_by(2) {
        let programs = Programs::compile(&libpcap, expression.text);
        let mut kernel = programs.load();
        let frames = ethernet.iter().map(Vec::as_slice);
        let mut taken = compare(&mut kernel, expression.text, programs.ethernet.as_ref(), frames);
        kernel.start(LinkType::Ip);
        taken += compare(&mut kernel, expression.text, programs.ip.as_ref(), ip.iter().map(Vec::as_slice));
        done += 1;
        matching += usize::from(taken > 0);
    }
    assert!(matching * 10 > done * 8, "{matching} of {done} expressions match anything");
}

#[test]
fn expressions_of_the_table() {
    half_of_the_table(0);
}

#[test]
fn other_expressions_of_the_table() {
    half_of_the_table(1);
}

#[test]
fn expressions_of_the_grammar() {
    const EXPRESSIONS: usize = 50;
    let libpcap = Libpcap::load().unwrap();
    let random = &mut Random(4);
    let (ethernet, ip) = (frames(link::ETHERNET), frames(link::RAW));
    let (mut done, mut taken) = (0, 0);
    while done < EXPRESSIONS {
        let text = generate::expression(random);
        let programs = Programs::compile(&libpcap, &text);
        if programs.ethernet.is_none() && programs.ip.is_none() {
            continue;
        }
        done += 1;
        let mut kernel = programs.load();
        taken += compare(&mut kernel, &text, programs.ethernet.as_ref(), ethernet.iter().map(Vec::as_slice));
        kernel.start(LinkType::Ip);
        taken += compare(&mut kernel, &text, programs.ip.as_ref(), ip.iter().map(Vec::as_slice));
    }
    assert!(taken > EXPRESSIONS * 10, "{taken} packets were taken");
}

#[test]
fn programs_that_no_compiler_makes() {
    const PROGRAMS: usize = 50;
    let random = &mut Random(5);
    let frames = frames(link::ETHERNET);
    let mut taken = 0;
    for _ in 0..PROGRAMS {
        let program = Program::new(generate::instructions(random)).unwrap();
        let programs = Programs { ethernet: Some(program), ip: None };
        let mut kernel = programs.load();
        let name = programs.ethernet.as_ref().unwrap().to_string();
        taken += compare(&mut kernel, &name, programs.ethernet.as_ref(), frames.iter().map(Vec::as_slice));
    }
    assert!(taken > 0);
}
