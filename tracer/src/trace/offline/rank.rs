//! Which flows are worth looking at first, where every flow was asked for.

use std::cmp::Reverse;

use tracer_core::report::FlowReport;

/// Sorts flows: most packets lost first, then most packets, then the one that appeared first.
pub(super) fn rank(flows: &mut [FlowReport]) {
    flows.sort_by_cached_key(|flow| (Reverse(lost(flow)), Reverse(packets(flow)), flow.flow));
}

/// Packets of which it is certain that they were lost.
fn lost(flow: &FlowReport) -> u64 {
    let stops = flow.forward.stopped.iter().chain(&flow.reply.stopped);
    stops.filter(|stop| stop.uncertain.is_none()).map(|stop| stop.packets).sum()
}

fn packets(flow: &FlowReport) -> u64 {
    flow.forward.packets + flow.reply.packets
}
