//! Names of the kernel's functions by addresses in them, from `/proc/kallsyms`: for kernels whose programs cannot ask.

use std::fs::File;
use std::io::{BufRead, BufReader};

const KALLSYMS: &str = "/proc/kallsyms";

/// All functions; read when the first is asked for, at the latest.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    table: Option<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Address, and where the name is in `names`.
    starts: Vec<(u64, u32)>,
    /// Names, each ended by a line feed.
    names: String,
}

impl Symbols {
    /// The place of an address as the kernel prints it: `icmp_rcv+0x12`. Absent where the kernel hides addresses.
    pub(super) fn place(&mut self, address: u64) -> Option<String> {
        self.table().place(address)
    }

    /// Reads them now: later the process may not be permitted to see addresses any more.
    pub(super) fn read(&mut self) {
        self.table();
    }

    fn table(&mut self) -> &Table {
        self.table.get_or_insert_with(|| match File::open(KALLSYMS) {
            Ok(file) => Table::read(BufReader::new(file)),
            Err(_) => Table::default(),
        })
    }
}

/// Whether this process sees addresses.
pub(super) fn are_readable() -> bool {
    let Ok(file) = File::open(KALLSYMS) else { return false };
    let first = BufReader::new(file).lines().map_while(Result::ok).take(16);
    first.filter_map(|line| function(&line).map(|(address, _)| address)).any(|address| address != 0)
}

impl Table {
    fn read(mut lines: impl BufRead) -> Self {
        let mut table = Self::default();
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|len| len > 0) {
            if let Some((address, name)) = function(&line).filter(|(address, _)| *address != 0)
                && let Ok(at) = u32::try_from(table.names.len())
            {
                table.starts.push((address, at));
                table.names.push_str(name);
                table.names.push('\n');
            }
            line.clear();
        }
        table.starts.sort_unstable();
        table
    }

    fn place(&self, address: u64) -> Option<String> {
        let after = self.starts.partition_point(|(start, _)| *start <= address);
        let (start, at) = self.starts.get(after.checked_sub(1)?)?;
        let name = self.names.get(*at as usize..)?.lines().next()?;
        Some(format!("{name}+{:#x}", address - start))
    }
}

/// A line of `/proc/kallsyms` that is of code: `ffffffff81000000 T _text [module]`.
fn function(line: &str) -> Option<(u64, &str)> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let kind = words.next()?;
    matches!(kind, "t" | "T" | "w" | "W").then_some((address, words.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_belongs_to_the_function_before_it() {
        let text = "\
            0000000000001000 T first\n0000000000003000 t third [module]\n0000000000002000 t second\n\
            0000000000002800 d data\nnonsense\n";
        let table = Table::read(text.as_bytes());
        let place = |address| table.place(address);
        assert_eq!(place(0x0fff), None);
        assert_eq!(place(0x1010).as_deref(), Some("first+0x10"));
        assert_eq!(place(0x2900).as_deref(), Some("second+0x900"));
        assert_eq!(place(u64::MAX).as_deref(), Some("third+0xffffffffffffcfff"));
    }

    #[test]
    fn hidden_addresses_name_nothing() {
        let table = Table::read("0000000000000000 T first\n0000000000000000 t second\n".as_bytes());
        assert_eq!(table.place(0x1000), None);
    }
}
