//! SQLite as the judge of the recogniser, on queries made by changing good ones (spec: a prefix oracle).
//!
//! Whatever the change, what is accepted must prepare, what is alive must be no syntax error and must have an
//! end. Where names, literals and operators were only exchanged for others of their kind, the reverse holds, too:
//! what prepares is accepted, but for a few things that are refused on purpose ([`is_on_purpose`]).

use super::sql::walk;
use rusqlite::Connection;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tamis::constraint::Constraint;
use tamis::constraint::sql::{SqlOptions, SqlProfile, SqlSelect};
use tamis::database::Database;

/// A database, its recognisers, good queries, and the names in them.
struct Subject {
    database: Database,
    profiles: Vec<SqlSelect>,
    good: &'static [&'static str],
    names: Vec<String>,
}

const LIBRARY: &[&str] = &[
    "SELECT count(*) FROM book",
    "SELECT title, year FROM book WHERE genre = 'novel' AND pages > 300 ORDER BY year DESC LIMIT 3",
    "SELECT T2.name, count(*) FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id GROUP BY T2.name HAVING count(*) > 1",
    "SELECT name FROM member WHERE member_id NOT IN (SELECT member_id FROM loan WHERE day LIKE '2023-0%')",
    "SELECT avg(pages), max(year), min(year) FROM book WHERE year BETWEEN 1980 AND 2010 OR NOT genre != 'crime'",
    "SELECT city FROM member WHERE joined > 2018 INTERSECT SELECT city FROM member WHERE joined < 2017",
    "SELECT T3.name FROM loan AS T1 JOIN book AS T2 ON T1.book_id = T2.book_id JOIN member AS T3 ON T1.member_id = T3.member_id WHERE T2.title = 'x'",
    "SELECT DISTINCT author.name, book.title FROM author, book WHERE author.author_id = book.author_id",
    "SELECT name, born FROM author UNION SELECT city, joined FROM member ORDER BY born DESC LIMIT 5",
    "SELECT title FROM book WHERE pages = (SELECT max(pages) FROM book WHERE year < 2000)",
    "SELECT genre, sum(pages) / count(*) FROM book GROUP BY genre ORDER BY 2, avg(year)",
    "SELECT * FROM book JOIN loan ON book.book_id = loan.book_id WHERE days > 20",
    "SELECT count(*) FROM (SELECT DISTINCT city FROM member)",
    "SELECT T1.title FROM book AS T1 WHERE (T1.year + 3) * 2 > 4000 AND (T1.pages < 100 OR T1.genre LIKE 'n%')",
    "SELECT max(days) FROM loan WHERE book_id IN (SELECT book_id FROM book WHERE author_id IN (1, 2, 3))",
    "SELECT T1.*, T2.title FROM loan AS T1 JOIN book AS T2 ON T1.book_id = T2.book_id",
    "SELECT name FROM author WHERE country IS NOT NULL AND born % 2 = 0",
    "SELECT city, count(*) AS total FROM member GROUP BY city ORDER BY total DESC LIMIT 3 OFFSET 1",
    "SELECT CASE WHEN pages > 300 THEN 'long' WHEN pages > 100 THEN 'middling' ELSE 'short' END AS size, count(*) FROM book GROUP BY size",
    "SELECT upper(T1.name) || ', ' || T1.city FROM member AS T1 LEFT JOIN loan AS T2 ON T1.member_id = T2.member_id",
    "SELECT name FROM author WHERE EXISTS (SELECT * FROM book WHERE book.author_id = author.author_id AND book.year > 2000)",
    "SELECT round(CAST(sum(days) AS REAL) / count(*), 2) FROM loan INNER JOIN book ON loan.book_id = book.book_id",
    "SELECT member.name FROM member JOIN (SELECT member_id AS who, count(*) AS total FROM loan GROUP BY member_id) AS T1 ON member.member_id = T1.who WHERE total > 1",
    "SELECT name FROM author UNION ALL SELECT name FROM member ORDER BY name",
    "SELECT title, rank() OVER (PARTITION BY genre ORDER BY pages DESC) AS total FROM book ORDER BY total, title DESC NULLS LAST",
    "SELECT city, count(*), row_number() OVER (ORDER BY count(*) DESC, city) FROM member GROUP BY city",
    "SELECT T1.title, sum(T2.days) OVER (PARTITION BY T1.genre, T1.year) * 2 FROM book AS T1 JOIN loan AS T2 ON T1.book_id = T2.book_id",
    "WITH busy AS (SELECT member_id, count(*) AS total FROM loan GROUP BY member_id) SELECT name, total FROM member JOIN busy USING (member_id) WHERE total > 1",
    "WITH busy(who, total) AS (SELECT member_id, sum(days) FROM loan GROUP BY 1), size AS (SELECT max(total) AS most FROM busy) SELECT T1.who, most FROM busy AS T1 JOIN size ON T1.total = size.most",
    "SELECT genre, count(*) FILTER (WHERE pages > 300), sum(pages) FILTER (WHERE year < 2000) OVER (ORDER BY genre) FROM book GROUP BY genre",
    "SELECT title, author_id FROM book JOIN author USING (author_id) JOIN loan USING (book_id) WHERE days > 3 ORDER BY author_id",
    "SELECT name FROM member WHERE member_id IN (WITH busy AS (SELECT * FROM loan UNION SELECT * FROM loan) SELECT member_id FROM busy)",
    "WITH loan AS (WITH size AS (SELECT book_id, pages FROM book) SELECT T1.book_id, size.pages FROM book AS T1 JOIN size USING (book_id)) SELECT count(*) FROM loan",
    "SELECT T1.name FROM (WITH busy AS (SELECT city AS name FROM member) SELECT name FROM busy) AS T1 JOIN author USING (name)",
    "SELECT day, lag(days, 1, 0) OVER (ORDER BY day), count(*) OVER () FROM loan ORDER BY days DESC NULLS FIRST LIMIT 2",
];

