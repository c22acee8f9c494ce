//! Classes of requests to one application: `GET /product` and `POST /checkout` differ in cost, calls and client
//! timeout. Contains the user settings, and the classification of requests.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call_spec::CallSpec;
use super::path::ServiceTraffic;
use super::problem::Checks;
use super::request_model::RequestModel;
use super::time_distribution::TimeDistribution;
use engine::random::open_unit;
use engine::{SimDuration, Stream, Streams};

/// Maximum number of classes of one request model.
const CLASSES_MAX: usize = 100;

/// One class of the requests to an application. Omitted fields are those of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestClassSpec {
    /// Its name, such as checkout or POST /checkout.
    pub name: String,
    /// Weight among the requests not otherwise classified, relative to the other classes. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0))]
    pub weight: f64,
    /// Path prefix: requests with this path or one below it belong to this class, as with a path of type Prefix: the
    /// path of an entry under `ingress`, or the one in a trace's `class` column. The longest matching path wins.
    pub path: Option<String>,
    /// CPU time of a request on a full core.
    pub cpu_time: Option<TimeDistribution>,
    /// Waiting time of a request without CPU use.
    pub wait_time: Option<TimeDistribution>,
    /// Requests to other services, replacing all those of the model; an empty list means none.
    pub calls: Option<Vec<CallSpec>>,
    /// Share of requests, from 0 to 1, that the application answers with an error of its own.
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: Option<f64>,
    /// Client timeout, replacing the `timeout` of the traffic; a route may end a request sooner. Calling services use
    /// the timeout of the call.
    pub timeout: Option<SimDuration>,
}

/// A class, prepared for use.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RequestClass {
    pub name: Arc<str>,
    pub weight: f64,
    pub path: Option<String>,
    pub timeout: Option<SimDuration>,
    /// Cost and calls of its requests.
    pub model: RequestModel,
}

/// The classes of all requests by number, and the recorded names, such as paths, by which services find their classes:
/// 1 is the first, 0 means none.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    names: Vec<Box<str>>,
    /// By model, then by class: the model of such a request in a pod of the model.
    models: Vec<Vec<Option<u32>>>,
    /// For the models added for classes, from the first on: the model that has the class, and its name.
    added: Vec<(u64, Arc<str>)>,
}

/// The request classes of one service.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    classes: Vec<ClassOfMix>,
    /// Position in `classes` by the number of a recorded name.
    positions: Vec<Option<u16>>,
    /// Draws the classes of unclassified requests.
    stream: Stream,
}

#[derive(Clone, Debug)]
struct ClassOfMix {
    number: u16,
    name: Arc<str>,
    /// Upper bound of the drawn numbers for this class, which start at the bound of the previous one.
    up_to: f64,
    timeout: Option<SimDuration>,
}

impl RequestClassSpec {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        checks.require(!self.name.trim().is_empty(), "name", || {
            "a class needs a name, such as checkout".into()
        });
        checks.not_negative("weight", self.weight);
        if let Some(path) = &self.path {
            checks.require(path.starts_with('/'), "path", || format!("{path:?} must begin with /"));
        }
        if let Some(law) = &self.cpu_time {
            law.check("cpuTime", checks);
        }
        if let Some(law) = &self.wait_time {
            law.check("waitTime", checks);
        }
        if let Some(rate) = self.error_rate {
            checks.share("errorRate", rate);
        }
        if let Some(timeout) = self.timeout {
            checks.check_positive("timeout", timeout);
        }
        CallSpec::check_all(self.calls.as_deref().unwrap_or_default(), checks);
    }

    /// Reports problems of the classes of one model.
    pub(super) fn check_all(classes: &[Self], checks: &mut Checks<'_>) {
        for (index, class) in classes.iter().enumerate() {
            let mut checks = checks.inside(&format!("classes[{index}]"));
            class.check(&mut checks);
            let is_new = classes[..index].iter().all(|other| other.name != class.name);
            checks.require(is_new, "name", || format!("another class is named {}", class.name));
        }
        let weight: f64 = classes.iter().map(|class| class.weight).sum();
        checks.require(classes.is_empty() || weight.is_nan() || weight > 0.0, "classes", || {
            "all weights are 0; set at least one above 0".into()
        });
        checks.require(classes.len() <= CLASSES_MAX, "classes", || {
            format!("{} are more than {CLASSES_MAX}; merge similar ones", classes.len())
        });
    }
}

impl Classes {
    /// Numbers the classes of all models, and adds their costs and calls as separate models.
    pub fn new(models: &mut Vec<RequestModel>) -> Self {
        let mut classes = Self::default();
        if models.iter().all(|model| model.classes.is_empty()) {
            return classes;
        }
        for base in 0..models.len() {
            let mut row = Vec::new();
            for class in models[base].classes.clone() {
                let number = usize::from(classes.number(&class.name));
                if row.len() <= number {
                    row.resize(number + 1, None);
                }
                row[number] = u32::try_from(models.len()).ok();
                classes.added.push((base as u64, class.name));
                models.push(class.model);
            }
            classes.models.push(row);
        }
        classes
    }

    /// The number of a recorded name, new or known; 0 if there are too many.
    pub fn number(&mut self, told: &str) -> u16 {
        let known = self.names.iter().position(|known| **known == *told);
        let position = known.unwrap_or_else(|| {
            self.names.push(told.into());
            self.names.len() - 1
        });
        u16::try_from(position + 1).unwrap_or(0)
    }

    /// The number of a class that already has one.
    pub fn number_of(&self, name: &str) -> Option<u16> {
        let position = self.names.iter().position(|known| **known == *name)?;
        u16::try_from(position + 1).ok()
    }

