//! The words of the language itself: keywords, functions, type names.

use super::SqlProfile::{self, Analytic, Extended, Spider};

macro_rules! keywords {
    ($($name:ident $text:literal $profile:ident,)*) => {
        /// A keyword of the language that is recognised.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum Keyword { $(#[doc = $text] $name,)* }

        /// Each keyword, its text, and the profile that has it.
        pub(super) const KEYWORDS: &[(Keyword, &str, SqlProfile)] = &[$((Keyword::$name, $text, $profile),)*];
    };
}

keywords! {
    All "all" Extended, And "and" Spider, As "as" Spider, Asc "asc" Spider, Between "between" Spider, By "by" Spider,
    Case "case" Extended, Cast "cast" Extended, Desc "desc" Spider, Distinct "distinct" Spider, Else "else" Extended,
    End "end" Extended, Except "except" Spider, Exists "exists" Extended, Filter "filter" Analytic, First "first" Analytic,
    From "from" Spider,
    Group "group" Spider, Having "having" Spider, In "in" Spider, Inner "inner" Extended, Intersect "intersect" Spider,
    Is "is" Extended, Join "join" Spider, Last "last" Analytic, Left "left" Extended, Like "like" Spider,
    Limit "limit" Spider, Not "not" Spider, Null "null" Extended, Nulls "nulls" Analytic, Offset "offset" Extended,
    On "on" Spider, Or "or" Spider, Order "order" Spider, Outer "outer" Extended, Over "over" Analytic,
    Partition "partition" Analytic, Select "select" Spider, Then "then" Extended, Union "union" Spider,
    Using "using" Analytic, When "when" Extended, Where "where" Spider, With "with" Analytic,
}

/// What a function computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The row.
    Scalar,
    /// A group of rows, or a window of them where OVER follows.
    Aggregate,
    /// A window of rows: OVER must follow.
    Window,
}

/// A function that may be called.
#[derive(Debug)]
pub(super) struct Function {
    pub name: &'static str,
    pub profile: SqlProfile,
    pub kind: Kind,
    pub least_arguments: u8,
    pub most_arguments: u8,
}

impl Function {
    pub fn is_aggregate(&self) -> bool {
        self.kind == Kind::Aggregate
    }
}

const fn function(name: &'static str, profile: SqlProfile, kind: Kind, least_arguments: u8, most_arguments: u8) -> Function {
    Function { name, profile, kind, least_arguments, most_arguments }
}

/// The functions that may be called. None has an effect, reads a file, or makes much of little.
pub(super) const FUNCTIONS: &[Function] = &[
    function("avg", Spider, Kind::Aggregate, 1, 1),
    function("count", Spider, Kind::Aggregate, 1, 1),
    function("max", Spider, Kind::Aggregate, 1, 1),
    function("min", Spider, Kind::Aggregate, 1, 1),
    function("sum", Spider, Kind::Aggregate, 1, 1),
    function("total", Extended, Kind::Aggregate, 1, 1),
    function("group_concat", Extended, Kind::Aggregate, 1, 1),
    function("abs", Extended, Kind::Scalar, 1, 1),
    function("coalesce", Extended, Kind::Scalar, 2, 4),
    function("date", Extended, Kind::Scalar, 1, 3),
    function("datetime", Extended, Kind::Scalar, 1, 3),
    function("ifnull", Extended, Kind::Scalar, 2, 2),
    function("iif", Extended, Kind::Scalar, 3, 3),
    function("instr", Extended, Kind::Scalar, 2, 2),
    function("julianday", Extended, Kind::Scalar, 1, 3),
    function("length", Extended, Kind::Scalar, 1, 1),
    function("lower", Extended, Kind::Scalar, 1, 1),
    function("ltrim", Extended, Kind::Scalar, 1, 2),
    function("nullif", Extended, Kind::Scalar, 2, 2),
    function("replace", Extended, Kind::Scalar, 3, 3),
    function("round", Extended, Kind::Scalar, 1, 2),
    function("rtrim", Extended, Kind::Scalar, 1, 2),
    function("strftime", Extended, Kind::Scalar, 2, 4),
    function("substr", Extended, Kind::Scalar, 2, 3),
    function("substring", Extended, Kind::Scalar, 2, 3),
    function("time", Extended, Kind::Scalar, 1, 3),
    function("trim", Extended, Kind::Scalar, 1, 2),
    function("upper", Extended, Kind::Scalar, 1, 1),
    function("cume_dist", Analytic, Kind::Window, 0, 0),
    function("dense_rank", Analytic, Kind::Window, 0, 0),
    function("first_value", Analytic, Kind::Window, 1, 1),
    function("lag", Analytic, Kind::Window, 1, 3),
    function("last_value", Analytic, Kind::Window, 1, 1),
    function("lead", Analytic, Kind::Window, 1, 3),
    function("ntile", Analytic, Kind::Window, 1, 1),
    function("percent_rank", Analytic, Kind::Window, 0, 0),
    function("rank", Analytic, Kind::Window, 0, 0),
    function("row_number", Analytic, Kind::Window, 0, 0),
];

