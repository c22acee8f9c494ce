//! Checks that `provenance` names existing settings.

use super::Checker;
use manifest::FieldPath;

impl Checker<'_> {
    /// Checks `provenance`.
    pub(super) fn provenance(&mut self) {
        let provenance = FieldPath::ROOT.field("provenance");
        let lists = &self.text.scenario.provenance;
        for (name, list) in [("measured", &lists.measured), ("assumed", &lists.assumed)] {
            let list_path = provenance.field(name);
            for (index, setting) in list.iter().enumerate() {
                let path = list_path.item(index);
                match self.text.is_there(setting) {
                    Some(true) => {}
                    Some(false) => self.error(
                        &path,
                        format!("the scenario has no {setting}"),
                        "write the path as for --set, with [*] for all elements of a list, or remove it",
                    ),
                    None => self.error(
                        &path,
                        format!("{setting:?} is malformed"),
                        "write it like workloads[Deployment/shop/web].requests.cpuTime",
                    ),
                }
            }
        }
    }
}
