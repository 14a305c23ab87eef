//! Which names mean something: the sources of one SELECT, and what its columns still ask of them.
//!
//! A select list is written before the FROM that gives it meaning. Until then a column is an *obligation*:
//! `singer.name` wants the table `singer` among the sources under its own name, `T1.name` wants something
//! called T1 that has a `name`, and a bare `name` wants exactly one source that has it. A prefix is alive
//! only while some choice of at most so many tables meets all obligations ([`Scope::is_feasible`], a small
//! search over sets of tables), so FROM can never turn out to be impossible. This is the guard of PICARD
//! (Scholak et al. 2021, arXiv 2109.05093), made into a statement about what may come next.

use super::expression::Uses;
use super::names::{AliasId, NameId, Names, TableId, TableSet};
use smallvec::SmallVec;
use std::sync::Arc;

/// The part of a SELECT that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Clause {
    Items,
    From,
    Where,
    Group,
    Having,
    Order,
    Limit,
    Offset,
}

/// The name of an output column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ColumnName {
    /// A name that the schema has.
    Known(NameId),
    /// A name that the query made up, in lower case.
    New(Arc<[u8]>),
}

/// What an item of the select list gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Output {
    Column {
        name: Option<ColumnName>,
        uses: Uses,
    },
    /// `*`, before FROM is closed.
    Star,
    /// `T1.*`, before FROM is closed.
    StarOf(SourceName),
}

/// How columns name a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SourceName {
    Table(TableId),
    Alias(AliasId),
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    pub name: Option<SourceName>,
    pub relation: Relation,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    Table(TableId),
    /// A subquery in FROM: the names of its columns that mean one of them, and how many columns it has.
    Derived(Arc<[ColumnName]>, u16),
}

/// One SELECT, as far as names matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub clause: Clause,
    /// The items so far; after FROM was closed, the columns.
    pub outputs: SmallVec<[Output; 3]>,
    /// How many columns there must be: one in a condition, as many as before after UNION.
    pub wanted: Option<u16>,
    /// The columns of the first SELECT, after a set operation.
    pub first: Option<Arc<[Output]>>,
    /// Tables that were named before FROM.
    pub tables: TableSet,
    /// Aliases that were used before FROM, each with the tables that have all the columns it was used for.
    pub aliases: SmallVec<[(AliasId, TableSet); 2]>,
    /// Columns that were used without a source, before or in FROM.
    pub bare: SmallVec<[NameId; 4]>,
    pub sources: SmallVec<[Source; 2]>,
    /// Whether an aggregate stands in the select list.
    pub aggregate: bool,
    pub grouped: bool,
    /// The terms of GROUP BY or ORDER BY before the one that is being written.
    pub terms: u8,
}

impl Relation {
    pub fn has(&self, name: NameId, names: &Names) -> bool {
        match self {
            Self::Table(table) => names.tables_with(name) >> table & 1 == 1,
            Self::Derived(columns, _) => columns.contains(&ColumnName::Known(name)),
        }
    }

    pub fn has_new(&self, text: &[u8]) -> bool {
        matches!(self, Self::Derived(columns, _) if columns.iter().any(|column| matches!(column, ColumnName::New(name) if **name == *text)))
    }

    /// The names that were made up for columns of a derived table.
    pub fn new_names(&self) -> impl Iterator<Item = &[u8]> {
        let columns: &[ColumnName] = if let Self::Derived(columns, _) = self { columns } else { &[] };
        columns.iter().filter_map(|column| if let ColumnName::New(name) = column { Some(&**name) } else { None })
    }

    /// Whether any column of it has a name.
    pub fn has_names(&self) -> bool {
        match self {
            Self::Table(_) => true,
            Self::Derived(columns, _) => !columns.is_empty(),
        }
    }
}

impl Scope {
    /// A SELECT of which nothing is written.
    pub fn new(wanted: Option<u16>) -> Self {
        Self {
            clause: Clause::Items,
            outputs: SmallVec::new(),
            wanted,
            first: None,
            tables: 0,
            aliases: SmallVec::new(),
            bare: SmallVec::new(),
            sources: SmallVec::new(),
            aggregate: false,
            grouped: false,
            terms: 0,
        }
    }

    // Names before FROM.

