//! Numbers as explanations of decisions print them.

use std::fmt::{self, Display};

use cluster::hpa::{MetricSource, MetricSpec, MetricTarget};
use cluster::hpa_status::MetricValue;
use units::Quantity;

/// A measured value or a target, in the unit in which people know it.
#[derive(Clone, Copy)]
pub(super) enum Amount {
    Percent(i32),
    Quantity(Quantity),
    Number(f64),
}

impl Amount {
    pub(super) fn of(spec: &MetricSpec, value: MetricValue) -> Self {
        match value {
            MetricValue::Utilization { percent, .. } => Self::Percent(percent),
            MetricValue::AverageValueMilli(milli) | MetricValue::ValueMilli(milli) => {
                Self::milli(spec, milli)
            }
        }
    }

    pub(super) fn of_target(spec: &MetricSpec) -> Self {
        match spec.target {
            MetricTarget::Utilization(percent) => Self::Percent(percent),
            MetricTarget::AverageValueMilli(milli) | MetricTarget::ValueMilli(milli) => {
                Self::milli(spec, milli)
            }
        }
    }

    pub(super) fn milli(spec: &MetricSpec, milli: i64) -> Self {
        match &*spec.source {
            MetricSource::Resource { resource, .. } if &**resource == "memory" => {
                Self::Quantity(Quantity::from_bytes(milli / 1000))
            }
            MetricSource::Resource { .. } => Self::Quantity(Quantity::from_milli(milli)),
            _ => Self::Number(milli as f64 / 1000.0),
        }
    }
}

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Quantity(quantity) => quantity.fmt(f),
            Self::Number(number) => Short(*number).fmt(f),
        }
    }
}

/// A number with up to four decimals.
#[derive(Clone, Copy)]
pub(super) struct Short(pub(super) f64);

impl Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.0);
        let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
        f.write_str(text.trim_end_matches('.'))
    }
}

/// A number about to be rounded up: with all its digits where four decimals would round otherwise.
#[derive(Clone, Copy)]
pub(super) struct CeilingOperand(pub(super) f64);

impl Display for CeilingOperand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = Short(self.0).to_string();
        let is_alike = short
            .parse()
            .is_ok_and(|value: f64| libm::ceil(value).total_cmp(&libm::ceil(self.0)).is_eq());
        if is_alike { f.write_str(&short) } else { write!(f, "{}", self.0) }
    }
}
