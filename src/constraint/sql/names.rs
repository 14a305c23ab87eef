//! The words of one schema: a sorted dictionary in which a half-typed word is a range.
//!
//! Keywords, functions, tables, columns and aliases live in one dictionary, lower case (ASCII case does
//! not count in SQL). What was typed of a word narrows a range of it; whether some word of the range is
//! allowed is for `syntax.rs` and `scope.rs` to say. Columns of equal name share an id, and for each the
//! tables that have it are a set of bits.

use super::keywords::{FUNCTIONS, KEYWORDS, Keyword, TYPE_NAMES, is_reserved, yields_to_names};
use super::{SqlOptions, SqlProfile, SqlSchema};
use std::collections::BTreeMap;

/// A set of tables, by their place in the schema.
pub(super) type TableSet = u128;
/// A table's place in the schema.
pub(super) type TableId = u8;
/// A column's name: one id for all columns that are called so.
pub(super) type NameId = u16;
/// A table alias, by its place in [`Names::alias_names`].
pub(super) type AliasId = u8;
/// The words from one place of the dictionary to another.
pub(super) type WordRange = (u16, u16);

/// A word and all that it may mean.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// Its letters in lower case.
    pub text: Vec<u8>,
    /// Whether it may stand without quotes for a table in FROM or, after a point, for a column.
    pub plain: bool,
    /// Whether it may stand without quotes where an operand may.
    pub operand: bool,
    pub keyword: Option<Keyword>,
    /// A place in [`FUNCTIONS`].
    pub function: Option<u8>,
    pub table: Option<TableId>,
    pub column: Option<NameId>,
    pub alias: Option<AliasId>,
    pub is_type: bool,
}

/// The dictionary of a schema.
#[derive(Debug)]
pub(super) struct Names {
    words: Vec<Word>,
    /// For each column name the tables that have it.
    tables_with: Vec<TableSet>,
    /// For each table its columns in order.
    columns: Vec<Vec<NameId>>,
    /// Whether JOIN .. USING may come.
    pub using: bool,
    /// The spelling of each, for messages.
    pub table_names: Vec<String>,
    pub column_names: Vec<String>,
    pub alias_names: Vec<String>,
}

impl Names {
    pub fn new(schema: &SqlSchema, options: &SqlOptions) -> Self {
        let mut names = Self {
            words: Vec::new(),
            tables_with: Vec::new(),
            columns: Vec::new(),
            using: options.profile >= SqlProfile::Analytic,
            table_names: Vec::new(),
            column_names: Vec::new(),
            alias_names: Vec::new(),
        };
        let mut words: BTreeMap<Vec<u8>, Word> = BTreeMap::new();
        for (index, table) in schema.tables().iter().enumerate() {
            entry(&mut words, &table.name).table = Some(index as TableId);
            names.table_names.push(table.name.clone());
            let mut columns = Vec::with_capacity(table.columns.len());
            for column in &table.columns {
                let id = *entry(&mut words, &column.name).column.get_or_insert_with(|| {
                    names.column_names.push(column.name.clone());
                    names.tables_with.push(0);
                    names.tables_with.len() as NameId - 1
                });
                names.tables_with[usize::from(id)] |= 1 << index;
                columns.push(id);
            }
            names.columns.push(columns);
        }
        for alias in &options.aliases {
            let word = entry(&mut words, alias);
            // A name that means one thing is never given to another.
            if word.table.is_none() && word.column.is_none() && word.alias.is_none() && names.alias_names.len() < 255 {
                word.alias = Some(names.alias_names.len() as AliasId);
                names.alias_names.push(alias.clone());
            }
        }
        for (keyword, text, _) in KEYWORDS.iter().filter(|(_, _, profile)| *profile <= options.profile) {
            entry(&mut words, text).keyword = Some(*keyword);
        }
        for (index, function) in FUNCTIONS.iter().enumerate().filter(|(_, function)| function.profile <= options.profile) {
            entry(&mut words, function.name).function = Some(index as u8);
        }
        for name in TYPE_NAMES {
            entry(&mut words, name).is_type = true;
        }
        names.words = words.into_values().collect();
        names
    }

    pub fn all_tables(&self) -> TableSet {
        TableSet::MAX >> (128 - self.columns.len())
    }

    /// The tables that have a column of this name: none, if the query made it up.
    pub fn tables_with(&self, name: NameId) -> TableSet {
        self.tables_with.get(usize::from(name)).copied().unwrap_or(0)
    }

    pub fn columns(&self, table: TableId) -> &[NameId] {
        &self.columns[usize::from(table)]
    }

    pub fn everything(&self) -> WordRange {
        (0, self.words.len() as u16)
    }

    pub fn words(&self, range: WordRange) -> &[Word] {
        &self.words[usize::from(range.0)..usize::from(range.1)]
    }

    /// The words of `range`, all equal in their first `length` bytes, that go on with `byte`.
    pub fn narrow(&self, range: WordRange, length: usize, byte: u8) -> WordRange {
        let words = self.words(range);
        let at = |word: &Word| word.text.get(length).copied();
        let low = words.partition_point(|word| at(word) < Some(byte));
        let count = words[low..].partition_point(|word| at(word) == Some(byte));
        (range.0 + low as u16, range.0 + (low + count) as u16)
    }

    /// The word of `range` that has no more than the first `length` bytes.
    pub fn exact(&self, range: WordRange, length: usize) -> Option<&Word> {
        self.words(range).first().filter(|word| word.text.len() == length)
    }
}

fn entry<'a>(words: &'a mut BTreeMap<Vec<u8>, Word>, text: &str) -> &'a mut Word {
    let lower = text.to_ascii_lowercase();
    let operand = is_identifier(&lower) && !is_reserved(&lower);
    let plain = operand || yields_to_names(&lower);
    words.entry(lower.clone().into_bytes()).or_insert_with(|| Word { text: lower.into_bytes(), plain, operand, ..Word::default() })
}

/// Whether SQLite reads the text as one identifier without quotes.
fn is_identifier(text: &str) -> bool {
    text.bytes().next().is_some_and(starts_word) && text.bytes().all(continues_word)
}

/// Whether a word may start with the byte. SQLite takes every byte of a multi-byte character for a letter.
pub(super) fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Whether a word may go on with the byte. (SQLite also allows `$`; names with it are quoted here.)
pub(super) fn continues_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit()
}
