//! The grammars that come with tamis. What each covers stands at its head.

use crate::constraint::ConstraintError;

const GRAMMARS: [(&str, &str); 8] = [
    ("arithmetic", include_str!("../../../grammars/arithmetic.lark")),
    ("csv", include_str!("../../../grammars/csv.lark")),
    ("iso8601", include_str!("../../../grammars/iso8601.lark")),
    ("json", include_str!("../../../grammars/json.lark")),
    ("pddl_goal", include_str!("../../../grammars/pddl_goal.lark")),
    ("sexpr", include_str!("../../../grammars/sexpr.lark")),
    ("smiles", include_str!("../../../grammars/smiles.lark")),
    ("sqlite_select", include_str!("../../../grammars/sqlite_select.lark")),
];

/// The grammars' names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    GRAMMARS.iter().map(|(name, _)| *name)
}

/// The text of a grammar.
pub(super) fn source(name: &str) -> Result<&'static str, ConstraintError> {
    let found = GRAMMARS.iter().find(|(own, _)| *own == name);
    found.map(|(_, source)| *source).ok_or_else(|| {
        let names: Vec<&str> = names().collect();
        ConstraintError::invalid(format!("there is no grammar called {name:?}; there are {}", names.join(", ")))
    })
}
