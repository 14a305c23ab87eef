//! What a word does to a query. A word may be a keyword, a name, or several of these at once; what it is
//! here is settled by what is in scope and by the byte after it.

use super::expression::{Expression, Uses};
use super::keywords::{FUNCTIONS, Keyword, Kind};
use super::names::{AliasId, NameId, TableId, Word};
use super::scope::{Clause, Output, Scope, Source, SourceName};
use super::syntax::{At, Frame, Language, Open, SubqueryKind, Syntax};

/// What comes right after a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Dot,
    Parenthesis,
    Other,
}

impl Next {
    pub fn of(byte: u8) -> Self {
        match byte {
            b'.' => Self::Dot,
            b'(' => Self::Parenthesis,
            _ => Self::Other,
        }
    }
}

/// All that a word may mean where the query stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meaning {
    keyword: Option<Keyword>,
    function: Option<u8>,
    table: Option<TableId>,
    column: Option<NameId>,
    alias: Option<AliasId>,
    is_type: bool,
    /// Whether it may stand, as it is written, for a table in FROM or, after a point, for a column.
    name: bool,
    /// Whether it may stand, as it is written, where an operand may.
    operand: bool,
}

impl Language {
    /// What the text, which is `word` in the dictionary, may mean; `quoted` if it stands in quotes.
    pub fn meaning(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>, quoted: bool) -> Meaning {
        let unquoted = word.filter(|_| !quoted);
        Meaning {
            keyword: unquoted.and_then(|word| word.keyword),
            function: unquoted.and_then(|word| word.function),
            table: syntax.scope.ctes.resolve(text, word.and_then(|word| word.table)),
            column: self.name_id(syntax, text, word),
            alias: word.and_then(|word| word.alias),
            is_type: unquoted.is_some_and(|word| word.is_type),
            name: unquoted.is_none_or(|word| word.plain),
            operand: unquoted.is_none_or(|word| word.operand),
        }
    }

    /// Whether a word that means this may stand here, whatever comes after it.
    pub fn allows_word(&self, syntax: &Syntax, word: &Meaning) -> bool {
        if word.keyword.is_some_and(|keyword| self.keyword(syntax, keyword).is_some()) {
            return true;
        }
        let scope = &*syntax.scope;
        match syntax.at {
            At::Column { source, .. } => word.name && word.column.is_some_and(|column| self.allows_column(syntax, source, column)),
            At::Source { joined } => {
                let allowed = |table| scope.may_add_table(table, joined, &self.names, self.most_sources());
                word.name && word.table.is_some_and(allowed)
            }
            At::Alias { .. } => word.name && word.alias.is_some_and(|alias| scope.may_be_called(alias, &self.names, self.most_sources())),
            At::UsingColumn => word.name && word.column.is_some_and(|column| scope.may_join_by(column, &self.names)),
            At::ResultColumn => word.name && word.column.is_some_and(|column| gives(scope, column)),
            At::TypeName { .. } => word.is_type,
            _ if !syntax.expression().is_some_and(Expression::takes_operand) => false,
            _ => {
                word.operand
                    && (word.column.is_some_and(|column| self.allows_bare(syntax, column)) || self.qualifier(syntax, word).is_some())
                    || word.function.is_some_and(|function| self.allows_call(syntax, function))
            }
        }
    }

    /// The query after a word that means this.
    pub fn word(&self, syntax: &Syntax, word: &Meaning, next: Next) -> Option<Syntax> {
        if let Some(after) = word.keyword.and_then(|keyword| self.keyword(syntax, keyword)) {
            return Some(after);
        }
        match syntax.at {
            At::Source { joined } => {
                let table = word.table.filter(|_| self.allows_word(syntax, word))?;
                let scope = syntax.scope.with_table(table, joined, &self.names);
                let plain = scope.may_stay_plain(&self.names, self.most_sources());
                Some(syntax.within(scope, At::Table { joined, plain }))
            }
            At::Alias { joined } => {
                let alias = word.alias.filter(|_| self.allows_word(syntax, word))?;
                Some(syntax.within(syntax.scope.calling(alias), At::Sourced { joined }))
            }
            At::UsingColumn => {
                let column = word.column.filter(|_| self.allows_word(syntax, word))?;
                Some(syntax.within(syntax.scope.joined_by(column), At::UsingColumned))
            }
            At::TypeName { uses } => word.is_type.then(|| syntax.at(At::Typed { uses })),
            At::ResultColumn => self.allows_word(syntax, word).then(|| syntax.at(At::Term { direction: true, nulls: true })),
            At::Column { source, expression, .. } => {
                let column = word.column.filter(|_| self.allows_word(syntax, word))?;
                let after = At::Expression(column_operand(expression, column));
                match syntax.scope.clause {
                    Clause::Items => {
                        let having = syntax.scope.tables_with(column, &self.names);
                        Some(syntax.within(syntax.scope.wanting_source(source, having), after))
                    }
                    _ => Some(syntax.at(after)),
                }
            }
            _ => {
                let expression = syntax.expression().filter(|expression| expression.takes_operand())?;
                match next {
                    Next::Dot => {
                        let source = self.qualifier(syntax, word).filter(|_| word.operand)?;
                        Some(syntax.at(At::Column { source, expression, star: takes_star(syntax) }))
                    }
                    Next::Parenthesis => self.call(syntax, word.function?, expression),
                    Next::Other => {
                        let column = word.column.filter(|column| word.operand && self.allows_bare(syntax, *column))?;
                        Some(self.bare_column(syntax, expression, column))
                    }
                }
            }
        }
    }