/// The types that CAST converts to.
pub(super) const TYPE_NAMES: &[&str] = &["integer", "int", "real", "float", "numeric", "text"];

/// Words that cannot stand for a name without quotes: SQLite's reserved words, and those that it would
/// take for a name here or there but that this recogniser needs for itself.
pub(super) fn is_reserved(lower_case: &str) -> bool {
    let keyword = KEYWORDS.iter().any(|(_, text, _)| *text == lower_case);
    RESERVED.contains(&lower_case) || (keyword && !NEVER_OPERANDS.contains(&lower_case))
}

/// Keywords that come where no operand can, and so may name a column as in SQLite.
const NEVER_OPERANDS: &[&str] = &["filter", "first", "last", "nulls", "over", "partition"];

/// Keywords that SQLite reads as a name where only a name can stand.
pub(super) fn yields_to_names(lower_case: &str) -> bool {
    ["asc", "by", "cast", "desc", "end", "offset"].contains(&lower_case)
}

/// Words that a column alias may not be: the reserved ones and the rest of SQLite's keywords.
pub(super) fn is_keyword(lower_case: &str) -> bool {
    is_reserved(lower_case) || OTHER_KEYWORDS.contains(&lower_case)
}

const RESERVED: &[&str] = &[
    "add",
    "alter",
    "autoincrement",
    "check",
    "collate",
    "commit",
    "constraint",
    "create",
    "cross",
    "current_date",
    "current_time",
    "current_timestamp",
    "default",
    "deferrable",
    "delete",
    "drop",
    "escape",
    "foreign",
    "full",
    "glob",
    "index",
    "indexed",
    "insert",
    "into",
    "isnull",
    "natural",
    "nothing",
    "notnull",
    "primary",
    "raise",
    "references",
    "regexp",
    "returning",
    "right",
    "set",
    "table",
    "to",
    "transaction",
    "unique",
    "update",
    "using",
    "values",
    "window",
    "with",
];

const OTHER_KEYWORDS: &[&str] = &[
    "abort",
    "action",
    "after",
    "always",
    "analyze",
    "attach",
    "before",
    "begin",
    "cascade",
    "column",
    "conflict",
    "current",
    "database",
    "deferred",
    "detach",
    "do",
    "each",
    "exclude",
    "exclusive",
    "explain",
    "fail",
    "filter",
    "first",
    "following",
    "for",
    "generated",
    "groups",
    "if",
    "ignore",
    "immediate",
    "initially",
    "instead",
    "key",
    "last",
    "materialized",
    "no",
    "nulls",
    "of",
    "others",
    "over",
    "partition",
    "plan",
    "pragma",
    "preceding",
    "query",
    "range",
    "recursive",
    "reindex",
    "release",
    "rename",
    "replace",
    "restrict",
    "rollback",
    "row",
    "rows",
    "savepoint",
    "temp",
    "temporary",
    "ties",
    "trigger",
    "unbounded",
    "vacuum",
    "view",
    "virtual",
    "within",
    "without",
    "true",
    "false",
    "rowid",
    "oid",
    "_rowid_",
];
