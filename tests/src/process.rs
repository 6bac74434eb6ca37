//! What a process holds, as proc(5) tells: memory, descriptors, and what it made in the kernel.

use std::{fs, io};

use aya::{maps::MapInfo, programs};

/// What a process holds at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// Resident memory, KiB (`VmRSS`).
    pub resident: u64,
    /// That part of it that is no file's and nobody else's, KiB (`RssAnon`).
    pub anonymous: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Numbers of its eBPF maps.
    pub maps: Vec<u32>,
    /// What these take in the kernel, bytes (`memlock`).
    pub map_bytes: u64,
    /// Numbers of its eBPF programs.
    pub programs: Vec<u32>,
    /// Numbers of its eBPF links, each to one interface and direction, or to a tracepoint.
    pub links: Vec<u32>,
}

impl Held {
    /// Of this process; an error where it is gone.
    pub fn of(process: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let mut held = Self {
            resident: number(&status, "VmRSS:").unwrap_or_default(),
            anonymous: number(&status, "RssAnon:").unwrap_or_default(),
            ..Self::default()
        };
        for entry in fs::read_dir(format!("/proc/{process}/fdinfo"))? {
            held.descriptors += 1;
            // It may be closed meanwhile.
            let Ok(facts) = fs::read_to_string(entry?.path()) else { continue };
            held.add(&facts);
        }
        held.maps.sort_unstable();
        held.programs.sort_unstable();
        held.links.sort_unstable();
        Ok(held)
    }

    /// How many maps, programs and links there are.
    pub fn objects(&self) -> [usize; 3] {
        [self.maps.len(), self.programs.len(), self.links.len()]
    }

    /// Adds what another process, or this one later, holds.
    pub fn remember(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.maps, &other.maps),
            (&mut self.programs, &other.programs),
            (&mut self.links, &other.links),
        ] {
            own.extend(others);
            own.sort_unstable();
            own.dedup();
        }
    }

    /// Those of its maps, programs and links that are still there, whoever holds them now, in words. The kernel gives no
    /// number twice before it has given two thousand million others.
    pub fn left(&self) -> Vec<String> {
        let maps = self.maps.iter().filter(|id| MapInfo::from_id(**id).is_ok());
        let maps = maps.map(|id| format!("map {id}"));
        let programs = programs::loaded_programs().flatten().map(|program| program.id());
        let programs = programs.filter(|id| self.programs.contains(id)).map(|id| format!("program {id}"));
        let links = programs::loaded_links().flatten().map(|link| link.id());
        let links = links.filter(|id| self.links.contains(id)).map(|id| format!("link {id}"));
        maps.chain(programs).chain(links).collect()
    }

    fn add(&mut self, facts: &str) {
        if let Some(id) = id(facts, "map_id:") {
            if !self.maps.contains(&id) {
                self.maps.push(id);
                self.map_bytes += number(facts, "memlock:").unwrap_or_default();
            }
        } else if let Some(id) = id(facts, "link_id:") {
            self.links.push(id);
        } else if let Some(id) = id(facts, "prog_id:")
            && !self.programs.contains(&id)
        {
            self.programs.push(id);
        }
    }
}

fn id(facts: &str, name: &str) -> Option<u32> {
    number(facts, name).and_then(|number| u32::try_from(number).ok())
}

/// The number behind a name at the beginning of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_the_kernel_tell_what_they_are() {
        let mut held = Held::default();
        let map = "pos:\t0\nmap_type:\t27\nmemlock:\t16855040\nmap_id:\t41\n";
        // A link tells its program as well.
        let link = "pos:\t0\nlink_type:\ttcx\nlink_id:\t7\nprog_tag:\t88\nprog_id:\t12\n";
        let program = "pos:\t0\nprog_type:\t3\nmemlock:\t8192\nprog_id:\t12\n";
        for facts in [map, map, link, program, "pos:\t0\nflags:\t02\n"] {
            held.add(facts);
        }
        assert_eq!((held.objects(), held.map_bytes), ([1, 1, 1], 16_855_040));
    }
}
