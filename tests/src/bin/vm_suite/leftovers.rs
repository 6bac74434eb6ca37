//! Nothing of kflow stays in the kernel, however it ended.

use std::{collections::BTreeSet, path::Path};

use crate::{
    attaching::filters,
    capture::{Capture, comes, ping, quiet},
    found::{Failure, Found, Known, ensure},
};
use aya::programs::loaded_programs;

/// Programs and filters, for both ways of attaching that the kernel has, after Ctrl-C and after SIGKILL. An empty qdisc
/// stays. Nobody else may load programs meanwhile.
pub(crate) fn detach(kflow: &Path, _: &Known) -> Result<Found, Failure> {
    let ns = quiet("detach")?;
    let before = ids()?;
    for words in [&["--attach", "clsact"][..], &[]] {
        for is_killed in [false, true] {
            let all = [&["-i", "lo", "--drops", "-w", "/dev/null"], words].concat();
            let capture = Capture::running(kflow, &ns, &all)?;
            ensure(ids()?.difference(&before).count() >= 2, || "no program is loaded".to_owned())?;
            ping(&ns, 1)?;
            if is_killed {
                capture.kill()?;
            } else {
                capture.stop()?;
            }
            // What clsact leaves behind a killed capture a second process takes away; the kernel frees programs later.
            let is_gone = comes(|| Ok::<_, Failure>(ids()?.is_subset(&before) && filters(&ns)?.is_empty()))?;
            ensure(is_gone, || {
                let how = if is_killed { "SIGKILL" } else { "Ctrl-C" };
                format!("after {how} of `{}` programs or filters are left", words.join(" "))
            })?;
        }
    }
    Ok(Found::ok("after Ctrl-C and after SIGKILL"))
}

/// Numbers of all programs in the kernel.
fn ids() -> Result<BTreeSet<u32>, Failure> {
    Ok(loaded_programs().map(|program| program.map(|info| info.id())).collect::<Result<_, _>>()?)
}
