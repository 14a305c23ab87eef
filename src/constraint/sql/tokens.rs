//! What each token does to a query: symbols and literals here, words in `words.rs`.

use super::clauses::window_term;
use super::expression::{Call, Expression, Kind, Place, Uses, Want};
use super::keywords::{self, FUNCTIONS};
use super::scope::{Clause, Output, Scope};
use super::syntax::{At, Frame, Language, Open, SubqueryKind, Syntax};
use smallvec::SmallVec;

/// A token that is no word and no literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    Comma,
    Open,
    Close,
    Star,
    /// `+`, `-`, `/`, `%` and `||`.
    Arithmetic,
    Comparison,
    End,
}

/// What a number may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberRule {
    /// Any, with or without a fraction.
    Value,
    /// A whole number.
    Whole,
    /// The place of a column of the result.
    Ordinal,
}

impl Language {
    /// The query after a symbol, if it may come.
    pub fn symbol(&self, syntax: &Syntax, symbol: Symbol) -> Option<Syntax> {
        match symbol {
            Symbol::Comma => self.comma(syntax),
            Symbol::Open => self.open(syntax),
            Symbol::Close => self.close(syntax),
            Symbol::Star => self.star(syntax),
            Symbol::Arithmetic => {
                let expression = syntax.expression()?.arithmetic(self.options.max_items)?;
                Some(syntax.at(At::Expression(expression)))
            }
            Symbol::Comparison => Some(syntax.at(At::Expression(syntax.expression()?.comparison().filter(|_| !is_not(syntax))?))),
            Symbol::End => (syntax.frame.is_none() && self.ends_clause(syntax)).then(|| syntax.at(At::Closed)),
        }
    }

    /// Whether a string may come.
    pub fn takes_string(&self, syntax: &Syntax) -> bool {
        syntax.expression().is_some_and(Expression::takes_literal)
    }

    /// What a number that comes now may be.
    pub fn number_rule(&self, syntax: &Syntax) -> Option<NumberRule> {
        match syntax.at {
            At::Number => Some(NumberRule::Whole),
            At::ResultColumn => Some(NumberRule::Ordinal),
            _ => {
                let expression = syntax.expression()?;
                if expression.takes_literal() {
                    Some(NumberRule::Value)
                } else {
                    (expression.want == Want::Term && expression.is_empty() && syntax.is_base()).then_some(NumberRule::Ordinal)
                }
            }
        }
    }

    /// Whether a column of the result may be called by this number.
    pub fn is_ordinal(&self, syntax: &Syntax, number: usize) -> bool {
        let scope = &syntax.scope;
        if syntax.at == At::ResultColumn {
            return (1..=self.ordinals(syntax)).contains(&number);
        }
        match number.checked_sub(1).and_then(|place| scope.outputs.get(place)) {
            Some(Output::Column { uses, .. }) => *uses == Uses::default() || scope.clause != Clause::Group,
            _ => false,
        }
    }

    /// How many columns can be called by a number.
    pub fn ordinals(&self, syntax: &Syntax) -> usize {
        if syntax.at == At::ResultColumn { syntax.scope.first.as_deref().map_or(0, <[_]>::len) } else { syntax.scope.outputs.len() }
    }

    /// The query after a literal, for which `takes_string` or `number_rule` was asked.
    pub fn literal(&self, syntax: &Syntax) -> Option<Syntax> {
        match syntax.at {
            At::Number => Some(syntax.at(At::Numbered)),
            At::ResultColumn => Some(syntax.at(At::Term { direction: true, nulls: true })),
            _ => {
                let expression = syntax.expression()?;
                let ordinal = !expression.takes_literal();
                Some(syntax.at(if ordinal { At::Term { direction: true, nulls: true } } else { At::Expression(expression.operand()) }))
            }
        }
    }

