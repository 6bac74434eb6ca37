//! Moments that nobody chose.

use std::{
    env,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tests::truth::random::Random;

/// The variable that has a run repeat the choices of another.
const SEED: &str = "KFLOW_SEED";

/// Choices from a seed that is printed: a failing test shows it.
pub(crate) fn random(what: &str) -> Random {
    let given = env::var(SEED).ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("{what}: {SEED}={seed}");
    Random(seed)
}

/// Lets up to so much time pass.
pub(crate) fn pass(random: &mut Random, most: Duration) {
    let most = usize::try_from(most.as_micros()).unwrap();
    thread::sleep(Duration::from_micros(random.between(0, most) as u64));
}

/// How long a kflow takes to say that it is ready; it is killed then.
pub(crate) fn start(command: &mut Command, ready: &str) -> Duration {
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let is_ready = lines.any(|line| line.contains(ready));
    let took = begin.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(is_ready, "{command:?} did not become ready");
    took
}
