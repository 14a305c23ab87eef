//! The command as its users run it: exit codes, messages, output.
//!
//! Tests of the main job need the default model. They run where it is in the cache already, or where
//! `TAMIS_TEST_DOWNLOAD=1` allows to fetch it, and say so where they do not run.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {:?}\n{}", self.stdout, self.stderr))
    }

    /// The command failed with this code, and told so in words that hold all of `words`.
    #[track_caller]
    fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "stdout {:?}\nstderr {}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tamis"));
    command.args(arguments).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

fn run(command: &mut Command, stdin: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command was built with this test");
    // A command that fails early does not read its input.
    let _ = child.stdin.take().expect("it is piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    Ran { code: output.status.code().expect("it was not killed"), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn tamis(arguments: &[&str]) -> Ran {
    run(&mut command(arguments), "")
}

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let help = tamis(&["generate", "--help"]);
    assert_eq!(help.code, 0);
    assert!(
        help.stdout.contains("Examples:")
            && help.stdout.contains("tamis generate --schema person.json \"Write as JSON: Ada Brand, a nurse, is 41.\"")
    );
    let help = tamis(&["--help"]);
    assert!(help.stdout.contains("Exit codes:") && help.stdout.contains("impossible"), "{}", help.stdout);
    let commands: &[&str] = if cfg!(feature = "candle") { &["check", "report", "models"] } else { &["check", "report"] };
    for command in commands {
        assert!(tamis(&[command, "--help"]).stdout.contains("Examples:"), "{command}");
    }
}

#[test]
fn a_run_without_prompt_or_constraint_says_what_to_give() {
    tamis(&["generate", "--regex", "a"]).fails(2, &["PROMPT", "--raw", "--prompt-file"]);
    tamis(&["generate", "hello"]).fails(2, &["--schema", "--regex", "hint: "]);
}

#[test]
fn options_without_meaning_are_named() {
    let with = |option: &[&str]| tamis(&[&["generate", "hello", "--regex", "a"], option].concat());
    with(&["--particles", "0"]).fails(2, &["--particles", "at least 1"]);
    with(&["--particles", "many"]).fails(2, &["--particles", "whole number"]);
    with(&["--max-tokens", "0"]).fails(2, &["--max-tokens", "at least 1"]);
    with(&["--threads", "0"]).fails(2, &["--threads", "at least 1"]);
    with(&["--any-escapes"]).fails(2, &["--schema"]);
    with(&["--any-numbers"]).fails(2, &["--schema"]);
    with(&["--temperature", "0"]).fails(2, &["temperature", "positive", "not 0"]);
    with(&["--temperature", "-1"]).fails(2, &["temperature", "not -1"]);
    with(&["--temperature", "nan"]).fails(2, &["temperature", "NaN"]);
    with(&["--top-k", "0"]).fails(2, &["top-k"]);
    with(&["--top-p", "1.5"]).fails(2, &["top-p", "1.5"]);
    with(&["--min-p", "-0.1"]).fails(2, &["min-p", "-0.1"]);
    with(&["--ess-threshold", "2"]).fails(2, &["ESS threshold", "2"]);
    with(&["--sampler", "magic"]).fails(2, &["--sampler", "magic", "awrs"]);
    with(&["--seed", "-1"]).fails(2, &["--seed", "-1", "whole number"]);
    with(&["--seed", "x"]).fails(2, &["--seed", "whole number"]);
    with(&["--particles", "1.5"]).fails(2, &["--particles", "whole number"]);
    with(&["--particles", "99999999999"]).fails(2, &["--particles", "at most"]);
    with(&["--particles", "-3"]).fails(2, &["--particles", "-3"]);
    with(&["--error", "2"]).fails(2, &["--error", "between 0 and 1"]);
    with(&["--error", "0.1", "--eps", "0.1"]).fails(2, &["--error", "--eps"]);
    with(&["--error", "0.1", "--sampler", "masked"]).fails(2, &["--error", "masked"]);
    with(&["--where", "/a = 1"]).fails(2, &["--schema"]);
    with(&["--where", "a = 1", "--schema", "x"]).fails(2, &["--where", "JSON pointer"]);
    with(&["--where", "/a", "--schema", "x"]).fails(2, &["--where", "<="]);
    with(&["--length-bonus", "inf"]).fails(2, &["--length-bonus", "nats"]);
    with(&["--expert-power", "2"]).fails(2, &["--expert "]);
    with(&["--json", "--quiet"]).fails(2, &["--json", "--quiet"]);
    with(&["--max-whitespace", "1"]).fails(2, &["--schema"]);
    with(&["--no-such-option"]).fails(2, &["--no-such-option"]);
}

