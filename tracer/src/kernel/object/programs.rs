//! The two programs of an object.

use std::panic::resume_unwind;
use std::thread;

use aya::Ebpf;
use aya::programs::{Program, SchedClassifier};
use tracer_core::units::Direction;

use super::ObjectError;

/// The loaded programs. What they share with user space was handed out by [`load`].
pub struct Programs(Ebpf);

impl Programs {
    pub(super) const fn new(ebpf: Ebpf) -> Self {
        Self(ebpf)
    }

    /// Hands both programs to the verifier at once, which looks at each for a good tenth of a second.
    pub(super) fn load(&mut self, debug: bool) -> Result<(), ObjectError> {
        let mut both: Vec<(Direction, &mut Program)> = Vec::new();
        for (found, program) in self.0.programs_mut() {
            let direction =
                [Direction::Ingress, Direction::Egress].into_iter().find(|one| name(*one) == found);
            both.extend(direction.map(|direction| (direction, program)));
        }
        thread::scope(|scope| {
            let loading: Vec<_> = both
                .into_iter()
                .map(|(direction, program)| scope.spawn(move || load_one(direction, program, debug)))
                .collect();
            loading.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// The program for a direction.
    pub fn get(&mut self, direction: Direction) -> Result<&mut SchedClassifier, ObjectError> {
        let name = name(direction);
        let program = self.0.program_mut(name).ok_or(ObjectError::Missing(name))?;
        program.try_into().map_err(|source| ObjectError::program(direction, source))
    }
}

fn load_one(direction: Direction, program: &mut Program, debug: bool) -> Result<(), ObjectError> {
    let failed = |source| ObjectError::program(direction, source);
    let program: &mut SchedClassifier = program.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    if debug && let Ok(info) = program.info() {
        let count = info.verified_instruction_count().map_or("?".to_owned(), |count| count.to_string());
        eprintln!("kflow: bpf: {}: the verifier looked at {count} instructions", name(direction));
    }
    Ok(())
}

pub(super) const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "kflow_ingress",
        Direction::Egress => "kflow_egress",
    }
}
