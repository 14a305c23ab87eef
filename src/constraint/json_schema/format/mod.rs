//! The formats of the standard, as rules for strings.
//!
//! Every format is a regular expression over the text (compiled once, when first used), so that its
//! prefixes are judged as it is written; where the format is not a regular language, or only by an
//! automaton too large to be worth it, the expression takes in more and a final check is exact where the
//! string ends. One file a family; this one is the table.

mod address;
mod date;
mod host;
mod idn;
mod pointer;
mod uri;

use super::pattern;
use crate::constraint::Regex;
use std::fmt;
use std::sync::OnceLock;

/// A format.
pub(super) struct Format {
    pub(super) name: &'static str,
    /// The expression, in the syntax of `regex-syntax`.
    expression: fn() -> String,
    /// What remains to be checked of a whole text that the expression matches.
    check: Option<fn(&str) -> bool>,
    automaton: OnceLock<Regex>,
}

const fn format(name: &'static str, expression: fn() -> String, check: Option<fn(&str) -> bool>) -> Format {
    Format { name, expression, check, automaton: OnceLock::new() }
}

/// Any text.
fn anything() -> String {
    "(?s:.)*".to_owned()
}

static FORMATS: [Format; 19] = [
    format("date-time", date::date_time, Some(date::leap_second_is_right)),
    format("date", date::date, None),
    format("time", date::time, Some(date::leap_second_is_right)),
    format("duration", date::duration, None),
    format("email", address::email, None),
    format("idn-email", address::idn_email, Some(address::idn_email_is_valid)),
    format("hostname", host::hostname, Some(idn::hostname_is_valid)),
    format("idn-hostname", host::idn_hostname, Some(idn::idn_hostname_is_valid)),
    format("ipv4", host::ipv4, None),
    format("ipv6", host::ipv6, None),
    format("uri", || uri::uri(uri::ASCII), None),
    format("uri-reference", || uri::reference(uri::ASCII), None),
    format("iri", || uri::uri(uri::INTERNATIONAL), None),
    format("iri-reference", || uri::reference(uri::INTERNATIONAL), None),
    format("uri-template", uri::template, None),
    format("uuid", || "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}".to_owned(), None),
    format("json-pointer", pointer::json_pointer, None),
    format("relative-json-pointer", pointer::relative_json_pointer, None),
    format("regex", anything, Some(pattern::is_valid)),
];

/// The format of that name.
///
/// A name that a later draft introduced is known to all: a schema that gives it means it.
pub(super) fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

impl Format {
    pub(super) fn automaton(&self) -> &Regex {
        self.automaton.get_or_init(|| {
            // The expressions are constants, and a test compiles them all.
            Regex::new(&(self.expression)()).expect("the expression of a format is a regular expression")
        })
    }

    pub(super) fn is_exact(&self) -> bool {
        self.check.is_none()
    }

    /// Whether a text that the automaton accepts is of the format.
    pub(super) fn confirms(&self, text: &str) -> bool {
        self.check.is_none_or(|check| check(text))
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Format").field(&self.name).finish()
    }
}