    fn comma(&self, syntax: &Syntax) -> Option<Syntax> {
        let most = self.options.max_items;
        match syntax.at {
            At::Cte => return self.may_define(syntax).then(|| syntax.at(At::CteName)),
            At::CteColumned => return self.may_list_column(syntax).then(|| syntax.at(At::CteColumn)),
            At::UsingColumned => return syntax.scope.may_join_by_some(&self.names).then(|| syntax.at(At::UsingColumn)),
            _ => {}
        }
        if let Some(frame) = syntax.frame.as_deref()
            && let Open::Over { order, terms } = frame.open
        {
            let ends = matches!(syntax.at, At::Term { .. }) || syntax.expression().is_some_and(Expression::is_value);
            let next = Open::Over { order, terms: terms + 1 };
            return (ends && terms + 1 < most).then(|| syntax.reopening(frame, next, window_term(frame)));
        }
        if let (At::Expression(expression), Some(frame)) = (syntax.at, syntax.frame.as_deref()) {
            let next = |want| At::Expression(expression.next(want));
            match frame.open {
                Open::In { items } if expression.is_value() && items + 1 < most => {
                    return Some(syntax.reopening(frame, Open::In { items: items + 1 }, next(Want::Value)));
                }
                Open::Call { function, arguments, distinct }
                    if expression.complete().is_some() && arguments + 1 < FUNCTIONS[usize::from(function)].most_arguments =>
                {
                    return Some(syntax.reopening(
                        frame,
                        Open::Call { function, arguments: arguments + 1, distinct },
                        next(self.want_in_call()),
                    ));
                }
                _ => {}
            }
        }
        if !syntax.is_base() {
            return None;
        }
        let scope = &syntax.scope;
        match scope.clause {
            Clause::Items => {
                let scope = self.item_end(syntax)?;
                let room = match scope.wanted {
                    Some(wanted) => !matches!(scope.outputs[..], [Output::Star]) && scope.outputs.len() < usize::from(wanted),
                    None => scope.outputs.len() < usize::from(most),
                };
                room.then(|| syntax.within(scope, At::Expression(Expression::new(Want::Value, true))))
            }
            Clause::From => self.ends_source(syntax, false).then(|| syntax.at(At::Source { joined: false })),
            Clause::Group | Clause::Order if scope.terms + 1 < most && self.ends_clause(syntax) => {
                Some(self.term(syntax, Scope { terms: scope.terms + 1, ..Scope::clone(scope) }))
            }
            _ => None,
        }
    }

    /// Whether a further source may follow, `joined` by JOIN: the one before is complete, and some table fits.
    pub fn ends_source(&self, syntax: &Syntax, joined: bool) -> bool {
        let complete = match syntax.at {
            At::Table { plain, .. } => plain,
            At::Sourced { .. } | At::Derived { .. } => true,
            At::Expression(expression) => expression.is_condition(),
            _ => false,
        };
        complete
            && syntax.is_base()
            && syntax.scope.clause == Clause::From
            && syntax.scope.may_add_some_table(joined, &self.names, self.most_sources())
    }

    /// The scope after the item that is being written, if it may end here.
    pub fn item_end(&self, syntax: &Syntax) -> Option<Scope> {
        if !syntax.is_base() || syntax.scope.clause != Clause::Items {
            return None;
        }
        let mut scope = Scope::clone(&syntax.scope);
        match syntax.at {
            At::Star | At::Named => {}
            At::Expression(expression) if expression.is_value() => {
                scope.outputs.push(Output::Column { name: expression.column, uses: expression.uses });
                scope.aggregate |= expression.uses.aggregate;
            }
            _ => return None,
        }
        Some(scope)
    }

    fn want_in_call(&self) -> Want {
        if self.is_extended() { Want::Either } else { Want::Value }
    }

    fn open(&self, syntax: &Syntax) -> Option<Syntax> {
        match syntax.at {
            At::Call { function, expression } => {
                let open = Open::Call { function, arguments: 0, distinct: false };
                let function = &FUNCTIONS[usize::from(function)];
                let argument = Expression::new(self.want_in_call(), expression.aggregates && !function.is_aggregate());
                let at = if function.most_arguments == 0 { At::NoArgument } else { At::Expression(argument) };
                Some(syntax.opening(open, expression, at))
            }
            At::Over { expression } => Some(syntax.opening(Open::Over { order: false, terms: 0 }, expression, At::Window)),
            At::Source { joined } => {
                let fits = self.may_open(syntax) && syntax.scope.may_add_derived(&self.names, self.most_sources());
                fits.then(|| self.open_subquery(syntax, SubqueryKind::Derived { joined }, None, At::Subquery))
            }
            At::Exists { expression } => {
                Some(self.open_subquery(&syntax.at(At::Expression(expression)), SubqueryKind::Exists, None, At::Subquery))
            }
            At::CteNamed { columns: false } => self.may_list_column(syntax).then(|| syntax.at(At::CteColumn)),
            At::CteAs => Some(self.open_cte(syntax)),
            At::Using => Some(syntax.at(At::UsingColumn)),
            At::Filter { expression } => Some(syntax.opening(Open::Filter, expression, At::Filtering)),
            At::Cast { expression } => {
                let value = At::Expression(Expression::new(Want::Value, expression.aggregates));
                Some(syntax.opening(Open::Cast, expression, value))
            }
            _ => {
                let expression = syntax.expression()?;
                let (open, want) = if expression.place == Place::In {
                    (Open::In { items: 0 }, Want::Value)
                } else if expression.takes_operand() {
                    (Open::Parenthesis, expression.want_within())
                } else {
                    return None;
                };
                self.may_open(syntax)
                    .then(|| syntax.opening(open, expression, At::Expression(Expression::new(want, expression.aggregates))))
            }
        }
    }

