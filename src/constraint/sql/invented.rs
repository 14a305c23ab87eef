//! Names of columns that the query itself makes up: aliases in the select list, columns of a WITH.
//!
//! A made-up name gets the next free number after those of the schema's columns, so that from there on it is a
//! column name like any other. One that the schema has keeps its number.

use super::names::{NameId, Word};
use super::syntax::{Language, Syntax};
use std::sync::Arc;

/// The made-up names, in lower case.
pub(super) type Invented = Arc<[Arc<[u8]>]>;

/// The longest name that a query may make up, in bytes.
pub(super) const MAX_NEW_NAME: usize = 30;

/// The most names that a query may make up: numbers have 16 bits.
const MAX_INVENTED: usize = 1000;

impl Language {
    /// The number of a column name, which is `word` in the dictionary.
    pub fn name_id(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> Option<NameId> {
        let known = word.and_then(|word| word.column);
        known.or_else(|| syntax.invented.iter().position(|name| **name == *text).map(|place| self.invented_id(place)))
    }

    fn invented_id(&self, place: usize) -> NameId {
        (self.names.column_names.len() + place) as NameId
    }

    /// Whether another name may be made up.
    pub fn may_invent(&self, syntax: &Syntax) -> bool {
        syntax.invented.len() < MAX_INVENTED
    }

    /// The query with this name among its names, and the name's number.
    pub fn inventing(&self, syntax: &Syntax, text: &[u8], word: Option<&Word>) -> (Syntax, NameId) {
        if let Some(known) = self.name_id(syntax, text, word) {
            return (syntax.clone(), known);
        }
        let invented = syntax.invented.iter().cloned().chain([text.into()]).collect();
        (Syntax { invented, ..syntax.clone() }, self.invented_id(syntax.invented.len()))
    }

    /// A column name as the schema or the query spells it.
    pub fn spelled(&self, syntax: &Syntax, name: NameId) -> String {
        let place = usize::from(name);
        match self.names.column_names.get(place) {
            Some(known) => known.clone(),
            None => String::from_utf8_lossy(&syntax.invented[place - self.names.column_names.len()]).into_owned(),
        }
    }

    /// Whether a query may make up this name, which is `word` in the dictionary.
    pub fn allows_new_name(&self, text: &[u8], word: Option<&Word>) -> bool {
        let keyword = std::str::from_utf8(text).map_or(true, super::keywords::is_keyword);
        !keyword && word.is_none_or(|word| word.alias.is_none())
    }
}
