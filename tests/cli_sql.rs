//! `tamis sql` and `tamis eval sql` as their users run them, on the sample database and the default model.

mod support;

use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use support::folder::TempFolder;
use support::real_model;

fn tamis(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tamis")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What the command prints on standard output; it must not have failed.
fn printed(arguments: &[&str]) -> String {
    let ran = tamis(arguments);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    text(&ran.stdout).to_owned()
}

#[test]
fn what_is_no_question_or_no_database_is_told() {
    for (arguments, words) in [
        (&["sql"][..], &["database and a question", "--sample"][..]),
        (&["sql", "--sample"], &["question is wanted", "tamis sql --sample"]),
        (&["sql", "", "How many?"], &["database is empty"]),
        (&["sql", "--sample", "How many?", "--shwon", "3"], &["--shwon", "--shown", "<DATABASE> <QUESTION>"]),
        (&["sql", "--sample", "How many?", "-n", "-1"], &["--particles", "whole number"]),
        (&["sql", "--sample", "How many?", "--shown", "-1"], &["--shown", "whole number"]),
        (&["sql", "--sample", "How many?", "--seed", "x"], &["--seed", "whole number"]),
        (&["sql", "--sample", "How many?", "--empty-factor", "-1"], &["--empty-factor", "above 0"]),
        (&["sql", "shop.sqlite"], &["database and a question", "--sample"]),
        (&["sql", "--sample", "shop.sqlite", "How many?"], &["question alone"]),
        (&["sql", "--sample", " "], &["question is empty"]),
        (&["sql", "--sample", "How many?", "--dry-run", "--empty-factor", "0.5"], &["--empty-factor", "--dry-run"]),
        (&["sql", "no/such.sqlite", "How many?"], &["no file no/such.sqlite", "SQLite file"]),
        (&["sql", "Cargo.toml", "How many?"], &["Cargo.toml is not a SQLite database"]),
        (&["sql", "src", "How many?"], &["src is a folder"]),
        (&["sql", "--sample", "How many?", "--examples", "README.md"], &["README.md, line 1", "column"]),
        (&["sql", "--sample", "How many?", "--examples", "no/such.jsonl"], &["no/such.jsonl"]),
        (&["eval", "sql", "--questions", "no/such.jsonl", "--databases", "."], &["no/such.jsonl"]),
    ] {
        let ran = tamis(arguments);
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}: {}", text(&ran.stderr));
        for word in words {
            assert!(text(&ran.stderr).contains(word), "{word:?} is not in {}", text(&ran.stderr));
        }
    }
}

#[test]
fn where_no_query_came_about_the_exit_code_and_the_message_say_so() {
    let Some(model) = real_model() else { return };
    let ran = tamis(&["sql", "--sample", "How many books are there?", "--model", model.to_str().unwrap(), "--max-tokens", "3"]);
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stderr));
    for words in ["all 8 particles died", "limit of 3 tokens", "expected", "--max-tokens"] {
        assert!(text(&ran.stderr).contains(words), "{words:?} is not in {}", text(&ran.stderr));
    }
    assert!(ran.stdout.is_empty());
}

#[test]
fn every_query_comes_with_what_it_gives_and_with_probabilities_that_add_up() {
    let Some(model) = real_model() else { return };
    let model = model.to_str().unwrap();
    let question = "Which books are there?";
    let ask = |more: &[&str]| {
        let common = ["sql", "--sample", question, "--model", model, "-n", "4", "--max-tokens", "40", "--seed", "3", "--json"];
        serde_json::from_str::<Value>(&printed(&[&common, more].concat())).unwrap()
    };
    let ran = ask(&[]);
    let answers = ran["answers"].as_array().unwrap();
    let total: f64 = answers.iter().map(|answer| answer["probability"].as_f64().unwrap()).sum();
    assert!((total - 1.0).abs() < 1e-9, "{total}");
    for answer in answers {
        assert!(answer["error"].is_null() && answer["result"]["rows"].is_array(), "{answer}");
        assert!(answer["query"].as_str().unwrap().starts_with("SELECT"));
        assert!(answer["clauses"].as_array().unwrap().iter().all(|clause| clause["probability"].as_f64().unwrap() <= 1.0 + 1e-9));
    }
    // Nothing is executed in a dry run; grouped by themselves, queries are the same.
    let dry = ask(&["--dry-run"]);
    assert!(dry["answers"].as_array().unwrap().iter().all(|answer| answer["result"].is_null() && answer["error"].is_null()));
    assert_eq!(dry["log_evidence"], ran["log_evidence"]);
}

#[test]
fn an_example_near_the_question_is_shown_to_the_model() {
    let Some(model) = real_model() else { return };
    let folder = TempFolder::new();
    // An odd query that the model would not think of, under the very question that is asked.
    folder.write("log.jsonl", r#"{"question": "How many are on loan?", "query": "SELECT max(year) FROM book"}"#);
    let log = folder.path().join("log.jsonl");
    let arguments = ["sql", "--sample", "How many are on loan?", "--model", model.to_str().unwrap(), "-n", "16", "--max-tokens", "40"];
    let ran = printed(&[&arguments[..], &["--examples", log.to_str().unwrap(), "--shown", "1", "--json"]].concat());
    assert!(ran.to_lowercase().contains("max(year)"), "{ran}");
}

#[test]
fn an_evaluation_is_taken_up_where_it_stopped() {
    let (Some(model), Some(data)) = (real_model(), support::shared("data/sql/chinook")) else { return };
    let folder = TempFolder::new();
    let questions = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let questions = questions.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "jsonl")).unwrap();
    let two: Vec<String> = fs::read_to_string(questions).unwrap().lines().take(2).map(str::to_owned).collect();
    folder.write("two.jsonl", two.join("\n"));
    let (asked, results) = (folder.path().join("two.jsonl"), folder.path().join("results.jsonl"));
    let arguments = ["eval", "sql", "--questions", asked.to_str().unwrap(), "--databases", data.parent().unwrap().to_str().unwrap()];
    let more = ["--model", model.to_str().unwrap(), "-n", "2", "--json", "--results", results.to_str().unwrap()];
    let run = || printed(&[&arguments[..], &more].concat());
    let first: Value = serde_json::from_str(&run()).unwrap();
    let lines = fs::read_to_string(&results).unwrap();
    assert_eq!(lines.lines().count(), 1 + 2, "{lines}");
    let again: Value = serde_json::from_str(&run()).unwrap();
    assert_eq!(fs::read_to_string(&results).unwrap(), lines, "what was done is not done again");
    assert_eq!(first, again);
    // What was found with another seed would be reported as this one's.
    let other = tamis(&[&arguments[..], &more, &["--seed", "1"]].concat());
    assert!(other.status.code() == Some(2) && text(&other.stderr).contains("other settings"), "{}", text(&other.stderr));
}
