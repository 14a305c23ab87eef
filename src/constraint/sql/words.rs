//! What a word does to a query. A word may be a keyword, a name, or several of these at once; what it is
//! here is settled by what is in scope and by the byte after it.

use super::expression::{Expression, Uses};
use super::keywords::{FUNCTIONS, Kind, is_keyword};
use super::names::{NameId, Word};
use super::scope::{Clause, ColumnName, Output, Relation, Scope, Source, SourceName};
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

impl Language {
    /// Whether the word may stand here, whatever comes after it.
    pub fn allows_word(&self, syntax: &Syntax, word: &Word, quoted: bool) -> bool {
        if !quoted && word.keyword.is_some_and(|keyword| self.keyword(syntax, keyword).is_some()) {
            return true;
        }
        let (name, operand) = (quoted || word.plain, quoted || word.operand);
        match syntax.at {
            At::Column { source, .. } => name && word.column.is_some_and(|column| self.allows_column(syntax, source, column)),
            At::Source { .. } => {
                name && word.table.is_some_and(|table| syntax.scope.may_add_table(table, &self.names, self.most_sources()))
            }
            At::Alias { .. } => name && word.alias.is_some_and(|alias| syntax.scope.may_be_called(alias, &self.names, self.most_sources())),
            At::ResultColumn => name && word.column.is_some_and(|column| gives(&syntax.scope, &ColumnName::Known(column))),
            At::TypeName { .. } => word.is_type && !quoted,
            _ if !syntax.expression().is_some_and(Expression::takes_operand) => false,
            _ => {
                operand && (word.column.is_some_and(|column| self.allows_bare(syntax, column)) || self.qualifier(syntax, word).is_some())
                    || (!quoted && word.function.is_some_and(|function| self.allows_call(syntax, function)))
            }
        }
    }

