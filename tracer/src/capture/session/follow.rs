//! Interfaces that are observed: those that are there, those that come, go, and change their names.

use tracer_core::capture::Statistics;

use super::{CaptureFailure, Session};
use crate::capture::points::Point;
use crate::error::chain;
use crate::kernel::attach::AttachError;
use crate::kernel::interfaces::{self, Changes, IfIndex, Link, LinkEvent};
use crate::sink::SinkError;

impl Session {
    /// Attaches to all that is chosen, and tells the reader of the capture so.
    pub(super) fn attach_all(&mut self, links: &[Link]) -> Result<(), CaptureFailure> {
        self.sink.mark()?;
        for link in links {
            if self.chooser.contains(link) {
                self.attach(link)?;
            }
        }
        for point in self.points.iter_mut() {
            self.sink.describe(point)?;
        }
        if let Some(drops) = &mut self.drops {
            drops.describe(&mut self.sink)?;
        }
        // Counters of zero: the reader knows by them that programs are in place on all interfaces described.
        for point in self.points.iter_mut() {
            self.sink.statistics(point, &Statistics::default())?;
        }
        self.sink.flush()?;
        self.say(&format!("capturing on {}{}", self.points, self.chooser));
        Ok(())
    }

    /// Returns whether programs are on the interface now. One that a pattern chose may fail: the summary names it.
    fn attach(&mut self, link: &Link) -> Result<bool, CaptureFailure> {
        let counters_failed = |source| CaptureFailure::Counters { name: link.name.clone(), source };
        let table_failed = |source| CaptureFailure::Table { name: link.name.clone(), source };
        self.table.insert(link.index, link.link_type).map_err(table_failed)?;
        let failure = match self.attacher.attach(&mut self.programs, link) {
            Ok(attachment) => {
                if attachment.behind_another {
                    self.say(&format!(
                        "on {} a program of another owner runs first: packets that it keeps or redirects are not seen",
                        link.name
                    ));
                }
                self.points.insert(Point::new(link.clone(), attachment));
                return Ok(true);
            }
            Err(failure) => failure,
        };
        self.table.remove(link.index).map_err(counters_failed)?;
        match failure {
            AttachError::Vanished { .. } => Ok(false),
            AttachError::Tcx { .. } | AttachError::Clsact { .. } if !self.chooser.names(link) => {
                self.say(&chain(&failure));
                self.unobserved.push(link.name.clone());
                Ok(false)
            }
            failure => Err(failure.into()),
        }
    }

    /// Goes along with what happened to the interfaces.
    pub(super) fn follow(&mut self) -> Result<(), CaptureFailure> {
        match self.watch.changes().map_err(CaptureFailure::Interfaces)? {
            Changes::Events(events) => {
                for event in events {
                    self.go_along(event)?;
                }
                Ok(())
            }
            Changes::Overrun => match self.chooser.pods() {
                Some(pods) => {
                    pods.change();
                    Ok(())
                }
                None => self.reconcile(),
            },
        }
    }

    fn go_along(&mut self, event: LinkEvent) -> Result<(), CaptureFailure> {
        match (event, self.chooser.pods()) {
            (LinkEvent::Present(link), None) => self.present(link),
            (LinkEvent::Gone(index), None) => self.retire(index),
            (LinkEvent::Routed(..), None) => Ok(()),
            // The choice is made anew of all that there is then.
            (LinkEvent::Present(_), Some(pods)) => {
                pods.change();
                Ok(())
            }
            (LinkEvent::Gone(index), Some(pods)) => {
                pods.change();
                self.retire(index)
            }
            (LinkEvent::Routed(network, length), Some(pods)) => {
                pods.change_of_route(network, length);
                Ok(())
            }
        }
    }

    /// Compares what is observed with what there is and what is chosen of it.
    pub(super) fn reconcile(&mut self) -> Result<(), CaptureFailure> {
        let links = interfaces::list().map_err(CaptureFailure::Interfaces)?;
        let is_gone =
            |index: &IfIndex| !links.iter().any(|link| link.index == *index && self.chooser.contains(link));
        let gone: Vec<_> = self.points.indices().into_iter().filter(is_gone).collect();
        // Those that come before those that go: what an address was behind may be named otherwise now.
        for link in links {
            self.present(link)?;
        }
        for index in gone {
            self.retire(index)?;
        }
        Ok(())
    }

    /// An interface is new, or has another name, or something changed that does not matter here.
    fn present(&mut self, link: Link) -> Result<(), CaptureFailure> {
        let chosen = self.chooser.contains(&link);
        match self.points.get_mut(link.index) {
            Some(point) if chosen && point.link.name == link.name => Ok(()),
            Some(_) if chosen => self.rename(link),
            Some(_) => self.retire(link.index),
            None if chosen => self.appear(&link),
            None => Ok(()),
        }
    }

    fn appear(&mut self, link: &Link) -> Result<(), CaptureFailure> {
        if self.attach(link)?
            && let Some(point) = self.points.get_mut(link.index)
        {
            match self.sink.describe(point) {
                Err(error @ SinkError::MixedLinkTypes { .. }) => return self.leave_out(link, &error),
                described => described?,
            }
            self.sink.statistics(point, &Statistics::default())?;
            self.say(&format!("also capturing on {}", link.name));
        }
        Ok(())
    }

    /// An interface that appeared does not fit into the file: the others do.
    fn leave_out(&mut self, link: &Link, error: &SinkError) -> Result<(), CaptureFailure> {
        self.points.remove(link.index);
        let failed = |source| CaptureFailure::Counters { name: link.name.clone(), source };
        self.table.remove(link.index).map_err(failed)?;
        self.say(&format!("not capturing on {}: {}", link.name, chain(error)));
        self.unobserved.push(link.name.clone());
        Ok(())
    }

    /// The file has no way to rename an interface: what comes from now on is of another one.
    fn rename(&mut self, link: Link) -> Result<(), CaptureFailure> {
        while self.drain()? {}
        let counters = self.counters(link.index)?;
        self.tell_final(link.index, &counters)?;
        if let Some(point) = self.points.get_mut(link.index) {
            let from = point.restart(link, counters);
            self.sink.describe(point)?;
            self.sink.statistics(point, &Statistics::default())?;
            let to = point.link.name.clone();
            self.points.note_name(&to);
            self.say(&format!("{} is now {to}", from.name));
        }
        Ok(())
    }

    /// Ends the observation of an interface, be it there or not.
    fn retire(&mut self, index: IfIndex) -> Result<(), CaptureFailure> {
        let Some(point) = self.points.get_mut(index) else { return Ok(()) };
        let name = point.link.name.clone();
        point.attachment = None;
        self.settle(&[index])?;
        let counters = self.counters(index)?;
        self.tell_final(index, &counters)?;
        if let Some(point) = self.points.get(index) {
            self.sink.retire(point);
        }
        self.points.remove(index);
        self.table.remove(index).map_err(|source| CaptureFailure::Counters { name: name.clone(), source })?;
        let is_last = self.points.indices().is_empty();
        let and = if is_last { ", and on no other: waiting for one to come" } else { "" };
        self.say(&format!("no longer capturing on {name}{and}"));
        Ok(())
    }
}
