//! The query between two tokens: where it stands, which names are in scope, what is open around it.
//!
//! An explicit-stack automaton over tokens. [`Place`](super::expression::Place) says where an expression
//! stands, [`At`] where everything else does; [`Frame`]s are what is open around it: parentheses, calls,
//! subqueries with the scopes they interrupt. All of it is shared between states, so that taking a token
//! costs one small step. `tokens.rs` holds the steps, `lexer.rs` makes tokens of bytes.

use super::expression::{Expression, Uses, Want};
use super::invented::Invented;
use super::keywords::{FUNCTIONS, Kind};
use super::names::Names;
use super::scope::{Clause, Scope, SourceName};
use super::with::Ctes;
use super::{SqlOptions, SqlProfile};
use std::sync::Arc;

/// What is recognised: a schema's words, and the options.
#[derive(Debug)]
pub(super) struct Language {
    pub names: Names,
    pub options: SqlOptions,
}

/// Where the query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// Before SELECT or WITH.
    Start,
    /// After WITH, or a comma in it: the name of a common table expression.
    CteName,
    /// After that name, or its columns.
    CteNamed { columns: bool },
    /// In its columns: one more.
    CteColumn,
    /// After one of its columns.
    CteColumned,
    /// After AS in WITH.
    CteAs,
    /// After its query.
    Cte,
    /// After SELECT: DISTINCT or an item.
    Select,
    /// In an expression.
    Expression(Expression),
    /// After `T1.`: one of its columns, or `*` where an item begins.
    Column { source: SourceName, expression: Expression, star: bool },
    /// After the name of a function.
    Call { function: u8, expression: Expression },
    /// After `count(*`.
    CallStar,
    /// After the parenthesis of a function that takes no argument.
    NoArgument,
    /// After OVER.
    Over { expression: Expression },
    /// After FILTER.
    Filter { expression: Expression },
    /// After the parenthesis of FILTER.
    Filtering,
    /// After the parenthesis of OVER.
    Window,
    /// After `*` as an item.
    Star,
    /// After AS of an item.
    NewName,
    /// After the name of an item.
    Named,
    /// After FROM, JOIN or a comma: a table.
    Source { joined: bool },
    /// After a table; `plain` where it may keep its own name.
    Table { joined: bool, plain: bool },
    /// After a subquery in FROM.
    Derived { joined: bool },
    /// After AS in FROM.
    Alias { joined: bool },
    /// After a source that has its name; `joined` where ON or USING may come.
    Sourced { joined: bool },
    /// After USING.
    Using,
    /// In the columns of USING: one more.
    UsingColumn,
    /// After one of them.
    UsingColumned,
    /// After LEFT or INNER.
    Join { outer: bool },
    /// After GROUP or ORDER.
    By,
    /// After an ordinal, ASC or DESC, or NULLS FIRST or LAST: whether ASC or DESC, and whether NULLS may come.
    Term { direction: bool, nulls: bool },
    /// After NULLS.
    Nulls,
    /// After ORDER BY of a set operation: a column of the result.
    ResultColumn,
    /// After LIMIT or OFFSET.
    Number,
    /// After that number.
    Numbered,
    /// After UNION and the like.
    SetOperation { all: bool },
    /// After the parenthesis of a subquery in FROM or of EXISTS.
    Subquery,
    /// After EXISTS.
    Exists { expression: Expression },
    /// After CAST.
    Cast { expression: Expression },
    /// After CASE.
    Case,
    /// After AS of CAST.
    TypeName { uses: Uses },
    /// After the type of CAST.
    Typed { uses: Uses },
    /// After `;`.
    Closed,
}

/// What is open around an expression or a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Open {
    Parenthesis,
    In {
        items: u8,
    },
    Call {
        function: u8,
        arguments: u8,
        distinct: bool,
    },
    When {
        branches: u8,
    },
    Then {
        branches: u8,
    },
    Else,
    Cast,
    /// The condition of FILTER.
    Filter,
    /// A window: in PARTITION BY or in its ORDER BY, after so many terms.
    Over {
        order: bool,
        terms: u8,
    },
    /// A subquery, with the scope around it.
    Subquery {
        kind: SubqueryKind,
        scope: Arc<Scope>,
    },
}

/// Where a subquery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SubqueryKind {
    Scalar,
    In,
    Exists,
    Derived {
        joined: bool,
    },
    /// In WITH.
    Cte,
}

/// An open thing, the expression around it, and what is open around that.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    pub open: Open,
    pub outer: Expression,
    pub below: Option<Arc<Frame>>,
    pub depth: u8,
}

/// The query between two tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Syntax {
    pub at: At,
    pub scope: Arc<Scope>,
    pub frame: Option<Arc<Frame>>,
    /// The names that it made up.
    pub invented: Invented,
}

impl Syntax {
    pub fn start(names: &Names) -> Self {
        let scope = Scope::new(None, Ctes::none(names).into());
        Self { at: At::Start, scope: scope.into(), frame: None, invented: [].into() }
    }

    /// The same at another place.
    pub fn at(&self, at: At) -> Self {
        Self { at, ..self.clone() }
    }

    /// The same at another place of another scope.
    pub fn within(&self, scope: Scope, at: At) -> Self {
        Self { at, scope: scope.into(), ..self.clone() }
    }

