//! The runner of the conformance suite: reads cases, does them with the public interface, prints what came out.

mod calls;
mod case;
mod outcome;

use std::error::Error;
use std::io::{BufRead, Write};

use case::Case;

/// Threads of the runtime close what a case leaves behind while the next line is awaited.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let asked: serde_json::Value = serde_json::from_str(&line)?;
        let mut answer = match Case::read(&asked) {
            Ok(case) => calls::run(&case).await,
            Err(problem) => outcome::unsupported(&problem),
        };
        answer["case"] = asked["case"].clone();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