    /// A model's identification in the names of random streams, with the number of a stream.
    pub(crate) fn model_in_words(&self, model: u64) -> (String, u64) {
        let added = model.checked_sub(self.models.len() as u64).filter(|_| !self.added.is_empty());
        match added.and_then(|added| self.added.get(usize::try_from(added).ok()?)) {
            Some((base, class)) => (format!("class {class} of model"), *base),
            None => ("model".to_owned(), model),
        }
    }

    /// The model of a request of this class in a pod of `model`.
    #[inline]
    pub fn model_of(&self, model: u32, class: u16) -> u32 {
        let Some(row) = self.models.get(model as usize) else { return model };
        row.get(usize::from(class)).copied().flatten().unwrap_or(model)
    }

    /// Numbers the recorded names of the arrivals at all services.
    pub(crate) fn number_arrivals(&mut self, services: &mut [ServiceTraffic]) {
        if self.names.is_empty() {
            return;
        }
        for service in services {
            let of_routes = service.routes.iter_mut().map(|route| &mut route.arrivals);
            for arrivals in std::iter::once(&mut service.arrivals).chain(of_routes) {
                arrivals.number_classes(&mut |told| self.number(told));
            }
        }
    }

    /// The request classes of a service; absent if there are none.
    pub fn mix(
        &self,
        service: &ServiceTraffic,
        models: &[RequestModel],
        streams: Streams,
    ) -> Option<Mix> {
        let of_model = &models.get(service.model?.0 as usize)?.classes;
        if of_model.is_empty() {
            return None;
        }
        let all: f64 = of_model.iter().map(|class| class.weight).sum();
        let mut up_to = 0.0;
        let mut classes = Vec::with_capacity(of_model.len());
        for class in of_model {
            up_to += class.weight / all;
            classes.push(ClassOfMix {
                number: self.number_of(&class.name)?,
                name: Arc::clone(&class.name),
                up_to,
                timeout: class.timeout,
            });
        }
        let of = of_model.iter().map(|class| (&*class.name, class.path.as_deref()));
        let position = |told: &str| u16::try_from(told_class(of.clone(), told)?).ok();
        let positions = self.names.iter().map(|told| position(told));
        let positions = std::iter::once(None).chain(positions).collect();
        let stream = streams.stream(&format!("classes of requests to {}", service.name), 0);
        Some(Mix { classes, positions, stream })
    }
}

/// The position of the class, of some by name and path, that a trace or a route tells by its name or by a path, which a
/// method may precede; `None` if it is none of them, so that the class of its requests is drawn.
pub fn told_class<'a>(
    classes: impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone,
    told: &str,
) -> Option<usize> {
    let named = classes.clone().position(|(name, _)| name == told);
    named.or_else(|| {
        let path = told.split_once(' ').map(|(_, path)| path);
        let path = path.filter(|path| path.starts_with('/')).unwrap_or(told);
        longest_path(classes.map(|(_, path)| path), path)
    })
}

/// The position of the longest of some paths that is a prefix of another, by whole segments.
fn longest_path<'a>(paths: impl Iterator<Item = Option<&'a str>>, asked: &str) -> Option<usize> {
    let lies_under = |path: &str| {
        let rest = asked.strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    };
    let matching = paths.enumerate().filter_map(|(at, path)| Some((at, path?)));
    let matching = matching.filter(|(_, path)| lies_under(path));
    // Ties go to the first.
    let longest = matching.max_by_key(|(at, path)| (path.len(), std::cmp::Reverse(*at)));
    longest.map(|(at, _)| at)
}

impl Mix {
    /// Position in the mix of the class with this name or path.
    #[inline]
    pub fn position(&self, number: u16) -> Option<usize> {
        self.positions.get(usize::from(number)).copied().flatten().map(usize::from)
    }

    /// The class of a request: the recorded one if the service has it, otherwise drawn by weight.
    #[inline]
    pub fn class_of(&mut self, told: u16) -> u16 {
        if let Some(position) = self.position(told) {
            return self.classes[position].number;
        }
        let drawn = open_unit(&mut self.stream);
        // Rounding may leave the last bound below 1; a class without weight is never drawn.
        let found = self.classes.iter().find(|class| drawn < class.up_to);
        found.or_else(|| self.heaviest()).map_or(0, |class| class.number)
    }

    fn heaviest(&self) -> Option<&ClassOfMix> {
        let last = self.classes.last()?.up_to;
        self.classes.iter().find(|class| class.up_to >= last)
    }

    /// Client timeout of this class, if it has one.
    pub fn timeout(&self, number: u16) -> Option<SimDuration> {
        self.classes[self.position(number)?].timeout
    }

    /// The names of the classes.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.classes.iter().map(|class| &class.name)
    }

    /// The number of the class at this position.
    pub fn number(&self, position: usize) -> Option<u16> {
        self.classes.get(position).map(|class| class.number)
    }
}

const fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_the_class_with_the_longest_path_of_whole_segments() {
        let paths = [Some("/"), None, Some("/cart"), Some("/cart/checkout/")];
        for (asked, position) in [
            ("/", 0),
            ("/cart", 2),
            ("/cart?item=3", 2),
            ("/cart/3", 2),
            ("/carton", 0),
            ("/cart/checkout", 3),
            ("/cart/checkout/pay", 3),
        ] {
            assert_eq!(longest_path(paths.into_iter(), asked), Some(position), "{asked}");
        }
        assert_eq!(longest_path(paths.into_iter().skip(1), "/product"), None);
        assert_eq!(longest_path(paths.into_iter(), "checkout"), None, "a name is no path");
    }
}
