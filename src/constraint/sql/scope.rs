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
use super::with::Ctes;
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

/// What an item of the select list gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Output {
    Column {
        name: Option<NameId>,
        uses: Uses,
    },
    /// `*`, before FROM is closed.
    Star,
    /// `T1.*`, before FROM is closed.
    StarOf(SourceName),
}

/// A column of the first SELECT of a set operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FirstColumn {
    pub name: Option<NameId>,
    /// Whether ORDER BY finds it by its name, which means one column in its own SELECT.
    pub findable: bool,
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
    /// The columns by which USING joined it. Used without a source, they mean those of the sources before it.
    pub using: SmallVec<[NameId; 2]>,
    /// Whether USING may still come, or a further column of it.
    pub open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    Table(TableId),
    /// A subquery: its columns, with a name where it means one of them.
    Derived(Columns),
}

/// The columns of a subquery, by their names where they have one that means one of them.
pub(super) type Columns = Arc<[Option<NameId>]>;

/// One SELECT, as far as names matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub clause: Clause,
    /// The items so far; after FROM was closed, the columns.
    pub outputs: SmallVec<[Output; 3]>,
    /// How many columns there must be: one in a condition, as many as before after UNION.
    pub wanted: Option<u16>,
    /// The columns of the first SELECT, after a set operation.
    pub first: Option<Arc<[FirstColumn]>>,
    /// The common table expressions that may be named.
    pub ctes: Arc<Ctes>,
    /// While one is being defined, the tables that were read: a later one of the same WITH would change their meaning.
    pub read: TableSet,
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
            Self::Derived(columns) => columns.contains(&Some(name)),
        }
    }

    /// Whether any column of it has a name.
    pub fn has_names(&self) -> bool {
        match self {
            Self::Table(_) => true,
            Self::Derived(columns) => columns.iter().any(Option::is_some),
        }
    }
}

impl Scope {
    /// A SELECT of which nothing is written, where these common table expressions may be named.
    pub fn new(wanted: Option<u16>, ctes: Arc<Ctes>) -> Self {
        Self {
            clause: Clause::Items,
            outputs: SmallVec::new(),
            wanted,
            first: None,
            ctes,
            read: 0,
            tables: 0,
            aliases: SmallVec::new(),
            bare: SmallVec::new(),
            sources: SmallVec::new(),
            aggregate: false,
            grouped: false,
            terms: 0,
        }
    }

    // Tables, those of WITH among them.

    /// The tables that may be named.
    pub fn all_tables(&self, names: &Names) -> TableSet {
        (names.all_tables() | self.ctes.defined()) & !self.ctes.hidden()
    }

    /// The tables that have a column of this name.
    pub fn tables_with(&self, name: NameId, names: &Names) -> TableSet {
        (names.tables_with(name) | self.ctes.with(name)) & !self.ctes.hidden()
    }

    fn width_of(&self, table: TableId, names: &Names) -> usize {
        self.ctes.columns(table).map_or_else(|| names.columns(table).len(), |columns| columns.len())
    }

    // Names before FROM.

    /// Whether a column may be asked of a source of this name, or all of them (`star`).
    pub fn may_want_source(&self, source: SourceName, star: bool, names: &Names, most: usize) -> bool {
        let nameless = if star { 0 } else { self.ctes.nameless() };
        match source {
            SourceName::Table(table) if nameless >> table & 1 == 1 => false,
            SourceName::Table(table) if self.tables >> table & 1 == 1 => true,
            SourceName::Alias(alias) if nameless == 0 && self.aliases.iter().any(|(known, _)| *known == alias) => true,
            _ if self.asks_nothing() => most > 0 && self.all_tables(names) & !nameless != 0,
            _ => self.wanting_source(source, self.all_tables(names) & !nameless).is_feasible(names, most),
        }
    }

    /// Whether the column may be asked of the source.
    pub fn may_want_column(&self, source: SourceName, name: NameId, names: &Names, most: usize) -> bool {
        match source {
            SourceName::Table(table) => self.tables_with(name, names) >> table & 1 == 1,
            SourceName::Alias(_) if self.bare.is_empty() && self.tables == 0 => {
                self.candidates(source, names) & self.tables_with(name, names) != 0
            }
            SourceName::Alias(_) => self.wanting_source(source, self.tables_with(name, names)).is_feasible(names, most),
        }
    }

