//! Response of Prometheus' `query_range`: a matrix of series whose values at one time add up.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::Value;

use super::instant::Instant;
use super::{Row, RowContent, Rows};
use crate::trace::TraceError;

#[derive(Deserialize)]
struct QueryResponse {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, Value)>,
}

/// Reads a response. Values are requests per second, as from `rate(...)`; a series whose name ends in
/// `_total` is a counter, whose increases are used.
pub(super) fn read(input: impl BufRead, rows: &mut Rows<'_>) -> Result<(), TraceError> {
    let whole = |message: String| TraceError { line: None, message };
    let answer: QueryResponse = serde_json::from_reader(input)
        .map_err(|error| whole(format!("this is not a Prometheus response: {error}")))?;
    let data = match answer.data {
        Some(data) if answer.status == "success" => data,
        _ => {
            let why = answer.error.unwrap_or(answer.status);
            return Err(whole(format!("Prometheus returned an error: {why}")));
        }
    };
    if data.result_type != "matrix" {
        return Err(whole(format!(
            "the result is a {}; use `query_range`, which returns a matrix",
            data.result_type
        )));
    }
    let is_counter = data.result.iter().any(Series::is_counter);
    let mut sums: BTreeMap<i128, f64> = BTreeMap::new();
    for (series, number) in data.result.iter().zip(1u64..) {
        for point in series.points(is_counter) {
            match point {
                Ok((at, value)) => *sums.entry(at).or_default() += value,
                Err(message) => rows.broken.bad(number, format!("series {number}: {message}"))?,
            }
        }
    }
    for (nanos, value) in sums {
        let what = if is_counter { RowContent::Count(value) } else { RowContent::Rate(value) };
        rows.take(1, Ok(Some(Row::new(Instant { nanos, is_date: true }, what))))?;
    }
    Ok(())
}

impl Series {
    fn is_counter(&self) -> bool {
        self.metric.get("__name__").is_some_and(|name| name.ends_with("_total"))
    }

    /// The points of a rate, or the increases of a counter at the start of each step. A decreasing counter
    /// was reset to zero.
    fn points(&self, is_counter: bool) -> Vec<Result<(i128, f64), String>> {
        let number = |value: &Value| {
            let number = value.as_str().and_then(|text| text.parse::<f64>().ok());
            number.or_else(|| value.as_f64())
        };
        let read = |(at, value): &(f64, Value)| {
            let at = Instant::from_number(*at).ok_or_else(|| format!("{at} is not a time"))?;
            match number(value) {
                Some(number) if number.is_finite() && number >= 0.0 => Ok((at.nanos, number)),
                // The rate of an empty series: 0/0.
                Some(number) if number.is_nan() => Ok((at.nanos, 0.0)),
                _ => Err(format!("{value} is not a number of requests")),
            }
        };
        if !is_counter {
            return self.values.iter().map(read).collect();
        }
        // A gap in a counter is not a reset: the increase is attributed to a later step.
        let is_known = |(_, value): &&(f64, Value)| !number(value).is_some_and(f64::is_nan);
        let known: Vec<&(f64, Value)> = self.values.iter().filter(is_known).collect();
        let steps = known.windows(2).map(|pair| {
            let ((at, before), (_, after)) = (read(pair[0])?, read(pair[1])?);
            Ok((at, if after >= before { after - before } else { after }))
        });
        steps.collect()
    }
}
