//! What a keyword does to a query: it moves an expression on, or ends a clause and begins the next.

use super::expression::{Expression, Place, Want};
use super::keywords::{FUNCTIONS, Keyword};
use super::scope::{Clause, FirstColumn, Output, Scope};
use super::syntax::{At, Frame, Language, Open, SubqueryKind, Syntax};
use std::sync::Arc;

impl Language {
    /// The query after a keyword, if it may come.
    pub fn keyword(&self, syntax: &Syntax, keyword: Keyword) -> Option<Syntax> {
        match (syntax.at, keyword) {
            (At::Start | At::Subquery | At::SetOperation { .. }, Keyword::Select) => Some(syntax.at(At::Select)),
            (At::Cte, Keyword::Select) => Some(self.select_after_with(syntax)),
            (At::Start | At::Subquery, Keyword::With) => self.may_define(syntax).then(|| syntax.at(At::CteName)),
            (At::CteNamed { .. }, Keyword::As) => Some(syntax.at(At::CteAs)),
            (At::SetOperation { all: true }, Keyword::All) => Some(syntax.at(At::SetOperation { all: false })),
            (At::Select, Keyword::Distinct) => Some(syntax.at(At::Expression(Expression::new(Want::Value, true)))),
            (At::Select | At::Expression(_), _) => self.in_expression(syntax, syntax.expression()?, keyword),
            (At::Table { joined, .. } | At::Derived { joined }, Keyword::As) => {
                let fits = syntax.scope.may_be_called_something(&self.names, self.most_sources());
                fits.then(|| syntax.at(At::Alias { joined }))
            }
            (At::Table { joined: true, plain: true } | At::Derived { joined: true } | At::Sourced { joined: true }, Keyword::On) => {
                let scope = syntax.scope.settled();
                let fits = scope.is_feasible(&self.names, self.most_sources());
                fits.then(|| syntax.within(scope, At::Expression(Expression::new(Want::Condition, false))))
            }
            (At::Table { joined: true, plain: true } | At::Derived { joined: true } | At::Sourced { joined: true }, Keyword::Using) => {
                syntax.scope.may_join_by_some(&self.names).then(|| syntax.at(At::Using))
            }
            (At::Filtering, Keyword::Where) => Some(syntax.at(At::Expression(Expression::new(Want::Condition, false)))),
            (At::Join { outer: true }, Keyword::Outer) => Some(syntax.at(At::Join { outer: false })),
            (At::Join { .. }, Keyword::Join) => Some(syntax.at(At::Source { joined: true })),
            (At::By, Keyword::By) if matches!(syntax.open(), Some(Open::Over { .. })) => {
                Some(syntax.at(window_term(syntax.frame.as_deref()?)))
            }
            (At::By, Keyword::By) => Some(self.term(syntax, Scope::clone(&syntax.scope))),
            (At::Term { direction: true, .. }, Keyword::Asc | Keyword::Desc) if syntax.is_ordering() => Some(syntax.at(DIRECTED)),
            (At::Term { nulls: true, .. }, Keyword::Nulls) if syntax.is_ordering() => Some(syntax.at(At::Nulls)),
            (At::Nulls, Keyword::First | Keyword::Last) => Some(syntax.at(At::Term { direction: false, nulls: false })),
            (At::Window, Keyword::Partition | Keyword::Order) => {
                let frame = syntax.frame.as_deref()?;
                Some(syntax.reopening(frame, Open::Over { order: keyword == Keyword::Order, terms: 0 }, At::By))
            }
            (At::Case, Keyword::When) => {
                let when = Expression::new(Want::Condition, syntax.frame.as_deref()?.outer.aggregates);
                Some(syntax.at(At::Expression(when)))
            }
            _ => self.after_clause(syntax, keyword),
        }
    }

