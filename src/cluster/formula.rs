//! Formulas over named numbers, in the language of `github.com/expr-lang/expr` as far as formulas of KEDA's
//! `scalingModifiers` go: arithmetic, comparisons, conditions, and functions over lists. Read once,
//! evaluated as often as is liked; neither can go on for ever.

use std::fmt;

use super::meta::Name;

/// How deep parentheses, calls and operators may be nested.
const DEPTH_MAX: usize = 64;

/// A formula that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// As written.
    text: Name,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Number(f64),
    Bool(bool),
    Variable(Name),
    /// `#`: the element that a predicate looks at.
    Element,
    Not(Box<Node>),
    Negated(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Condition(Box<Node>, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Call(Function, Vec<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Abs,
    Ceil,
    Floor,
    Round,
    /// `int` and `float` change nothing but the fraction.
    Int,
    Float,
    Min,
    Max,
    Sum,
    Mean,
    Median,
    Count,
    All,
    Any,
    None,
}

/// By binding strength, loosest first; an operator that begins with another comes before it.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or), ("or", Operator::Or)],
    &[("&&", Operator::And), ("and", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
    &[("**", Operator::Power), ("^", Operator::Power)],
];

const FUNCTIONS: [(&str, Function); 15] = [
    ("abs", Function::Abs),
    ("ceil", Function::Ceil),
    ("floor", Function::Floor),
    ("round", Function::Round),
    ("int", Function::Int),
    ("float", Function::Float),
    ("min", Function::Min),
    ("max", Function::Max),
    ("sum", Function::Sum),
    ("mean", Function::Mean),
    ("median", Function::Median),
    ("count", Function::Count),
    ("all", Function::All),
    ("any", Function::Any),
    ("none", Function::None),
];

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Bool(bool),
    List(Vec<Value>),
}

impl Formula {
    /// Reads a formula over these variables.
    pub fn parse(text: &str, variables: &[Name]) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0, variables };
        let root = reader.condition(0)?;
        reader.skip_space();
        match &text[reader.at..] {
            "" => Ok(Self { text: text.into(), root }),
            rest => Err(format!("{rest:?} was not expected here")),
        }
    }

    /// Its value, given those of the variables.
    pub fn evaluate(&self, value_of: &dyn Fn(&str) -> Option<f64>) -> Result<f64, String> {
        match evaluate(&self.root, value_of, None)? {
            Value::Number(number) => Ok(number),
            other => Err(format!("the formula gives {}, not a number", other.kind())),
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    variables: &'a [Name],
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a sign or a word, if it comes next. A word ends where no letter follows.
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
            return Err(format!("it is nested more than {DEPTH_MAX} deep"));
        }
        let node = self.binary(0, depth)?;
        if !self.take("?") {
            return Ok(node);
        }
        let then = self.condition(depth + 1)?;
        self.expect(":")?;
        let otherwise = self.condition(depth + 1)?;
        Ok(Node::Condition(node.into(), then.into(), otherwise.into()))
    }

    fn binary(&mut self, level: usize, depth: usize) -> Result<Node, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary(depth) };
        let mut node = self.binary(level + 1, depth)?;
        let mut length = depth;
        while let Some(operator) = self.operator(operators) {
            // A chain is a tree as deep as it is long.
            length += 1;
            if length > DEPTH_MAX {
                return Err(format!("it has more than {DEPTH_MAX} operators in a row"));
            }
            let is_right_associative = operator == Operator::Power;
            let next = if is_right_associative { level } else { level + 1 };
            let right = self.binary(next, length)?;
            node = Node::Binary(operator, node.into(), right.into());
        }
        Ok(node)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<Operator> {
        self.skip_space();
        // `**` is no `*`.
        let is_power = self.text[self.at..].starts_with("**");
        let found =
            operators.iter().find(|(sign, _)| !(is_power && *sign == "*") && self.take(sign));
        found.map(|(_, operator)| *operator)
    }

    fn unary(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it is nested more than {DEPTH_MAX} deep"));
        }
        if self.take("!") || self.take("not") {
            return Ok(Node::Not(self.unary(depth + 1)?.into()));
        }
        if self.take("-") {
            return Ok(Node::Negated(self.unary(depth + 1)?.into()));
        }
        if self.take("+") {
            return self.unary(depth + 1);
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
                "" => "it ends too early".to_owned(),
                rest => format!("{rest:?} was not expected here"),
            });
        }
        if word.starts_with(|one: char| one.is_ascii_digit()) {
            return self.number();
        }
        self.at += word.len();
        match word {
            "true" => return Ok(Node::Bool(true)),
            "false" => return Ok(Node::Bool(false)),
            _ => {}
        }
        if self.take("(") {
            let known = FUNCTIONS.iter().find(|(name, _)| *name == word);
            let Some((_, function)) = known else {
                let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
                return Err(format!(
                    "there is no function {word:?} here, but {}",
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
            [] => format!("{word:?} is no trigger's name: give `name` to triggers"),
            names => format!("{word:?} is no trigger's name; there are {}", names.join(", ")),
        })
    }

    fn number(&mut self) -> Result<Node, String> {
        let rest = &self.text[self.at..];
        let is_part = |one: char| one.is_ascii_digit() || matches!(one, '.' | '_' | 'e' | 'E');
        let length = rest.find(|one| !is_part(one)).unwrap_or(rest.len());
        let digits = rest[..length].replace('_', "");
        let number = digits.parse().map_err(|_| format!("{digits:?} is no number"))?;
        self.at += length;
        Ok(Node::Number(number))
    }

    /// Elements up to the closing sign. A predicate may stand in braces.
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

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
        }
    }

    fn number(self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(number),
            other => Err(format!("{} stands where a number belongs", other.kind())),
        }
    }

    fn bool(self) -> Result<bool, String> {
        match self {
            Self::Bool(value) => Ok(value),
            other => Err(format!("{} stands where true or false belongs", other.kind())),
        }
    }
}

