//! Parser of templates (client-go's `jsonpath/parser.go`).

use serde_json::{Number, Value};

use super::{End, Filter, Part, Slice, Step};

/// Parses a template. A range without an end extends to the end of the text.
pub(super) fn template(text: &str) -> Result<Vec<Part>, String> {
    // The parts outside of any range, followed by those of each open range.
    let mut open: Vec<(Vec<Step>, Vec<Part>)> = vec![(Vec::new(), Vec::new())];
    let mut rest = text;
    while !rest.is_empty() {
        let (before, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !before.is_empty() {
            add(&mut open, Part::Text(before.to_owned()));
        }
        let Some(action) = after.strip_prefix('{') else { break };
        let mut reader = Reader { rest: action };
        let mut steps = reader.steps()?;
        rest = reader.rest;
        match steps.first() {
            Some(Step::Unknown(word)) if word == "range" => {
                steps.remove(0);
                open.push((steps, Vec::new()));
            }
            Some(Step::Unknown(word)) if word == "end" && open.len() > 1 => close(&mut open),
            _ => add(&mut open, Part::Path(steps)),
        }
    }
    while open.len() > 1 {
        close(&mut open);
    }
    Ok(open.pop().map(|(_, parts)| parts).unwrap_or_default())
}

fn add(open: &mut [(Vec<Step>, Vec<Part>)], part: Part) {
    if let Some((_, parts)) = open.last_mut() {
        parts.push(part);
    }
}

fn close(open: &mut Vec<(Vec<Step>, Vec<Part>)>) {
    if let Some((steps, parts)) = open.pop() {
        add(open, Part::Range(steps, parts));
    }
}

/// The steps of a text without its braces.
fn action(text: &str) -> Result<Vec<Step>, String> {
    let closed = format!("{text}}}");
    Reader { rest: &closed }.steps()
}

/// The remaining input within braces.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    /// The steps up to the closing brace, which is consumed.
    fn steps(&mut self) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            if let Some(after) = self.rest.strip_prefix("[?(") {
                self.rest = after;
                steps.push(self.filter()?);
                continue;
            }
            if let Some(after) = self.rest.strip_prefix("..") {
                if steps.last() == Some(&Step::Recursive) {
                    return Err("invalid multiple recursive descent".to_owned());
                }
                self.rest = after;
                steps.push(Step::Recursive);
                if after.starts_with(is_of_word) {
                    steps.push(self.field());
                }
                continue;
            }
            let first = self.rest.chars().next();
            let first = first.filter(|one| !matches!(one, '\n' | '\r')).ok_or("unclosed action")?;
            let after = &self.rest[first.len_utf8()..];
            match first {
                '}' => {
                    self.rest = after;
                    return Ok(steps);
                }
                ' ' | '@' | '$' => self.rest = after,
                '[' => {
                    self.rest = after;
                    steps.extend(self.index()?);
                }
                '"' | '\'' => {
                    self.rest = after;
                    steps.push(self.quoted(first)?);
                }
                '.' => {
                    self.rest = after;
                    steps.push(self.field());
                }
                '+' | '-' => steps.push(self.number()?),
                _ if first.is_numeric() => steps.push(self.number()?),
                _ if is_of_word(first) => {
                    let end = self.rest.find(is_terminator).unwrap_or(self.rest.len());
                    steps.push(match self.take(end) {
                        word @ ("true" | "false") => Step::Literal((word == "true").into()),
                        word => Step::Unknown(word.to_owned()),
                    });
                }
                _ => {
                    let number = u32::from(first);
                    return Err(format!(
                        "unrecognized character in action: U+{number:04X} '{first}'"
                    ));
                }
            }
        }
    }

    /// Consumes this many bytes, up to a character boundary.
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// A field's name after its dot, with backslash escapes.
    fn field(&mut self) -> Step {
        let mut is_escaped = false;
        let ends = |letter: char| {
            let is_end = !is_escaped && is_terminator(letter);
            is_escaped = !is_escaped && letter == '\\';
            is_end
        };
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        match self.take(end) {
            "*" => Step::Wildcard,
            name => Step::Field(name.replace('\\', "")),
        }
    }

    fn number(&mut self) -> Result<Step, String> {
        let is_of_number = |letter: char| letter.is_numeric() || letter == '.';
        let digits = self.rest.trim_start_matches(['+', '-']);
        let sign = (self.rest.len() - digits.len()).min(1);
        let after = &self.rest[sign..];
        let end = after.find(|letter| !is_of_number(letter)).unwrap_or(after.len());
        let text = self.take(sign + end);
        let whole = text.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| Number::from_f64(text.parse().ok()?));
        let number = number.ok_or_else(|| format!("cannot parse number {text}"))?;
        Ok(Step::Literal(Value::Number(number)))
    }

    /// Text up to the closing quotation mark.
    fn quoted(&mut self, mark: char) -> Result<Step, String> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((position, letter)) = letters.next() {
            match letter {
                '\n' => break,
                '\\' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) if other == mark || other == '\\' => text.push(other),
                    _ => {
                        let quoted = self.rest.split(mark).next().unwrap_or_default();
                        let quoted = format!("{mark}{quoted}{mark}");
                        return Err(format!("unquote string {quoted} error invalid syntax"));
                    }
                },
                _ if letter == mark => {
                    self.rest = &self.rest[position + letter.len_utf8()..];
                    return Ok(Step::Literal(Value::String(text)));
                }
                _ => text.push(letter),
            }
        }
        Err("unterminated quoted string".to_owned())
    }

    /// The content of brackets.
    fn index(&mut self) -> Result<Vec<Step>, String> {
        let end = self.rest.find([']', '\n']).filter(|end| !self.rest[*end..].starts_with('\n'));
        let text = self.take(end.ok_or("unterminated array")?);
        self.take(1);
        let parts: Vec<&str> = text.split(',').collect();
        if parts.len() > 1 {
            let parts = parts.into_iter().map(|part| action(&format!("[{}]", part.trim())));
            return Ok(vec![Step::Union(parts.collect::<Result<_, _>>()?)]);
        }
        let key = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        match key.filter(|key| !key.contains('\'')) {
            Some(key) => action(&format!(".{key}")),
            None => Ok(vec![Step::Slice(slice(text)?)]),
        }
    }

    /// A filter after its `[?(`.
    fn filter(&mut self) -> Result<Step, String> {
        let mut mark = None;
        let mut is_closed = false;
        let mut before = ' ';
        let mut end = None;
        for (position, letter) in self.rest.char_indices() {
            match letter {
                '\n' => break,
                '"' | '\'' if mark.is_none() => mark = Some(letter),
                '"' | '\'' if mark == Some(letter) && before != '\\' => is_closed = true,
                ')' if mark.is_some() == is_closed => {
                    end = Some(position);
                    break;
                }
                _ => {}
            }
            before = letter;
        }
        let text = self.take(end.ok_or("unterminated filter")?);
        let after = self.rest.strip_prefix(")]").ok_or("unclosed array expect ]")?;
        self.rest = after;
        let is_of_operator = |letter: char| "!<>=~".contains(letter);
        let start = text.find(|letter| is_of_operator(letter) && letter != '~');
        let operator = start.filter(|start| *start > 0).map(|start| {
            let rest = &text[start..];
            let length = rest.find(|letter| !is_of_operator(letter)).unwrap_or(rest.len());
            (start, start + length)
        });
        Ok(Step::Filter(match operator.filter(|(_, end)| *end < text.len()) {
            Some((start, end)) => Filter {
                left: action(&text[..start])?,
                comparison: Some((text[start..end].to_owned(), action(&text[end..])?)),
            },
            None => Filter { left: action(text)?, comparison: None },
        }))
    }
}

/// `2`, `-1`, `1:3`, `::2`, `*`
fn slice(text: &str) -> Result<Slice, String> {
    let text = if text == "*" { ":" } else { text };
    let wrong = || format!("invalid array index {text}");
    let number = |part: &str| part.parse::<i64>().map_err(|_| wrong());
    let parts: Vec<&str> = text.split(':').collect();
    let part = |position: usize| parts.get(position).copied().filter(|part| !part.is_empty());
    let is_number = |part: &&str| {
        part.strip_prefix('-').unwrap_or(part).bytes().all(|one| one.is_ascii_digit())
    };
    if parts.len() > 3 || text.is_empty() || !parts.iter().all(is_number) {
        return Err(wrong());
    }
    Ok(Slice {
        start: part(0).map_or(Ok(0), number)?,
        end: match part(1) {
            Some(end) => End::Before(number(end)?),
            None if parts.len() > 1 => End::Last,
            None => End::One,
        },
        step: part(2).map(number).transpose()?,
    })
}

fn is_terminator(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

fn is_of_word(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}