    /// Whether a column may be asked of a source of this name.
    pub fn may_want_source(&self, source: SourceName, names: &Names, most: usize) -> bool {
        match source {
            SourceName::Table(table) if self.tables >> table & 1 == 1 => true,
            SourceName::Alias(alias) if self.aliases.iter().any(|(known, _)| *known == alias) => true,
            _ if self.asks_nothing() => most > 0,
            _ => self.wanting_source(source, names.all_tables()).is_feasible(names, most),
        }
    }

    /// Whether the column may be asked of the source.
    pub fn may_want_column(&self, source: SourceName, name: NameId, names: &Names, most: usize) -> bool {
        match source {
            SourceName::Table(table) => names.tables_with(name) >> table & 1 == 1,
            SourceName::Alias(_) if self.bare.is_empty() && self.tables == 0 => {
                self.candidates(source, names) & names.tables_with(name) != 0
            }
            SourceName::Alias(_) => self.wanting_source(source, names.tables_with(name)).is_feasible(names, most),
        }
    }

    fn candidates(&self, source: SourceName, names: &Names) -> TableSet {
        match source {
            SourceName::Table(table) => 1 << table,
            SourceName::Alias(alias) => {
                self.aliases.iter().find(|(known, _)| *known == alias).map_or(names.all_tables(), |(_, candidates)| *candidates)
            }
        }
    }

    /// The scope after a source of this name was asked for columns that these tables have.
    pub fn wanting_source(&self, source: SourceName, having: TableSet) -> Self {
        let mut scope = self.clone();
        match source {
            SourceName::Table(table) => scope.tables |= 1 << table,
            SourceName::Alias(alias) => match scope.aliases.binary_search_by_key(&alias, |(known, _)| *known) {
                Ok(found) => scope.aliases[found].1 &= having,
                Err(place) => scope.aliases.insert(place, (alias, having)),
            },
        }
        scope
    }

    /// Whether a column may be used without a source, before or in FROM.
    pub fn may_want_bare(&self, name: NameId, names: &Names, most: usize) -> bool {
        if self.clause == Clause::From && self.count_having(name, names) != 1 {
            return false;
        }
        if self.bare.contains(&name) || (self.asks_nothing() && self.sources.is_empty()) {
            return true;
        }
        self.wanting_bare(name).is_feasible(names, most)
    }

    /// The scope after the column was used without a source.
    pub fn wanting_bare(&self, name: NameId) -> Self {
        let mut scope = self.clone();
        if let Err(place) = scope.bare.binary_search(&name) {
            scope.bare.insert(place, name);
        }
        scope
    }

    fn asks_nothing(&self) -> bool {
        self.tables == 0 && self.aliases.is_empty() && self.bare.is_empty()
    }

    // Sources.

