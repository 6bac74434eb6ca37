//! One capture on a node: how it is spoken to, and what is to be said of its end.

use std::collections::VecDeque;

use super::agents::Steer;
use super::place::{Kind, Place};
use crate::cluster::remote::RemoteEnd;
use crate::error::Exit;

/// Lines of a capture's standard error that are kept for the reason of its end.
const KEPT_LINES: usize = 8;

/// How far a capture has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// It has not said anything yet.
    Starting,
    /// It captures.
    Running,
    /// It is over.
    Ended,
}

/// What is to be said of an end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ending {
    /// What is wrong with it; absent for an ordinary one.
    pub(super) fault: Option<String>,
    /// Whether another try would end likewise.
    pub(super) is_final: bool,
}

/// A capture on a node.
pub(super) struct Capture {
    pub(super) node: String,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) state: State,
    /// Another capture has its place, or none is needed any more.
    pub(super) is_superseded: bool,
    /// It was asked to end.
    pub(super) is_stopping: bool,
    /// Why not all of it could be read.
    pub(super) unreadable: Option<String>,
    /// All that it sent was read.
    pub(super) is_read: bool,
    pub(super) end: Option<RemoteEnd>,
    /// What is wrong with its end.
    pub(super) fault: Option<String>,
    control: Box<dyn Steer>,
    said: VecDeque<String>,
}

impl Capture {
    pub(super) fn new(node: &str, place: Place, kind: Kind, control: Box<dyn Steer>) -> Self {
        Self {
            node: node.to_owned(),
            place,
            kind,
            state: State::Starting,
            is_superseded: false,
            is_stopping: false,
            unreadable: None,
            is_read: false,
            end: None,
            fault: None,
            control,
            said: VecDeque::new(),
        }
    }

    /// Takes a line that it said. Returns it for a person.
    pub(super) fn hear(&mut self, line: String) -> String {
        let line = line.strip_prefix("kflow: ").map(str::to_owned).unwrap_or(line);
        let text = format!("{}: {line}", self.node);
        if self.said.len() == KEPT_LINES {
            self.said.pop_front();
        }
        self.said.push_back(line);
        text
    }

    /// Other pods are captured from now on.
    pub(super) fn change(&mut self, place: Place) {
        self.control.tell(place.words(self.kind).join(" "));
        self.place = place;
    }

    /// Notes that nothing more of it is read, and why not all of it could be.
    pub(super) fn read(&mut self, unreadable: Option<String>) {
        if unreadable.is_some() {
            // What is quiet does not notice that nobody reads any more.
            self.control.kill();
        }
        self.unreadable = unreadable;
        self.is_read = true;
    }

    /// Asks it to end.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.control.stop();
    }

    /// Waits for it no longer.
    pub(super) fn kill(&mut self) {
        self.control.kill();
        self.fault.get_or_insert_with(|| {
            "did not come to an end in time: what it had not sent yet is missing".to_owned()
        });
    }

    /// Returns how it ended, once.
    pub(super) fn settle(&mut self, has_begun: bool) -> Option<Ending> {
        if self.state == State::Ended || !self.is_read {
            return None;
        }
        let end = self.end.take()?;
        self.state = State::Ended;
        let fault = self.find_fault(&end, has_begun);
        if self.fault.is_none() {
            self.fault.clone_from(&fault);
        }
        // What it cannot do now, or could not do at all, it cannot do again.
        let refused = end.code.is_some_and(|code| code != i32::from(Exit::Incomplete.code()) && code != 0);
        let is_final = self.is_stopping || self.is_superseded || !has_begun || refused;
        Some(Ending { fault, is_final })
    }

    fn find_fault(&self, end: &RemoteEnd, has_begun: bool) -> Option<String> {
        const COMPLETE: i32 = Exit::Complete.code() as i32;
        // Its loss or its silence: the counters tell.
        const INCOMPLETE: i32 = Exit::Incomplete.code() as i32;
        let said = self.said.back();
        match (end.code, &end.reason) {
            (Some(COMPLETE | INCOMPLETE), _) if self.unreadable.is_some() => self.unreadable.clone(),
            // Nobody waits for it.
            _ if self.is_superseded => None,
            (Some(COMPLETE | INCOMPLETE), _) if self.is_stopping => None,
            (Some(COMPLETE | INCOMPLETE), _) => Some("the capture ended by itself".to_owned()),
            // A reader that gives up drops the connection: then it knows why.
            (_, Some(reason)) => Some(match &self.unreadable {
                Some(why) => format!("{reason} ({why})"),
                None => reason.clone(),
            }),
            (None, None) if !has_begun => Some("it had not begun yet".to_owned()),
            (_, None) if said.is_some() => said.cloned(),
            (Some(code), None) => Some(format!("the capture ended with code {code}")),
            (None, None) => Some("the capture was cut off".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Deaf;

    impl Steer for Deaf {
        fn tell(&self, _: String) {}
        fn stop(&self) {}
        fn kill(&self) {}
    }

    fn ending(end: (Option<i32>, Option<&str>), has_begun: bool, is_stopping: bool) -> Ending {
        let mut capture = Capture::new("kn1", Place::default(), Kind::Links, Box::new(Deaf));
        assert_eq!(capture.hear("kflow: no capability".to_owned()), "kn1: no capability");
        capture.is_read = true;
        capture.is_stopping = is_stopping;
        capture.end = Some(RemoteEnd { code: end.0, reason: end.1.map(str::to_owned) });
        let ending = capture.settle(has_begun).unwrap();
        assert_eq!(capture.settle(has_begun), None, "an end is told once");
        ending
    }

    #[test]
    fn ends_and_what_is_said_of_them() {
        let table = [
            ((Some(0), None), true, true, None, true),
            ((Some(3), None), true, true, None, true),
            ((None, Some("cut")), true, true, Some("cut"), true),
            ((None, None), false, true, Some("it had not begun yet"), true),
            ((Some(0), None), true, false, Some("the capture ended by itself"), false),
            ((None, Some("the connection broke")), true, false, Some("the connection broke"), false),
            ((None, Some("image cannot be pulled")), false, false, Some("image cannot be pulled"), true),
            ((Some(4), None), true, false, Some("no capability"), true),
        ];
        for (end, has_begun, is_stopping, fault, is_final) in table {
            let expected = Ending { fault: fault.map(str::to_owned), is_final };
            assert_eq!(ending(end, has_begun, is_stopping), expected, "{end:?}");
        }
    }

    #[test]
    fn nothing_is_said_before_all_was_read() {
        let mut capture = Capture::new("kn1", Place::default(), Kind::Links, Box::new(Deaf));
        capture.end = Some(RemoteEnd::default());
        assert_eq!(capture.settle(true), None);
        capture.is_read = true;
        assert!(capture.settle(true).is_some());
    }
}
