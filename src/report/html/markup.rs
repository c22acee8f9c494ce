//! Generates HTML: escaping, template placeholders, tables. Independent of reports.

use std::fmt::Write;

use crate::figures::plain;

/// A table cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Text to be escaped.
    Text(String),
    /// A figure, right-aligned.
    Figure(String),
    /// Trusted markup.
    Markup(String),
}

/// A row whose first `words` cells are text and the others figures.
pub fn row(words: usize, cells: impl IntoIterator<Item = String>) -> Vec<Cell> {
    let cell = |(position, text)| {
        if position < words { Cell::Text(text) } else { Cell::Figure(text) }
    };
    cells.into_iter().enumerate().map(cell).collect()
}

/// Escapes text for an element or an attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in plain(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// JSON for a `script` element, which ends at the first `</script`.
pub(crate) fn json_in_script(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value)
        .expect("reports hold strings, numbers and lists, which JSON can always express")
        .replace('<', "\\u003c")
}

/// Replaces `{{name}}` in the template by the value of that name. Values are not expanded again.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        let value = values.iter().find(|(known, _)| *known == name).map_or("", |found| found.1);
        page.push_str(value);
        page.push_str(rest);
    }
    page
}

/// A table; a column is right-aligned if the first row's cell is a figure.
pub fn table(heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
    for (column, head) in heads.iter().enumerate() {
        let is_figure =
            matches!(rows.first().and_then(|row| row.get(column)), Some(Cell::Figure(_)));
        push(&mut html, "th", if is_figure { "n" } else { "" }, &escape(head));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            match cell {
                Cell::Text(text) => push(&mut html, "td", "", &escape(text)),
                Cell::Figure(text) => push(&mut html, "td", "n", &escape(text)),
                Cell::Markup(markup) => html.push_str(markup),
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

/// A section with its title.
pub fn section(title: &str, content: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{content}</section>\n", escape(title))
}

fn push(html: &mut String, element: &str, class: &str, content: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    write!(html, "<{element}{class}>{content}</{element}>").expect("a string takes all text");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_into_the_gaps_and_not_looked_through() {
        let page = fill("a {{one}} b {{two}}{{none}}.", &[("one", "{{two}}"), ("two", "2")]);
        assert_eq!(page, "a {{two}} b 2.");
    }

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            escape("<a href=\"x\" id='y'>&\u{1}"),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp; "
        );
        assert_eq!(json_in_script(&"</script><!--"), "\"\\u003c/script>\\u003c!--\"");
    }
}