    fn bare_column(&self, syntax: &Syntax, expression: Expression, column: NameId) -> Syntax {
        let after = At::Expression(column_operand(expression, column));
        match syntax.scope.clause {
            Clause::Items | Clause::From => syntax.within(syntax.scope.wanting_bare(column), after),
            _ => syntax.at(after),
        }
    }

    fn allows_call(&self, syntax: &Syntax, function: u8) -> bool {
        let allowed = match FUNCTIONS[usize::from(function)].kind {
            Kind::Scalar => true,
            Kind::Aggregate => syntax.expression().is_some_and(|expression| expression.aggregates),
            Kind::Window => self.may_call_window(syntax),
        };
        allowed && self.may_open(syntax)
    }

    fn call(&self, syntax: &Syntax, function: u8, expression: Expression) -> Option<Syntax> {
        self.allows_call(syntax, function).then(|| syntax.at(At::Call { function, expression }))
    }

    /// The source that the word names, if a column of it may be used here.
    fn qualifier(&self, syntax: &Syntax, word: &Meaning) -> Option<SourceName> {
        let named = [word.alias.map(SourceName::Alias), word.table.map(SourceName::Table)];
        named.into_iter().flatten().find(|source| match syntax.scope.clause {
            Clause::Items => syntax.scope.may_want_source(*source, takes_star(syntax), &self.names, self.most_sources()),
            _ => self.visible(syntax, *source).is_some_and(|found| found.relation.has_names()),
        })
    }

    /// The source of this name: of this SELECT, or (where the profile allows it) of one around it.
    pub fn visible<'a>(&self, syntax: &'a Syntax, name: SourceName) -> Option<&'a Source> {
        let own = syntax.scope.source(name);
        let correlated = self.is_extended()
            && own.is_none()
            && matches!(syntax.scope.clause, Clause::Where | Clause::Having)
            && !syntax.is_in_aggregate();
        if !correlated {
            return own;
        }
        let mut frame = syntax.frame.as_deref();
        while let Some(Frame { open, below, .. }) = frame {
            match open {
                // What SQLite computes for FROM does not see the query around it.
                Open::Subquery { kind: SubqueryKind::Derived { .. } | SubqueryKind::Cte, .. } => return None,
                Open::Subquery { scope, .. } if scope.clause > Clause::From => {
                    if let Some(source) = scope.source(name) {
                        return Some(source);
                    }
                }
                _ => {}
            }
            frame = below.as_deref();
        }
        None
    }

    fn allows_column(&self, syntax: &Syntax, source: SourceName, column: NameId) -> bool {
        match syntax.scope.clause {
            Clause::Items => syntax.scope.may_want_column(source, column, &self.names, self.most_sources()),
            _ => self.visible(syntax, source).is_some_and(|source| source.relation.has(column, &self.names)),
        }
    }

    /// Whether a column may be used without a source.
    fn allows_bare(&self, syntax: &Syntax, name: NameId) -> bool {
        let scope = &syntax.scope;
        match scope.clause {
            Clause::Items | Clause::From => scope.may_want_bare(name, &self.names, self.most_sources()),
            _ => match scope.count_having(name, &self.names) {
                0 => self.allows_select_alias(syntax, name),
                count => count == 1,
            },
        }
    }

    /// Whether the name may be used as one that the select list gives. (A column of a source goes before it.)
    fn allows_select_alias(&self, syntax: &Syntax, name: NameId) -> bool {
        let Some(uses) = syntax.scope.select_alias(name) else { return false };
        match syntax.scope.clause {
            Clause::Group => uses == Uses::default(),
            Clause::Having | Clause::Order => {
                let windows = syntax.scope.clause == Clause::Order && !syntax.is_in_aggregate() && !syntax.is_in_window();
                let aggregates = syntax.expression().is_some_and(|expression| expression.aggregates);
                (!uses.aggregate || aggregates) && (!uses.window || windows)
            }
            _ => false,
        }
    }

    // Names that the query makes up.

    /// The names that this query made up so far, in lower case.
    pub fn made_up<'a>(&self, syntax: &'a Syntax) -> impl Iterator<Item = &'a [u8]> {
        syntax.invented.iter().map(|name| &**name).chain(syntax.scope.ctes.names())
    }

    /// Whether the query may make up a name here.
    pub fn takes_new_name(&self, syntax: &Syntax) -> bool {
        matches!(syntax.at, At::NewName | At::CteName | At::CteColumn)
    }

    /// The query after a name that it makes up here.
    pub fn new_name(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> Option<Syntax> {
        match syntax.at {
            At::NewName => self.allows_new_name(text, word).then(|| self.name_item(syntax, text, word)),
            At::CteName => self.name_cte(syntax, text, word),
            At::CteColumn => self.name_cte_column(syntax, text, word),
            _ => None,
        }
    }

    /// The query after the last item was named.
    fn name_item(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> Syntax {
        let (syntax, made) = self.inventing(syntax, text, word);
        let mut scope = Scope::clone(&syntax.scope);
        if let Some(Output::Column { name, .. }) = scope.outputs.last_mut() {
            *name = Some(made);
        }
        syntax.within(scope, At::Named)
    }
}

/// Whether `*` may come after the name of a source and a point.
fn takes_star(syntax: &Syntax) -> bool {
    syntax.is_item_start() && syntax.scope.wanted.is_none()
}

fn column_operand(expression: Expression, column: NameId) -> Expression {
    let alone = expression.is_empty();
    Expression { column: alone.then_some(column), ..expression.operand() }
}

/// Whether ORDER BY of a set operation finds a column of this name.
fn gives(scope: &Scope, wanted: NameId) -> bool {
    let columns = scope.first.as_deref().unwrap_or_default();
    columns.iter().any(|column| column.findable && column.name == Some(wanted))
}