    fn candidates(&self, source: SourceName, names: &Names) -> TableSet {
        match source {
            SourceName::Table(table) => 1 << table,
            SourceName::Alias(alias) => {
                self.aliases.iter().find(|(known, _)| *known == alias).map_or_else(|| self.all_tables(names), |(_, candidates)| *candidates)
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
        match self.clause {
            Clause::From if self.count_having(name, names) != 1 => return false,
            Clause::Items if self.tables_with(name, names) == 0 => return false,
            _ => {}
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

    /// How many columns of this name the sources have, but for those that USING makes one with another.
    pub fn count_having(&self, name: NameId, names: &Names) -> usize {
        count_having(&self.sources, name, names)
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
            if !matches!(last.name, Some(SourceName::Table(table)) if candidates >> table & 1 == 1) {
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

    /// The scope after a table was added under its own name; `joined` by JOIN.
    pub fn with_table(&self, table: TableId, joined: bool, names: &Names) -> Self {
        let relation = self.ctes.columns(table).map_or(Relation::Table(table), |columns| Relation::Derived(columns.clone()));
        let mut scope = self.with_source(Some(SourceName::Table(table)), relation, joined, names);
        if self.ctes.is_defining() {
            scope.read |= 1 << table;
        }
        scope
    }

    /// The scope after a subquery was added.
    pub fn with_derived(&self, columns: Columns, joined: bool, names: &Names) -> Self {
        self.with_source(None, Relation::Derived(columns), joined, names)
    }

    fn with_source(&self, name: Option<SourceName>, relation: Relation, joined: bool, names: &Names) -> Self {
        let mut scope = self.settled();
        scope.clause = Clause::From;
        let open = joined && names.using && scope.star_width().is_none();
        scope.sources.push(Source { name, relation, using: SmallVec::new(), open });
        scope
    }

    /// The scope once USING can no longer come for the last source.
    pub fn settled(&self) -> Self {
        let mut scope = self.clone();
        if let Some(last) = scope.sources.last_mut() {
            last.open = false;
        }
        scope
    }

    /// Whether USING may join the last source by this column: a source before it has it, too.
    pub fn may_join_by(&self, name: NameId, names: &Names) -> bool {
        let Some((last, before)) = self.sources.split_last() else { return false };
        let has = |source: &Source| source.relation.has(name, names);
        last.open && !last.using.contains(&name) && has(last) && before.iter().any(has)
    }

    /// Whether USING may join the last source by some further column.
    pub fn may_join_by_some(&self, names: &Names) -> bool {
        self.sources.last().is_some_and(|last| match &last.relation {
            Relation::Table(table) => names.columns(*table).iter().any(|name| self.may_join_by(*name, names)),
            Relation::Derived(columns) => columns.iter().flatten().any(|name| self.may_join_by(*name, names)),
        })
    }

    /// The scope after USING joined the last source by this column, among others.
    pub fn joined_by(&self, name: NameId) -> Self {
        let mut scope = self.clone();
        if let Some(last) = scope.sources.last_mut()
            && let Err(place) = last.using.binary_search(&name)
        {
            last.using.insert(place, name);
        }
        scope
    }

    /// Whether the table may be the next source, under its own name or an alias.
    pub fn may_add_table(&self, table: TableId, joined: bool, names: &Names, most: usize) -> bool {
        if self.sources.len() >= most {
            return false;
        }
        let scope = self.with_table(table, joined, names);
        scope.may_stay_plain(names, most) || scope.may_be_called_something(names, most)
    }

    /// Whether some alias fits the last source.
    pub fn may_be_called_something(&self, names: &Names, most: usize) -> bool {
        (0..names.alias_names.len() as AliasId).any(|alias| self.may_be_called(alias, names, most))
    }

    /// Whether another table may be added.
    pub fn may_add_some_table(&self, joined: bool, names: &Names, most: usize) -> bool {
        self.sources.len() < most && members(self.all_tables(names)).any(|table| self.may_add_table(table, joined, names, most))
    }

    /// Whether a subquery may be the next source: all that was asked for is there, and nothing that it
    /// gives can make a name ambiguous.
    pub fn may_add_derived(&self, names: &Names, most: usize) -> bool {
        self.sources.len() < most && self.bare.is_empty() && self.star_width().is_none() && self.is_discharged(names)
    }

    // Obligations.

    /// Whether the sources meet all obligations as they are.
    pub fn is_discharged(&self, names: &Names) -> bool {
        self.can_be_met(names, self.sources.len(), false)
    }

    /// The columns used without a source that no source has yet.
    pub fn unmet_columns<'a>(&'a self, names: &'a Names) -> impl Iterator<Item = NameId> + 'a {
        self.bare.iter().copied().filter(|name| self.count_having(*name, names) == 0)
    }

    /// The sources that were named and have not come yet.
    pub fn unmet_sources(&self) -> impl Iterator<Item = SourceName> + '_ {
        let tables = members(self.tables).map(SourceName::Table);
        let aliases = self.aliases.iter().map(|(alias, _)| SourceName::Alias(*alias));
        tables.chain(aliases).filter(|source| self.source(*source).is_none())
    }

    /// Whether some sources can be added, up to `most` in all, so that all obligations are met. Aliases
    /// are plenty, so any table can be added any number of times. Where USING may come, no table is forbidden:
    /// what it would make ambiguous, it can be joined by.
    pub fn is_feasible(&self, names: &Names, most: usize) -> bool {
        self.can_be_met(names, most, true)
    }

    /// The same, where USING may still come for the last source if that is `open` to it.
    fn can_be_met(&self, names: &Names, most: usize, open: bool) -> bool {
        if self.sources.len() > most {
            return false;
        }
        let slots = most - self.sources.len();
        let width = self.star_width();
        let by_name = names.using && width.is_none();
        let mut needs = Needs { tables: self.tables, aliases: self.aliases.clone(), unmet: SmallVec::new(), forbidden: 0, slots, by_name };
        for source in &self.sources {
            match source.name {
                Some(SourceName::Table(table)) => needs.tables &= !(1 << table),
                Some(SourceName::Alias(alias)) => needs.aliases.retain(|(known, _)| *known != alias),
                None => {}
            }
        }
        for name in &self.bare {
            match self.count_having_unless_joined(*name, names, open) {
                0 => needs.unmet.push(self.tables_with(*name, names)),
                1 if by_name => {}
                1 => needs.forbidden |= self.tables_with(*name, names),
                _ => return false,
            }
        }
        if let Some(width) = width {
            let have: usize = self.sources.iter().map(|source| width_of(source, names)).sum();
            let tables = self.all_tables(names) & !needs.forbidden;
            let widths: SmallVec<[usize; 16]> = members(tables).map(|table| self.width_of(table, names)).collect();
            return have <= width && can_add_up(width - have, slots, &widths);
        }
        needs.can_be_met(&mut { SEARCH_LIMIT })
    }

    /// How many columns of this name the sources have, not counting one that USING may still make one with
    /// another.
    fn count_having_unless_joined(&self, name: NameId, names: &Names, open: bool) -> usize {
        match self.sources.split_last() {
            Some((last, before)) if open && last.open => match count_having(before, name, names) {
                0 => usize::from(last.relation.has(name, names)),
                count => count,
            },
            _ => self.count_having(name, names),
        }
    }

    /// The number of columns that a lone `*` has to stand for.
    pub fn star_width(&self) -> Option<usize> {
        match (self.wanted, self.outputs.as_slice()) {
            (Some(wanted), [Output::Star]) if self.clause <= Clause::From => Some(wanted.into()),
            _ => None,
        }
    }

    /// The scope after FROM: obligations are met and forgotten, stars are the columns they stand for.
    pub fn closed(&self, names: &Names) -> Self {
        if self.clause > Clause::From {
            return self.clone();
        }
        let mut scope = Self::new(self.wanted, self.ctes.clone());
        scope.first.clone_from(&self.first);
        (scope.read, scope.aggregate, scope.clause) = (self.read, self.aggregate, Clause::From);
        for output in &self.outputs {
            match output {
                Output::Column { .. } => scope.outputs.push(output.clone()),
                // `*` has what USING joins by once, `T2.*` has all of its columns.
                Output::Star => self.sources.iter().for_each(|source| spread(source, &source.using, names, &mut scope.outputs)),
                Output::StarOf(name) => {
                    self.source(*name).into_iter().for_each(|source| spread(source, &[], names, &mut scope.outputs));
                }
            }
        }
        scope.sources = self.settled().sources;
        scope
    }

    /// The columns that a query around this one finds, by their names: of two that are called the same, the
    /// name means the first.
    pub fn columns(&self) -> Columns {
        let names: SmallVec<[Option<NameId>; 8]> = match &self.first {
            Some(first) => first.iter().map(|column| column.name).collect(),
            None => self.outputs.iter().map(|output| if let Output::Column { name, .. } = output { *name } else { None }).collect(),
        };
        (0..names.len()).map(|at| names[at].filter(|name| !names[..at].contains(&Some(*name)))).collect()
    }

    /// What the item calls that the select list gives this name.
    pub fn select_alias(&self, wanted: NameId) -> Option<Uses> {
        self.outputs.iter().find_map(|output| match output {
            Output::Column { name: Some(name), uses } if *name == wanted => Some(*uses),
            _ => None,
        })
    }
}

fn count_having(sources: &[Source], name: NameId, names: &Names) -> usize {
    sources.iter().filter(|source| source.relation.has(name, names) && !source.using.contains(&name)).count()
}

fn width_of(source: &Source, names: &Names) -> usize {
    match &source.relation {
        Relation::Table(table) => names.columns(*table).len(),
        Relation::Derived(columns) => columns.len(),
    }
}

fn spread(source: &Source, but: &[NameId], names: &Names, outputs: &mut SmallVec<[Output; 3]>) {
    let mut push = |name: Option<NameId>| {
        if name.is_none_or(|name| !but.contains(&name)) {
            outputs.push(Output::Column { name, uses: Uses::default() });
        }
    };
    match &source.relation {
        Relation::Table(table) => names.columns(*table).iter().for_each(|name| push(Some(*name))),
        Relation::Derived(columns) => columns.iter().for_each(|name| push(*name)),
    }
}

/// The members of a set of tables.
fn members(tables: TableSet) -> impl Iterator<Item = TableId> {
    (0..128).filter(move |table| tables >> table & 1 == 1)
}

/// Whether at most `slots` of the widths, each any number of times, can add up to `width`.
fn can_add_up(width: usize, slots: usize, widths: &[usize]) -> bool {
    width == 0 || (slots > 0 && widths.iter().any(|columns| *columns <= width && can_add_up(width - columns, slots - 1, widths)))
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
    /// Whether USING may join a table by the columns that it would make ambiguous.
    by_name: bool,
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
            if met && !rest.by_name {
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
