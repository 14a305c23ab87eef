//! One level of an expression: what stands there, and what may follow. Names and parentheses are not its
//! business (`syntax.rs`).
//!
//! SQLite's grammar lets conditions and values mix freely (`a = b = c`, `WHERE 1`). Here they are two
//! kinds: a condition compares values, AND, OR and NOT join conditions, and each place wants one kind. In
//! `(a + 1) > 2` and `(a > 2)` the same parenthesis turns out to be of either; its end decides.

use super::names::NameId;
use std::ops::BitOr;

/// What an expression is, once it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Value,
    Condition,
}

/// What is wanted of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Want {
    Value,
    Condition,
    Either,
    /// A value that does not begin with a literal: in GROUP BY and ORDER BY a number is the place of a
    /// column.
    Term,
}

/// Which operand of a condition is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Left,
    Right,
    /// The lower bound of BETWEEN.
    Low,
}

/// What was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Nothing, or AND or OR.
    Start,
    /// NOT before a condition.
    Negated,
    /// An operator: an operand must come.
    Operand,
    /// An operand.
    After,
    /// A condition to which no operator applies.
    Condition,
    /// NOT after an operand: IN, LIKE or BETWEEN must come.
    Not,
    /// IN: a parenthesis must come.
    In,
    /// IS.
    Is,
    /// IS NOT.
    IsNot,
    /// The call of a window function: OVER must come.
    Window,
}

/// The calls in an expression that matter outside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Uses {
    /// An aggregate, without OVER.
    pub aggregate: bool,
    /// A window function.
    pub window: bool,
}

impl BitOr for Uses {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { aggregate: self.aggregate || other.aggregate, window: self.window || other.window }
    }
}

/// The call of an aggregate or window function that is complete but for what may follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    /// What was called before it.
    pub before: Uses,
    /// Whether OVER may come.
    pub over: bool,
    /// Whether FILTER may come.
    pub filter: bool,
}

/// An expression as far as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Expression {
    pub want: Want,
    pub side: Side,
    pub place: Place,
    /// Whether aggregates may be called.
    pub aggregates: bool,
    /// What was called so far.
    pub uses: Uses,
    /// After a call that OVER or FILTER may follow.
    pub call: Option<Call>,
    /// The column that is all of it.
    pub column: Option<NameId>,
    /// The operators and connectives so far.
    pub operators: u8,
}

impl Expression {
    pub fn new(want: Want, aggregates: bool) -> Self {
        Self { want, side: Side::Left, place: Place::Start, aggregates, uses: Uses::default(), call: None, column: None, operators: 0 }
    }

    /// The next of a list.
    pub fn next(self, want: Want) -> Self {
        Self { uses: self.uses, ..Self::new(want, self.aggregates) }
    }

    /// Whether an operand may come.
    pub fn takes_operand(self) -> bool {
        matches!(self.place, Place::Start | Place::Negated | Place::Operand)
    }

    /// Whether a literal may come.
    pub fn takes_literal(self) -> bool {
        self.takes_operand() && (self.want != Want::Term || self.place == Place::Operand)
    }

    /// Whether nothing at all is written.
    pub fn is_empty(self) -> bool {
        self.place == Place::Start && self.operators == 0
    }

    /// What is wanted within a parenthesis that opens here.
    pub fn want_within(self) -> Want {
        match self.want {
            _ if self.place == Place::Operand => Want::Value,
            Want::Value => Want::Value,
            Want::Term => Want::Term,
            Want::Condition | Want::Either => Want::Either,
        }
    }

    /// After an operand, which is a value.
    pub fn operand(self) -> Self {
        let want = if self.want == Want::Term { Want::Value } else { self.want };
        Self { want, place: Place::After, call: None, column: None, ..self }
    }

    /// After a condition in the place of an operand, if it may stand there.
    pub fn condition(self) -> Option<Self> {
        let free = matches!(self.place, Place::Start | Place::Negated) && matches!(self.want, Want::Condition | Want::Either);
        (free || matches!(self.place, Place::In)).then_some(Self { want: Want::Condition, place: Place::Condition, column: None, ..self })
    }

