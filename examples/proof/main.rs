//! The table at the end of `make prove`: what each part has shown, as it wrote it to `target/proof`. It ends with 1 where a
//! part is missing or has found a violation.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;

use serde::Deserialize;

/// The parts, in the order in which they run; one that has written nothing has not come to its end.
const PARTS: [&str; 6] = ["model", "apiserver", "mutants", "faults", "partner-faults", "generated"];

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "part")]
    name: String,
    figures: Vec<Figure>,
    violations: u64,
    seconds: u64,
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    figure: u64,
}

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/proof");
    let mut good = true;
    println!("{:<15} {:>10} {:>8}  shown", "part", "violations", "time");
    for name in PARTS {
        match read(&folder, name) {
            Ok(part) => {
                good &= part.violations == 0;
                println!("{}", row(&part));
            }
            Err(error) => {
                good = false;
                println!("{name:<15} {:>10} {:>8}  did not come to its end: {error}", "?", "-");
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(folder: &Path, name: &str) -> Result<Part, String> {
    let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn row(part: &Part) -> String {
    let shown: Vec<String> =
        part.figures.iter().map(|shown| format!("{} {}", grouped(shown.figure), shown.name)).collect();
    let time = format!("{}:{:02}", part.seconds / 60, part.seconds % 60);
    format!("{:<15} {:>10} {time:>8}  {}", part.name, part.violations, shown.join(", "))
}

/// With a comma between thousands.
fn grouped(figure: u64) -> String {
    let digits = figure.to_string();
    let (length, mut text) = (digits.len(), String::new());
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (length - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
