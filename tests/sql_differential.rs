//! SQLite as the judge of the recogniser: what it accepts prepares, what it holds alive is no syntax error
//! and can go on, and of queries that differ from gold ones in names alone it refuses none that prepares.
#![cfg(feature = "sqlite")]

#[path = "fuzz_bodies/sql_differential.rs"]
mod body;
#[path = "common/sql.rs"]
mod sql;

use body::{awkward, is_syntax_error};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sql::{json_lines, normalized, shared, walk};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tamis::constraint::Constraint;
use tamis::constraint::sql::{SqlOptions, SqlProfile, SqlSelect};
use tamis::database::Database;

/// What a random query is made of: words, names of the awkward database, symbols, single bytes.
const PIECES: &[&str] = &[
    "SELECT ",
    "SELECT DISTINCT ",
    " FROM ",
    " WHERE ",
    " GROUP BY ",
    " HAVING ",
    " ORDER BY ",
    " LIMIT 3",
    " JOIN ",
    " LEFT JOIN ",
    " INNER JOIN ",
    " ON ",
    " AS T1",
    " AS T2",
    " AS T3",
    " AND ",
    " OR ",
    "NOT ",
    " NOT IN (",
    " IN (",
    " LIKE '%a'",
    " BETWEEN 1",
    " IS NULL",
    " IS NOT NULL",
    " UNION ",
    " UNION ALL ",
    " INTERSECT ",
    " EXCEPT ",
    "EXISTS (",
    "CASE WHEN ",
    " THEN ",
    " ELSE ",
    " END",
    "CAST(",
    " AS REAL)",
    " AS q",
    " AS total",
    "q",
    "total",
    " OFFSET 2",
    " DESC",
    " ASC",
    "count(*)",
    "count(",
    "count (",
    "DISTINCT ",
    "max(",
    "sum(",
    "avg(",
    "abs(",
    "substr(",
    "coalesce(",
    "upper(",
    "date(",
    "NULL",
    "rank() OVER (",
    " OVER (PARTITION BY ",
    "lag(",
    " OVER (ORDER BY ",
    " OVER ()",
    " NULLS FIRST",
    " NULLS LAST",
    "WITH ",
    "WITH q AS (",
    "WITH total(id, w) AS (",
    "), total AS (",
    "), a AS (SELECT ",
    " USING (",
    " FILTER (WHERE ",
    "q.",
    "total.",
    "T1.",
    "T2.",
    "T3.",
    "a.",
    "b.",
    "c.",
    "x.",
    "[d e].",
    "[cast].",
    "a",
    "b",
    "c",
    "x",
    "[d e]",
    "cast",
    "id",
    "name",
    "y",
    "z",
    "w",
    "a_id",
    "count",
    "date",
    "[order]",
    "\"u v\"",
    "`end`",
    "end",
    "*",
    ", ",
    "(",
    ")",
    " + ",
    " - ",
    " * ",
    " / ",
    " || ",
    " % ",
    " = ",
    " != ",
    " <> ",
    " < ",
    " >= ",
    "1",
    "2",
    "3",
    "-1",
    "2.5",
    "'t'",
    ";",
    " ",
    "(SELECT ",
    "'",
];

/// Pieces that bring a query to its end, the surest first; letters last, as they may be half of anything.
const CLOSING: &[&str] = &[
    ")", "SELECT ", " AS (", " OVER (", "OVER (", "WHERE ", " FROM ", " THEN ", " END", " = ", " JOIN ", ", ", "1", "WHEN ", "BY ",
    " AS T1", " AS T2", " AS T3", "NULL", "id", "name", "y", "w", "x", "z", "a_id", "count", "date", "q", "total", "[d e]", "JOIN ", "a",
    "b", "c", "cast", "(", "*", " ", "'", "e]", "d", "\"", "`",
];

fn is_in_quotes(text: &str) -> bool {
    let odd = |quote: char| text.matches(quote).count() % 2 == 1;
    odd('\'') || odd('"') || odd('`') || text.matches('[').count() != text.matches(']').count()
}

/// Writes at random; where it is stuck for good, that is an error.
fn random_query(queries: &SqlSelect, database: &Database, rng: &mut ChaCha8Rng, most: usize) -> Result<String, String> {
    let (mut state, mut text) = (queries.start(), String::new());
    // What is open when it begins to close is deep at most, and every list in it as long as it may be.
    for step in 0..most + 5000 {
        if queries.may_end(&state) && (step >= most || rng.random_range(0..6) == 0) {
            return Ok(text);
        }
        let piece = if step < most {
            let tries = (0..400).map(|_| PIECES[rng.random_range(0..PIECES.len())]);
            tries.into_iter().find(|piece| queries.allows(&state, piece.as_bytes()))
        } else {
            CLOSING.iter().copied().find(|piece| queries.allows(&state, piece.as_bytes()))
        };
        let Some(piece) = piece else {
            if queries.may_end(&state) {
                return Ok(text);
            }
            let byte = (0..=255u8).find(|byte| queries.allows(&state, &[*byte]));
            let Some(byte) = byte else { return Err(format!("dead end after {text:?}")) };
            state = queries.advance(&state, &[byte]).unwrap();
            text.push(char::from(byte));
            continue;
        };
        state = queries.advance(&state, piece.as_bytes()).unwrap();
        text.push_str(piece);
        // (To SQLite, OVER and FILTER are keywords only before a parenthesis.)
        if piece.ends_with([' ', ')'])
            && !is_in_quotes(&text)
            && !["OVER", "FILTER"].iter().any(|word| text.trim_end().to_ascii_uppercase().ends_with(word))
            && let Err(error) = database.check(&text)
            && is_syntax_error(&error.to_string())
        {
            return Err(format!("alive, but SQLite says {error}: {text:?}"));
        }
    }
    Err(format!("no end of {text:?}"))
}

