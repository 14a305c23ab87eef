//! What was expected where a query cannot go on, in words.

use super::expression::Expression;
use super::lexer::{Cursor, Lexeme};
use super::names::Word;
use super::scope::{Clause, Relation, SourceName};
use super::syntax::{At, Language, Syntax};
use super::tokens::{NumberRule, Symbol};
use super::words::Next;

/// The most names that a message lists.
const LISTED: usize = 8;

impl Language {
    /// A noun phrase for what may come at the cursor.
    pub fn expected(&self, cursor: &Cursor) -> String {
        let syntax = &cursor.syntax;
        match &cursor.lexeme {
            Lexeme::Word { text, range } => {
                let typed = format!("{:?}", String::from_utf8_lossy(text));
                let words = self.allowed(syntax, self.names.words(*range), text, false);
                let mut parts: Vec<String> =
                    words.into_iter().filter(|word| !word.eq_ignore_ascii_case(&typed[1..typed.len() - 1])).collect();
                if let Some(after) = self.commit(cursor, Next::Other) {
                    parts.push(format!("the end of {typed} and {}", self.at(&after)));
                }
                if parts.is_empty() { format!("something that goes on from {typed}") } else { list(&parts) }
            }
            Lexeme::Quoted { range, close, .. } => {
                let words = self.allowed(syntax, self.names.words(*range), b"", true);
                format!("{} and {:?}", list(&words), char::from(*close))
            }
            Lexeme::Spaced { .. } => match self.commit(cursor, Next::Other) {
                Some(after) => self.at(&after),
                None => "'('".into(),
            },
            Lexeme::Negative => "a digit".into(),
            Lexeme::Text { .. } => "a printable character of a string that is not too long, or a single quote to end it".into(),
            Lexeme::Half(_) => "the rest of the operator, or what it applies to".into(),
            Lexeme::Gap { .. } => self.at(syntax),
            Lexeme::Name { .. } | Lexeme::Number { .. } | Lexeme::TextEnd { .. } => {
                self.commit(cursor, Next::Other).map_or_else(|| "the rest of the token".into(), |after| self.at(&after))
            }
        }
    }

    /// What may come between two tokens.
    fn at(&self, syntax: &Syntax) -> String {
        match syntax.at {
            At::Column { source, .. } => return self.a_column_of(syntax, source),
            At::Closed => return "the end of the text".into(),
            At::NewName | At::CteColumn => return "a new name for the column".into(),
            At::CteName => return "a name for the query that follows".into(),
            At::Number => return "a whole number".into(),
            _ => {}
        }
        let mut parts = self.allowed(syntax, self.names.words(self.names.everything()), b"", false);
        match self.number_rule(syntax) {
            Some(NumberRule::Value) => parts.push("a number".into()),
            Some(_) => parts.push("the number of a column".into()),
            None => {}
        }
        if self.takes_string(syntax) {
            parts.push("a string in single quotes".into());
        }
        let symbols = [(Symbol::Comma, "','"), (Symbol::Open, "'('"), (Symbol::Close, "')'"), (Symbol::Star, "'*'")];
        let more = [(Symbol::Arithmetic, "an operator"), (Symbol::Comparison, "a comparison"), (Symbol::End, "the end of the query")];
        for (symbol, text) in symbols.into_iter().chain(more) {
            if self.symbol(syntax, symbol).is_some() {
                parts.push(text.into());
            }
        }
        let expected = list(&parts);
        match self.unmet(syntax) {
            Some(unmet) => format!("{expected} ({unmet})"),
            None => expected,
        }
    }

    /// The words that may stand here as they are written: keywords in capitals, names as the schema has them,
    /// then the names that begin with `text` and that the query made up.
    fn allowed(&self, syntax: &Syntax, words: &[Word], text: &[u8], quoted: bool) -> Vec<String> {
        let allowed = words.iter().filter(|word| self.may_stand(syntax, word, quoted));
        let mut allowed: Vec<String> = allowed.map(|word| self.spelling(syntax, word)).collect();
        if !quoted {
            let made_up = self.made_up(syntax).filter(|name| name.starts_with(text));
            let made_up = made_up.filter(|name| self.allows_word(syntax, &self.meaning(syntax, name, None, false)));
            let known: Vec<String> = made_up.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            allowed.extend(known.into_iter().filter(|name| !words.iter().any(|word| *word.text == *name.as_bytes())));
        }
        allowed
    }

    fn spelling(&self, syntax: &Syntax, word: &Word) -> String {
        let names = &self.names;
        let text = String::from_utf8_lossy(&word.text).into_owned();
        if word.keyword.is_some_and(|keyword| self.keyword(syntax, keyword).is_some()) {
            text.to_ascii_uppercase()
        } else if let (Some(table), At::Source { .. }) = (word.table, syntax.at) {
            names.table_names[usize::from(table)].clone()
        } else if let Some(column) = word.column {
            names.column_names[usize::from(column)].clone()
        } else if let Some(table) = word.table {
            names.table_names[usize::from(table)].clone()
        } else if let Some(alias) = word.alias {
            names.alias_names[usize::from(alias)].clone()
        } else {
            text
        }
    }

    fn source_name(&self, syntax: &Syntax, source: SourceName) -> String {
        match source {
            SourceName::Table(table) => match syntax.scope.ctes.name(table) {
                Some(name) => String::from_utf8_lossy(name).into_owned(),
                None => self.names.table_names[usize::from(table)].clone(),
            },
            SourceName::Alias(alias) => self.names.alias_names[usize::from(alias)].clone(),
        }
    }

    fn a_column_of(&self, syntax: &Syntax, source: SourceName) -> String {
        let called = self.source_name(syntax, source);
        let table = match (self.visible(syntax, source).map(|source| &source.relation), source) {
            (Some(Relation::Table(table)), SourceName::Alias(_)) => format!(" ({})", self.names.table_names[usize::from(*table)]),
            _ => String::new(),
        };
        let columns = self.allowed(syntax, self.names.words(self.names.everything()), b"", false);
        format!("a column of {called}{table}: {}", list(&columns))
    }

    /// What the select list still wants of FROM.
    fn unmet(&self, syntax: &Syntax) -> Option<String> {
        let scope = &syntax.scope;
        if scope.clause != Clause::From || syntax.expression().is_some_and(Expression::takes_operand) || scope.is_discharged(&self.names) {
            return None;
        }
        let mut wanted: Vec<String> = scope.unmet_columns(&self.names).map(|name| self.spelled(syntax, name)).collect();
        wanted.extend(scope.unmet_sources().map(|source| self.source_name(syntax, source)));
        (!wanted.is_empty()).then(|| format!("the select list still wants {}", wanted.join(", ")))
    }
}

/// "a, b or c", or the first of many.
fn list(parts: &[String]) -> String {
    match parts {
        [] => "nothing".into(),
        [one] => one.clone(),
        _ if parts.len() > LISTED => format!("one of {}, ... ({} in all)", parts[..LISTED].join(", "), parts.len()),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