    pub fn source(&self, name: SourceName) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == Some(name))
    }

    /// How many sources have a column of this name.
    pub fn count_having(&self, name: NameId, names: &Names) -> usize {
        self.sources.iter().filter(|source| source.relation.has(name, names)).count()
    }

    /// How many sources have a column of this made-up name.
    pub fn count_having_new(&self, text: &[u8]) -> usize {
        self.sources.iter().filter(|source| source.relation.has_new(text)).count()
    }

    /// Whether any column can be named at all.
    pub fn has_columns(&self) -> bool {
        self.sources.iter().any(|source| source.relation.has_names() && (source.name.is_some() || self.sources.len() == 1))
    }

    /// Whether the last source, which has a table's own name, may keep it.
    pub fn may_stay_plain(&self, names: &Names, most: usize) -> bool {
        let Some((last, before)) = self.sources.split_last() else { return false };
        before.iter().all(|source| source.name != last.name) && self.is_feasible(names, most)
    }

    /// Whether the last source may be called so.
    pub fn may_be_called(&self, alias: AliasId, names: &Names, most: usize) -> bool {
        let Some(last) = self.sources.last() else { return false };
        if self.source(SourceName::Alias(alias)).is_some() {
            return false;
        }
        if let Some((_, candidates)) = self.aliases.iter().find(|(known, _)| *known == alias) {
            // What was asked of an alias before FROM is asked of a table.
            if !matches!(last.relation, Relation::Table(table) if candidates >> table & 1 == 1) {
                return false;
            }
        }
        self.calling(alias).is_feasible(names, most)
    }

    /// The scope after the last source was called so.
    pub fn calling(&self, alias: AliasId) -> Self {
        let mut scope = self.clone();
        if let Some(last) = scope.sources.last_mut() {
            last.name = Some(SourceName::Alias(alias));
        }
        scope
    }

    /// The scope after a source was added, under a table's own name or none.
    pub fn with_source(&self, relation: Relation) -> Self {
        let mut scope = self.clone();
        scope.clause = Clause::From;
        let name = if let Relation::Table(table) = relation { Some(SourceName::Table(table)) } else { None };
        scope.sources.push(Source { name, relation });
        scope
    }

    /// Whether the table may be the next source, under its own name or an alias.
    pub fn may_add_table(&self, table: TableId, names: &Names, most: usize) -> bool {
        if self.sources.len() >= most {
            return false;
        }
        let scope = self.with_source(Relation::Table(table));
        scope.may_stay_plain(names, most) || scope.may_be_called_something(names, most)
    }

    /// Whether some alias fits the last source.
    pub fn may_be_called_something(&self, names: &Names, most: usize) -> bool {
        (0..names.alias_names.len() as AliasId).any(|alias| self.may_be_called(alias, names, most))
    }

    /// Whether another table may be added.
    pub fn may_add_some_table(&self, names: &Names, most: usize) -> bool {
        self.sources.len() < most && names.tables().any(|table| self.may_add_table(table, names, most))
    }

    /// Whether a subquery may be the next source: all that was asked for is there, and nothing that it
    /// gives can make a name ambiguous.
    pub fn may_add_derived(&self, names: &Names, most: usize) -> bool {
        self.sources.len() < most && self.bare.is_empty() && self.star_width().is_none() && self.is_discharged(names)
    }

    // Obligations.

    /// Whether the sources meet all obligations as they are.
    pub fn is_discharged(&self, names: &Names) -> bool {
        self.is_feasible(names, self.sources.len())
    }

    /// The columns used without a source that no source has yet.
    pub fn unmet_columns<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = NameId> + 'a {
        self.bare.iter().copied().filter(|name| self.count_having(*name, names) == 0)
    }

    /// The sources that were named and have not come yet.
    pub fn unmet_sources(&self) -> impl Iterator<Item = SourceName> + '_ {
        let tables = (0..128).filter(|table| self.tables >> table & 1 == 1).map(SourceName::Table);
        let aliases = self.aliases.iter().map(|(alias, _)| SourceName::Alias(*alias));
        tables.chain(aliases).filter(|source| self.source(*source).is_none())
    }

    /// Whether some sources can be added, up to `most` in all, so that all obligations are met. Aliases
    /// are plenty, so any table can be added any number of times.
    pub fn is_feasible(&self, names: &Names, most: usize) -> bool {
        if self.sources.len() > most {
            return false;
        }
        let slots = most - self.sources.len();
        if let Some(width) = self.star_width() {
            let have: usize = self.sources.iter().map(|source| self.width(source, names)).sum();
            return have <= width && can_add_up(width - have, slots, names);
        }
        let mut needs = Needs { tables: self.tables, aliases: self.aliases.clone(), unmet: SmallVec::new(), forbidden: 0, slots };
        for source in &self.sources {
            match source.name {
                Some(SourceName::Table(table)) => needs.tables &= !(1 << table),
                Some(SourceName::Alias(alias)) => needs.aliases.retain(|(known, _)| *known != alias),
                None => {}
            }
        }
        for name in &self.bare {
            match self.count_having(*name, names) {
                0 => needs.unmet.push(names.tables_with(*name)),
                1 => needs.forbidden |= names.tables_with(*name),
                _ => return false,
            }
        }
        needs.can_be_met(&mut { SEARCH_LIMIT })
    }

    /// The number of columns that a lone `*` has to stand for.
    fn star_width(&self) -> Option<usize> {
        match (self.wanted, self.outputs.as_slice()) {
            (Some(wanted), [Output::Star]) if self.clause <= Clause::From => Some(wanted.into()),
            _ => None,
        }
    }

    fn width(&self, source: &Source, names: &Names) -> usize {
        match &source.relation {
            Relation::Table(table) => names.columns(*table).len(),
            Relation::Derived(_, width) => usize::from(*width),
        }
    }

    /// The scope after FROM: obligations are met and forgotten, stars are the columns they stand for.
    pub fn closed(&self, names: &Names) -> Self {
        if self.clause > Clause::From {
            return self.clone();
        }
        let mut scope = Self::new(self.wanted);
        scope.first.clone_from(&self.first);
        scope.aggregate = self.aggregate;
        scope.clause = Clause::From;
        for output in &self.outputs {
            match output {
                Output::Column { .. } => scope.outputs.push(output.clone()),
                Output::Star => self.sources.iter().for_each(|source| spread(source, names, &mut scope.outputs)),
                Output::StarOf(name) => self.source(*name).into_iter().for_each(|source| spread(source, names, &mut scope.outputs)),
            }
        }
        scope.sources = self.sources.clone();
        scope
    }

    /// The names by which a query around this one can use its columns: those that mean one of them.
    pub fn column_names(&self) -> Arc<[ColumnName]> {
        let outputs = self.first.as_deref().unwrap_or(&self.outputs);
        let named: Vec<&ColumnName> =
            outputs.iter().filter_map(|output| if let Output::Column { name, .. } = output { name.as_ref() } else { None }).collect();
        named.iter().filter(|name| named.iter().filter(|other| other == name).count() == 1).map(|name| (*name).clone()).collect()
    }

    /// The column aliases that the query made up, each with what is called in the item that it names.
    pub fn select_aliases(&self) -> impl Iterator<Item = (&[u8], Uses)> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Column { name: Some(ColumnName::New(name)), uses } => Some((&**name, *uses)),
            _ => None,
        })
    }
}

