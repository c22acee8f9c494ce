//! Formulas over named numbers: the subset of the `github.com/expr-lang/expr` language used by formulas of KEDA's
//! `scalingModifiers` (arithmetic, comparisons, conditions, `??`, and functions over lists). Parsed once, evaluated
//! any number of times; both are bounded in time.

mod reader;

use std::fmt;

use super::meta::Name;
use reader::Reader;

/// A parsed formula.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// The original text.
    text: Name,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Nil,
    Number(f64),
    Bool(bool),
    Variable(Name),
    /// `#`: the element to which a predicate is applied.
    Element,
    Not(Box<Node>),
    Negated(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// Chained comparisons, `1 < a < 3`: each operand is compared with the previous one.
    Comparisons(Box<Node>, Vec<(Operator, Node)>),
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
    /// `??`: the left operand unless it is nil.
    Coalesce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Abs,
    Ceil,
    Floor,
    Round,
    /// `int` drops the fraction, `float` is the identity.
    Int,
    Float,
    IsNan,
    IsInf,
    /// `default`: the first argument unless it is nil, else the second.
    Default,
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

/// Operator precedences (`parser/operator/operator.go` of expr). An operator that starts with another one precedes it
/// in the table.
const OPERATORS: [(&str, Operator, u16); 18] = [
    ("||", Operator::Or, 10),
    ("or", Operator::Or, 10),
    ("&&", Operator::And, 15),
    ("and", Operator::And, 15),
    ("==", Operator::Equal, COMPARISON),
    ("!=", Operator::NotEqual, COMPARISON),
    ("<=", Operator::LessOrEqual, COMPARISON),
    (">=", Operator::GreaterOrEqual, COMPARISON),
    ("<", Operator::Less, COMPARISON),
    (">", Operator::Greater, COMPARISON),
    ("+", Operator::Add, 30),
    ("-", Operator::Subtract, 30),
    ("**", Operator::Power, 100),
    ("^", Operator::Power, 100),
    ("*", Operator::Multiply, 60),
    ("/", Operator::Divide, 60),
    ("%", Operator::Remainder, 60),
    ("??", Operator::Coalesce, 500),
];

const COMPARISON: u16 = 20;

/// Precedence of `not`: its operand ends before a comparison.
const NOT: u16 = 50;

/// Precedence of a sign: `-2 ** 2` is -4.
const SIGN: u16 = 90;

const FUNCTIONS: [(&str, Function); 18] = [
    ("abs", Function::Abs),
    ("ceil", Function::Ceil),
    ("floor", Function::Floor),
    ("round", Function::Round),
    ("int", Function::Int),
    ("float", Function::Float),
    ("isNaN", Function::IsNan),
    ("isInf", Function::IsInf),
    ("default", Function::Default),
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
    /// The value of a variable without one.
    Nil,
    Number(f64),
    Bool(bool),
    List(Vec<Value>),
}

impl Formula {
    /// Parses a formula over these variables.
    pub fn parse(text: &str, variables: &[Name]) -> Result<Self, String> {
        let root = Reader::new(text, variables).read()?;
        Ok(Self { text: text.into(), root })
    }

    /// Evaluates the formula. A variable without a value is nil, which only `??`, `==` and `!=` accept.
    pub fn evaluate(&self, value_of: &dyn Fn(&str) -> Option<f64>) -> Result<f64, String> {
        match evaluate(&self.root, value_of, None)? {
            Value::Number(number) => Ok(number),
            other => Err(format!("the formula yields {}, not a number", other.kind())),
        }
    }

    /// Evaluates a condition.
    pub fn holds(&self, value_of: &dyn Fn(&str) -> Option<f64>) -> Result<bool, String> {
        evaluate(&self.root, value_of, None)?.bool()
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Value {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nothing",
            Self::Number(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
        }
    }

    fn number(self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(number),
            other => Err(format!("{} is used instead of a number", other.kind())),
        }
    }

    fn bool(self) -> Result<bool, String> {
        match self {
            Self::Bool(value) => Ok(value),
            other => Err(format!("{} is used instead of true or false", other.kind())),
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
        Node::Nil => Value::Nil,
        Node::Number(number) => Value::Number(*number),
        Node::Bool(value) => Value::Bool(*value),
        Node::Variable(name) => value_of(name).map_or(Value::Nil, Value::Number),
        Node::Element => Value::Number(element.ok_or("# is used outside a predicate".to_owned())?),
        Node::Not(inner) => Value::Bool(!of(inner)?.bool()?),
        Node::Negated(inner) => Value::Number(-of(inner)?.number()?),
        Node::Binary(Operator::Or, left, right) => {
            Value::Bool(of(left)?.bool()? || of(right)?.bool()?)
        }
        Node::Binary(Operator::And, left, right) => {
            Value::Bool(of(left)?.bool()? && of(right)?.bool()?)
        }
        Node::Binary(Operator::Coalesce, left, right) => match of(left)? {
            Value::Nil => of(right)?,
            value => value,
        },
        Node::Binary(operator, left, right) => {
            let (left, right) = (of(left)?.number()?, of(right)?.number()?);
            Value::Number(arithmetic(*operator, left, right))
        }
        Node::Comparisons(first, others) => {
            let mut left = of(first)?;
            for (operator, right) in others {
                let right = of(right)?;
                if !compare(*operator, left, right.clone())? {
                    return Ok(Value::Bool(false));
                }
                left = right;
            }
            Value::Bool(true)
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

fn arithmetic(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Remainder => libm::fmod(left, right),
        Operator::Power => libm::pow(left, right),
        // Other operators are not arithmetic and have been handled before.
        _ => f64::NAN,
    }
}

fn compare(operator: Operator, left: Value, right: Value) -> Result<bool, String> {
    Ok(match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::LessOrEqual => left.number()? <= right.number()?,
        Operator::GreaterOrEqual => left.number()? >= right.number()?,
        Operator::Less => left.number()? < right.number()?,
        _ => left.number()? > right.number()?,
    })
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
    if let (Function::Default, [value, otherwise]) = (function, arguments) {
        return Ok(match evaluate(value, value_of, element)? {
            Value::Nil => evaluate(otherwise, value_of, element)?,
            value => value,
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
    match (function, numbers.as_slice()) {
        (Function::IsNan, [number]) => Ok(Value::Bool(number.is_nan())),
        (Function::IsInf, [number]) => Ok(Value::Bool(number.is_infinite())),
        _ => aggregate(function, &mut numbers).map(Value::Number),
    }
}

fn aggregate(function: Function, numbers: &mut [f64]) -> Result<f64, String> {
    let one = || match *numbers {
        [number] => Ok(number),
        _ => Err("a function of one number has other arguments".to_owned()),
    };
    let none = || "a function of numbers has no arguments".to_owned();
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
        Function::IsNan | Function::IsInf | Function::Default => {
            return Err("isNaN and isInf take a number, default two values".to_owned());
        }
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
            ("-trig_one ** 2", -4.0),
            ("2 ** -trig_one", 0.25),
            ("1 < trig_one < 5 ? 1 : 0", 1.0),
            ("1 < trig_two < 5 ? 1 : 0", 0.0),
            ("(1 < 2) == (2 < 3) ? 1 : 0", 1.0),
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
    fn a_trigger_without_a_value_is_nil_which_two_question_marks_replace() {
        let names: [Name; 3] = ["best".into(), "slower".into(), "backup".into()];
        let value = |text: &str| {
            let formula = Formula::parse(text, &names)?;
            formula.evaluate(&|name| (name == "backup").then_some(7.0))
        };
        for (text, expected) in [
            ("best ?? slower ?? backup ?? 8", 7.0),
            ("best ?? slower ?? 8", 8.0),
            ("backup ?? best", 7.0),
            ("(best ?? backup) + 1", 8.0),
            ("2 * best ?? backup + 1", 15.0),
            ("-best ?? 3 + 1", -2.0),
            ("best == nil ? 1 : 2", 1.0),
            ("max(best ?? 1, backup)", 7.0),
            ("backup > 5 ? backup : best", 7.0),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("best ?? slower", "the formula yields nothing, not a number"),
            ("best + 1", "nothing is used instead of a number"),
            ("best ?? backup + 1", "?? cannot be mixed with other operators"),
            ("best ?? backup || true", "?? cannot be mixed with other operators"),
        ] {
            let problem = value(text).expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_is_too_deep() {
        for (text, expected) in [
            ("", "unexpected end"),
            ("trig_one +", "unexpected end"),
            ("(trig_one", "\")\" is missing at the end"),
            ("trig_three", "the names are trig_one, trig_two"),
            ("keys(trig_one)", "unknown function \"keys\""),
            ("trig_one trig_two", "\"trig_two\" is unexpected here"),
            ("trig_one > 1", "the formula yields true or false, not a number"),
            ("# + 1", "# is used outside a predicate"),
            ("1 ? 2 : 3", "a number is used instead of true or false"),
            ("mean([])", "has no arguments"),
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
