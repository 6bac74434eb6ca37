//! The table of expressions is what it says of itself.

use std::collections::BTreeSet;

use tests::expressions::{LIVE, TABLE, link};
use tracer::libpcap::{Dlt, Libpcap};

#[test]
fn expressions_are_compiled_for_their_link_types_only() {
    let libpcap = Libpcap::load().unwrap();
    let texts: BTreeSet<&str> = TABLE.iter().map(|expression| expression.text).collect();
    assert!(texts.len() == TABLE.len() && TABLE.len() >= 80, "{} expressions", TABLE.len());
    for expression in TABLE {
        for link in link::ALL {
            let compiled = libpcap.compile(expression.text, Dlt::of_link_type(link), 96, Some(0));
            assert_eq!(
                compiled.is_ok(),
                expression.is_for(link),
                "{}, {link}: {compiled:?}",
                expression.text
            );
        }
    }
    for text in LIVE {
        libpcap.compile(text, Dlt::ETHERNET, 96, None).unwrap();
    }
}

#[test]
fn programs_are_those_of_tcpdump() {
    let libpcap = Libpcap::load().unwrap();
    assert!(libpcap.version().starts_with("libpcap version "), "{}", libpcap.version());
    let program = libpcap.compile("ip and tcp port 80", Dlt::ETHERNET, 96, None).unwrap();
    let again: tracer_core::filter::Program = format!("{program:#}").parse().unwrap();
    assert_eq!(program, again);
    assert_eq!(program.to_string().parse(), Ok(program));
}
