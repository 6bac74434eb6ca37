//! Events, reports and frames to any writer.

pub mod json;
pub mod line;
pub mod pcapng;
pub mod text;
