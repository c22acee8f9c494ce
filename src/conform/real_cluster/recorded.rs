//! The tables of a recording, and the objects of its cases.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde_json::Value;

use crate::recording::unpacked;

/// A folder of recordings.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    tables: BTreeMap<String, Vec<Row>>,
    cases: Value,
}

/// A row of a table, by column.
#[derive(Clone, Debug, Default)]
pub(super) struct Row(BTreeMap<String, String>);

impl Recording {
    /// Reads `cases.json` and all tables `*.csv`, each plain or compressed with gzip. Other files are ignored.
    pub fn new(files: Vec<(String, Vec<u8>)>) -> Result<Self, String> {
        let mut recording = Self::default();
        for (path, bytes) in files {
            let name = path.strip_suffix(".gz").unwrap_or(&path);
            let in_file = |problem: &dyn std::fmt::Display| format!("{path}: {problem}");
            let text = || -> Result<String, String> {
                let mut text = String::new();
                let mut input = unpacked(bytes.as_slice()).map_err(|problem| in_file(&problem))?;
                input.read_to_string(&mut text).map_err(|problem| in_file(&problem))?;
                Ok(text)
            };
            if let Some(table) = name.strip_suffix(".csv") {
                let rows = rows(&text()?).map_err(|problem| in_file(&problem))?;
                recording.tables.insert(table.to_owned(), rows);
            } else if name == "cases.json" {
                recording.cases =
                    serde_json::from_str(&text()?).map_err(|problem| in_file(&problem))?;
            }
        }
        Ok(recording)
    }

    /// True if the recording has this table.
    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// The rows of a table, in order.
    pub(super) fn rows(&self, table: &str) -> &[Row] {
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }

    /// The cases of a table, sorted.
    pub(super) fn cases_of(&self, table: &str) -> BTreeSet<&str> {
        self.rows(table).iter().map(|row| row.text("case")).collect()
    }

    /// The rows of a case.
    pub(super) fn rows_of(&self, table: &str, case: &str) -> Vec<&Row> {
        self.rows(table).iter().filter(|row| row.text("case") == case).collect()
    }

    /// The objects of a case of a group, or of another group that has it.
    pub(super) fn case(&self, group: &str, case: &str) -> Result<&Value, String> {
        let of_group = self.cases.get(group).and_then(|group| group.get(case));
        let others = || self.cases.as_object()?.values().find_map(|group| group.get(case));
        of_group.or_else(others).ok_or_else(|| format!("cases.json: has no {group}.{case}"))
    }
}

impl Row {
    /// A cell; empty if missing.
    pub(super) fn text(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    /// A number; absent if the cell does not contain one.
    pub(super) fn number(&self, column: &str) -> Option<f64> {
        self.text(column).parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Time between two columns with microseconds, in seconds; absent if either was not observed.
    pub(super) fn seconds(&self, from: &str, to: &str) -> Option<f64> {
        Some((self.number(to)? - self.number(from)?) / 1e6)
    }
}

fn rows(text: &str) -> Result<Vec<Row>, csv::Error> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize::<BTreeMap<String, String>>().map(|row| row.map(Row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_column_and_what_was_not_seen_is_absent() {
        let table = b"case,a,b\nn1,1000000,2500000\nn2,,3\n".to_vec();
        let recording = Recording::new(vec![("t.csv".into(), table)]).unwrap();
        let rows = recording.rows("t");
        assert_eq!((rows[0].text("case"), rows[0].seconds("a", "b")), ("n1", Some(1.5)));
        assert_eq!(rows[1].seconds("a", "b"), None);
        assert!(recording.case("start-stop", "n1").unwrap_err().contains("start-stop.n1"));
    }
}
