//! The programs of an object.

use std::panic::resume_unwind;
use std::thread;

use aya::Ebpf;
use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::{Program, ProgramError, ProgramInfo, RawTracePoint, SchedClassifier};
use tracer_core::units::Direction;

use super::ObjectError;

/// The program that sees drops.
const DROP: &str = "kflow_drop";
/// The tracepoint that it is for (`skb:kfree_skb`).
const TRACEPOINT: &str = "kfree_skb";

/// The loaded programs. What they share with user space was handed out by [`load`].
///
/// [`load`]: super::load
pub struct Programs {
    ebpf: Ebpf,
    /// Why the program that sees drops is not loaded, where it was to be.
    refused: Option<ObjectError>,
}

/// The program that sees drops, at its tracepoint as long as this is kept.
#[expect(dead_code, reason = "what is dropped with it matters")]
pub struct DropsGuard(RawTracePointLink);

impl Programs {
    pub(super) const fn new(ebpf: Ebpf) -> Self {
        Self { ebpf, refused: None }
    }

    /// Hands the programs to the verifier at once, which looks at each for a good tenth of a second. That the one for drops
    /// is refused is told where it is to be attached.
    pub(super) fn load(&mut self, debug: bool, drops: bool) -> Result<(), ObjectError> {
        let mut all: Vec<(&'static str, &mut Program)> = Vec::new();
        for (found, program) in self.ebpf.programs_mut() {
            let names = [name(Direction::Ingress), name(Direction::Egress), DROP];
            let name = names.into_iter().find(|name| *name == found && (drops || *name != DROP));
            all.extend(name.map(|name| (name, program)));
        }
        let loaded = thread::scope(|scope| {
            let load = |(name, program)| (name, scope.spawn(move || load_one(name, program, debug)));
            let loading: Vec<_> = all.into_iter().map(load).collect();
            let joined = loading.into_iter().map(|(name, one)| (name, one.join()));
            joined
                .map(|(name, one)| (name, one.unwrap_or_else(|panic| resume_unwind(panic))))
                .collect::<Vec<_>>()
        });
        for (name, outcome) in loaded {
            match outcome {
                Err(refused) if name == DROP => self.refused = Some(refused),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// The program for a direction.
    pub fn get(&mut self, direction: Direction) -> Result<&mut SchedClassifier, ObjectError> {
        let name = name(direction);
        let program = self.ebpf.program_mut(name).ok_or(ObjectError::Missing(name))?;
        program.try_into().map_err(|source| ObjectError::program(name, source))
    }

    /// Begins to see drops, on the whole machine.
    pub fn watch_drops(&mut self) -> Result<DropsGuard, ObjectError> {
        if let Some(refused) = self.refused.take() {
            return Err(refused);
        }
        let failed = |source| ObjectError::program(DROP, source);
        let program = self.ebpf.program_mut(DROP).ok_or(ObjectError::Missing(DROP))?;
        let program: &mut RawTracePoint = program.try_into().map_err(failed)?;
        let link = program.attach(TRACEPOINT).map_err(failed)?;
        program.take_link(link).map(DropsGuard).map_err(failed)
    }
}

fn load_one(name: &'static str, program: &mut Program, debug: bool) -> Result<(), ObjectError> {
    let info = load(program).map_err(|source| ObjectError::program(name, source))?;
    if debug && let Some(info) = info {
        let count = info.verified_instruction_count().map_or("?".to_owned(), |count| count.to_string());
        say!("kflow: bpf: {name}: the verifier looked at {count} instructions");
    }
    Ok(())
}

fn load(program: &mut Program) -> Result<Option<ProgramInfo>, ProgramError> {
    if let Program::RawTracePoint(program) = program {
        program.load()?;
        return Ok(program.info().ok());
    }
    let program: &mut SchedClassifier = program.try_into()?;
    program.load()?;
    Ok(program.info().ok())
}

const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "kflow_ingress",
        Direction::Egress => "kflow_egress",
    }
}