    /// With something opened.
    pub fn opening(&self, open: Open, outer: Expression, at: At) -> Self {
        let frame = Frame { open, outer, below: self.frame.clone(), depth: self.depth() + 1 };
        Self { at, frame: Some(frame.into()), ..self.clone() }
    }

    /// With the innermost open thing replaced.
    pub fn reopening(&self, frame: &Frame, open: Open, at: At) -> Self {
        let frame = Frame { open, outer: frame.outer, below: frame.below.clone(), depth: frame.depth };
        Self { at, frame: Some(frame.into()), ..self.clone() }
    }

    /// With the innermost open thing closed.
    pub fn closing(&self, frame: &Frame, at: At) -> Self {
        Self { at, frame: frame.below.clone(), ..self.clone() }
    }

    pub fn open(&self) -> Option<&Open> {
        self.frame.as_ref().map(|frame| &frame.open)
    }

    pub fn depth(&self) -> u8 {
        self.frame.as_ref().map_or(0, |frame| frame.depth)
    }

    /// Whether nothing is open within the innermost SELECT.
    pub fn is_base(&self) -> bool {
        matches!(self.open(), None | Some(Open::Subquery { .. }))
    }

    /// The expression that is being written.
    pub fn expression(&self) -> Option<Expression> {
        match self.at {
            At::Select => Some(Expression::new(Want::Value, true)),
            At::Expression(expression) => Some(expression),
            _ => None,
        }
    }

    /// Whether an item of the select list begins here.
    pub fn is_item_start(&self) -> bool {
        self.scope.clause == Clause::Items && self.is_base() && self.expression().is_some_and(Expression::is_empty)
    }

    /// Whether an argument of an aggregate, or its FILTER, is being written.
    pub fn is_in_aggregate(&self) -> bool {
        let mut frame = self.frame.as_deref();
        while let Some(Frame { open, below, .. }) = frame {
            match open {
                Open::Subquery { .. } => return false,
                Open::Call { function, .. } if FUNCTIONS[usize::from(*function)].is_aggregate() => return true,
                Open::Filter => return true,
                _ => frame = below.as_deref(),
            }
        }
        false
    }

    /// Whether a window, or an argument of a window function, is being written.
    pub fn is_in_window(&self) -> bool {
        let mut frame = self.frame.as_deref();
        while let Some(Frame { open, below, .. }) = frame {
            match open {
                Open::Subquery { .. } => return false,
                Open::Over { .. } => return true,
                Open::Call { function, .. } if FUNCTIONS[usize::from(*function)].kind == Kind::Window => return true,
                _ => frame = below.as_deref(),
            }
        }
        false
    }

    /// Whether terms are written by which rows are ordered: ASC, DESC and NULLS may follow them.
    pub fn is_ordering(&self) -> bool {
        match self.open() {
            Some(Open::Over { order, .. }) => *order,
            _ => self.is_base() && self.scope.clause == Clause::Order,
        }
    }
}

impl Language {
    pub fn is_extended(&self) -> bool {
        self.options.profile >= SqlProfile::Extended
    }

    pub fn is_analytic(&self) -> bool {
        self.options.profile >= SqlProfile::Analytic
    }

    /// Whether a window function may be called: in the select list and in ORDER BY, not within another one.
    pub fn may_call_window(&self, syntax: &Syntax) -> bool {
        let scope = &syntax.scope;
        let clause = scope.clause == Clause::Items || (scope.clause == Clause::Order && scope.first.is_none());
        self.is_analytic() && clause && self.may_open(syntax) && !syntax.is_in_aggregate() && !syntax.is_in_window()
    }

    pub fn most_sources(&self) -> usize {
        self.options.max_sources.into()
    }

    /// Whether something more may be opened.
    pub fn may_open(&self, syntax: &Syntax) -> bool {
        syntax.depth() < self.options.max_depth
    }

    /// The query that a parenthesis opens, whose items are `wanted`.
    pub fn open_subquery(&self, syntax: &Syntax, kind: SubqueryKind, wanted: Option<u16>, at: At) -> Syntax {
        let open = Open::Subquery { kind, scope: syntax.scope.clone() };
        let scope = Scope::new(wanted, syntax.scope.ctes.clone());
        let outer = syntax.expression().unwrap_or_else(|| Expression::new(Want::Value, false));
        Syntax { scope: scope.into(), ..syntax.opening(open, outer, at) }
    }

    /// Whether the clause that is being written may end here.
    pub fn ends_clause(&self, syntax: &Syntax) -> bool {
        syntax.is_base()
            && match syntax.at {
                At::Table { plain, .. } => plain && syntax.scope.is_discharged(&self.names),
                At::Sourced { .. } | At::Derived { .. } => syntax.scope.is_discharged(&self.names),
                At::Expression(expression) => match syntax.scope.clause {
                    Clause::Items | Clause::Limit | Clause::Offset => false,
                    Clause::From => expression.is_condition() && syntax.scope.is_discharged(&self.names),
                    Clause::Where | Clause::Having => expression.is_condition(),
                    Clause::Group | Clause::Order => expression.is_value(),
                },
                At::Term { .. } | At::Numbered => true,
                _ => false,
            }
    }

    /// Whether the text may end here.
    pub fn may_end(&self, syntax: &Syntax) -> bool {
        syntax.at == At::Closed || (syntax.frame.is_none() && self.ends_clause(syntax))
    }
}
