//! How much of SQLite's SELECT is open, and how long its parts may grow.

/// The part of SQLite's SELECT that a query may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SqlProfile {
    /// What text-to-SQL benchmarks of the Spider family use: DISTINCT, the five aggregates, JOIN .. ON,
    /// WHERE with AND, OR, NOT, comparisons, LIKE, BETWEEN and IN, subqueries in conditions and in FROM,
    /// GROUP BY, HAVING, ORDER BY, LIMIT, set operations, arithmetic.
    #[default]
    Spider,
    /// The same, and IS NULL, CASE, CAST, scalar functions, column aliases, LEFT and INNER JOIN, `||`,
    /// `%`, OFFSET, UNION ALL, EXISTS, and references of a subquery to the query around it.
    Extended,
    /// The same, and WITH (without recursion), JOIN .. USING, FILTER after aggregates, window functions (OVER
    /// with PARTITION BY and ORDER BY, without frames), NULLS FIRST and NULLS LAST.
    Analytic,
}

/// What a query may be like. Whatever the limits, a prefix that is allowed has an end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlOptions {
    /// The part of the language.
    pub profile: SqlProfile,
    /// The most white space between two tokens, in bytes (spaces and newlines).
    pub max_whitespace: u8,
    /// The most sources (tables and derived tables) of one FROM.
    pub max_sources: u8,
    /// The most parentheses, calls and subqueries that are open at once.
    pub max_depth: u8,
    /// The most items of a list: select list, IN list, GROUP BY, ORDER BY; conditions joined by AND or
    /// OR; operators of an arithmetic expression.
    pub max_items: u8,
    /// The longest string literal, in bytes.
    pub max_string: u8,
    /// The most digits of a number before the point, and after it.
    pub max_digits: u8,
    /// The names that tables may be given in FROM. Those that are a table's or column's name are left out.
    pub aliases: Vec<String>,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self {
            profile: SqlProfile::default(),
            max_whitespace: 1,
            max_sources: 8,
            max_depth: 12,
            max_items: 12,
            max_string: 80,
            max_digits: 12,
            aliases: (1..10).map(|number| format!("T{number}")).collect(),
        }
    }
}

impl SqlOptions {
    /// The default limits with another profile.
    pub fn profile(profile: SqlProfile) -> Self {
        Self { profile, ..Self::default() }
    }
}
