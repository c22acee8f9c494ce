//! `kubectl get`: one line per object. The columns of each kind are defined in `kinds`, the cells in `rows`.

use std::collections::BTreeMap;

use super::columns::{Columns, NONE};
use super::kinds::table;
use super::rows::{Found, Rows};
use cluster::selector::Selector;
use cluster::{Kind, Labels, NamespacedName};

pub use super::rows::Snapshot;
pub(super) use super::rows::{label_text, taint_text};

/// Selects objects.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only this namespace; if absent all, and the table gets a namespace column.
    pub namespace: Option<String>,
    /// Only objects with these names; empty = all.
    pub names: Vec<String>,
    /// Only objects whose labels match.
    pub selector: Option<Selector>,
    /// Only these objects, each with its position; if absent all, by name.
    pub places: Option<BTreeMap<NamespacedName, usize>>,
}

impl Scope {
    /// True if the namespace and the name of an object are selected.
    pub fn has_name(&self, id: &NamespacedName) -> bool {
        let is_in = self.namespace.as_ref().is_none_or(|wanted| *id.namespace == **wanted);
        (is_in || id.namespace.is_empty())
            && (self.names.is_empty() || self.names.iter().any(|name| *id.name == **name))
            && self.places.as_ref().is_none_or(|places| places.contains_key(id))
    }

    /// The position of an object among the selected ones: explicitly named objects are in the order of their names
    /// in the command.
    pub(super) fn place(&self, id: &NamespacedName) -> usize {
        let place = match &self.places {
            Some(places) => places.get(id).copied(),
            None => self.names.iter().position(|name| **name == *id.name),
        };
        place.unwrap_or(usize::MAX)
    }

    /// True if an object with these labels is selected.
    pub fn has(&self, id: &NamespacedName, labels: &Labels) -> bool {
        self.has_name(id) && self.selector.as_ref().is_none_or(|one| one.matches(labels))
    }
}

/// Output format of a table.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// Show all columns, as with `-o wide`.
    pub wide: bool,
    /// Show only the names, as with `-o name`.
    pub only_names: bool,
    /// Add a column with all labels, as with `--show-labels`.
    pub shows_labels: bool,
    /// Add columns with the values of these labels, as with `-L`.
    pub label_columns: Vec<String>,
    /// Prefix names with their kind, as when several kinds are listed.
    pub shows_kind: bool,
}

/// Names of the selected objects of a kind, in kubectl's order.
pub fn names(snapshot: Snapshot<'_>, kind: Kind, scope: &Scope) -> Vec<NamespacedName> {
    found(snapshot, kind, scope).into_iter().map(|one| one.id).collect()
}

/// The selected objects of a kind as a table or as names; empty if there are none.
pub fn get(snapshot: Snapshot<'_>, kind: Kind, scope: &Scope, form: &Form) -> String {
    let found = found(snapshot, kind, scope);
    if form.only_names {
        let prefix = kind.singular();
        return found.iter().flat_map(|one| [&prefix, "/", &*one.id.name, "\n"]).collect();
    }
    let Some(row) = table(kind) else { return String::new() };
    let namespace = kind.is_namespaced() && scope.namespace.is_none();
    let mut shown = row.titles.len();
    let mut titles: Vec<String> = row.titles.iter().map(|title| (*title).to_owned()).collect();
    if form.wide {
        shown += row.wide.len();
        titles.extend(row.wide.iter().map(|title| (*title).to_owned()));
    }
    if namespace {
        titles.insert(0, "NAMESPACE".to_owned());
    }
    // The title of a label column is the key without its prefix.
    titles.extend(form.label_columns.iter().map(|label| {
        let name = label.rsplit('/').next().unwrap_or(label);
        name.to_uppercase()
    }));
    titles.extend(form.shows_labels.then(|| "LABELS".to_owned()));
    let mut columns = Columns::new(titles.iter().map(String::as_str));
    for Found { id, labels, mut cells, .. } in found {
        cells.truncate(shown);
        if form.shows_kind
            && let Some(name) = cells.first_mut()
        {
            *name = format!("{}/{name}", kind.singular());
        }
        if namespace {
            cells.insert(0, id.namespace.to_string());
        }
        let value =
            |label: &String| labels.get(label).map_or_else(String::new, ToString::to_string);
        cells.extend(form.label_columns.iter().map(value));
        cells.extend(form.shows_labels.then(|| labels_cell(&labels)));
        columns.row(cells);
    }
    columns.text()
}

fn found(snapshot: Snapshot<'_>, kind: Kind, scope: &Scope) -> Vec<Found> {
    let mut rows = Rows::new(scope);
    if let Some(table) = table(kind) {
        (table.rows)(snapshot, &mut rows);
    }
    let mut found = rows.found;
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.sort_by_key(|one| scope.place(&one.id));
    found
}

fn labels_cell(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") }
}
