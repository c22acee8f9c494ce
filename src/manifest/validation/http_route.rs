//! HTTPRoutes: the schema of Gateway API and its rules (`apis/v1/httproute_types.go`, 1.4), in the wording of the API
//! server where it has any.

use serde_json::Value;

use super::super::field::{FieldErrors, FieldPath};
use super::super::http_route::{Fields, HttpBackendRef, HttpRoute, HttpRouteMatch, HttpRouteRule};
use super::handlers::port_number;
use super::{SPEC, label, required, subdomain, supported};

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
const FILTERS: [&str; 7] = [
    "RequestHeaderModifier",
    "ResponseHeaderModifier",
    "RequestMirror",
    "RequestRedirect",
    "URLRewrite",
    "ExtensionRef",
    "CORS",
];
const MOST_WEIGHT: i64 = 1_000_000;
/// Statuses of redirects.
const REDIRECTS: [i64; 5] = [301, 302, 303, 307, 308];

/// Checks an HTTPRoute.
pub(crate) fn validate_http_route(route: &HttpRoute, errors: &mut FieldErrors) {
    let spec = &route.spec;
    let at = SPEC.field("hostnames");
    too_many(spec.hostnames.as_deref(), 16, &at, errors);
    for (index, host) in spec.hostnames.iter().flatten().enumerate() {
        subdomain(host.strip_prefix("*.").unwrap_or(host), &at.item(index), errors);
    }
    let at = SPEC.field("parentRefs");
    too_many(spec.parent_refs.as_deref(), 32, &at, errors);
    for (index, parent) in spec.parent_refs.iter().flatten().enumerate() {
        let item = at.item(index);
        match text(parent, "name") {
            None => errors.required(&item.field("name"), ""),
            Some(name) => required(name, &item.field("name"), errors),
        }
    }
    let at = SPEC.field("rules");
    too_many(spec.rules.as_deref(), 16, &at, errors);
    for (index, rule) in spec.rules.iter().flatten().enumerate() {
        validate_rule(rule, &at.item(index), errors);
    }
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(serde_json::Value::as_str)
}

fn too_many<T>(list: Option<&[T]>, most: usize, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(count) = list.map(<[T]>::len).filter(|count| *count > most) {
        errors.push(path, format!("Too many: {count}: must have at most {most} items"));
    }
}

fn validate_rule(rule: &HttpRouteRule, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(name) = &rule.name {
        subdomain(name, &path.field("name"), errors);
    }
    let at = path.field("matches");
    too_many(rule.matches.as_deref(), 64, &at, errors);
    for (index, one) in rule.matches.iter().flatten().enumerate() {
        validate_match(one, &at.item(index), errors);
    }
    let at = path.field("filters");
    too_many(rule.filters.as_deref(), 16, &at, errors);
    let backends = rule.backend_refs.as_deref().unwrap_or_default();
    let filters = rule.filters.as_deref().unwrap_or_default();
    validate_filters(filters, &at, errors);
    let is_redirect = |filter: &Fields| text(filter, "type") == Some("RequestRedirect");
    if filters.iter().any(is_redirect) && !backends.is_empty() {
        let rule = "RequestRedirect filter must not be used together with backendRefs";
        errors.invalid(path, "object", rule);
    }
    times(rule, path, errors);
    let at = path.field("backendRefs");
    too_many(Some(backends), 16, &at, errors);
    for (index, backend) in backends.iter().enumerate() {
        validate_backend(backend, &at.item(index), errors);
    }
}

fn times(rule: &HttpRouteRule, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let duration = |text: Option<&String>, at: &FieldPath<'_>, errors: &mut FieldErrors| {
        let millis = milliseconds(text?);
        if millis.is_none() {
            let rule = "must be up to four times digits and h, m, s or ms, such as 500ms or 1m30s";
            errors.invalid(at, text?, rule);
        }
        millis
    };
    if let Some(times) = &rule.timeouts {
        let at = path.field("timeouts");
        let request = duration(times.request.as_ref(), &at.field("request"), errors);
        let at = at.field("backendRequest");
        let one_try = duration(times.backend_request.as_ref(), &at, errors);
        if request.is_some_and(|request| request > 0 && one_try > Some(request)) {
            let rule = "backendRequest timeout cannot be longer than request timeout";
            errors.push(&at, format!("Invalid value: {rule}"));
        }
    }
    if let Some(retry) = &rule.retry {
        let at = path.field("retry");
        duration(retry.backoff.as_ref(), &at.field("backoff"), errors);
        let at = at.field("codes");
        for (index, code) in retry.codes.iter().flatten().enumerate() {
            if !(400..600).contains(code) {
                let rule = "must be a status from 400 to 599";
                errors.push(&at.item(index), format!("Invalid value: {code}: {rule}"));
            }
        }
    }
}

/// A duration of Gateway API (GEP-2257).
fn milliseconds(text: &str) -> Option<i64> {
    let (mut rest, mut sum, mut parts) = (text, 0, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..digits)?.parse().ok().filter(|_| digits <= 5)?;
        rest = &rest[digits..];
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let (unit, length) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        sum += number * length;
        parts += 1;
    }
    (1..=4).contains(&parts).then_some(sum)
}