#[test]
fn whatever_is_accepted_prepares_and_nothing_alive_is_stuck() {
    let database = awkward();
    for (profile, seed) in [(SqlProfile::Spider, 1), (SqlProfile::Extended, 2), (SqlProfile::Analytic, 3)] {
        let queries = SqlSelect::with_options(database.schema(), SqlOptions::profile(profile));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (started, mut count, mut wrong) = (Instant::now(), 0, Vec::new());
        while started.elapsed() < Duration::from_secs(5) && count < 20_000 && wrong.len() < 20 {
            count += 1;
            let most = rng.random_range(4..60);
            match random_query(&queries, &database, &mut rng, most) {
                Ok(text) => wrong.extend(database.check(&text).err().map(|error| format!("{error}: {text}"))),
                Err(why) => wrong.push(why),
            }
        }
        println!("{profile:?}: {count} queries");
        assert!(wrong.is_empty(), "{profile:?}: {} of {count}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(count > 100);
    }
}

/// The tokens of a query, near enough: words, strings, single symbols.
fn tokens(query: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), query);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            _ if first.is_alphanumeric() || first == '_' => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        tokens.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    tokens
}

#[test]
fn a_gold_query_with_other_names_is_accepted_exactly_if_it_prepares() {
    let Some(dev) = shared("spider-dev/dev.jsonl") else { return };
    let mut databases: HashMap<String, (Database, SqlSelect, Vec<String>)> = HashMap::new();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in json_lines(&dev) {
        let name = case["db_id"].as_str().unwrap();
        let Some(file) = shared(&format!("spider-dev/database/{name}/{name}.sqlite")) else { return };
        let (database, queries, names) = databases.entry(name.to_owned()).or_insert_with(|| {
            let database = Database::open(&file).unwrap();
            let queries = SqlSelect::new(database.schema());
            let tables = database.schema().tables().iter();
            let names = tables.flat_map(|table| std::iter::once(&table.name).chain(table.columns.iter().map(|column| &column.name)));
            // What may be written without quotes.
            let plain = |name: &&String| {
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
            };
            let names = names.filter(plain).cloned().chain(["T1", "T2", "T3"].map(String::from)).collect();
            (database, queries, names)
        });
        let gold = tokens(&normalized(case["query"].as_str().unwrap()));
        for _ in 0..6 {
            let mut mutant = gold.clone();
            for _ in 0..rng.random_range(1..3) {
                let places: Vec<usize> =
                    (0..mutant.len()).filter(|place| names.iter().any(|name| name.eq_ignore_ascii_case(&mutant[*place]))).collect();
                mutant[places[rng.random_range(0..places.len())]] = names[rng.random_range(0..names.len())].clone();
            }
            let text = mutant.concat();
            let (prepares, ours) = (database.check(&text), walk(queries, &text, &[1]));
            // Stricter on purpose: a name given twice, ON that looks ahead, and what a subquery sees of the query around it.
            let nested = text.to_ascii_lowercase().matches("select").count() > 1;
            let before = ours.as_ref().err().map_or("", |why| why.split("<HERE>").next().unwrap_or_default()).to_ascii_lowercase();
            let clause =
                [" from ", " where ", " group by ", " order by ", " on ", " as "].into_iter().max_by_key(|word| before.rfind(word));
            let on_purpose = nested || before.ends_with(" as t") || (clause == Some(" on ") && before.contains(" on "));
            match (prepares, ours) {
                (Ok(()), Ok(())) => accepted += 1,
                (Err(_), Err(_)) => refused += 1,
                (Err(error), Ok(())) => wrong.push(format!("accepted, but {error}: {text}")),
                (Ok(()), Err(why)) if !on_purpose => wrong.push(format!("prepares, but refused: {why}")),
                (Ok(()), Err(_)) => {}
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(accepted > 100 && refused > 100);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// The body of the fuzz target, on random choices.
    #[test]
    fn changed_queries_are_accepted_only_if_they_prepare(choices in prop::collection::vec(any::<u8>(), 2..24)) {
        body::run(&choices);
    }
}
