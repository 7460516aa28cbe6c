//! The table, and the JSON that it comes from.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::machine;
use super::settings::{LARGE, Settings};
use crate::support::Result;

/// Whether a goal was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// There is none.
    None,
}

impl Goal {
    /// Met where this is true.
    pub fn from(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::None => "",
        }
    }
}

/// The mean of a few.
pub fn mean(seconds: &[f64]) -> f64 {
    let count: f64 = seconds.iter().map(|_| 1.0).sum();
    seconds.iter().sum::<f64>() / count
}

/// One row: each text as it is shown.
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Of how many integrations.
    pub size: usize,
    /// The figure.
    pub figure: String,
    /// What stands beside it: the limit of the machine, or nothing.
    pub beside: String,
    /// The figure over its limit, or nothing.
    pub ratio: String,
    /// The goal in words.
    pub goal: String,
    /// Whether it was met.
    pub met: Goal,
}

impl Row {
    /// A figure with a goal and nothing beside it.
    pub fn plain(name: &str, size: usize, figure: String, goal: &str, met: Goal) -> Self {
        let (name, goal) = (name.to_owned(), goal.to_owned());
        Self { name, size, figure, beside: String::new(), ratio: String::new(), goal, met }
    }

    /// A time beside that of the bare writes, which is to be at most a quarter more.
    pub fn against_bare(name: &str, size: usize, seconds: f64, bare: f64) -> Self {
        let row = Self::plain(name, size, format!("{seconds:.2} s"), "≤ 1.25", Goal::from(seconds <= 1.25 * bare));
        Self { beside: format!("{bare:.2} s bare writes"), ratio: format!("{:.2}", seconds / bare), ..row }
    }

    fn cells(&self) -> [String; 7] {
        let met = self.met.as_str().to_owned();
        let [name, figure, beside] = [&self.name, &self.figure, &self.beside].map(Clone::clone);
        [name, self.size.to_string(), figure, beside, self.ratio.clone(), self.goal.clone(), met]
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name, "size": self.size, "figure": self.figure, "beside": self.beside, "ratio": self.ratio,
            "goal": self.goal, "met": self.met.as_str(),
        })
    }
}

/// All rows so far.
pub struct Report {
    machine: Value,
    folder: PathBuf,
    rows: Vec<Row>,
}

const HEAD: [&str; 7] = ["scenario", "size", "figure", "beside it", "ratio", "goal", ""];
const WIDTHS: [usize; 7] = [44, 6, 14, 22, 6, 12, 6];

impl Report {
    /// An empty one, for `target/bench`, or a folder in it for another size than the usual one.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn begin(settings: &Settings) -> Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        let folder = if settings.large == LARGE { folder } else { folder.join(settings.large.to_string()) };
        std::fs::create_dir_all(&folder)?;
        Ok(Self { machine: machine::facts(&settings.operator), folder, rows: Vec::new() })
    }

    /// Takes the rows of a scenario, prints them, and writes them to `NAME.json` with all figures that they come from.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, name: &str, rows: Vec<Row>, raw: &Value) -> Result<()> {
        let shown: Vec<Value> = rows.iter().map(Row::json).collect();
        let whole = json!({"scenario": name, "machine": self.machine, "rows": shown, "raw": raw});
        std::fs::write(self.folder.join(format!("{name}.json")), serde_json::to_string_pretty(&whole)?)?;
        for row in &rows {
            println!("{}", line(&row.cells()));
        }
        self.rows.extend(rows);
        Ok(())
    }

    /// Prints the whole table.
    pub fn print(&self) {
        println!("\n{}\n{}", self.machine, line(&HEAD.map(str::to_owned)));
        for row in &self.rows {
            println!("{}", line(&row.cells()));
        }
    }
}

fn line(cells: &[String; 7]) -> String {
    let cells: Vec<String> = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:<width$}")).collect();
    cells.join(" ").trim_end().to_owned()
}