fn evaluate(
    node: &Node,
    value_of: &dyn Fn(&str) -> Option<f64>,
    element: Option<f64>,
) -> Result<Value, String> {
    let of = |node: &Node| evaluate(node, value_of, element);
    Ok(match node {
        Node::Number(number) => Value::Number(*number),
        Node::Bool(value) => Value::Bool(*value),
        Node::Variable(name) => {
            let value = value_of(name).ok_or_else(|| format!("{name} has no value"))?;
            Value::Number(value)
        }
        Node::Element => {
            Value::Number(element.ok_or("# stands outside of a predicate".to_owned())?)
        }
        Node::Not(inner) => Value::Bool(!of(inner)?.bool()?),
        Node::Negated(inner) => Value::Number(-of(inner)?.number()?),
        Node::Binary(Operator::Or, left, right) => {
            Value::Bool(of(left)?.bool()? || of(right)?.bool()?)
        }
        Node::Binary(Operator::And, left, right) => {
            Value::Bool(of(left)?.bool()? && of(right)?.bool()?)
        }
        Node::Binary(Operator::Equal, left, right) => Value::Bool(of(left)? == of(right)?),
        Node::Binary(Operator::NotEqual, left, right) => Value::Bool(of(left)? != of(right)?),
        Node::Binary(operator, left, right) => {
            binary(*operator, of(left)?.number()?, of(right)?.number()?)
        }
        Node::Condition(condition, then, otherwise) => {
            if of(condition)?.bool()? {
                of(then)?
            } else {
                of(otherwise)?
            }
        }
        Node::List(nodes) => Value::List(nodes.iter().map(of).collect::<Result<_, _>>()?),
        Node::Call(function, arguments) => call(*function, arguments, value_of, element)?,
    })
}

fn binary(operator: Operator, left: f64, right: f64) -> Value {
    match operator {
        Operator::Add => Value::Number(left + right),
        Operator::Subtract => Value::Number(left - right),
        Operator::Multiply => Value::Number(left * right),
        Operator::Divide => Value::Number(left / right),
        Operator::Remainder => Value::Number(libm::fmod(left, right)),
        Operator::Power => Value::Number(libm::pow(left, right)),
        Operator::LessOrEqual => Value::Bool(left <= right),
        Operator::GreaterOrEqual => Value::Bool(left >= right),
        Operator::Less => Value::Bool(left < right),
        Operator::Greater => Value::Bool(left > right),
        // The others take what is no number, too, and were dealt with.
        Operator::Or | Operator::And | Operator::Equal | Operator::NotEqual => Value::Bool(false),
    }
}

fn call(
    function: Function,
    arguments: &[Node],
    value_of: &dyn Fn(&str) -> Option<f64>,
    element: Option<f64>,
) -> Result<Value, String> {
    if let Function::Count | Function::All | Function::Any | Function::None = function {
        let [list, predicate] = arguments else {
            return Err("count, all, any and none take a list and a predicate".to_owned());
        };
        let Value::List(elements) = evaluate(list, value_of, element)? else {
            return Err("count, all, any and none take a list and a predicate".to_owned());
        };
        let all = elements.len();
        let mut matching = 0;
        for one in elements {
            let holds = evaluate(predicate, value_of, Some(one.number()?))?.bool()?;
            matching += usize::from(holds);
        }
        return Ok(match function {
            Function::Count => Value::Number(matching as f64),
            Function::All => Value::Bool(matching == all),
            Function::Any => Value::Bool(matching > 0),
            _ => Value::Bool(matching == 0),
        });
    }
    let mut numbers = Vec::new();
    for argument in arguments {
        match evaluate(argument, value_of, element)? {
            Value::List(elements) => {
                for one in elements {
                    numbers.push(one.number()?);
                }
            }
            other => numbers.push(other.number()?),
        }
    }
    aggregate(function, &mut numbers).map(Value::Number)
}

