//! What is still to come at least: the fewest bytes that can end a query, and bytes that must be next.
//!
//! A sampler cuts off what can no longer end in time, so the count must never be above the true one. It adds up
//! what each open thing needs at least: an operand is one byte, a FROM the tables that the select list asked for
//! or else the shortest, a parenthesis its end. White space that only some spellings need is not counted.

use super::expression::{Expression, Place, Side, Want};
use super::keywords::{FUNCTIONS, Kind};
use super::lexer::{Cursor, Lexeme};
use super::names::{TableSet, Word};
use super::scope::{Clause, Output, Scope, SourceName};
use super::syntax::{At, Frame, Language, Open, SubqueryKind, Syntax};
use super::tokens::Symbol;
use super::words::Next;

/// The most words that are looked at one by one.
const FEW: usize = 64;
/// `SELECT` and an operand.
const SELECT: usize = 7;
/// `FROM` and the blank before a name.
const FROM: usize = 5;

impl Language {
    /// A lower bound on the number of bytes from the cursor to the end of a query.
    pub fn closing_cost(&self, cursor: &Cursor) -> usize {
        if self.ends(cursor) { 0 } else { self.to_end(cursor) }
    }

    fn to_end(&self, cursor: &Cursor) -> usize {
        let syntax = &cursor.syntax;
        let after = |next| self.commit(cursor, next).map(|after| self.rest(&after));
        let literal = || self.literal(syntax).map_or(0, |after| self.rest(&after));
        let symbol = |symbol| self.symbol(syntax, symbol).map_or(0, |after| self.rest(&after));
        match &cursor.lexeme {
            Lexeme::Gap { .. } => self.rest(syntax),
            Lexeme::Word { text, range } => {
                let words = self.names.words(*range);
                let begun = self.rest(syntax).saturating_sub(text.len());
                if self.takes_new_name(syntax) {
                    // A longer name leaves as much to come.
                    return after(Next::Other).unwrap_or(begun);
                }
                if words.len() > FEW {
                    return begun;
                }
                let made_up = self.made_up(syntax).filter(|name| name.starts_with(text));
                let known = words.iter().map(|word| (&word.text[..], Some(word))).chain(made_up.map(|name| (name, None)));
                let costs = known.filter_map(|(name, word)| Some(name.len() - text.len() + self.after_word(syntax, name, word, false)?));
                costs.min().unwrap_or(0).max(begun)
            }
            Lexeme::Quoted { length, range, .. } => {
                let words = self.names.words(*range);
                if words.len() > FEW {
                    return 1;
                }
                let left =
                    |word: &Word| Some(word.text.len() - usize::from(*length) + 1 + self.after_word(syntax, &word.text, Some(word), true)?);
                words.iter().filter_map(left).min().unwrap_or(1)
            }
            Lexeme::Spaced { .. } | Lexeme::Name { .. } => {
                let dotted = after(Next::Dot).map(|cost| cost + 1);
                [after(Next::Other), after(Next::Parenthesis), dotted].into_iter().flatten().min().unwrap_or(0)
            }
            Lexeme::Negative | Lexeme::Number { fraction: Some(0), .. } => 1 + literal(),
            Lexeme::Number { .. } | Lexeme::TextEnd { .. } => after(Next::Other).unwrap_or_else(|| 1 + literal()),
            Lexeme::Text { needs, .. } => usize::from(*needs) + 1 + literal(),
            Lexeme::Half(b'|') => 1 + symbol(Symbol::Arithmetic),
            Lexeme::Half(b'!') => 1 + symbol(Symbol::Comparison),
            Lexeme::Half(_) => symbol(Symbol::Comparison),
        }
    }

    /// The least after a word that is complete, if it may stand here.
    fn after_word(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>, quoted: bool) -> Option<usize> {
        let meaning = self.meaning(syntax, text, word, quoted);
        let after = |next, more| self.word(syntax, &meaning, next).map(|after| self.rest(&after) + more);
        [after(Next::Other, 0), after(Next::Parenthesis, 0), after(Next::Dot, 1)].into_iter().flatten().min()
    }

    /// The least between two tokens.
    fn rest(&self, syntax: &Syntax) -> usize {
        let mut cost = self.here(syntax);
        let (mut scope, mut at, mut frame) = (&syntax.scope, Some(syntax.at), syntax.frame.as_deref());
        while let Some(Frame { open, outer, below, .. }) = frame {
            if let Open::Subquery { kind, scope: around } = open {
                cost += self.rest_of_select(scope, at) + close_subquery(*kind, *outer);
                (scope, at) = (around, (*kind == SubqueryKind::Cte).then_some(At::Cte));
            } else {
                cost += close(open, *outer, at);
                at = None;
            }
            frame = below.as_deref();
        }
        cost + self.rest_of_select(scope, at)
    }