    fn in_expression(&self, syntax: &Syntax, expression: Expression, keyword: Keyword) -> Option<Syntax> {
        let go = |expression: Option<Expression>| expression.map(|expression| syntax.at(At::Expression(expression)));
        let opens = expression.takes_literal() && self.may_open(syntax);
        match keyword {
            Keyword::Not => go(expression.not()),
            Keyword::Like => go(expression.comparison()),
            Keyword::Between => go(expression.between()),
            Keyword::In => go(expression.within().filter(|_| self.may_open(syntax))),
            Keyword::Is => go(expression.is()),
            Keyword::Null => go(expression.null().or_else(|| null_operand(syntax, expression))),
            Keyword::And | Keyword::Or => go(expression.connective(keyword == Keyword::And, self.options.max_items)),
            Keyword::Distinct => distinct_argument(syntax, expression),
            Keyword::Select | Keyword::With => self.subquery(syntax, expression, keyword == Keyword::With),
            Keyword::Exists => {
                let condition = expression.place != Place::Operand && matches!(expression.want, Want::Condition | Want::Either);
                (opens && condition).then(|| syntax.at(At::Exists { expression }))
            }
            Keyword::Case => opens.then(|| syntax.opening(Open::When { branches: 0 }, expression, At::Case)),
            Keyword::Cast => opens.then(|| syntax.at(At::Cast { expression })),
            Keyword::When | Keyword::Then | Keyword::Else | Keyword::End => self.in_case(syntax, expression, keyword),
            Keyword::As if syntax.open() == Some(&Open::Cast) => {
                expression.is_value().then(|| syntax.at(At::TypeName { uses: expression.uses }))
            }
            Keyword::As => {
                let scope = self.item_end(syntax).filter(|_| self.is_extended() && self.may_invent(syntax))?;
                Some(syntax.within(scope, At::NewName))
            }
            Keyword::Asc | Keyword::Desc if syntax.is_ordering() => expression.is_value().then(|| syntax.at(DIRECTED)),
            Keyword::Nulls if syntax.is_ordering() => expression.is_value().then(|| syntax.at(At::Nulls)),
            Keyword::Filter => (expression.takes_filter() && self.may_open(syntax)).then(|| syntax.at(At::Filter { expression })),
            Keyword::Over => Some(syntax.at(At::Over { expression: expression.over()? })),
            Keyword::Order if matches!(syntax.open(), Some(Open::Over { order: false, .. })) => {
                let frame = syntax.frame.as_deref().filter(|_| expression.is_value())?;
                Some(syntax.reopening(frame, Open::Over { order: true, terms: 0 }, At::By))
            }
            _ => self.after_clause(syntax, keyword),
        }
    }

    fn in_case(&self, syntax: &Syntax, expression: Expression, keyword: Keyword) -> Option<Syntax> {
        let frame = syntax.frame.as_deref()?;
        let go = |open, want| Some(syntax.reopening(frame, open, At::Expression(expression.next(want))));
        match (&frame.open, keyword) {
            (Open::When { branches }, Keyword::Then) if expression.is_condition() => go(Open::Then { branches: *branches }, Want::Value),
            (Open::Then { branches }, Keyword::When) if expression.is_value() && branches + 1 < self.options.max_items => {
                go(Open::When { branches: branches + 1 }, Want::Condition)
            }
            (Open::Then { .. }, Keyword::Else) if expression.is_value() => go(Open::Else, Want::Value),
            (Open::Then { .. } | Open::Else, Keyword::End) if expression.is_value() => {
                let outer = Expression { uses: frame.outer.uses | expression.uses, ..frame.outer.operand() };
                Some(syntax.closing(frame, At::Expression(outer)))
            }
            _ => None,
        }
    }

    /// Keywords that begin a clause, where the one before may end.
    fn after_clause(&self, syntax: &Syntax, keyword: Keyword) -> Option<Syntax> {
        match keyword {
            Keyword::From => {
                let scope = self.item_end(syntax)?;
                let enough = match scope.wanted {
                    Some(wanted) => matches!(scope.outputs[..], [Output::Star]) || scope.outputs.len() == usize::from(wanted),
                    None => true,
                };
                enough.then(|| syntax.within(Scope { clause: Clause::From, ..scope }, At::Source { joined: false }))
            }
            Keyword::Join | Keyword::Inner | Keyword::Left => self.ends_source(syntax, true).then(|| {
                syntax.at(match keyword {
                    Keyword::Join => At::Source { joined: true },
                    _ => At::Join { outer: keyword == Keyword::Left },
                })
            }),
            Keyword::Offset if syntax.at == At::Numbered && syntax.scope.clause == Clause::Limit => {
                Some(syntax.within(Scope { clause: Clause::Offset, ..Scope::clone(&syntax.scope) }, At::Number))
            }
            Keyword::Union | Keyword::Intersect | Keyword::Except if syntax.scope.clause < Clause::Order && self.ends_clause(syntax) => {
                let all = keyword == Keyword::Union && self.is_extended();
                Some(syntax.within(self.operand_of_set_operation(syntax), At::SetOperation { all }))
            }
            Keyword::Where | Keyword::Group | Keyword::Having | Keyword::Order | Keyword::Limit if self.ends_clause(syntax) => {
                let scope = syntax.scope.closed(&self.names);
                let (clause, at) = match (keyword, scope.clause) {
                    (Keyword::Where, Clause::From) => (Clause::Where, At::Expression(Expression::new(Want::Condition, false))),
                    (Keyword::Group, Clause::From | Clause::Where) if scope.has_columns() => (Clause::Group, At::By),
                    (Keyword::Having, Clause::Group) => (Clause::Having, At::Expression(Expression::new(Want::Condition, true))),
                    (Keyword::Order, clause) if clause < Clause::Order => (Clause::Order, At::By),
                    (Keyword::Limit, clause) if clause < Clause::Limit => (Clause::Limit, At::Number),
                    _ => return None,
                };
                let grouped = scope.grouped || clause == Clause::Group;
                Some(syntax.within(Scope { clause, grouped, terms: 0, ..scope }, at))
            }
            _ => None,
        }
    }

