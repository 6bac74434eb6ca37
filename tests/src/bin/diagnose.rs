//! Faults in the lab, and whether kflow names them: `diagnose [FAULT...] [--variants N] [--jobs N] [--healthy N] [--dry]`.
//!
//! Without words every variant of every fault is injected, and then 1,000 healthy flows are watched.

use std::process::ExitCode;

use clap::Parser;
use tests::{
    Lab,
    faults::{self, FaultError, Judged, Options, Requirements, Table, Variant},
    kflow,
};

/// Inject faults into the lab and compare what kflow says.
#[derive(Parser)]
struct Arguments {
    /// Faults to inject; all without. `healthy` is the flows in which nothing is wrong.
    faults: Vec<String>,
    /// Variants of each fault at most
    #[arg(long)]
    variants: Option<usize>,
    /// Variants whose description has this in it
    #[arg(long)]
    only: Option<String>,
    /// Variants at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Healthy flows to watch
    #[arg(long, default_value_t = 1000)]
    healthy: usize,
    /// Look at what faults do to packets, and leave kflow out
    #[arg(long)]
    dry: bool,
    /// Print the faults and their variants
    #[arg(long)]
    list: bool,
    /// Print what was said of right ones too
    #[arg(long, short)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("\ndiagnose: requirements missed:");
            for line in &missed {
                eprintln!("  {line}");
            }
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("diagnose: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Vec<String>, FaultError> {
    let program = kflow::program();
    let options = Options { program: &program, jobs: arguments.jobs, is_dry: arguments.dry };
    let all = faults::all();
    let is_meant =
        |name: &str| arguments.faults.is_empty() || arguments.faults.iter().any(|word| word == name);
    let is_only = |variant: &Variant| {
        arguments.only.as_ref().is_none_or(|word| variant.label().contains(word.as_str()))
    };
    let chosen: Vec<(&str, &Variant)> = all
        .iter()
        .filter(|fault| is_meant(fault.name))
        .flat_map(|fault| {
            let variants = fault.variants.iter().filter(|variant| is_only(variant));
            variants.take(arguments.variants.unwrap_or(usize::MAX)).map(|variant| (fault.name, variant))
        })
        .collect();
    if arguments.list {
        for (name, variant) in &chosen {
            println!("{name:18} {}", variant.label());
        }
        return Ok(Vec::new());
    }
    Lab::sweep_stale()?;
    let mut table = Table::default();
    let tell = |name: &str, variant: &Variant, judged: &Result<Judged, FaultError>| {
        tell(name, variant, judged, arguments.verbose);
    };
    for (name, judged) in faults::attempt_all(&chosen, options, &tell) {
        table.add(name, &judged);
    }
    table.sort_by_names(&all.iter().map(|fault| fault.name).collect::<Vec<_>>());
    if !chosen.is_empty() {
        println!("\n{table}");
    }
    let mut missed = if chosen.is_empty() { Vec::new() } else { table.missed(Requirements::default()) };
    if is_meant("healthy") {
        missed.extend(healthy(arguments.healthy, options)?);
    }
    Ok(missed)
}

fn tell(name: &str, variant: &Variant, judged: &Result<Judged, FaultError>, is_verbose: bool) {
    let label = variant.label();
    match judged {
        Ok(judged) if judged.place && judged.cause => {
            if is_verbose {
                println!("ok       {name}: {label}\n         said {}", judged.said);
            }
        }
        Ok(judged) => {
            let what = if judged.cause { "hop" } else { "cause" };
            let expected = &variant.expected;
            println!(
                "{what:8} {name}: {label}\n         wanted {:?} at {:?}\n         said {}",
                expected.causes, expected.places, judged.said
            );
        }
        Err(error) => println!("failed   {name}: {label}\n         {error}"),
    }
}

fn healthy(flows: usize, options: Options<'_>) -> Result<Vec<String>, FaultError> {
    let healthy = faults::healthy(flows, options)?;
    println!(
        "healthy: {} flows, {} with a cause, {} not delivered, {} exchanges failed",
        healthy.flows,
        healthy.named.len(),
        healthy.undelivered.len(),
        healthy.failed.len()
    );
    for named in healthy.named.iter().chain(&healthy.undelivered) {
        println!("         {}: {}", named.lab, named.said);
    }
    for failed in &healthy.failed {
        println!("failed   {failed}");
    }
    let is_wrong = !healthy.named.is_empty();
    Ok(is_wrong.then(|| format!("{} healthy flows got a cause", healthy.named.len())).into_iter().collect())
}