fn spread(source: &Source, names: &Names, outputs: &mut SmallVec<[Output; 3]>) {
    let mut push = |name: Option<ColumnName>| outputs.push(Output::Column { name, uses: Uses::default() });
    match &source.relation {
        Relation::Table(table) => names.columns(*table).iter().for_each(|name| push(Some(ColumnName::Known(*name)))),
        Relation::Derived(columns, width) => {
            columns.iter().for_each(|name| push(Some(name.clone())));
            (columns.len()..usize::from(*width)).for_each(|_| push(None));
        }
    }
}

/// Whether the widths of at most `slots` tables can add up to `width`.
fn can_add_up(width: usize, slots: usize, names: &Names) -> bool {
    width == 0
        || (slots > 0
            && names.tables().any(|table| {
                let columns = names.columns(table).len();
                columns <= width && can_add_up(width - columns, slots - 1, names)
            }))
}

/// Steps of the search below before it says "feasible": optimistic, and only for schemas made to be hard.
const SEARCH_LIMIT: u32 = 2000;

/// What sources that are not there yet have to bring.
#[derive(Clone)]
struct Needs {
    tables: TableSet,
    aliases: SmallVec<[(AliasId, TableSet); 2]>,
    /// For each bare column that no source has, the tables with it; exactly one must come.
    unmet: SmallVec<[TableSet; 4]>,
    /// The tables with a bare column that a source has: none may come.
    forbidden: TableSet,
    slots: usize,
}

impl Needs {
    fn can_be_met(&self, steps: &mut u32) -> bool {
        if self.tables & self.forbidden != 0 || (self.tables.count_ones() as usize + self.aliases.len()) > self.slots {
            return false;
        }
        if *steps == 0 {
            return true;
        }
        *steps -= 1;
        if self.tables != 0 {
            let table = self.tables.trailing_zeros();
            let mut rest = self.after(1 << table);
            rest.tables &= !(1 << table);
            return rest.can_be_met(steps);
        }
        if self.unmet.is_empty() {
            return self.aliases.iter().all(|(_, candidates)| candidates & !self.forbidden != 0);
        }
        let (candidates, alias) = match self.aliases.last() {
            Some((_, candidates)) => (*candidates, true),
            None if self.slots == 0 => return false,
            None => (self.unmet[0], false),
        };
        // Tables that bring the same of what is unmet are alike: one of them is tried.
        let mut left = candidates & !self.forbidden;
        while left != 0 {
            let table: TableSet = 1 << left.trailing_zeros();
            let mut rest = self.after(table);
            if alias {
                rest.aliases.pop();
            }
            if rest.can_be_met(steps) {
                return true;
            }
            left &= !self.alike(table);
        }
        false
    }

    /// What is needed once this table has come.
    fn after(&self, table: TableSet) -> Self {
        let mut rest = self.clone();
        rest.slots -= 1;
        rest.unmet.retain(|having| {
            let met = *having & table != 0;
            if met {
                rest.forbidden |= *having;
            }
            !met
        });
        rest
    }

    /// The tables that have the same unmet columns as this one.
    fn alike(&self, table: TableSet) -> TableSet {
        self.unmet.iter().fold(TableSet::MAX, |alike, having| alike & if having & table != 0 { *having } else { !having })
    }
}
