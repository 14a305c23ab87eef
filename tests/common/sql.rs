//! What the tests of SQL share: schemas, gold queries, and how a text is walked.
#![allow(dead_code, reason = "each test file uses a part")]

use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tamis::constraint::Constraint;
use tamis::constraint::sql::{SqlColumn, SqlSchema, SqlSelect, SqlTable};

/// A file of the folder that the project's tasks share; says so where it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let file = folder.join("data/sql").join(path);
    if !file.exists() {
        println!("skipped: {} is not here", file.display());
        return None;
    }
    Some(file)
}

/// The schemas of a `tables.json` as Spider has it, by database.
pub fn spider_schemas(file: &Path) -> HashMap<String, SqlSchema> {
    let databases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    databases.iter().map(|database| (database["db_id"].as_str().unwrap().to_owned(), spider_schema(database))).collect()
}

fn spider_schema(database: &Value) -> SqlSchema {
    let tables = database["table_names_original"].as_array().unwrap();
    let columns = database["column_names_original"].as_array().unwrap();
    let tables = tables.iter().enumerate().map(|(index, table)| {
        let own = columns.iter().filter(|column| column[0].as_i64() == Some(index as i64));
        SqlTable::new(table.as_str().unwrap(), own.map(|column| SqlColumn::new(column[1].as_str().unwrap(), "")))
    });
    SqlSchema::new(tables).unwrap()
}

/// A gold query as the recogniser wants it: strings in single quotes, no white space around it.
pub fn normalized(query: &str) -> String {
    let mut out = String::new();
    let mut rest = query.trim().trim_end_matches(';').trim_end();
    while let Some(at) = rest.find(['"', '\'']) {
        let quote = &rest[at..=at];
        out.push_str(&rest[..at]);
        let Some(end) = rest[at + 1..].find(quote) else { break };
        let text = &rest[at + 1..at + 1 + end];
        out.push_str(&format!("'{}'", if quote == "\"" { text.replace('\'', "''") } else { text.to_owned() }));
        rest = &rest[at + end + 2..];
    }
    out.push_str(rest);
    // "> =" and runs of white space are slips of the annotators.
    out.split_whitespace().collect::<Vec<_>>().join(" ").replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")
}

/// Writes `text` in pieces of the given lengths, over and over. The error says where it was refused and why. What
/// is accepted may be no shorter than it was said to become at least.
pub fn walk(queries: &SqlSelect, text: &str, pieces: &[usize]) -> Result<(), String> {
    let mut state = queries.start();
    let (mut at, mut lengths) = (0, pieces.iter().cycle());
    let mut costs = vec![(0, queries.closing_cost(&state).unwrap())];
    while at < text.len() {
        let end = (at + lengths.next().unwrap()).min(text.len());
        let piece = &text.as_bytes()[at..end];
        let allowed = queries.allows(&state, piece);
        match queries.advance(&state, piece) {
            Some(next) if allowed => {
                state = next;
                costs.push((end, queries.closing_cost(&state).unwrap()));
            }
            None if !allowed => {
                let why = queries.explain(&state, piece).expect("what is refused has a reason");
                let offset = at + why.offset();
                return Err(format!("{}<HERE>{}: expected {}", &text[..offset], &text[offset..], why.expected()));
            }
            _ => panic!("`allows` and `advance` disagree about {:?} after {:?}", &text[at..end], &text[..at]),
        }
        at = end;
    }
    match queries.explain_end(&state) {
        None if queries.may_end(&state) => {
            for (at, cost) in costs {
                assert!(cost <= text.len() - at, "{}<HERE>{} ends without {cost} further bytes", &text[..at], &text[at..]);
            }
            Ok(())
        }
        why => Err(format!("{text}<END>: expected {}", why.unwrap().expected())),
    }
}

/// Lines of JSON.
pub fn json_lines(file: &Path) -> Vec<Value> {
    std::fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