    /// After an arithmetic operator.
    pub fn arithmetic(self, most: u8) -> Option<Self> {
        (self.place == Place::After && self.operators < most).then_some(Self {
            place: Place::Operand,
            call: None,
            column: None,
            operators: self.operators + 1,
            ..self
        })
    }

    /// Whether the left operand of a condition is there, and a condition is wanted.
    fn is_compared(self) -> bool {
        self.side == Side::Left && matches!(self.want, Want::Condition | Want::Either)
    }

    /// After a comparison operator or LIKE.
    pub fn comparison(self) -> Option<Self> {
        let place = matches!(self.place, Place::After | Place::Not);
        (place && self.is_compared()).then_some(Self {
            want: Want::Condition,
            side: Side::Right,
            place: Place::Operand,
            call: None,
            column: None,
            ..self
        })
    }

    /// After BETWEEN.
    pub fn between(self) -> Option<Self> {
        self.comparison().map(|expression| Self { side: Side::Low, ..expression })
    }

    /// After IN.
    pub fn within(self) -> Option<Self> {
        self.comparison().map(|expression| Self { place: Place::In, ..expression })
    }

    /// After NOT.
    pub fn not(self) -> Option<Self> {
        match self.place {
            Place::Start if matches!(self.want, Want::Condition | Want::Either) => {
                Some(Self { want: Want::Condition, place: Place::Negated, ..self })
            }
            Place::After if self.is_compared() => Some(Self { want: Want::Condition, place: Place::Not, call: None, column: None, ..self }),
            Place::Is => Some(Self { place: Place::IsNot, ..self }),
            _ => None,
        }
    }

    /// After IS.
    pub fn is(self) -> Option<Self> {
        let compared = self.place == Place::After && self.is_compared();
        compared.then_some(Self { want: Want::Condition, place: Place::Is, call: None, column: None, ..self })
    }

    /// After NULL, where it ends IS NULL.
    pub fn null(self) -> Option<Self> {
        matches!(self.place, Place::Is | Place::IsNot).then_some(Self { place: Place::Condition, ..self })
    }

    /// After AND or OR.
    pub fn connective(self, and: bool, most: u8) -> Option<Self> {
        if self.place == Place::After && self.side == Side::Low {
            return and.then_some(Self { side: Side::Right, place: Place::Operand, ..self });
        }
        (self.complete() == Some(Kind::Condition) && self.operators < most).then_some(Self {
            side: Side::Left,
            place: Place::Start,
            call: None,
            operators: self.operators + 1,
            ..self
        })
    }

    /// After OVER: the call before it is no aggregate.
    pub fn over(self) -> Option<Self> {
        let call = self.call.filter(|call| call.over && matches!(self.place, Place::After | Place::Window))?;
        Some(Self { uses: Uses { window: true, ..call.before }, ..self.operand() })
    }

    /// Whether FILTER may come.
    pub fn takes_filter(self) -> bool {
        self.place == Place::After && self.call.is_some_and(|call| call.filter)
    }

    /// After FILTER and its condition.
    pub fn filtered(self) -> Self {
        Self { call: self.call.map(|call| Call { filter: false, ..call }).filter(|call| call.over), ..self }
    }

    /// What it is, if it may end here.
    pub fn complete(self) -> Option<Kind> {
        match (self.place, self.side) {
            (Place::After, Side::Left) if self.want != Want::Condition => Some(Kind::Value),
            (Place::After, Side::Right) | (Place::Condition, _) => Some(Kind::Condition),
            _ => None,
        }
    }

    /// Whether it may end here as a value.
    pub fn is_value(self) -> bool {
        self.complete() == Some(Kind::Value)
    }

    /// Whether it may end here as a condition.
    pub fn is_condition(self) -> bool {
        self.complete() == Some(Kind::Condition)
    }
}
