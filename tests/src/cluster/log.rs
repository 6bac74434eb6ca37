//! What was asked of the double, and when.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::select::Query;

/// One request.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it came.
    pub at: Instant,
    /// Who asked; empty where nobody is known by the token.
    pub user: String,
    /// `GET`, `POST`, ...
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Query, as it came.
    pub query: String,
    /// The answer's status code; 0 while there is none.
    pub status: u16,
}

impl Entry {
    /// Whether it changes something.
    pub fn is_change(&self) -> bool {
        let asks_only = self.method == "GET" || self.path.ends_with("reviews");
        !asks_only && !self.query.contains("dryRun=All")
    }

    /// What an exec calls for; empty for every other request.
    pub fn command(&self) -> Vec<String> {
        Query::parse(&self.query).all("command").map(str::to_owned).collect()
    }
}

/// All requests, in the order in which they came.
#[derive(Default)]
pub(super) struct Log(Mutex<Vec<Entry>>);

impl Log {
    /// Takes a request down; its number, to be told the status of the answer by.
    pub(super) fn begin(&self, entry: Entry) -> usize {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(entry);
        entries.len() - 1
    }

    pub(super) fn end(&self, number: usize, status: u16) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(number) {
            entry.status = status;
        }
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