    /// Where a term of GROUP BY or ORDER BY begins.
    pub fn term(&self, syntax: &Syntax, scope: Scope) -> Syntax {
        let order = scope.clause == Clause::Order;
        let at = if order && scope.first.is_some() {
            At::ResultColumn
        } else {
            At::Expression(Expression::new(Want::Term, order && (scope.aggregate || scope.grouped)))
        };
        syntax.within(scope, at)
    }

    /// The scope of the SELECT after UNION and the like: it must give as many columns as the first.
    fn operand_of_set_operation(&self, syntax: &Syntax) -> Scope {
        let closed = syntax.scope.closed(&self.names);
        let first: Arc<[FirstColumn]> = match &closed.first {
            Some(first) => first.clone(),
            None => closed.outputs.iter().map(|output| self.first_column(&closed, output)).collect(),
        };
        let wanted = Some(first.len() as u16);
        Scope { first: Some(first), read: closed.read, ..Scope::new(wanted, closed.ctes.clone()) }
    }

    fn first_column(&self, scope: &Scope, output: &Output) -> FirstColumn {
        let name = if let Output::Column { name, .. } = output { *name } else { None };
        FirstColumn { name, findable: name.is_some_and(|name| scope.count_having(name, &self.names) <= 1) }
    }

    /// SELECT or WITH right after a parenthesis makes a subquery of it.
    fn subquery(&self, syntax: &Syntax, expression: Expression, with: bool) -> Option<Syntax> {
        let frame = syntax.frame.as_deref().filter(|_| expression.is_empty())?;
        let kind = match frame.open {
            Open::Parenthesis => SubqueryKind::Scalar,
            Open::In { items: 0 } => SubqueryKind::In,
            _ => return None,
        };
        let open = Open::Subquery { kind, scope: syntax.scope.clone() };
        let scope = Scope::new(Some(1), syntax.scope.ctes.clone());
        let inner = Syntax { scope: scope.into(), ..syntax.reopening(frame, open, At::Subquery) };
        self.keyword(&inner, if with { Keyword::With } else { Keyword::Select })
    }
}

/// After ASC or DESC.
const DIRECTED: At = At::Term { direction: false, nulls: true };

/// Where a term of a window's PARTITION BY or ORDER BY begins.
pub(super) fn window_term(window: &Frame) -> At {
    At::Expression(Expression::new(Want::Term, window.outer.aggregates))
}

/// NULL as a value: in arguments and in the branches of CASE, where it is of use.
fn null_operand(syntax: &Syntax, expression: Expression) -> Option<Expression> {
    let useful = matches!(syntax.open(), Some(Open::Call { .. } | Open::Then { .. } | Open::Else));
    (useful && expression.is_empty()).then(|| expression.operand())
}

fn distinct_argument(syntax: &Syntax, expression: Expression) -> Option<Syntax> {
    match (syntax.frame.as_deref()?, syntax.open()?) {
        (frame, Open::Call { function, arguments: 0, distinct: false })
            if expression.is_empty() && FUNCTIONS[usize::from(*function)].is_aggregate() =>
        {
            Some(syntax.reopening(frame, Open::Call { function: *function, arguments: 0, distinct: true }, syntax.at))
        }
        _ => None,
    }
}