    /// The least until what is being written is complete.
    fn here(&self, syntax: &Syntax) -> usize {
        let body = || SELECT + FROM + self.shortest(&syntax.scope, TableSet::MAX);
        match syntax.at {
            At::Start | At::Subquery | At::SetOperation { .. } | At::Cte => SELECT,
            // `a AS(`, a query, `)SELECT 1`.
            At::CteName => 5 + body() + 1 + SELECT,
            At::CteNamed { .. } => 3 + body() + 1 + SELECT,
            At::CteColumn => 5 + body() + 1 + SELECT,
            At::CteColumned => 4 + body() + 1 + SELECT,
            At::CteAs => 1 + body() + 1 + SELECT,
            At::Select => 1,
            At::Expression(expression) => expression.least(),
            At::Column { expression, .. } => 1 + expression.operand().least(),
            At::Call { function, expression } => {
                let function = &FUNCTIONS[usize::from(function)];
                let arguments = usize::from(function.least_arguments) * 2;
                let over = if function.kind == Kind::Window { OVER } else { 0 };
                2 + arguments.saturating_sub(1) + over + expression.operand().least()
            }
            At::Over { expression } => 2 + expression.operand().least(),
            At::Filter { expression } => 10 + expression.filtered().least(),
            At::Filtering => 8,
            At::Exists { expression } => 1 + body() + 1 + expression.condition().map_or(0, Expression::least),
            // `(1 AS INT)`.
            At::Cast { expression } => 9 + expression.operand().least(),
            At::Case => 4 + Expression::new(Want::Condition, false).least(),
            At::TypeName { .. } => 3,
            // `AS T1`.
            At::Table { plain: false, .. } => 4,
            At::Alias { .. } | At::NewName | At::ResultColumn | At::Number | At::UsingColumned => 1,
            At::Using | At::By => 3,
            At::UsingColumn => 2,
            At::Join { .. } => 5,
            At::Nulls => 4,
            At::CallStar | At::NoArgument | At::Window | At::Star | At::Named | At::Source { .. } => 0,
            At::Table { .. } | At::Derived { .. } | At::Sourced { .. } | At::Term { .. } | At::Numbered | At::Typed { .. } | At::Closed => {
                0
            }
        }
    }

    /// The least that a SELECT needs once what is being written is complete: further columns, FROM, and the tables
    /// that it still has to bring. It stands at `at`, or something is open within it.
    fn rest_of_select(&self, scope: &Scope, at: Option<At>) -> usize {
        let any = || self.shortest(scope, TableSet::MAX);
        match scope.clause {
            Clause::Items => {
                // The first item may be `*`.
                let star = match at {
                    Some(At::Expression(expression)) => scope.outputs.is_empty() && expression.is_empty(),
                    Some(_) => scope.outputs.iter().all(|output| !matches!(output, Output::Column { .. })),
                    None => false,
                };
                let written = scope.outputs.len() + usize::from(!matches!(at, Some(At::Star | At::Named | At::NewName)));
                let missing = if star { 0 } else { usize::from(scope.wanted.unwrap_or(0)).saturating_sub(written) };
                missing * 2 + FROM + self.sources(scope, false).max(any())
            }
            Clause::From if matches!(at, Some(At::Source { .. } | At::Join { .. })) => self.sources(scope, false).max(any()),
            Clause::From => {
                let unnamed = matches!(at, Some(At::Table { .. } | At::Derived { .. } | At::Alias { .. }));
                // A comma or JOIN before them.
                match self.sources(scope, unnamed) {
                    0 => 0,
                    sources => 1 + sources,
                }
            }
            _ => 0,
        }
    }

    /// The least that spells the sources which the select list asked for and that have not come; `unnamed` if the
    /// last source may be one of them.
    fn sources(&self, scope: &Scope, unnamed: bool) -> usize {
        let (mut named, mut longest) = (0, 0);
        for source in scope.unmet_sources() {
            named += 1 + match source {
                SourceName::Table(table) => self.shortest(scope, 1 << table),
                SourceName::Alias(alias) => {
                    let candidates = scope.aliases.iter().find(|(known, _)| *known == alias).map_or(TableSet::MAX, |(_, tables)| *tables);
                    let called = self.shortest(scope, candidates) + 4 + self.names.alias_names[usize::from(alias)].len();
                    longest = longest.max(1 + called);
                    called
                }
            };
        }
        if unnamed {
            named -= longest;
        }
        if named > 0 {
            return named - 1;
        }
        // One table may bring all the columns.
        let having = |name| self.shortest(scope, scope.tables_with(name, &self.names));
        scope.unmet_columns(&self.names).map(having).max().unwrap_or(0)
    }

