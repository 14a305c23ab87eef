//! Templates: rules with parameters, written out for each set of arguments that they are used with.

use super::syntax::{Expression, Rule};
use std::collections::HashMap;
use std::fmt::Write;

/// How deep an instance's brackets may nest; arguments add to those of the template.
const MAX_DEPTH: usize = 200;

/// Arguments in a form that is equal where they are.
pub(super) fn key(arguments: &[Expression]) -> String {
    let mut key = String::new();
    for argument in arguments {
        // Places are in it: the same argument written twice makes two instances, of the same texts.
        let _ = write!(key, "{argument:?},");
    }
    key
}

/// The body of `rule` with its parameters replaced by `arguments`, and of how many parts it is. `None`
/// where they pass `budget`, or nest too deep.
pub(super) fn instantiate(rule: &Rule, arguments: &[Expression], budget: usize) -> Option<(Expression, usize)> {
    let arguments = rule.parameters.iter().map(String::as_str).zip(arguments).collect();
    let mut instance = Instance { arguments, budget, parts: 0 };
    let body = instance.replace(&rule.body, 0, true)?;
    Some((body, instance.parts))
}

struct Instance<'a> {
    arguments: HashMap<&'a str, &'a Expression>,
    budget: usize,
    parts: usize,
}

impl Instance<'_> {
    /// A copy; in it, where `in_template`, parameters are replaced.
    fn replace(&mut self, expression: &Expression, depth: usize, in_template: bool) -> Option<Expression> {
        self.parts += 1;
        if self.parts > self.budget || depth > MAX_DEPTH {
            return None;
        }
        if let Expression::Name { name, arguments, .. } = expression
            && in_template
            && arguments.is_empty()
            && let Some(argument) = self.arguments.get(name.as_str()).copied()
        {
            return self.replace(argument, depth + 1, false);
        }
        let mut all =
            |parts: &[Expression]| parts.iter().map(|part| self.replace(part, depth + 1, in_template)).collect::<Option<Vec<_>>>();
        Some(match expression {
            Expression::Sequence(parts) => Expression::Sequence(all(parts)?),
            Expression::Choice(parts) => Expression::Choice(all(parts)?),
            Expression::Repeat { inner, min, max, place } => {
                let inner = Box::new(self.replace(inner, depth + 1, in_template)?);
                Expression::Repeat { inner, min: *min, max: *max, place: *place }
            }
            Expression::Name { name, arguments, place } => {
                Expression::Name { name: name.clone(), arguments: all(arguments)?, place: *place }
            }
            Expression::Text { .. } | Expression::Regex { .. } | Expression::Range { .. } => expression.clone(),
        })
    }
}
