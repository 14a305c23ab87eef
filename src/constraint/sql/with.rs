//! WITH: queries that are given a name, which FROM may then use like a table.
//!
//! A common table expression is a table that the schema does not have: it gets the next free number, and what
//! asks for tables (`scope.rs`) sees both. Its name goes before a table's of the same name. SQLite looks a name
//! up in the whole of a WITH, so a later expression would change the meaning of what an earlier one reads, and
//! one that reads itself is recursive; neither is let through. (Recursion is legal SQL, but need not end, and
//! the database refuses it.)

use super::names::{NameId, Names, TableId, TableSet, Word};
use super::scope::{Columns, Scope};
use super::syntax::{At, Language, Open, SubqueryKind, Syntax};
use smallvec::SmallVec;
use std::sync::Arc;

/// The common table expressions that are in scope, those of the innermost WITH last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ctes {
    /// The number of the first; the others follow.
    first: TableId,
    list: Vec<Cte>,
    defined: TableSet,
    hidden: TableSet,
    nameless: TableSet,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Cte {
    /// In lower case.
    name: Arc<[u8]>,
    /// The names that its columns are given in parentheses.
    listed: SmallVec<[NameId; 4]>,
    /// Its columns, once its query is complete.
    columns: Option<Columns>,
}

impl Ctes {
    /// None, in a query on these tables.
    pub fn none(names: &Names) -> Self {
        Self { first: names.table_names.len() as TableId, list: Vec::new(), defined: 0, hidden: 0, nameless: 0 }
    }

    fn id(&self, place: usize) -> TableId {
        self.first + place as TableId
    }

    /// Those that may be named.
    pub fn defined(&self) -> TableSet {
        self.defined
    }

    /// The tables, of the schema or of a WITH, whose name means another one now.
    pub fn hidden(&self) -> TableSet {
        self.hidden
    }

    /// Those of which no column has a name.
    pub fn nameless(&self) -> TableSet {
        self.nameless
    }

    /// Whether the query of one of them is being written.
    pub fn is_defining(&self) -> bool {
        self.list.iter().any(|cte| cte.columns.is_none())
    }

    /// The columns of a table that is one of them.
    pub fn columns(&self, table: TableId) -> Option<&Columns> {
        self.list.get(usize::from(table.checked_sub(self.first)?))?.columns.as_ref()
    }

    /// Those that have a column of this name.
    pub fn with(&self, name: NameId) -> TableSet {
        let has = |cte: &Cte| cte.columns.as_deref().is_some_and(|columns| columns.contains(&Some(name)));
        (0..self.list.len()).filter(|place| has(&self.list[*place])).fold(0, |tables, place| tables | 1 << self.id(place))
    }

    /// The table of this name, where it is `table` in the schema.
    pub fn resolve(&self, name: &[u8], table: Option<TableId>) -> Option<TableId> {
        match self.list.iter().rposition(|cte| *cte.name == *name) {
            Some(place) => self.list[place].columns.is_some().then(|| self.id(place)),
            None => table,
        }
    }

    /// The names of those that may be named.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.list.iter().map(|cte| &*cte.name)
    }

    /// The numbers of all, and how long their names are, in bytes.
    pub fn lengths(&self) -> impl Iterator<Item = (TableId, usize)> {
        self.list.iter().enumerate().map(|(place, cte)| (self.id(place), cte.name.len()))
    }

    /// The name of a table that is one of them.
    pub fn name(&self, table: TableId) -> Option<&[u8]> {
        Some(&self.list.get(usize::from(table.checked_sub(self.first)?))?.name)
    }

    /// With another one, whose query is still to come.
    fn defining(&self, name: &[u8], table: Option<TableId>) -> Self {
        let mut ctes = self.clone();
        let same = (0..self.list.len()).filter(|place| *self.list[*place].name == *name).map(|place| self.id(place));
        ctes.hidden |= same.chain(table).fold(0, |tables, table| tables | 1 << table);
        ctes.list.push(Cte { name: name.into(), listed: SmallVec::new(), columns: None });
        ctes
    }

    /// With a name for the next column of the last one.
    fn listing(&self, column: NameId) -> Self {
        let mut ctes = self.clone();
        if let Some(last) = ctes.list.last_mut() {
            last.listed.push(column);
        }
        ctes
    }

    /// With the last one's query complete.
    fn finished(&self, columns: Columns) -> Self {
        let mut ctes = self.clone();
        let table = 1 << self.id(self.list.len().saturating_sub(1));
        if let Some(last) = ctes.list.last_mut() {
            let columns = if last.listed.is_empty() { columns } else { last.listed.iter().copied().map(Some).collect() };
            ctes.defined |= table;
            ctes.nameless |= if columns.iter().any(Option::is_some) { 0 } else { table };
            last.columns = Some(columns);
        }
        ctes
    }

    fn listed(&self) -> &[NameId] {
        self.list.last().map_or(&[], |last| &last.listed)
    }
}