#[test]
fn missing_files_and_folders_are_named() {
    tamis(&["generate", "hello", "--schema", "no/such.json"]).fails(2, &["no/such.json"]);
    tamis(&["generate", "--prompt-file", "no/such.txt", "--regex", "a"]).fails(2, &["no/such.txt"]);
    tamis(&["generate", "hello", "--regex", "a", "-o", "no/such/folder.json"]).fails(2, &["no/such", "no folder"]);
    tamis(&["generate", "hello", "--schema", env!("CARGO_TARGET_TMPDIR")]).fails(2, &["is a folder"]);
    tamis(&["generate", "-", "--schema", "-"]).fails(2, &["standard input", "hint: "]);
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_anything_is_done_and_nothing_is_left() {
    let folder = Folder::new("output");
    let inside = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    for option in ["--output", "--record"] {
        let with = |path: &str| tamis(&["generate", "hello", "--regex", "a", option, path]);
        with(&inside("no/run.json")).fails(2, &[option, "no folder"]);
        with(folder.0.to_str().unwrap()).fails(2, &[option, "is a folder"]);
        with(&inside(&"x".repeat(300))).fails(2, &[option, "cannot be written"]);
        with(&folder.file("plain.txt", "").replace(".txt", ".txt/run.json")).fails(2, &[option, "no folder"]);
    }
    let both = inside("run.json");
    tamis(&["generate", "hello", "--regex", "a", "--json", "-o", &both, "--record", &both]).fails(2, &["--output", "--record", "same"]);
    assert_eq!(folder.names(), ["plain.txt"]);
}

/// The record of a run on a toy.
fn record() -> String {
    use tamis::prelude::*;
    use tamis::report::{Record, RunInfo};
    use tamis::vocab::{Token, Vocabulary};
    let tokens = [Token::Text(b"yes".to_vec()), Token::Text(b"no</script>".to_vec()), Token::End];
    let mut model = TableLm::independent(Vocabulary::new(tokens).unwrap(), &[0.4, 0.4, 0.2]).unwrap();
    let decoding = ConstrainedDecoding::new(Regex::new("yes|no</script>").unwrap()).keep_history(true);
    Record::new(&decoding.run(&mut model, &[]).unwrap(), &RunInfo::default()).to_json()
}

#[test]
fn a_report_stands_beside_its_record_and_its_name_is_printed() {
    let folder = Folder::new("report");
    let file = folder.file("run.json", record());
    let ran = tamis(&["report", &file]);
    let page = file.replace(".json", ".html");
    assert_eq!((ran.code, ran.stdout, ran.stderr.as_str()), (0, format!("{page}\n"), ""));
    let beside = fs::read_to_string(&page).unwrap();
    assert!(beside.starts_with("<!doctype html>") && beside.contains("no\\u003c/script>"));
    let piped = run(&mut command(&["report", "-"]), &record());
    assert!(piped.code == 0 && piped.stdout == beside, "{}", piped.stderr);
    let elsewhere = folder.0.join("other.html").to_str().unwrap().to_owned();
    assert_eq!(tamis(&["report", &file, "-o", &elsewhere]).code, 0);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), beside);
    assert_eq!(folder.names(), ["other.html", "run.html", "run.json"]);
}

