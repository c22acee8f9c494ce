//! `-o custom-columns`: a table with JSONPath columns (kubectl's `customcolumn.go`).

use serde_json::Value;

use super::columns::{Columns, NONE};
use super::json_path::{JsonPath, scalar_text};

/// A title and a path for each column.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomColumns {
    columns: Vec<(String, JsonPath)>,
}

impl CustomColumns {
    /// Parses `NAME:.metadata.name,NODE:.spec.nodeName`; errors are worded as in kubectl.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("custom-columns format specified but no custom columns given".to_owned());
        }
        let column = |part: &str| {
            let (title, path) = part.split_once(':').ok_or_else(|| {
                format!(
                    "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
                )
            })?;
            Ok((title.to_owned(), JsonPath::relaxed(path)?))
        };
        Ok(Self { columns: text.split(',').map(column).collect::<Result<_, String>>()? })
    }

    /// The table of these objects, with titles even if there are none.
    pub fn table(&self, objects: &[Value]) -> Result<String, String> {
        let mut table = Columns::new(self.columns.iter().map(|(title, _)| title.as_str()));
        for object in objects {
            let cells = self.columns.iter().map(|(_, path)| {
                let results = path.results(object)?;
                let texts: Vec<String> =
                    results.iter().flatten().map(|one| scalar_text(one)).collect();
                Ok(if texts.is_empty() { NONE.to_owned() } else { texts.join(",") })
            });
            table.row(cells.collect::<Result<_, String>>()?);
        }
        Ok(table.text_with_titles())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_has_the_text_of_each_path_and_none_where_there_is_nothing() {
        let columns = CustomColumns::new(
            "NAME:.metadata.name,IMAGES:spec.containers[*].image,NODE:{.spec.nodeName}",
        );
        let pod = json!({
            "metadata": { "name": "web" },
            "spec": { "containers": [{ "image": "a:1" }, { "image": "b:1" }] },
        });
        let table = columns.expect("three columns").table(&[pod]);
        let wanted = "NAME   IMAGES    NODE\nweb    a:1,b:1   <none>\n";
        assert_eq!(table.as_deref(), Ok(wanted));
        let titles = CustomColumns::new("A:.a").expect("a column").table(&[]);
        assert_eq!(titles.as_deref(), Ok("A\n"));
        assert!(CustomColumns::new("NAME").is_err());
    }
}