const AWKWARD: &[&str] = &[
    "SELECT name, x FROM a WHERE id = 1",
    "SELECT a.x, y FROM a JOIN b ON a.id = b.a_id ORDER BY count",
    "SELECT T1.name, T2.y FROM a AS T1 JOIN c AS T2 ON T1.name = T2.name WHERE z < 3",
    "SELECT [order], c.name FROM c JOIN b ON b.y = c.y GROUP BY c.name",
    "SELECT \"u v\", `end` FROM [d e] WHERE [date] IN (SELECT x FROM x)",
    "SELECT w FROM [cast] UNION SELECT date FROM [d e]",
    "SELECT max(x.x) FROM x JOIN a ON x.x = a.x",
    "SELECT count(b.count), sum(id) FROM b WHERE y > (SELECT avg(id) FROM a)",
    "SELECT * FROM (SELECT id AS total, name FROM a) AS T1 WHERE total > 3",
    "WITH a AS (SELECT (y), id FROM b) SELECT a.y, b.count FROM a JOIN b USING (id)",
    "SELECT id, name FROM a JOIN b USING (id) JOIN c USING (name)",
    "WITH total AS (SELECT max(id), x AS [date] FROM a) SELECT * FROM total JOIN [d e] ON [d e].[date] = total.[date]",
    "SELECT substr(name, 1, 2), coalesce(x, 0) FROM a ORDER BY abs(id) DESC",
];

/// Tables with names that clash, need quotes, are keywords, or are functions.
pub fn awkward() -> Database {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let file = std::env::temp_dir().join(format!("tamis-awkward-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let _ = std::fs::remove_file(&file);
    let connection = Connection::open(&file).unwrap();
    let script = "CREATE TABLE a (id, name, x);
         CREATE TABLE b (id, a_id, y, count);
         CREATE TABLE c (name, y, z, [order]);
         CREATE TABLE [d e] ([end], [u v], id, [date]);
         CREATE TABLE [cast] (w);
         CREATE TABLE x (x);";
    connection.execute_batch(script).unwrap();
    let database = Database::open(&file).unwrap();
    let _ = std::fs::remove_file(&file);
    database
}

fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let library: (Database, &'static [&'static str]) = (Database::sample().unwrap(), LIBRARY);
        let subject = |(database, good): (Database, &'static [&'static str])| {
            let profiles = [SqlProfile::Spider, SqlProfile::Extended, SqlProfile::Analytic];
            let profiles = profiles.map(|profile| SqlSelect::with_options(database.schema(), SqlOptions::profile(profile)));
            let tables = database.schema().tables().iter();
            let names = tables.flat_map(|table| std::iter::once(&table.name).chain(table.columns.iter().map(|column| &column.name)));
            let names =
                names.map(|name| as_written(name)).chain(["T1", "T2", "T3", "total", "size", "busy", "who"].map(String::from)).collect();
            Subject { database, profiles: profiles.into(), good, names }
        };
        [library, (awkward(), AWKWARD)].into_iter().map(subject).collect()
    })
}

/// A name as a query writes it.
fn as_written(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !["order", "end", "cast"].contains(&name);
    if plain { name.to_owned() } else { format!("[{name}]") }
}

/// Bytes as a sequence of choices; when they are at their end, always the first.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count.max(1)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What may stand for each other without another meaning of the whole.
const KINDS: &[&[&str]] = &[
    &["=", "!=", "<>", "<", ">", "<=", ">=", "LIKE"],
    &["+", "-", "*", "/"],
    &["AND", "OR"],
    &["ASC", "DESC"],
    &["UNION", "INTERSECT", "EXCEPT"],
    &["count", "max", "min", "sum", "avg"],
    &["abs", "upper", "lower", "length"],
    &["rank", "dense_rank", "row_number"],
    &["FIRST", "LAST"],
    &["0", "1", "2", "3", "7", "100"],
    &["'x'", "'novel'", "''", "'2023-01%'", "'it''s'"],
];

