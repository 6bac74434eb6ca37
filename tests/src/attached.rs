//! Programs on interfaces, whoever put them there.

use aya::programs::{SchedClassifier, TcAttachType};
use nix::net::if_::if_nameindex;

use crate::{CommandError, Namespace, run};

/// A line per program on any interface of a namespace, by TCX or as a filter.
pub fn within(ns: &Namespace) -> Result<Vec<String>, CommandError> {
    let mut lines = Vec::new();
    for interface in ns.run(interfaces)? {
        let place = format!("{}:{interface}", ns.name());
        lines.extend(ns.run(|| tcx(&interface))?.into_iter().map(|line| format!("{place} {line}")));
        let batch = format!("filter show dev {interface} ingress\nfilter show dev {interface} egress\n");
        match run(ns, "tc", &["-batch", "-"], &batch) {
            Ok(filters) => {
                let programs =
                    filters.lines().filter(|line| line.contains(" bpf ") && line.contains(" handle "));
                lines.extend(programs.map(|line| format!("{place} {line}")));
            }
            // It went meanwhile, and its filters with it.
            Err(_) if !ns.run(interfaces)?.contains(&interface) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}

/// As [`within`], of several.
pub fn within_all<'a>(all: impl IntoIterator<Item = &'a Namespace>) -> Result<Vec<String>, CommandError> {
    let each: Result<Vec<_>, _> = all.into_iter().map(within).collect();
    Ok(each?.concat())
}

fn interfaces() -> Vec<String> {
    let Ok(list) = if_nameindex() else { return Vec::new() };
    list.iter().map(|each| each.name().to_string_lossy().into_owned()).collect()
}

/// The TCX programs of an interface in the thread's namespace; none on a kernel that has no TCX.
fn tcx(interface: &str) -> Vec<String> {
    let sides = [("tcx ingress", TcAttachType::Ingress), ("tcx egress", TcAttachType::Egress)];
    let programs = sides.into_iter().flat_map(|(side, direction)| {
        let programs = SchedClassifier::query_tcx(interface, direction).map(|(_, programs)| programs);
        programs.unwrap_or_default().into_iter().map(move |program| {
            format!("{side} {} {}", program.id(), program.name_as_str().unwrap_or_default())
        })
    });
    programs.collect()
}
