//! From what criterion has measured to tables and plots.

mod plot;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

pub use plot::plot;

/// What criterion measured in one group, in the order in which it did.
#[derive(Debug, Default)]
pub struct Group {
    /// The rows.
    pub rows: Vec<Row>,
}

/// One function of a group, by its parameter.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Parameters, each with the median in nanoseconds.
    pub cells: Vec<(String, f64)>,
}

#[derive(Deserialize)]
struct Benchmark {
    function_id: String,
    value_str: Option<String>,
}

#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Group {
    /// Reads a group from criterion's folder of it.
    ///
    /// # Errors
    ///
    /// The folder is not there, or holds something else.
    pub fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut found = Vec::new();
        gather(folder, &mut found)?;
        found.sort_by_key(|(when, ..)| *when);
        let mut group = Self::default();
        for (_, benchmark, median) in found {
            let cell = (benchmark.value_str.unwrap_or_default(), median);
            let name = benchmark.function_id;
            match group.rows.iter_mut().find(|row| row.name == name) {
                Some(row) => row.cells.push(cell),
                None => group.rows.push(Row {
                    name,
                    cells: vec![cell],
                }),
            }
        }
        Ok(group)
    }

    /// All parameters, numbers first and in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for (column, _) in self.rows.iter().flat_map(|row| &row.cells) {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        columns.sort_by_key(|column| column.parse().unwrap_or(u64::MAX));
        columns
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl Row {
    fn cell(&self, column: &str) -> Option<f64> {
        let found = self.cells.iter().find(|(name, _)| name == column);
        found.map(|(_, median)| *median)
    }
}

type Found = (SystemTime, Benchmark, f64);

fn gather(folder: &Path, found: &mut Vec<Found>) -> Result<(), Box<dyn Error>> {
    let benchmark = folder.join("new/benchmark.json");
    if benchmark.exists() {
        let when = fs::metadata(&benchmark)?.modified()?;
        let estimates = fs::read(folder.join("new/estimates.json"))?;
        let estimates: Estimates = serde_json::from_slice(&estimates)?;
        let benchmark = serde_json::from_slice(&fs::read(benchmark)?)?;
        found.push((when, benchmark, estimates.median.point_estimate));
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// A group's medians as Markdown; where a row `beside` has the same column, how many times as long it takes.
#[must_use]
pub fn table(name: &str, group: &Group, beside: &str) -> String {
    let columns = group.columns();
    let mut table = format!("| {name} |");
    for column in &columns {
        table += &format!(" {} |", if column.is_empty() { "median" } else { *column });
    }
    table += &format!("\n|---|{}\n", "---|".repeat(columns.len()));
    for row in &group.rows {
        table += &format!("| {} |", row.name);
        for column in &columns {
            let base = group.row(beside).and_then(|base| base.cell(column));
            let cell = match (row.cell(column), base) {
                (None, _) => String::new(),
                (Some(median), Some(base)) if row.name != beside => {
                    format!("{} ({:.2} ×)", time(median), median / base)
                }
                (Some(median), _) => time(median),
            };
            table += &format!(" {cell} |");
        }
        table += "\n";
    }
    table
}

/// Nanoseconds, with three digits that count.
fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let digits = match value {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let row = |name: &str, cells: &[(&str, f64)]| Row {
            name: name.to_owned(),
            cells: cells.iter().map(|(c, m)| ((*c).to_owned(), *m)).collect(),
        };
        Group {
            rows: vec![
                row("ours", &[("10", 1_500.0), ("1", 1_000.0), ("100", 1_234.5)]),
                row("theirs", &[("1", 3_100.0), ("100", 2.5e6)]),
            ],
        }
    }

    #[test]
    fn a_table_has_columns_in_order_and_compares_with_the_row_it_is_told() {
        assert_eq!(
            table("command", &group(), "ours"),
            "| command | 1 | 10 | 100 |\n\
             |---|---|---|---|\n\
             | ours | 1.00 µs | 1.50 µs | 1.23 µs |\n\
             | theirs | 3.10 µs (3.10 ×) |  | 2.50 ms (2025.11 ×) |\n"
        );
    }

    #[test]
    fn a_plot_has_a_line_for_each_row_and_needs_three_numbers() {
        let svg = plot("command", &group()).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains(">ours<") && svg.contains(">theirs<"));
        let mut few = group();
        few.rows[0].cells.truncate(2);
        few.rows.truncate(1);
        assert_eq!(plot("command", &few), None);
    }
}