/// Runs one case.
///
/// # Panics
/// Where the recogniser and SQLite disagree; the message has the query.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let subject = choices.of(subjects());
    let mut tokens = tokens(choices.of::<&str>(subject.good));
    let (mut only_kinds, mut changes) = (true, 0);
    while !choices.0.is_empty() && changes < 12 {
        changes += 1;
        only_kinds &= change(&mut tokens, subject, &mut choices);
    }
    let text = spelled(&tokens);
    let prepares = subject.database.check(&text);
    for (profile, queries) in subject.profiles.iter().enumerate() {
        match (walk(queries, &text, &[1]), &prepares) {
            (Ok(()), Err(error)) => panic!("accepted, but {error}: {text}"),
            (Err(why), Ok(())) if only_kinds && profile + 1 == subject.profiles.len() && !is_on_purpose(&text, &why, &subject.database) => {
                panic!("prepares, but refused: {why}")
            }
            (ours, _) => assert_eq!(ours.is_ok(), walk(queries, &text, &[3, 1, 8, 2]).is_ok(), "another verdict in other pieces: {text}"),
        }
        every_live_prefix_is_of_a_query(queries, subject, &tokens);
    }
}

/// Changes the tokens; whether only by others of their kind.
fn change(tokens: &mut Vec<String>, subject: &Subject, choices: &mut Choices<'_>) -> bool {
    let place = choices.below(tokens.len());
    match choices.below(8) {
        0..=2 => {
            let names: Vec<usize> =
                (0..tokens.len()).filter(|at| subject.names.iter().any(|name| name.eq_ignore_ascii_case(&tokens[*at]))).collect();
            if !names.is_empty() {
                tokens[*choices.of(&names)].clone_from(choices.of(&subject.names));
            }
            true
        }
        3 | 4 => {
            let kinds = |token: &String| KINDS.iter().find(|kind| kind.contains(&token.as_str()));
            let places: Vec<usize> = (0..tokens.len()).filter(|at| kinds(&tokens[*at]).is_some()).collect();
            if !places.is_empty() {
                let place = *choices.of(&places);
                tokens[place] = (*choices.of(kinds(&tokens[place]).unwrap())).to_owned();
            }
            true
        }
        5 => {
            tokens.drain(place..(place + 1 + choices.below(4)).min(tokens.len()));
            false
        }
        6 => {
            let other = self::tokens(choices.of::<&str>(subject.good));
            let start = choices.below(other.len());
            let end = (start + 1 + choices.below(8)).min(other.len());
            tokens.splice(place..place, other[start..end].iter().cloned());
            false
        }
        _ => {
            let words =
                ["(", ")", ",", "AS", "NOT", "NULL", "IS", "DISTINCT", "SELECT", "FROM", "OVER", "NULLS", "*", "'", "-", ";", "1.5", "é"];
            let more = ["WITH", "USING", "FILTER", "WHERE", "RECURSIVE"];
            let word = choices.below(words.len() + more.len());
            tokens.insert(place, words.iter().chain(&more).nth(word).map_or_else(String::new, |word| (*word).to_owned()));
            false
        }
    }
}

/// What SQLite takes and the recogniser does not, by design.
fn is_on_purpose(text: &str, why: &str, database: &Database) -> bool {
    let (before, rest) = why.split_once("<HERE>").or_else(|| why.split_once("<END>")).unwrap_or((why, ""));
    let lower = before.to_ascii_lowercase();
    let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let word = format!("{}{}", &before[start..], &rest[..end]).to_ascii_lowercase();
    // A name that is an alias, or a table's that was read before, given to a query of WITH.
    let clause_before = lower[..start].trim_end();
    if clause_before.ends_with("with") || (clause_before.ends_with("),") && lower.starts_with("with ")) {
        return true;
    }
    // A name given twice, or given to an item of the select list.
    let given = |name: &str| text.to_ascii_lowercase().contains(&format!(" as {name}"));
    if lower[..start].trim_end_matches(['[', ' ']).ends_with(" as") || given(&word) {
        return true;
    }
    // ON that looks ahead to sources that come later.
    let clause = [" from ", " where ", " group by ", " order by ", " on ", " having "].into_iter().max_by_key(|word| lower.rfind(word));
    if clause == Some(" on ") && lower.contains(" on ") {
        return true;
    }
    // After a set operation ORDER BY finds the columns of the first SELECT alone.
    if clause == Some(" order by ") && [" union ", " intersect ", " except "].iter().any(|word| lower.contains(word)) {
        return true;
    }
    // A subquery that uses names of the query around it, but for its conditions: then it does not stand alone.
    innermost(text, before.len()).is_some_and(|query| query.len() < text.len() && database.check(query).is_err())
}