    /// The query after a word of the dictionary.
    pub fn word(&self, syntax: &Syntax, word: &Word, quoted: bool, next: Next) -> Option<Syntax> {
        if !quoted && let Some(after) = word.keyword.and_then(|keyword| self.keyword(syntax, keyword)) {
            return Some(after);
        }
        let name = quoted || word.plain;
        match syntax.at {
            At::Source { joined } => {
                let table = word.table.filter(|table| name && syntax.scope.may_add_table(*table, &self.names, self.most_sources()))?;
                let scope = syntax.scope.with_source(Relation::Table(table));
                let plain = scope.may_stay_plain(&self.names, self.most_sources());
                Some(syntax.within(scope, At::Table { joined, plain }))
            }
            At::Alias { joined } => {
                let alias = word.alias.filter(|_| self.allows_word(syntax, word, quoted))?;
                Some(syntax.within(syntax.scope.calling(alias), At::Sourced { joined }))
            }
            At::TypeName { uses } => (word.is_type && !quoted).then(|| syntax.at(At::Typed { uses })),
            At::ResultColumn => self.allows_word(syntax, word, quoted).then(|| syntax.at(At::Term { direction: true, nulls: true })),
            At::Column { source, expression, .. } => {
                let column = word.column.filter(|column| name && self.allows_column(syntax, source, *column))?;
                let after = At::Expression(column_operand(expression, column));
                match syntax.scope.clause {
                    Clause::Items => Some(syntax.within(syntax.scope.wanting_source(source, self.names.tables_with(column)), after)),
                    _ => Some(syntax.at(after)),
                }
            }
            _ => {
                let expression = syntax.expression().filter(|expression| expression.takes_operand())?;
                match next {
                    Next::Dot => {
                        let source = self.qualifier(syntax, word).filter(|_| quoted || word.operand)?;
                        let star = syntax.is_item_start() && syntax.scope.wanted.is_none();
                        Some(syntax.at(At::Column { source, expression, star }))
                    }
                    Next::Parenthesis => self.call(syntax, word.function.filter(|_| !quoted)?, expression),
                    Next::Other => {
                        let column = word.column.filter(|column| (quoted || word.operand) && self.allows_bare(syntax, *column))?;
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
    fn qualifier(&self, syntax: &Syntax, word: &Word) -> Option<SourceName> {
        let named = [word.alias.map(SourceName::Alias), word.table.map(SourceName::Table)];
        named.into_iter().flatten().find(|source| match syntax.scope.clause {
            Clause::Items => syntax.scope.may_want_source(*source, &self.names, self.most_sources()),
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
                Open::Subquery { kind: SubqueryKind::Derived { .. }, .. } => return None,
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

    // Names that the query made up.

    /// The made-up names that may stand here.
    /// (Derived tables and column aliases; in lower case.)
    pub fn new_names<'a>(&self, syntax: &'a Syntax) -> Vec<&'a [u8]> {
        if !self.is_extended() {
            return Vec::new();
        }
        let scope = &syntax.scope;
        match syntax.at {
            At::Column { source, .. } if scope.clause != Clause::Items => {
                self.visible(syntax, source).map_or_else(Vec::new, |source| source.relation.new_names().collect())
            }
            At::ResultColumn => scope.first.as_deref().unwrap_or_default().iter().filter_map(new_name).collect(),
            _ => match syntax.expression().filter(|expression| expression.takes_operand()) {
                Some(expression) if scope.clause > Clause::Items => {
                    let derived = scope.sources.iter().flat_map(|source| source.relation.new_names());
                    let derived = derived.filter(|name| scope.count_having_new(name) == 1);
                    let windows = scope.clause == Clause::Order && !syntax.is_in_aggregate() && !syntax.is_in_window();
                    let aliases = scope.select_aliases().filter(|(name, uses)| match scope.clause {
                        // A column of a source goes before an alias.
                        _ if scope.count_having_new(name) > 0 => false,
                        Clause::Group => *uses == Uses::default(),
                        Clause::Having | Clause::Order => (!uses.aggregate || expression.aggregates) && (!uses.window || windows),
                        _ => false,
                    });
                    derived.chain(aliases.map(|(name, _)| name)).collect()
                }
                _ => Vec::new(),
            },
        }
    }

    /// The query after a name that it made up itself, or makes up here.
    pub fn new_name(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>, next: Next) -> Option<Syntax> {
        if syntax.at == At::NewName {
            return self.allows_new_name(text, word).then(|| self.name_item(syntax, text, word));
        }
        if next != Next::Other || !self.new_names(syntax).contains(&text) {
            return None;
        }
        match syntax.at {
            At::ResultColumn => Some(syntax.at(At::Term { direction: true, nulls: true })),
            At::Column { expression, .. } => Some(syntax.at(At::Expression(expression.operand()))),
            _ => Some(syntax.at(At::Expression(syntax.expression()?.operand()))),
        }
    }

    pub fn allows_new_name(&self, text: &[u8], word: Option<&Word>) -> bool {
        let keyword = std::str::from_utf8(text).map_or(true, is_keyword);
        !keyword && word.is_none_or(|word| word.alias.is_none())
    }

    /// The query after the last item was named.
    fn name_item(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> Syntax {
        let mut scope = Scope::clone(&syntax.scope);
        let made = match word.and_then(|word| word.column) {
            Some(column) => ColumnName::Known(column),
            None => ColumnName::New(text.into()),
        };
        if let Some(Output::Column { name, .. }) = scope.outputs.last_mut() {
            *name = Some(made);
        }
        syntax.within(scope, At::Named)
    }
}

fn column_operand(expression: Expression, column: NameId) -> Expression {
    let alone = expression.is_empty();
    Expression { column: alone.then_some(column), ..expression.operand() }
}

fn new_name(output: &Output) -> Option<&[u8]> {
    match output {
        Output::Column { name: Some(ColumnName::New(name)), .. } => Some(name),
        _ => None,
    }
}

/// Whether the first SELECT of a set operation gives a column of this name.
fn gives(scope: &Scope, wanted: &ColumnName) -> bool {
    let outputs = scope.first.as_deref().unwrap_or_default();
    outputs.iter().any(|output| matches!(output, Output::Column { name: Some(name), .. } if name == wanted))
}
