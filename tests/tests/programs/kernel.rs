//! The programs in the kernel, run on packets without any interface (`BPF_PROG_TEST_RUN`).

use std::time::Duration;

use aya::programs::{TestRun as _, TestRunOptions};
use tracer::kernel::filter::AddressSet;
use tracer::kernel::interfaces::{IfIndex, LinkType};
use tracer::kernel::object::{self, Loaded, RingSize, Settings};
use tracer_common::counters::Counters;
use tracer_common::record::RecordHeader;
use tracer_core::units::{Direction, SnapLength};

/// A test run's packets come in at the loopback interface.
const LOOPBACK: IfIndex = IfIndex(1);
/// `TCX_NEXT`.
const NEXT: u32 = u32::MAX;

pub(crate) const VXLAN_PORT: u16 = 9999;

/// Everything is recorded.
pub(crate) fn settings(snap: u32, ring_kib: u32) -> Settings {
    let snap = SnapLength(snap);
    Settings {
        snap,
        ring: RingSize::at_least(ring_kib, snap),
        interfaces: 1,
        vxlan_port: Some(VXLAN_PORT),
        by_address: false,
        filter: None,
        samples: false,
        wake_each: false,
        debug: false,
        drops: Vec::new(),
    }
}

/// Loaded programs.
pub(crate) struct Kernel(Loaded);

impl Kernel {
    /// With a set of addresses.
    pub(crate) fn load(snap: u32, ring_kib: u32) -> Self {
        Self::with(&Settings { by_address: true, ..settings(snap, ring_kib) })
    }

    pub(crate) fn with(settings: &Settings) -> Self {
        let mut kernel = Self(object::load(settings).unwrap());
        kernel.start(LinkType::Ethernet);
        kernel
    }

    /// Sets the interface's link layer, and its counters to zero.
    pub(crate) fn start(&mut self, link: LinkType) {
        self.0.interfaces.insert(LOOPBACK, link).unwrap();
    }

    pub(crate) fn filter(&mut self, set: AddressSet) {
        self.0.filter.set(set).unwrap();
    }

    /// Hands a packet to a program `repeat` times. Returns the mean time of a run.
    pub(crate) fn run(&mut self, direction: Direction, packet: &[u8], repeat: u32) -> Duration {
        let program = self.0.programs.get(direction).unwrap();
        let options = TestRunOptions { data_in: Some(packet), repeat, ..TestRunOptions::default() };
        let result = program.test_run(options).unwrap();
        assert_eq!(result.return_value, NEXT, "a program must let every packet pass");
        result.duration
    }

    pub(crate) fn counters(&self) -> Counters {
        self.0.interfaces.counters(LOOPBACK).unwrap()
    }

    /// Whether one packet matches.
    pub(crate) fn matches(&mut self, packet: &[u8]) -> bool {
        let before = self.counters();
        self.run(Direction::Ingress, packet, 1);
        let after = self.counters();
        assert_eq!(after.seen, before.seen + 1);
        assert_eq!(after.seen, after.filtered + after.matched());
        self.records();
        after.matched() == before.matched() + 1
    }

    /// Everything in the ring.
    pub(crate) fn records(&mut self) -> Vec<(RecordHeader, Vec<u8>)> {
        let mut records = Vec::new();
        let drained = self.0.ring.drain(usize::MAX, |header, data| {
            records.push((*header, data.to_vec()));
            Ok::<_, std::convert::Infallible>(())
        });
        assert_eq!(drained, Ok(records.len()));
        records
    }
}
