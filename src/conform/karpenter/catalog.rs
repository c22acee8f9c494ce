//! The instance types of the recordings.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;

use super::case::{OfferingChoice, Resources};
use crate::recording::parse;
use cluster::Name;
use karpenter::labels::WellKnownLabels;
use karpenter::requirement::{NodeOperator, Requirement};
use karpenter::{Amounts, InstanceType, Offering, Requirements};
use units::Quantity;

/// The instance types of the bundled recordings.
const BUILT_IN: &str = include_str!("catalog.json");

/// The cloud's instance types.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// In the order in which the cloud lists them.
    types: Vec<Arc<InstanceType>>,
    /// Labels that every new node gets.
    pub(super) well_known: Arc<WellKnownLabels>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[expect(dead_code, reason = "every offering has its own")]
    #[serde(default)]
    zones: Vec<String>,
    #[serde(default)]
    extra_well_known_labels: Vec<String>,
    instance_types: Vec<WrittenType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenType {
    name: String,
    requirements: BTreeMap<String, Vec<String>>,
    capacity: Resources,
    #[expect(dead_code, reason = "what is left of the capacity is written, too")]
    #[serde(default)]
    overhead: Resources,
    allocatable: Resources,
    offerings: Vec<WrittenOffering>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenOffering {
    zone: String,
    capacity_type: String,
    price: f64,
}

impl Catalog {
    /// Parses a catalog: `instance_types` with `requirements`, `capacity`, `allocatable` and `offerings`.
    pub fn read(text: &str) -> Result<Self, String> {
        let written: Written = parse(text)?;
        let extra = written.extra_well_known_labels.iter().map(|key| Name::from(key.as_str()));
        let types: Result<_, String> =
            written.instance_types.iter().map(|one| Ok(Arc::new(instance_type(one)?))).collect();
        Ok(Self { types: types?, well_known: Arc::new(WellKnownLabels::with(extra)) })
    }

    /// The catalog of the bundled recordings.
    pub(super) fn built_in() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| Self::read(BUILT_IN).expect("the catalog is part of the program"))
    }

    /// The types of a case, with its unavailable offerings marked.
    pub(super) fn of_case(
        &self,
        names: Option<&[String]>,
        unavailable: &[OfferingChoice],
    ) -> Result<Vec<Arc<InstanceType>>, String> {
        if let Some(unknown) = names.into_iter().flatten().find(|name| self.get(name).is_none()) {
            return Err(format!("instance_types: {unknown:?} is not in the catalog"));
        }
        let is_chosen = |one: &&Arc<InstanceType>| {
            names.is_none_or(|names| names.iter().any(|name| *name == *one.name))
        };
        let chosen = self.types.iter().filter(is_chosen);
        Ok(chosen.map(|one| with_gaps(one, unavailable)).collect())
    }

    /// The type with this name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<InstanceType>> {
        self.types.iter().find(|one| one.name.as_ref() == name)
    }
}

fn with_gaps(one: &Arc<InstanceType>, unavailable: &[OfferingChoice]) -> Arc<InstanceType> {
    let is_any = |choice: &str, own: &str| choice.is_empty() || choice == own;
    let is_missing = |offering: &Offering| {
        unavailable.iter().any(|gap| {
            is_any(&gap.instance_type, &one.name)
                && is_any(&gap.zone, &offering.zone)
                && is_any(&gap.capacity_type, &offering.capacity_type)
        })
    };
    if !one.offerings.iter().any(is_missing) {
        return Arc::clone(one);
    }
    let mut gapped = InstanceType::clone(one);
    for offering in &mut gapped.offerings {
        offering.is_available = !is_missing(offering);
    }
    Arc::new(gapped)
}

fn instance_type(one: &WrittenType) -> Result<InstanceType, String> {
    let mut requirements = Requirements::default();
    for (key, values) in &one.requirements {
        let operator =
            if values.is_empty() { NodeOperator::DoesNotExist } else { NodeOperator::In };
        let values = values.iter().map(|value| Name::from(value.as_str()));
        let key = Name::from(key.as_str());
        requirements.add(Requirement::new(&key, operator, values, None).into());
    }
    let amounts_of = |list: &Resources, field: &str| {
        amounts(list).map_err(|error| format!("instance type {}: {field}.{error}", one.name))
    };
    let offering = |one: &WrittenOffering| Offering {
        zone: one.zone.as_str().into(),
        capacity_type: one.capacity_type.as_str().into(),
        price: one.price,
        is_available: true,
    };
    Ok(InstanceType {
        name: one.name.as_str().into(),
        requirements,
        offerings: one.offerings.iter().map(offering).collect(),
        capacity: amounts_of(&one.capacity, "capacity")?,
        allocatable: amounts_of(&one.allocatable, "allocatable")?,
    })
}

/// Amounts by resource.
pub(super) fn amounts(list: &Resources) -> Result<Amounts, String> {
    list.iter()
        .map(|(name, amount)| {
            let amount: Quantity = amount.parse().map_err(|error| format!("{name}: {error}"))?;
            Ok((name.as_str(), amount.nanos()))
        })
        .collect()
}
