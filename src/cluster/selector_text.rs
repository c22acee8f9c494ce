//! Label selectors in text form, such as `app=web,tier in (a, b),!canary`: the syntax of `kubectl -l` and of the
//! scale sub-resource. Semantics of `labels.Parse` (apimachinery, 1.36).

use std::fmt;
use std::str::FromStr;

use super::meta::Name;
use super::selector::{Operator, Requirement, Selector};

/// Why a text is no label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError {
    text: String,
    problem: String,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, problem } = self;
        write!(
            f,
            "{text:?} is not a label selector: {problem}; write requirements such as app=web, "
        )?;
        f.write_str("tier in (a,b) or !canary, separated by commas")
    }
}

impl std::error::Error for SelectorError {}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { tokens: tokens(text), next: 0 };
        let requirements = parser.requirements();
        let requirements =
            requirements.map_err(|problem| SelectorError { text: text.to_owned(), problem })?;
        Ok(Self { requirements })
    }
}

impl fmt::Display for Selector {
    /// `app=web,tier in (a,b),!canary` (`labels.Selector.String`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let Requirement { key, operator, values } = requirement;
            let values = values.join(",");
            match operator {
                Operator::In if requirement.values.len() == 1 => write!(f, "{comma}{key}={values}"),
                Operator::In => write!(f, "{comma}{key} in ({values})"),
                Operator::NotIn => write!(f, "{comma}{key} notin ({values})"),
                Operator::Exists => write!(f, "{comma}{key}"),
                Operator::DoesNotExist => write!(f, "{comma}!{key}"),
                Operator::Gt => write!(f, "{comma}{key}>{values}"),
                Operator::Lt => write!(f, "{comma}{key}<{values}"),
            }?;
        }
        Ok(())
    }
}

/// Splits at white space, and around signs.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '=' if rest.starts_with("==") => 2,
            '!' if rest.starts_with("!=") => 2,
            _ if is_sign(first) => 1,
            _ => rest.find(|c: char| is_sign(c) || c.is_whitespace()).unwrap_or(rest.len()),
        };
        let (token, tail) = rest.split_at(length);
        tokens.push(token);
        rest = tail.trim_start();
    }
    tokens
}

const fn is_sign(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | '<' | '>' | ',')
}

fn is_word(token: &str) -> bool {
    token.chars().next().is_some_and(|c| !is_sign(c))
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    next: usize,
}

impl<'a> Parser<'a> {
    /// The next token; empty at the end.
    fn peek(&self) -> &'a str {
        self.tokens.get(self.next).copied().unwrap_or_default()
    }

    fn take(&mut self) -> &'a str {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        while !self.peek().is_empty() {
            requirements.push(self.requirement()?);
            match self.take() {
                "" => break,
                "," if is_word(self.peek()) || self.peek() == "!" => {}
                "," => return Err("after a comma there must be a requirement".to_owned()),
                token => return Err(format!("{token:?} where a comma or the end is expected")),
            }
        }
        Ok(requirements)
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let is_negated = self.peek() == "!";
        if is_negated {
            self.take();
        }
        let key = self.take();
        if !is_qualified_name(key) {
            return Err(format!("{key:?} is not a label key"));
        }
        let (operator, values) = match self.peek() {
            "" | "," if is_negated => (Operator::DoesNotExist, Vec::new()),
            token if is_negated => {
                return Err(format!("{token:?} where a comma or the end is expected"));
            }
            "" | "," => (Operator::Exists, Vec::new()),
            _ => self.comparison()?,
        };
        Ok(Requirement { key: key.into(), operator, values })
    }

    fn comparison(&mut self) -> Result<(Operator, Vec<Name>), String> {
        let operator = match self.take() {
            "=" | "==" => Operator::In,
            "!=" => Operator::NotIn,
            ">" => Operator::Gt,
            "<" => Operator::Lt,
            "in" => return Ok((Operator::In, self.list()?)),
            "notin" => return Ok((Operator::NotIn, self.list()?)),
            token => return Err(format!("{token:?} is not one of = == != in notin < >")),
        };
        let value = if is_word(self.peek()) { self.take() } else { "" };
        let is_valid = match operator {
            Operator::Gt | Operator::Lt => value.parse::<i64>().is_ok(),
            _ => is_label_value(value),
        };
        if !is_valid {
            return Err(format!("{value:?} is not a label value for this operator"));
        }
        Ok((operator, vec![value.into()]))
    }

    fn list(&mut self) -> Result<Vec<Name>, String> {
        if self.take() != "(" {
            return Err("after in and notin there must be a list in parentheses".to_owned());
        }
        let mut values = Vec::new();
        loop {
            let value = if is_word(self.peek()) { self.take() } else { "" };
            if !is_label_value(value) {
                return Err(format!("{value:?} is not a label value"));
            }
            values.push(Name::from(value));
            match self.take() {
                "," => {}
                ")" => return Ok(values),
                _ => return Err("a list must end with a parenthesis".to_owned()),
            }
        }
    }
}

fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, name)| (Some(p), name));
    let is_domain = |prefix: &str| {
        let bytes = prefix.bytes();
        is_name(prefix, 253)
            && bytes.into_iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
    };
    prefix.is_none_or(is_domain) && is_name(name, 63)
}

fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name(value, 63)
}

/// Letters and digits, and `-`, `_`, `.` between them.
fn is_name(name: &str, max_length: usize) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= max_length
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Labels;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let selector: Selector = selector.parse().expect("a valid selector");
        selector.matches(&labels.iter().copied().collect::<Labels>())
    }

    #[test]
    fn every_operator_is_read() {
        let labels = [("app", "web"), ("tier", "a"), ("weight", "7")];
        for selector in [
            "",
            "app",
            "app=web",
            "app == web",
            "tier in (a, b)",
            "tier notin(b),!canary",
            "weight>6",
        ] {
            assert!(matches(selector, &labels), "{selector}");
        }
        for selector in ["!app", "app!=web", "app=", "tier in (b)", "weight<7", "x.io/app"] {
            assert!(!matches(selector, &labels), "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in
            ["cheddar cheese", "a=b c", "a=b,", ",", "!", "a in b", "a in (b", "a>b", "-a", "=b"]
        {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
