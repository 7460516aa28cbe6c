//! Writes the files that are generated from the types, and copies of files that stand in two places: `cargo run --example generate`, or `make generate`.
//!
//! A test compares them with what is in the tree, see `tests/api/generated.rs`.
#![allow(clippy::print_stdout)]

mod chart;
mod files;
mod reference;

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, text) in files::all()? {
        let path = root.join(&name);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            println!("{name}: unchanged");
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text)?;
        println!("{name}: written");
    }
    Ok(())
}