    fn close(&self, syntax: &Syntax) -> Option<Syntax> {
        match syntax.at {
            At::CteColumned => return Some(syntax.at(At::CteNamed { columns: true })),
            At::UsingColumned => {
                let scope = syntax.scope.settled();
                return scope.is_feasible(&self.names, self.most_sources()).then(|| syntax.within(scope, At::Sourced { joined: false }));
            }
            _ => {}
        }
        let frame = syntax.frame.as_deref()?;
        let outer = frame.outer;
        if let Open::Subquery { kind, scope } = &frame.open {
            return self.ends_clause(syntax).then(|| self.close_subquery(syntax, frame, *kind, scope)).flatten();
        }
        let (uses, kind, column) = match syntax.at {
            At::Expression(expression) => (expression.uses, expression.complete(), expression.column),
            At::CallStar | At::NoArgument | At::Window | At::Term { .. } => (Uses::default(), Some(Kind::Value), None),
            At::Typed { uses } => (uses, Some(Kind::Value), None),
            _ => return None,
        };
        let before = outer.uses;
        let outer = Expression { uses: outer.uses | uses, ..outer };
        let after = match (&frame.open, kind?) {
            // A column in parentheses gives its name to the item that it is all of.
            (Open::Parenthesis, Kind::Value) => Expression { column: column.filter(|_| outer.is_empty()), ..outer.operand() },
            (Open::Parenthesis, Kind::Condition) => outer.condition()?,
            (Open::In { .. }, Kind::Value) => outer.condition()?,
            (Open::Call { function, arguments, distinct }, _) => {
                let function = &FUNCTIONS[usize::from(*function)];
                if arguments + 1 < function.least_arguments {
                    return None;
                }
                let after = outer.operand();
                let uses = Uses { aggregate: after.uses.aggregate || function.is_aggregate(), ..after.uses };
                match function.kind {
                    keywords::Kind::Scalar => after,
                    keywords::Kind::Window => {
                        let call = Call { before: after.uses, over: true, filter: false };
                        Expression { place: Place::Window, call: Some(call), ..after }
                    }
                    keywords::Kind::Aggregate => {
                        let over = !distinct && self.may_call_window(&syntax.closing(frame, syntax.at));
                        let filter = self.is_analytic();
                        Expression { uses, call: (over || filter).then_some(Call { before, over, filter }), ..after }
                    }
                }
            }
            (Open::Filter, Kind::Condition) => outer.filtered(),
            (Open::Over { .. }, Kind::Value) => outer.operand(),
            (Open::Cast, _) if matches!(syntax.at, At::Typed { .. }) => outer.operand(),
            _ => return None,
        };
        Some(syntax.closing(frame, At::Expression(after)))
    }

    fn close_subquery(&self, syntax: &Syntax, frame: &Frame, kind: SubqueryKind, outer_scope: &Scope) -> Option<Syntax> {
        let inner = syntax.scope.closed(&self.names);
        let around = || outer_scope.around(&inner);
        let (scope, at) = match kind {
            SubqueryKind::Scalar => (around(), At::Expression(frame.outer.operand())),
            SubqueryKind::In | SubqueryKind::Exists => (around(), At::Expression(frame.outer.condition()?)),
            SubqueryKind::Derived { joined } => (around().with_derived(inner.columns(), joined, &self.names), At::Derived { joined }),
            SubqueryKind::Cte => (outer_scope.defined(&inner), At::Cte),
        };
        Some(Syntax { scope: scope.into(), ..syntax.closing(frame, at) })
    }

    fn star(&self, syntax: &Syntax) -> Option<Syntax> {
        match syntax.at {
            At::Column { source, star: true, .. } => {
                let tables = syntax.scope.wanting_source(source, syntax.scope.all_tables(&self.names));
                Some(syntax.within(Scope { outputs: with(&tables.outputs, Output::StarOf(source)), ..tables }, At::Star))
            }
            _ if syntax.is_item_start() => {
                let scope = Scope { outputs: with(&syntax.scope.outputs, Output::Star), ..Scope::clone(&syntax.scope) };
                let fits = scope.wanted.is_none() || (scope.outputs.len() == 1 && scope.is_feasible(&self.names, self.most_sources()));
                fits.then(|| syntax.within(scope, At::Star))
            }
            _ => {
                let expression = syntax.expression()?;
                match syntax.open() {
                    Some(Open::Call { function, arguments: 0, distinct: false })
                        if FUNCTIONS[usize::from(*function)].name == "count" && expression.is_empty() =>
                    {
                        Some(syntax.at(At::CallStar))
                    }
                    _ => Some(syntax.at(At::Expression(expression.arithmetic(self.options.max_items)?))),
                }
            }
        }
    }
}

/// Whether NOT was written after an operand: a comparison operator cannot follow.
fn is_not(syntax: &Syntax) -> bool {
    syntax.expression().is_some_and(|expression| expression.place == Place::Not)
}

fn with(outputs: &SmallVec<[Output; 3]>, output: Output) -> SmallVec<[Output; 3]> {
    let mut outputs = outputs.clone();
    outputs.push(output);
    outputs
}