fn validate_match(one: &HttpRouteMatch, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let at = path.field("method");
    supported(one.method.as_deref(), &METHODS, &at, errors);
    for (field, list) in [("headers", &one.headers), ("queryParams", &one.query_params)] {
        let at = path.field(field);
        too_many(list.as_deref(), 16, &at, errors);
        for (index, fields) in list.iter().flatten().enumerate() {
            let item = at.item(index);
            match text(fields, "name") {
                None => errors.required(&item.field("name"), ""),
                Some(name) => required(name, &item.field("name"), errors),
            }
            if text(fields, "value").is_none() {
                errors.required(&item.field("value"), "");
            }
            let types = ["Exact", "RegularExpression"];
            supported(text(fields, "type"), &types, &item.field("type"), errors);
        }
    }
    let Some(path_match) = &one.path else { return };
    let at = path.field("path");
    let types = ["Exact", "PathPrefix", "RegularExpression"];
    supported(path_match.r#type.as_deref(), &types, &at.field("type"), errors);
    let value = path_match.value.as_deref().unwrap_or("/");
    if value.len() > 1024 {
        errors.push(&at.field("value"), "Too long: may not be more than 1024 bytes");
    }
    if path_match.r#type.as_deref() == Some("RegularExpression") {
        return;
    }
    if !value.starts_with('/') {
        let rule = "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']";
        errors.invalid(&at, value, rule);
    }
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        if value.contains(part) {
            let rule =
                format!("must not contain '{part}' when type one of ['Exact', 'PathPrefix']");
            errors.invalid(&at, value, rule);
        }
    }
    for end in ["/..", "/."] {
        if value.ends_with(end) {
            let rule =
                format!("must not end with '{end}' when type one of ['Exact', 'PathPrefix']");
            errors.invalid(&at, value, rule);
        }
    }
}

fn validate_filters(filters: &[Fields], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let once = ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"];
    let count = |name: &str| filters.iter().filter(|one| text(one, "type") == Some(name)).count();
    for name in once.into_iter().filter(|name| count(name) > 1) {
        errors.invalid(path, "array", format!("{name} filter cannot be repeated"));
    }
    if count("RequestRedirect") > 0 && count("URLRewrite") > 0 {
        let rule = "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both";
        errors.invalid(path, "array", rule);
    }
    for (index, filter) in filters.iter().enumerate() {
        let at = path.item(index);
        let Some(name) = text(filter, "type") else {
            errors.required(&at.field("type"), "");
            continue;
        };
        supported(Some(name), &FILTERS, &at.field("type"), errors);
        let field = match name {
            "URLRewrite" => "urlRewrite".to_owned(),
            "CORS" => "cors".to_owned(),
            _ => name[..1].to_lowercase() + &name[1..],
        };
        if FILTERS.contains(&name) && !filter.contains_key(&field) {
            let rule = format!("filter.{field} must be specified for {name} filter.type");
            errors.invalid(&at, "object", rule);
        }
        match (name, filter.get(&field)) {
            ("RequestMirror", Some(mirror)) => {
                validate_mirror(mirror, &at.field("requestMirror"), errors);
            }
            ("RequestRedirect", Some(redirect)) => {
                let at = at.field("requestRedirect");
                let schemes = ["http", "https"];
                supported(redirect["scheme"].as_str(), &schemes, &at.field("scheme"), errors);
                let code = redirect["statusCode"].as_i64();
                if let Some(code) = code.filter(|code| !REDIRECTS.contains(code)) {
                    let codes = REDIRECTS.map(|code| code.to_string());
                    let codes = codes.each_ref().map(String::as_str);
                    errors.not_supported(&at.field("statusCode"), &code.to_string(), &codes);
                }
            }
            _ => {}
        }
    }
}

/// The share of mirrored requests: a percentage, or a fraction.
fn validate_mirror(mirror: &Value, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (percent, fraction) = (&mirror["percent"], &mirror["fraction"]);
    if !percent.is_null() && !fraction.is_null() {
        let rule = "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter";
        errors.invalid(path, "object", rule);
    }
    if let Some(percent) = percent.as_i64().filter(|one| !(0..=100).contains(one)) {
        errors.invalid(&path.field("percent"), percent, "must be from 0 to 100");
    }
    if !fraction.is_object() {
        return;
    }
    let at = path.field("fraction");
    let (above, below) = (fraction["numerator"].as_i64(), fraction["denominator"].as_i64());
    match above {
        None => errors.required(&at.field("numerator"), ""),
        Some(above) if above < 0 => errors.not_negative(&at.field("numerator"), above),
        Some(above) if above > below.unwrap_or(100) => {
            errors.invalid(&at, "object", "numerator must be less than or equal to denominator");
        }
        Some(_) => {}
    }
    if let Some(below) = below.filter(|below| *below < 1) {
        errors.invalid(&at.field("denominator"), below, "must be greater than or equal to 1");
    }
}

fn validate_backend(backend: &HttpBackendRef, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let name = backend.name.as_deref().unwrap_or_default();
    required(name, &path.field("name"), errors);
    if let Some(namespace) = &backend.namespace {
        label(namespace, &path.field("namespace"), errors);
    }
    if let Some(weight) = backend.weight.filter(|weight| !(0..=MOST_WEIGHT).contains(weight)) {
        let rule = format!("must be a whole number from 0 to {MOST_WEIGHT}");
        errors.push(&path.field("weight"), format!("Invalid value: {weight}: {rule}"));
    }
    let is_service = backend.kind.as_deref().is_none_or(|kind| kind == "Service")
        && backend.group.as_deref().is_none_or(str::is_empty);
    match backend.port {
        None if is_service => {
            errors.invalid(path, "object", "Must have port for Service reference");
        }
        None => {}
        Some(number) => port_number(number, &path.field("port"), errors),
    }
    validate_filters(
        backend.filters.as_deref().unwrap_or_default(),
        &path.field("filters"),
        errors,
    );
}
