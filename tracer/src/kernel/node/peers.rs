//! The namespaces that far ends of pairs are in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use super::links::Links;
use crate::kernel::inventory;
use crate::kernel::netlink::Connection;

/// Writes down the inodes of those that are among the candidates.
pub(super) fn find(
    connection: &mut Connection,
    links: &mut Links,
    candidates: impl Iterator<Item = (u64, File)>,
) {
    let wanted: BTreeSet<i32> = links.elsewhere.values().copied().collect();
    let mut found = BTreeMap::new();
    for (inode, file) in candidates {
        if found.len() == wanted.len() {
            break;
        }
        let number = inventory::number(connection, &file);
        found.extend(number.filter(|number| wanted.contains(number)).map(|number| (number, inode)));
    }
    for link in &mut links.all {
        link.peer_netns = links.elsewhere.get(&link.index).and_then(|number| found.get(number)).copied();
    }
}