impl Scope {
    fn with_ctes(&self, ctes: Ctes) -> Self {
        Self { ctes: ctes.into(), ..self.clone() }
    }

    /// The scope around a subquery that is complete: what it read counts here, too.
    pub fn around(&self, inner: &Self) -> Self {
        let visible = TableSet::MAX >> (128 - usize::from(self.ctes.id(self.ctes.list.len())));
        Self { read: self.read | (inner.read & visible), ..self.clone() }
    }

    /// The scope after the query of the last common table expression, of which this is the scope around.
    pub fn defined(&self, inner: &Self) -> Self {
        self.around(inner).with_ctes(self.ctes.finished(inner.columns()))
    }
}

impl Language {
    /// Whether another common table expression may be defined here.
    pub fn may_define(&self, syntax: &Syntax) -> bool {
        let ctes = &*syntax.scope.ctes;
        ctes.list.len() < usize::from(self.options.max_items) && ctes.id(ctes.list.len()) < 128 && self.may_open(syntax)
    }

    /// Whether the name, which is `word` in the dictionary, may be given to a common table expression.
    pub fn allows_cte_name(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> bool {
        let (scope, table) = (&*syntax.scope, word.and_then(|word| word.table));
        let outer = match syntax.open() {
            Some(Open::Subquery { scope, .. }) => scope.ctes.list.len(),
            _ => 0,
        };
        self.allows_new_name(text, word)
            && scope.ctes.list[outer..].iter().all(|cte| *cte.name != *text)
            && scope.ctes.resolve(text, table).is_none_or(|table| scope.read >> table & 1 == 0)
            && scope.with_ctes(scope.ctes.defining(text, table)).all_tables(&self.names) != 0
    }

    /// The query after the name of a common table expression.
    pub fn name_cte(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> Option<Syntax> {
        let ctes = syntax.scope.ctes.defining(text, word.and_then(|word| word.table));
        self.allows_cte_name(syntax, text, word).then(|| syntax.within(syntax.scope.with_ctes(ctes), At::CteNamed { columns: false }))
    }

    /// Whether the name may be given to the next column of a common table expression.
    pub fn allows_cte_column(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> bool {
        let known = self.name_id(syntax, text, word);
        self.allows_new_name(text, word) && known.is_none_or(|name| !syntax.scope.ctes.listed().contains(&name))
    }

    /// The query after the name of a column of a common table expression.
    pub fn name_cte_column(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> Option<Syntax> {
        self.allows_cte_column(syntax, text, word).then(|| {
            let (syntax, name) = self.inventing(syntax, text, word);
            syntax.within(syntax.scope.with_ctes(syntax.scope.ctes.listing(name)), At::CteColumned)
        })
    }

    /// Whether a further column of a common table expression may be named.
    pub fn may_list_column(&self, syntax: &Syntax) -> bool {
        syntax.scope.ctes.listed().len() < usize::from(self.options.max_items) && self.may_invent(syntax)
    }

    /// The query of a common table expression, after its parenthesis.
    pub fn open_cte(&self, syntax: &Syntax) -> Syntax {
        let listed = syntax.scope.ctes.listed().len() as u16;
        self.open_subquery(syntax, SubqueryKind::Cte, (listed > 0).then_some(listed), At::Subquery)
    }

    /// SELECT after WITH.
    pub fn select_after_with(&self, syntax: &Syntax) -> Syntax {
        // What was read matters only to what may still be defined.
        let read = if syntax.scope.ctes.is_defining() { syntax.scope.read } else { 0 };
        syntax.within(Scope { read, ..Scope::clone(&syntax.scope) }, At::Select)
    }
}
