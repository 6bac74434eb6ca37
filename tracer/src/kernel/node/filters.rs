//! TC filters at `clsact` and `ingress` (tc(8), `linux/pkt_cls.h`, `linux/rtnetlink.h`).

use std::collections::BTreeSet;

use tracer_core::evidence::{Missing, Program, ProgramHook};
use tracer_core::way::LinkIndex;

use super::attributes::{each, number};
use super::queues::TCMSG_LEN;
use super::{dump, note};
use crate::kernel::clsact::PREFIX;
use crate::kernel::netlink::{Connection, NetlinkError, attribute, field, text};

const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)` and `TC_H_MIN_EGRESS`.
const PLACES: [(u32, ProgramHook); 2] =
    [(0xffff_fff2, ProgramHook::TcIngress), (0xffff_fff3, ProgramHook::TcEgress)];
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
/// Only a table of filters has one.
const TCA_U32_DIVISOR: u16 = 4;
/// `TCA_GACT_PARMS` and `TCA_MIRRED_PARMS`.
const PARMS: u16 = 2;
/// Offset of the action in `tc_gen`, with which all parameters of actions begin.
const ACTION: usize = 8;
/// Offset of the direction in `struct tc_mirred`, after `tc_gen`; then comes the interface.
const DIRECTION: usize = 20;

/// Lists the filters of these links, in the order in which they are asked.
pub(super) fn read(
    connection: &mut Connection,
    links: &BTreeSet<LinkIndex>,
    missing: &mut Vec<Missing>,
) -> Vec<Program> {
    let mut all = Vec::new();
    for link in links {
        for (parent, hook) in PLACES {
            match of_place(connection, *link, parent, hook) {
                Ok(found) => all.extend(found),
                // `ingress` has no other direction, and a link may go meanwhile.
                Err(NetlinkError::Refused { .. }) => {}
                Err(error) => {
                    note(missing, "filters", &error);
                    return all;
                }
            }
        }
    }
    all
}

fn of_place(
    connection: &mut Connection,
    link: LinkIndex,
    parent: u32,
    hook: ProgramHook,
) -> Result<Vec<Program>, NetlinkError> {
    let mut header = vec![0; 4];
    header.extend(link.0.to_ne_bytes());
    header.extend([0; 4]);
    header.extend(parent.to_ne_bytes());
    header.extend([0; 4]);
    let messages = dump(connection, "list the filters", (RTM_GETTFILTER, RTM_NEWTFILTER), &header)?;
    Ok(messages.filter_map(|message| parse(&message.body, hook)).collect())
}

/// Absent for the heads of lists and tables, which are no filters.
fn parse(body: &[u8], hook: ProgramHook) -> Option<Program> {
    let attributes = body.get(TCMSG_LEN..)?;
    let handle = u32::from_ne_bytes(field(body, 8)?);
    let info = u32::from_ne_bytes(field(body, 16)?);
    let options = attribute(attributes, TCA_OPTIONS).filter(|_| handle != 0)?;
    let kind = text(attributes, TCA_KIND)?;
    if kind == "u32" && attribute(options, TCA_U32_DIVISOR).is_some() {
        return None;
    }
    let is_bpf = kind == "bpf";
    let name = is_bpf.then(|| text(options, TCA_BPF_NAME)).flatten();
    Some(Program {
        link: LinkIndex(u32::from_ne_bytes(field(body, 4)?)),
        hook,
        id: is_bpf.then(|| number(options, TCA_BPF_ID)).flatten(),
        is_own: name.as_deref().is_some_and(|name| name.starts_with(PREFIX)),
        name,
        priority: Some(info >> 16),
        kind: with_actions(kind, options),
    })
}

/// `flower gact drop`: a filter's kind, and what it does.
fn with_actions(kind: String, options: &[u8]) -> String {
    // `TCA_BPF_ACT`, `TCA_BASIC_ACT`, `TCA_FLOWER_ACT`, `TCA_U32_ACT`, `TCA_MATCHALL_ACT`, `TCA_FW_ACT`.
    let list = match kind.as_str() {
        "bpf" => 1,
        "matchall" => 2,
        "basic" | "flower" => 3,
        "fw" => 4,
        "u32" => 7,
        _ => return kind,
    };
    let actions = attribute(options, list).unwrap_or_default();
    each(actions).filter_map(|(_, one)| action(one)).fold(kind, |words, action| format!("{words} {action}"))
}

fn action(attributes: &[u8]) -> Option<String> {
    let kind = text(attributes, TCA_ACT_KIND)?;
    let parameters = attribute(attributes, TCA_ACT_OPTIONS).and_then(|options| attribute(options, PARMS));
    let number = |at| parameters.and_then(|parameters| field(parameters, at)).map(i32::from_ne_bytes);
    let told = match kind.as_str() {
        "gact" => number(ACTION).map(|action| verdict(action).to_owned()),
        "mirred" => number(DIRECTION)
            .zip(number(DIRECTION + 4))
            .and_then(|(direction, link)| Some(format!("{} to index {link}", mirred(direction)?))),
        _ => None,
    };
    Some(told.map_or_else(|| kind.clone(), |told| format!("{kind} {told}")))
}

/// `TC_ACT_*` in the words of tc(8).
const fn verdict(action: i32) -> &'static str {
    match action {
        -1 => "continue",
        0 => "pass",
        1 => "reclassify",
        2 => "drop",
        3 => "pipe",
        4 | 5 => "stolen",
        7 => "redirect",
        8 => "trap",
        _ => "other",
    }
}

/// `TCA_EGRESS_REDIR` and the others.
const fn mirred(direction: i32) -> Option<&'static str> {
    match direction {
        1 => Some("egress redirect"),
        2 => Some("egress mirror"),
        3 => Some("ingress redirect"),
        4 => Some("ingress mirror"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{build, mistreat};
    use super::*;

    fn message(handle: u8, kind: &[u8], options: &[u8]) -> Vec<u8> {
        let header = [0, 0, 0, 0, 5, 0, 0, 0, handle, 0, 0, 0, 0, 0, 0, 0, 0, 3, 49, 0];
        build(&header, &[(TCA_KIND, kind), (TCA_OPTIONS, options)])
    }

    fn act(kind: &[u8], numbers: &[i32]) -> Vec<u8> {
        let parameters: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let options = build(&[], &[(PARMS, &parameters)]);
        build(&[], &[(TCA_ACT_KIND, kind), (TCA_ACT_OPTIONS, &options)])
    }

    #[test]
    fn programs_have_names_and_ids() {
        let options = build(&[], &[(TCA_BPF_NAME, b"cil_from_netdev\0"), (TCA_BPF_ID, &[9, 0, 0, 0])]);
        let body = message(1, b"bpf\0", &options);
        let found = parse(&body, ProgramHook::TcIngress).unwrap();
        assert_eq!(
            (found.link, found.id, found.name.as_deref()),
            (LinkIndex(5), Some(9), Some("cil_from_netdev"))
        );
        assert_eq!((found.kind.as_str(), found.priority, found.is_own), ("bpf", Some(49), false));
        assert_eq!(
            parse(&message(0, b"bpf\0", &options), ProgramHook::TcIngress),
            None,
            "the head of a list"
        );
        let own = build(&[], &[(TCA_BPF_NAME, b"kflow-0123456789abcdef\0")]);
        assert!(parse(&message(1, b"bpf\0", &own), ProgramHook::TcEgress).unwrap().is_own);
        mistreat(&body, |body| parse(body, ProgramHook::TcIngress));
    }

    #[test]
    fn tables_are_no_filters() {
        let table = build(&[], &[(TCA_U32_DIVISOR, &[1, 0, 0, 0])]);
        assert_eq!(parse(&message(1, b"u32\0", &table), ProgramHook::TcIngress), None);
        assert!(parse(&message(1, b"u32\0", &[]), ProgramHook::TcIngress).is_some());
    }

    #[test]
    fn what_filters_do() {
        let drop = act(b"gact\0", &[1, 0, 2, 1, 1]);
        let mirror = act(b"mirred\0", &[1, 0, 3, 1, 1, 2, 7]);
        let mangle = act(b"pedit\0", &[]);
        let actions = build(&[], &[(1, &mangle), (2, &mirror), (3, &drop)]);
        let body = message(1, b"flower\0", &build(&[], &[(3, &actions)]));
        let found = parse(&body, ProgramHook::TcEgress).unwrap();
        assert_eq!(found.kind, "flower pedit mirred egress mirror to index 7 gact drop");
        mistreat(&body, |body| parse(body, ProgramHook::TcEgress));
    }
}