#[test]
fn what_is_no_record_is_named_and_no_page_is_made_of_it() {
    let folder = Folder::new("no-record");
    tamis(&["report", "no/such.json"]).fails(2, &["no/such.json"]);
    tamis(&["report"]).fails(2, &["RECORD"]);
    tamis(&["report", &folder.file("text.json", "I am no record.")]).fails(2, &["text.json", "line 1 column 1", "--record"]);
    tamis(&["report", &folder.file("cut.json", &record()[..500])]).fails(2, &["cut.json", "line 1 column 500"]);
    tamis(&["report", &folder.file("person.json", "{\"name\": \"Ann\"}")]).fails(2, &["person.json", "schema_version"]);
    let later = record().replacen("\"schema_version\":1", "\"schema_version\":2", 1);
    tamis(&["report", &folder.file("later.json", later)]).fails(2, &["later.json", "version 2"]);
    let page = folder.file("page.html", record());
    tamis(&["report", &page]).fails(2, &["take the place", "--output"]);
    tamis(&["report", &page, "-o", "no/such/page.html"]).fails(2, &["no folder"]);
    let names = folder.names();
    assert_eq!(names, ["cut.json", "later.json", "page.html", "person.json", "text.json"]);
}

#[test]
fn the_schema_of_records_is_printed_and_records_satisfy_it() {
    let folder = Folder::new("record-schema");
    let schema = tamis(&["report", "--print-schema"]);
    let schema = folder.file("schema.json", schema.stdout);
    let checked = tamis(&["check", "--schema", &schema, &folder.file("run.json", record())]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
}

#[test]
fn files_that_are_no_text_are_named() {
    let folder = Folder::new("no-text");
    let file = folder.file("latin1.json", b"{\"title\": \"caf\xE9\"}");
    tamis(&["generate", "hello", "--schema", &file]).fails(2, &["latin1.json", "UTF-8"]);
}

#[test]
fn a_schema_that_is_not_json_is_told_with_line_and_column() {
    let folder = Folder::new("not-json");
    let file = folder.file("broken.json", "{\n  \"type\": object\n}\n");
    tamis(&["generate", "hello", "--schema", &file]).fails(2, &["broken.json", "line 2", "column 11"]);
    let standard_input = run(&mut command(&["generate", "hello", "--schema", "-"]), "{");
    standard_input.fails(2, &["standard input", "line 1"]);
}

#[test]
fn a_keyword_that_is_not_enforced_is_named_with_its_pointer() {
    let folder = Folder::new("keyword");
    let file = folder.file("new.json", r#"{"properties": {"age": {"type": "integer", "frobnicate": 3}}}"#);
    tamis(&["generate", "hello", "--schema", &file]).fails(2, &["new.json", "frobnicate", "#/properties/age"]);
    let file = folder.file("type.json", r#"{"properties": {"age": {"type": "number-ish"}}}"#);
    tamis(&["generate", "hello", "--schema", &file]).fails(2, &["type.json", "number-ish", "#/properties/age/type"]);
    let file = folder.file("length.json", r#"{"type": "string", "minLength": -2}"#);
    tamis(&["generate", "hello", "--schema", &file]).fails(2, &["minLength", "#/minLength"]);
}

#[test]
fn a_pattern_that_does_not_parse_is_told() {
    tamis(&["generate", "hello", "--regex", "[a-"]).fails(2, &["--regex", "[a-"]);
}

#[test]
fn an_unsatisfiable_constraint_is_impossible_and_still_gives_json() {
    let folder = Folder::new("unsatisfiable");
    let file = folder.file("false.json", "false");
    let record = folder.0.join("run.json");
    let ran = tamis(&["generate", "hello", "--schema", &file, "--json", "--record", record.to_str().unwrap()]);
    ran.fails(3, &["false.json"]);
    assert_eq!(fs::read_to_string(&record).unwrap(), ran.stdout);
    assert_eq!(tamis(&["report", record.to_str().unwrap()]).code, 0);
    let run = ran.json();
    assert_eq!((&run["impossible"], &run["log_evidence"], &run["answers"]), (&true.into(), &Value::Null, &Value::Array(vec![])));
    assert!(run["unsatisfiable"].as_str().is_some_and(|reason| !reason.is_empty()));
}

#[cfg(not(feature = "candle"))]
#[test]
fn a_command_built_without_a_model_runtime_says_so() {
    tamis(&["generate", "hello", "--regex", "a"]).fails(4, &["smollm2-135m", "without a model runtime", "hint: "]);
}

#[cfg(feature = "candle")]
mod with_models {
    use super::*;
    use std::sync::OnceLock;
    use tamis::lm::candle::{ALIASES, ModelSource};

    #[test]
    fn a_model_that_cannot_be_had_is_named() {
        let ask = |model: &str| tamis(&["generate", "hello", "--regex", "a", "--model", model]);
        ask("nosuchmodel").fails(4, &["nosuchmodel", "smollm2-135m"]);
        ask("no/such/model.gguf").fails(4, &["no/such/model.gguf"]);
    }

    #[test]
    fn a_broken_model_file_is_named() {
        let folder = Folder::new("broken-model");
        let ask = |model: &str| tamis(&["generate", "hello", "--regex", "a", "--model", model]);
        let text = folder.file("text.gguf", "I am no model.");
        ask(&text).fails(4, &["text.gguf"]);
        let mut traced = command(&["generate", "hello", "--regex", "a", "--model", &text]);
        let traced = run(traced.env("RUST_BACKTRACE", "1"), "");
        assert_eq!(traced.stderr, ask(&text).stderr, "a backtrace tells a user nothing");
        ask(&folder.file("empty.gguf", "")).fails(4, &["empty.gguf"]);
        // The right magic and version, one tensor and one entry of metadata announced, then nothing.
        let header = [&b"GGUF"[..], &3u32.to_le_bytes(), &1u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
        ask(&folder.file("cut.gguf", header)).fails(4, &["cut.gguf"]);
    }

    #[test]
    fn an_unknown_architecture_is_named() {
        let folder = Folder::new("architecture");
        let string = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
        let entry = [string("general.architecture"), 8u32.to_le_bytes().to_vec(), string("abacus")].concat();
        let file = [&b"GGUF"[..], &3u32.to_le_bytes(), &0u64.to_le_bytes(), &1u64.to_le_bytes(), &entry].concat();
        let file = folder.file("abacus.gguf", file);
        tamis(&["generate", "hello", "--regex", "a", "--model", &file]).fails(4, &["abacus"]);
    }

    #[test]
    fn models_lists_the_default_model_and_where_it_is_kept() {
        let folder = Folder::new("models");
        let mut listing = command(&["models", "--json"]);
        let listed = run(listing.env("TAMIS_CACHE", &folder.0), "");
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        let listed = listed.json();
        let default = listed["models"].as_array().unwrap().iter().find(|model| model["alias"] == "smollm2-135m").unwrap().clone();
        assert_eq!((&default["here"], &default["default"]), (&false.into(), &true.into()));
        assert!(default["bytes"].as_u64().unwrap() > 90_000_000 && default["licence"].as_str().unwrap().contains("Apache"));
        assert!(listed["cache"].as_str().unwrap().starts_with(folder.0.to_str().unwrap()));
        let text = tamis(&["models"]);
        assert!(text.stdout.contains("smollm2-135m") && text.stdout.contains("Apache-2.0"), "{}", text.stdout);
    }

    /// Whether the default model is here; it is fetched where that is allowed, once and before any command is
    /// watched, and where it may not be, that is said.
    fn default_model() -> bool {
        static HERE: OnceLock<bool> = OnceLock::new();
        *HERE.get_or_init(|| {
            let source = ModelSource::parse(ALIASES[0].name).unwrap();
            let may = source.is_here() || std::env::var_os("TAMIS_TEST_DOWNLOAD").is_some_and(|value| value == "1");
            if may {
                source.fetch(&mut |_| {}).unwrap();
            } else {
                eprintln!("skipped: the default model is not in the cache, and TAMIS_TEST_DOWNLOAD=1 is not set");
            }
            may
        })
    }

    const DATE: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}";
    const MOON: &str = "When did people first walk on the moon? Answer with a date.";

    #[test]
    fn quiet_prints_the_best_answer_and_nothing_else() {
        if !default_model() {
            return;
        }
        let ran = tamis(&["generate", "--quiet", "--regex", DATE, MOON]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let date: Vec<&str> = ran.stdout.strip_suffix('\n').unwrap().split('-').collect();
        assert_eq!(date.iter().map(|digits| digits.len()).collect::<Vec<_>>(), [4, 2, 2], "{:?}", ran.stdout);
        assert!(date.concat().bytes().all(|byte| byte.is_ascii_digit()), "{:?}", ran.stdout);
    }

    #[test]
    fn json_holds_the_run_to_the_token_and_the_same_seed_gives_the_same() {
        if !default_model() {
            return;
        }
        let folder = Folder::new("json");
        let path = folder.file("run.json", "an older run");
        let draw = |more: &[&str]| tamis(&[&["generate", "--json", "-n", "4", "--seed", "3", "--regex", DATE, MOON], more].concat());
        let to_file = draw(&["-o", &path]);
        assert_eq!((to_file.code, to_file.stdout.as_str()), (0, ""), "{}", to_file.stderr);
        assert_eq!(folder.names(), ["run.json"], "no part of a file is left");
        let mut one: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut two = draw(&["--threads", "1"]).json();
        for run in [&mut one, &mut two] {
            assert_eq!(run["schema_version"], 1);
            run["timings"] = Value::Null;
        }
        assert_eq!(one, two);
        assert_eq!(one["history"], true);
        let particles = one["particles"].as_array().unwrap();
        assert_eq!(particles.len(), 4);
        for particle in particles {
            let indices = particle["tokens"].as_array().unwrap();
            let tokens: Vec<&Value> = indices.iter().map(|index| &one["tokens"][index.as_u64().unwrap() as usize]).collect();
            let text: String = tokens.iter().map(|token| token["text"].as_str().unwrap()).collect();
            assert_eq!(text, particle["text"].as_str().unwrap());
            let sum: f64 = tokens.iter().map(|token| token["model_log_prob"].as_f64().unwrap()).sum();
            assert!((sum - particle["log_prob"]["raw"].as_f64().unwrap()).abs() < 1e-9);
            for token in tokens {
                let z = |key: &str| token[key].as_f64().unwrap_or(f64::NEG_INFINITY);
                assert!(z("log_z_low") <= z("log_z") + 1e-9 && z("log_z") <= z("log_z_high") + 1e-9, "{token}");
            }
        }
    }

    #[test]
    fn a_record_is_kept_beside_the_summary_and_drawn() {
        if !default_model() {
            return;
        }
        let folder = Folder::new("record");
        let path = folder.0.join("run.json").to_str().unwrap().to_owned();
        let ran = tamis(&["generate", "-n", "3", "--regex", "(yes|no)[.]?", "--record", &path, "Is water wet? Answer yes or no."]);
        assert!(ran.code == 0 && ran.stdout.contains("from 3 particles"), "{}{}", ran.stdout, ran.stderr);
        let run: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(run["options"]["particles"], 3);
        assert!(run["tokens"][0]["alternatives"].as_array().is_some_and(|others| !others.is_empty()));
        assert_eq!(tamis(&["report", &path]).code, 0);
        assert_eq!(folder.names(), ["run.html", "run.json"]);
    }

    #[test]
    fn critics_choose_among_valid_answers() {
        if !default_model() {
            return;
        }
        let folder = Folder::new("critics");
        let schema = folder.file("number.json", r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["n"], "additionalProperties": false}"#);
        let question = r#"Give me the number 73 as JSON, like {"n": 73}."#;
        let number = |more: &[&str]| {
            tamis(&[&["generate", "--json", "-n", "16", "--max-tokens", "24", "--schema", &schema, question], more].concat())
        };
        let run = number(&["--where", "/n > 40", "--where", "/n != 99"]).json();
        let answers = run["answers"].as_array().unwrap();
        assert!(!answers.is_empty());
        for answer in answers {
            let n = serde_json::from_str::<Value>(answer["text"].as_str().unwrap()).unwrap()["n"].as_f64().unwrap();
            assert!(n > 40.0 && n != 99.0, "{answer}");
        }
        assert_eq!(run["constraints"][1], serde_json::json!({"kind": "where", "source": "/n > 40"}));

        let said = |more: &[&str]| tamis(&[&["generate", "--json", "--regex", "(yes|no)[.]?", "Is water wet?"], more].concat()).json();
        let longer = said(&["-n", "64", "--length-bonus", "20"]);
        assert_eq!(longer["answers"][0]["text"], "yes.");
        assert_eq!(longer["options"]["critics"][0], "20 nats a byte");
        // The product of a model with itself is more certain than the model.
        let entropy = |run: &Value| -> f64 {
            let probabilities = run["answers"].as_array().unwrap().iter().map(|answer| answer["probability"].as_f64().unwrap());
            probabilities.map(|p| -p * p.ln()).sum()
        };
        let alone = said(&["-n", "64"]);
        let product = said(&["-n", "64", "--expert", "smollm2-135m"]);
        assert!(entropy(&product) < entropy(&alone), "{} {}", entropy(&product), entropy(&alone));
        let canonical = said(&["--canonical-tokens"]);
        assert!(!canonical["answers"].as_array().unwrap().is_empty() && canonical["constraints"][1]["kind"] == "canonical_tokens");
    }

    #[test]
    fn the_summary_on_a_pipe_is_plain_and_tells_the_evidence() {
        if !default_model() {
            return;
        }
        let ran = tamis(&["generate", "--regex", "(yes|no)[.]?", "Is water wet? Answer yes or no."]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains("Left to itself, the model would have answered validly"), "{}", ran.stdout);
        // On a slow machine a line of progress may be told.
        assert!(!ran.stdout.contains('\x1b') && ran.stderr.lines().all(|line| line.starts_with("tamis: step ")), "{}", ran.stderr);
        let mut coloured = command(&["generate", "--regex", "(yes|no)[.]?", "Is water wet? Answer yes or no."]);
        assert!(run(coloured.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR"), "").stdout.contains('\x1b'));
    }

    #[test]
    fn a_constraint_that_no_particle_survives_is_impossible() {
        if !default_model() {
            return;
        }
        // Fifty letters cannot be had in two tokens.
        let ran = tamis(&["generate", "--json", "-n", "2", "--max-tokens", "2", "--regex", "[a-z]{50}", "hello"]);
        ran.fails(3, &["2 particles died", "--max-tokens"]);
        let run = ran.json();
        assert_eq!((&run["impossible"], &run["log_evidence"], &run["evidence"]), (&true.into(), &Value::Null, &0.0.into()));
        assert_eq!(run["deaths"][0]["out_of_tokens"], true);
    }

    #[test]
    fn a_prompt_longer_than_the_context_is_the_models_error() {
        if !default_model() {
            return;
        }
        let ran = run(&mut command(&["generate", "--regex", "a", "--raw", "-"]), &"word ".repeat(20_000));
        ran.fails(4, &["tokens", "context", "shorten the prompt"]);
    }
}