/// The innermost SELECT around a place: what stands between its parentheses.
fn innermost(text: &str, place: usize) -> Option<&str> {
    let mut open = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open.push(at),
            b')' => {
                let start = open.pop()? + 1;
                if start <= place && place <= at && ["SELECT", "WITH"].iter().any(|word| text[start..].starts_with(word)) {
                    return Some(&text[start..at]);
                }
            }
            _ => {}
        }
    }
    Some(text)
}

/// Pieces that bring a query to its end, the surest first; letters last, as they may be half of anything.
const CLOSING: &[&str] = &[
    ")",
    "SELECT ",
    " AS (",
    " OVER (",
    "OVER (",
    " FROM ",
    " THEN ",
    " END",
    " = ",
    " JOIN ",
    ", ",
    "1",
    "WHEN ",
    "BY ",
    "WHERE ",
    " AS T1",
    " AS T2",
    " AS T3",
    " AS T4",
    "NULL",
    "id",
    "name",
    "y",
    "w",
    "x",
    "z",
    "a_id",
    "count",
    "date",
    "q",
    "total",
    "book_id",
    "author_id",
    "member_id",
    "loan_id",
    "[d e]",
    "JOIN ",
    "a",
    "b",
    "c",
    "cast",
    "book",
    "author",
    "member",
    "loan",
    "(",
    "*",
    " ",
    "'",
    "e]",
    "d",
    "\"",
    "`",
];

/// At each token of the text as far as it is alive: SQLite has nothing against the syntax, and there is an end.
fn every_live_prefix_is_of_a_query(queries: &SqlSelect, subject: &Subject, tokens: &[String]) {
    let (mut state, mut last) = (queries.start(), String::new());
    for end in 1..=tokens.len() {
        let text = spelled(&tokens[..end]);
        match queries.advance(&queries.start(), text.as_bytes()) {
            Some(next) => (state, last) = (next, text),
            None => break,
        }
        // A blank ends a word, which could be the beginning of another one. A string that is open ends nowhere, and
        // OVER and FILTER are such only before a parenthesis.
        let half = last.ends_with("OVER") || last.ends_with("FILTER");
        let ends = queries.allows(&state, b" ") && last.matches('\'').count() % 2 == 0 && !half;
        if let Err(error) = subject.database.check(&last)
            && ends
        {
            assert!(!is_syntax_error(&error.to_string()), "alive, but SQLite says {error}: {last}");
        }
    }
    let mut text = last.clone();
    let (start, least) = (text.len(), queries.closing_cost(&state).unwrap());
    for _ in 0..5000 {
        if queries.may_end(&state) {
            assert!(least <= text.len() - start, "{last}: not {least} bytes to the end, but {}", &text[start..]);
            return subject.database.check(&text).unwrap_or_else(|error| panic!("accepted, but {error}: {text}"));
        }
        let piece = CLOSING.iter().map(|piece| piece.as_bytes().to_vec()).chain((0..=255).map(|byte| vec![byte]));
        let piece = piece.into_iter().find(|piece| queries.allows(&state, piece));
        let piece = piece.unwrap_or_else(|| panic!("a dead end: {text}"));
        state = queries.advance(&state, &piece).unwrap();
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    panic!("no end after {last}: {text}");
}

pub fn is_syntax_error(error: &str) -> bool {
    error.contains("syntax error") || error.contains("unrecognized token")
}

/// The tokens of a query: words, names in brackets, strings, symbols.
fn tokens(query: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), query);
    while let Some(first) = rest.chars().next() {
        let quoted = |close: char| rest[1..].find(close).map_or(rest.len(), |end| end + 2);
        let length = match first {
            '\'' | '"' | '`' => quoted(first),
            '[' => quoted(']'),
            _ if first.is_alphanumeric() || first == '_' => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            _ if ["!=", "<>", "<=", ">=", "||"].iter().any(|symbol| rest.starts_with(symbol)) => 2,
            _ => first.len_utf8(),
        };
        if first != ' ' {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// The text of the tokens, with a blank between two but around points and within parentheses.
fn spelled(tokens: &[String]) -> String {
    let mut text = String::new();
    for token in tokens {
        let glued = text.is_empty() || text.ends_with(['.', '(']) || [".", ",", ")", "("].contains(&token.as_str());
        // After IN and the like a parenthesis stands apart, after a function's name it does not.
        let word = text.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let apart = token == "(" && !text.ends_with('(') && word.chars().all(|c| c.is_ascii_uppercase());
        if apart || !glued {
            text.push(' ');
        }
        text.push_str(token);
    }
    text
}
