//! Writes the seed corpus: `seeds FOLDER`, a folder below it for each target.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use tracer_core_fuzz::{Captured, scripts};

#[path = "../../tests/sample/mod.rs"]
mod sample;

use sample::Sample;

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: seeds FOLDER");
        return ExitCode::from(2);
    };
    match write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seeds: cannot write to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// What is asked and what was answered, as [`tracer_core_fuzz::answers`] reads it: of nodes with kube-proxy's rules and Calico's tunnels.
const ANSWERS: [(&str, &str); 4] = [
    ("service", include_str!("../seeds/answers/service.txt")),
    ("pod", include_str!("../seeds/answers/pod.txt")),
    ("address", include_str!("../seeds/answers/address.txt")),
    ("node", include_str!("../seeds/answers/node.txt")),
];

fn write_all(folder: &Path) -> io::Result<()> {
    let packets = || {
        sample::frames().into_iter().map(|Sample { name, bytes }| {
            let captured = Captured { is_bare: false, missing: 0, gso_size: 2, bytes: &bytes };
            (name, captured.to_bytes())
        })
    };
    let answers = ANSWERS.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    write(&folder.join("answers"), answers.into_iter())?;
    write(&folder.join("decode"), packets())?;
    write(&folder.join("print"), packets())?;
    write(&folder.join("capture"), sample::files().into_iter().map(|Sample { name, bytes }| (name, bytes)))?;
    let scripts = scripts().into_iter().map(|(name, script)| (name.to_owned(), script.to_bytes()));
    write(&folder.join("correlate"), scripts)
}

fn write(folder: &Path, seeds: impl Iterator<Item = (String, Vec<u8>)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    seeds.into_iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}
