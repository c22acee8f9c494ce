//! Parses the text of a formula into its tree by operator precedence.

use super::{COMPARISON, FUNCTIONS, NOT, Node, OPERATORS, Operator, SIGN};
use crate::meta::Name;

/// Maximum nesting depth of parentheses, calls and operators.
const DEPTH_MAX: usize = 64;

/// Parser state: the text and the current position.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    variables: &'a [Name],
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, variables: &'a [Name]) -> Self {
        Self { text, at: 0, variables }
    }

    /// Parses the whole text as one formula.
    pub fn read(mut self) -> Result<Node, String> {
        let root = self.condition(0)?;
        self.skip_space();
        match &self.text[self.at..] {
            "" => Ok(root),
            rest => Err(format!("{rest:?} is unexpected here")),
        }
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Consumes a token if it comes next. A word must not be followed by another name character.
    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let Some(rest) = self.text[self.at..].strip_prefix(token) else { return false };
        let is_word = token.starts_with(|one: char| one.is_ascii_alphabetic());
        if is_word && rest.starts_with(is_of_name) {
            return false;
        }
        self.at += token.len();
        true
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        match &self.text[self.at..] {
            "" => Err(format!("{token:?} is missing at the end")),
            rest => Err(format!("{token:?} is missing before {rest:?}")),
        }
    }

    fn condition(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} deep"));
        }
        let node = self.expression(0, depth)?;
        if !self.take("?") {
            return Ok(node);
        }
        let then = self.condition(depth + 1)?;
        self.expect(":")?;
        let otherwise = self.condition(depth + 1)?;
        Ok(Node::Condition(node.into(), then.into(), otherwise.into()))
    }

    /// Operands joined by operators of at least this precedence.
    fn expression(&mut self, tightness: u16, depth: usize) -> Result<Node, String> {
        let mut node = self.operand(depth)?;
        let mut length = depth;
        let mut was_coalesced = false;
        while let Some((operator, binds)) = self.operator(tightness) {
            if was_coalesced && operator != Operator::Coalesce {
                let problem = "?? cannot be mixed with other operators: put one into parentheses";
                return Err(problem.to_owned());
            }
            // A chain of operators becomes a tree as deep as the chain is long.
            length += 1;
            if length > DEPTH_MAX {
                return Err(format!("more than {DEPTH_MAX} operators in a row"));
            }
            let is_right_associative = operator == Operator::Power;
            let right =
                self.expression(if is_right_associative { binds } else { binds + 1 }, length)?;
            was_coalesced = operator == Operator::Coalesce;
            node = match node {
                node if binds != COMPARISON => Node::Binary(operator, node.into(), right.into()),
                Node::Comparisons(first, mut others) if length > depth + 1 => {
                    others.push((operator, right));
                    Node::Comparisons(first, others)
                }
                first => Node::Comparisons(first.into(), vec![(operator, right)]),
            };
        }
        Ok(node)
    }

    fn operator(&mut self, tightness: u16) -> Option<(Operator, u16)> {
        let found =
            OPERATORS.iter().find(|(sign, _, binds)| *binds >= tightness && self.take(sign));
        found.map(|(_, operator, binds)| (*operator, *binds))
    }

    fn operand(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} deep"));
        }
        if self.take("!") || self.take("not") {
            return Ok(Node::Not(self.expression(NOT, depth + 1)?.into()));
        }
        if self.take("-") {
            return Ok(Node::Negated(self.expression(SIGN, depth + 1)?.into()));
        }
        if self.take("+") {
            return self.expression(SIGN, depth + 1);
        }
        self.primary(depth + 1)
    }

    fn primary(&mut self, depth: usize) -> Result<Node, String> {
        if self.take("(") {
            let node = self.condition(depth)?;
            self.expect(")")?;
            return Ok(node);
        }
        if self.take("[") {
            return Ok(Node::List(self.list("]", depth)?));
        }
        if self.take("#") {
            return Ok(Node::Element);
        }
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|one| !is_of_name(one)).unwrap_or(rest.len())];
        if word.is_empty() {
            return Err(match rest {
                "" => "unexpected end".to_owned(),
                rest => format!("{rest:?} is unexpected here"),
            });
        }
        if word.starts_with(|one: char| one.is_ascii_digit()) {
            return self.number();
        }
        self.at += word.len();
        match word {
            "true" => return Ok(Node::Bool(true)),
            "false" => return Ok(Node::Bool(false)),
            "nil" => return Ok(Node::Nil),
            _ => {}
        }
        if self.take("(") {
            let known = FUNCTIONS.iter().find(|(name, _)| *name == word);
            let Some((_, function)) = known else {
                let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "unknown function {word:?}; the functions are {}",
                    names.join(", ")
                ));
            };
            return Ok(Node::Call(*function, self.list(")", depth)?));
        }
        if self.variables.iter().any(|name| **name == *word) {
            return Ok(Node::Variable(word.into()));
        }
        let names: Vec<&str> = self.variables.iter().map(|name| &**name).collect();
        Err(match names.as_slice() {
            [] => format!("{word:?} is not a trigger's name: set `name` of the triggers"),
            names => {
                format!("{word:?} is not a trigger's name; the names are {}", names.join(", "))
            }
        })
    }

    fn number(&mut self) -> Result<Node, String> {
        let rest = &self.text[self.at..];
        let is_part = |one: char| one.is_ascii_digit() || matches!(one, '.' | '_' | 'e' | 'E');
        let length = rest.find(|one| !is_part(one)).unwrap_or(rest.len());
        let digits = rest[..length].replace('_', "");
        let number = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
        self.at += length;
        Ok(Node::Number(number))
    }

    /// Elements up to the closing token. A predicate may be enclosed in braces.
    fn list(&mut self, close: &str, depth: usize) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        if self.take(close) {
            return Ok(nodes);
        }
        loop {
            let braces = self.take("{");
            nodes.push(self.condition(depth + 1)?);
            if braces {
                self.expect("}")?;
            }
            if !self.take(",") {
                self.expect(close)?;
                return Ok(nodes);
            }
        }
    }
}

fn is_of_name(one: char) -> bool {
    one.is_ascii_alphanumeric() || one == '_'
}
