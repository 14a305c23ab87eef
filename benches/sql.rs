//! What following SQL on a database costs: a question about one token, a step, a fork, the end, a mask.
//!
//!     cargo bench --no-default-features --features sqlite --bench sql
//!
//! Queries are cut greedily into the longest tokens of the vocabulary (`support/mod.rs`). Those of the sample
//! database are always there; with the project's shared data beside the checkout, gold queries of Spider, Chinook
//! and Northwind are, too. SQLite prepares a query only where it may end.

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{longest, quantiles, time, tokens_by_bytes};
use tamis::constraint::Constraint;
use tamis::constraint::sql::{SqlOptions, SqlProfile};
use tamis::database::{Database, SqlQuery};
use tamis::vocab::{TokenId, TokenSet, Vocabulary};

const SAMPLE: [&str; 8] = [
    "SELECT count(*) FROM book",
    "SELECT title, year FROM book WHERE genre = 'novel' AND pages > 300 ORDER BY year DESC LIMIT 3",
    "SELECT T2.name, count(*) FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id GROUP BY T2.name HAVING count(*) > 1",
    "SELECT name FROM member WHERE member_id NOT IN (SELECT member_id FROM loan WHERE day LIKE '2023-0%')",
    "SELECT avg(pages), max(year), min(year) FROM book WHERE year BETWEEN 1980 AND 2010 OR genre != 'crime'",
    "SELECT city FROM member WHERE joined > 2018 INTERSECT SELECT city FROM member WHERE joined < 2017",
    "SELECT T3.name FROM loan AS T1 JOIN book AS T2 ON T1.book_id = T2.book_id JOIN member AS T3 ON T1.member_id = T3.member_id WHERE T2.title = 'Nine Bridges'",
    "SELECT genre FROM book GROUP BY genre ORDER BY sum(pages) / count(*) DESC LIMIT 1",
];

/// What only the analytic profile has.
const ANALYTIC: [&str; 4] = [
    "WITH shelf AS (SELECT genre, count(*) AS books FROM book GROUP BY genre) SELECT max(books) FROM shelf",
    "WITH read(who, days) AS (SELECT member_id, sum(days) FROM loan GROUP BY member_id) SELECT T1.name, days FROM member AS T1 JOIN read ON who = T1.member_id ORDER BY days DESC NULLS LAST",
    "SELECT title, rank() OVER (PARTITION BY genre ORDER BY pages DESC) AS place FROM book ORDER BY place",
    "SELECT T2.name, count(*) FILTER (WHERE T1.year > 2000) FROM book AS T1 JOIN author AS T2 USING (author_id) GROUP BY T2.name",
];
const SAMPLE_ANALYTIC: &str = "sample with WITH, OVER";

fn main() {
    let sample = Arc::new(Database::sample().unwrap());
    let mut sets =
        vec![("sample", sample.clone(), SAMPLE.map(String::from).to_vec()), (SAMPLE_ANALYTIC, sample, ANALYTIC.map(String::from).to_vec())];
    for name in ["chinook", "northwind"] {
        if let (Some(file), Some(questions)) = (shared(&format!("{name}/{name}.sqlite")), shared(&format!("{name}/questions.jsonl"))) {
            sets.push((name, Arc::new(Database::open(file).unwrap()), gold(&questions).into_values().flatten().collect()));
        }
    }
    if let Some(questions) = shared("spider-dev/dev.jsonl") {
        for (name, queries) in gold(&questions) {
            let file = shared(&format!("spider-dev/database/{name}/{name}.sqlite")).unwrap();
            sets.push(("spider-dev", Arc::new(Database::open(file).unwrap()), queries));
        }
    }
    let vocabulary = support::vocabulary(sets.iter().flat_map(|(_, _, queries)| queries).map(String::as_str));
    println!("{} tokens; times in microseconds", vocabulary.len());
    let columns = ["own token", "any token", "advance", "fork", "end", "mask"];
    println!("{:<32} {:>7} {}", "", "tokens", columns.map(|column| format!("{column:>15}")).join(" "));
    println!("{:<32} {:>7} {}", "", "", columns.map(|_| format!("{:>15}", "p50/p99")).join(" "));
    for profile in [SqlProfile::Spider, SqlProfile::Extended, SqlProfile::Analytic] {
        let mut times: BTreeMap<&str, Times> = BTreeMap::new();
        for (name, database, queries) in &sets {
            if *name == SAMPLE_ANALYTIC && profile != SqlProfile::Analytic {
                continue;
            }
            let constraint = SqlQuery::with_options(database.clone(), SqlOptions::profile(profile));
            for query in queries {
                follow(&constraint, query, &vocabulary, times.entry(name).or_default());
            }
        }
        for (name, times) in times {
            let Times { own, any, advance, fork, end, mask } = times;
            let tokens = own.len();
            let cells = [own, any, advance, fork, end, mask].map(quantiles).map(|(median, high)| format!("{median:>7.2}/{high:>7.2}"));
            println!("{:<32} {tokens:>7} {}", format!("{name}, {profile:?}"), cells.join(" "));
        }
    }
}

#[derive(Default)]
struct Times {
    own: Vec<f64>,
    any: Vec<f64>,
    advance: Vec<f64>,
    fork: Vec<f64>,
    end: Vec<f64>,
    mask: Vec<f64>,
}

fn follow(constraint: &SqlQuery, query: &str, vocabulary: &Vocabulary, times: &mut Times) {
    let sorted = tokens_by_bytes(vocabulary);
    let mut mask = TokenSet::new(vocabulary.len());
    let (mut state, mut at, mut random) = (constraint.start(), 0, 7u64);
    while at < query.len() {
        let token = longest(&sorted, vocabulary, &query.as_bytes()[at..]);
        let bytes = vocabulary.bytes(token).unwrap();
        // What a sampler does: other tokens are asked about too, in any order.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if let Some(other) = vocabulary.bytes(TokenId::new((random >> 33) as u32 % vocabulary.len() as u32)) {
            time(&mut times.any, || black_box(constraint.allows(&state, other)));
        }
        time(&mut times.own, || assert!(constraint.allows(&state, bytes), "{query:?} at {at}"));
        if times.own.len().is_multiple_of(8) {
            time(&mut times.mask, || constraint.mask(&state, vocabulary.trie(), &mut mask));
        }
        state = time(&mut times.advance, || constraint.advance(&state, bytes)).unwrap();
        drop(time(&mut times.fork, || black_box(state.clone())));
        at += bytes.len();
    }
    time(&mut times.end, || assert!(constraint.may_end(&state), "{query:?}"));
}

/// A file of the folder that the project's tasks share, where it is here.
fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    Some(folder.join("data/sql").join(path)).filter(|file| file.exists())
}

/// The gold queries by database, as the constraint wants them: no white space but single blanks, and strings in
/// single quotes (queries with double quotes are left out).
fn gold(questions: &Path) -> BTreeMap<String, Vec<String>> {
    let mut queries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(questions).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let query = case["query"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ").replace("> =", ">=");
        if !query.contains('"') {
            queries.entry(case["db_id"].as_str().unwrap_or_default().to_owned()).or_default().push(query.trim_end_matches(';').to_owned());
        }
    }
    queries
}