fn aggregate(function: Function, numbers: &mut [f64]) -> Result<f64, String> {
    let one = || match *numbers {
        [number] => Ok(number),
        _ => Err("a function of one number was given others".to_owned()),
    };
    let none = || "a function of numbers was given none".to_owned();
    let count = numbers.len() as f64;
    Ok(match function {
        Function::Abs => one()?.abs(),
        Function::Ceil => libm::ceil(one()?),
        Function::Floor => libm::floor(one()?),
        Function::Round => libm::round(one()?),
        Function::Int => libm::trunc(one()?),
        Function::Float => one()?,
        Function::Min => numbers.iter().copied().reduce(f64::min).ok_or_else(none)?,
        Function::Max => numbers.iter().copied().reduce(f64::max).ok_or_else(none)?,
        Function::Sum => numbers.iter().sum(),
        Function::Mean if numbers.is_empty() => return Err(none()),
        Function::Mean => numbers.iter().sum::<f64>() / count,
        Function::Median | Function::Count | Function::All | Function::Any | Function::None => {
            numbers.sort_unstable_by(f64::total_cmp);
            let middle = numbers.len() / 2;
            match numbers.len() {
                0 => return Err(none()),
                even if even % 2 == 0 => f64::midpoint(numbers[middle - 1], numbers[middle]),
                _ => numbers[middle],
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<f64, String> {
        let names: [Name; 2] = ["trig_one".into(), "trig_two".into()];
        let formula = Formula::parse(text, &names)?;
        formula.evaluate(&|name| Some(if name == "trig_one" { 2.0 } else { 5.0 }))
    }

    #[test]
    fn the_examples_of_kedas_documentation_have_their_values() {
        for (text, expected) in [
            ("(trig_one + trig_two)/2", 3.5),
            ("trig_one > 2 ? trig_one + trig_two : 1", 1.0),
            ("count([trig_one,trig_two],{#>1}) > 1 ? 5 : 0", 5.0),
            ("trig_one > 2 ? trig_one + trig_two : trig_one + trig_two + 10", 17.0),
            ("float(trig_one < 2 ? trig_one+trig_two >= 2 ? 5 : 10 : 0)", 0.0),
            ("sum([trig_one, trig_two])", 7.0),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn operators_bind_as_in_expr() {
        for (text, expected) in [
            ("2 + 3 * 4 - 1", 13.0),
            ("2 ** 3 ** 2 / 2", 256.0),
            ("-trig_one + 1", -1.0),
            ("7 % 4", 3.0),
            ("10 - 3 - 2", 5.0),
            ("trig_one == 2 and not (trig_two < 5 or false) ? 1 : 0", 1.0),
            ("max(trig_one, trig_two, 1_000) - min([trig_one, 3])", 998.0),
            ("median([3, 1, 2]) + mean(trig_one, trig_two) + ceil(0.2) + 1.5e1", 21.5),
            ("all([1, 2], # > 0) && none([1], # > 1) && any([1], # == 1) ? 1 : 0", 1.0),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_is_too_deep() {
        for (text, expected) in [
            ("", "it ends too early"),
            ("trig_one +", "it ends too early"),
            ("(trig_one", "\")\" is missing at the end"),
            ("trig_three", "there are trig_one, trig_two"),
            ("keys(trig_one)", "there is no function \"keys\" here"),
            ("trig_one trig_two", "\"trig_two\" was not expected here"),
            ("trig_one > 1", "the formula gives true or false, not a number"),
            ("# + 1", "# stands outside of a predicate"),
            ("1 ? 2 : 3", "a number stands where true or false belongs"),
            ("mean([])", "was given none"),
        ] {
            let problem = value(text).expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        for sign in ["(", "-", "!", "[", "1 ? ", "min("] {
            assert!(value(&sign.repeat(100_000)).is_err());
        }
        assert!(value(&"1 + ".repeat(100_000)).is_err());
        assert!(value(&"1 ** ".repeat(100_000)).is_err());
    }
}