    /// The length of the shortest name of these tables.
    fn shortest(&self, scope: &Scope, tables: TableSet) -> usize {
        let schema = self.names.table_names.iter().enumerate().map(|(table, name)| (table as u8, name.len()));
        let defined = scope.ctes.lengths();
        let lengths = schema.chain(defined).filter(|(table, _)| tables >> table & 1 == 1).map(|(_, length)| length);
        lengths.min().unwrap_or(1)
    }

    /// Appends the bytes that must come next, as far as they are one string. (Letters never are: they may be of
    /// either case.)
    pub fn forced(&self, cursor: &Cursor, out: &mut Vec<u8>) {
        let syntax = &cursor.syntax;
        match &cursor.lexeme {
            Lexeme::Half(b'!') => out.push(b'='),
            Lexeme::Half(b'|') => out.push(b'|'),
            Lexeme::Word { text, range } if !self.takes_new_name(syntax) => {
                let made_up = self.made_up(syntax).any(|name| name.starts_with(text));
                if let [word] = self.some_of(syntax, self.names.words(*range), false)[..]
                    && !made_up
                {
                    out.extend_from_slice(caseless(&word.text[text.len()..]));
                }
            }
            Lexeme::Quoted { close, length, range } => {
                if let [word] = self.some_of(syntax, self.names.words(*range), true)[..] {
                    let rest = &word.text[usize::from(*length)..];
                    out.extend_from_slice(caseless(rest));
                    if caseless(rest) == rest {
                        out.push(*close);
                    }
                }
            }
            _ => {}
        }
    }

    /// Two of the words that may stand here, or as many as there are; none where there are too many to look at.
    fn some_of<'a>(&self, syntax: &Syntax, words: &'a [Word], quoted: bool) -> Vec<&'a Word> {
        let few = if words.len() <= FEW { words } else { &[] };
        few.iter().filter(|word| self.may_stand(syntax, word, quoted)).take(2).collect()
    }
}

/// The bytes before the first letter.
fn caseless(text: &[u8]) -> &[u8] {
    let letter = text.iter().position(u8::is_ascii_alphabetic);
    &text[..letter.unwrap_or(text.len())]
}

/// `OVER()`.
const OVER: usize = 6;

/// The least that ends a subquery which is complete.
fn close_subquery(kind: SubqueryKind, outer: Expression) -> usize {
    1 + match kind {
        SubqueryKind::Scalar => outer.operand().least(),
        SubqueryKind::In | SubqueryKind::Exists => outer.condition().map_or(0, Expression::least),
        SubqueryKind::Derived { .. } => 0,
        SubqueryKind::Cte => SELECT,
    }
}

/// The least that ends what is open around an expression, once that is complete. It stands at `at`, or
/// something is open within it.
fn close(open: &Open, outer: Expression, at: Option<At>) -> usize {
    let operand = outer.operand().least();
    let condition = outer.condition().map(Expression::least);
    // `THEN 1 END`.
    const THEN: usize = 8;
    const END: usize = 3;
    match open {
        Open::Parenthesis => 1 + condition.map_or(operand, |condition| condition.min(operand)),
        Open::In { .. } => 1 + condition.unwrap_or(0),
        Open::Call { function, arguments, .. } => {
            let function = &FUNCTIONS[usize::from(*function)];
            let missing = usize::from(function.least_arguments.saturating_sub(arguments + 1));
            let over = if function.kind == Kind::Window { OVER } else { 0 };
            1 + missing * 2 + over + operand
        }
        Open::When { .. } => THEN + operand,
        Open::Then { .. } | Open::Else => END + operand,
        // `AS INT)`.
        Open::Cast if !matches!(at, Some(At::TypeName { .. } | At::Typed { .. })) => 7 + operand,
        Open::Cast | Open::Over { .. } => 1 + operand,
        Open::Filter => 1 + outer.filtered().least(),
        Open::Subquery { .. } => 0,
    }
}

impl Expression {
    /// The fewest bytes that complete it.
    fn least(self) -> usize {
        let compared = self.want != Want::Condition;
        match (self.place, self.side) {
            // A comparison operator and its other side.
            (Place::Start | Place::Negated | Place::Operand, Side::Left) => {
                if compared {
                    1
                } else {
                    3
                }
            }
            (Place::Start | Place::Negated | Place::Operand, Side::Right) => 1,
            // `1 AND 1`.
            (Place::Start | Place::Negated | Place::Operand, Side::Low) => 5,
            (Place::After, Side::Left) => {
                if compared {
                    0
                } else {
                    2
                }
            }
            (Place::After, Side::Right) | (Place::Condition, _) => 0,
            (Place::After, Side::Low) => 4,
            (Place::Not, _) => 5,
            (Place::In, _) => 3,
            (Place::Is | Place::IsNot, _) => 4,
            (Place::Window, _) => OVER,
        }
    }
}
