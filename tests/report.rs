//! What reports say of runs whose truth is known: a toy model under a constraint of a few words.

#[path = "common/words.rs"]
mod words;

use serde_json::Value;
use tamis::decode::{ConstrainedDecoding, Posterior};
use tamis::lm::TableLm;
use tamis::report::{Look, OptionsInfo, Record, RunInfo, Summary};
use tamis::sampler::{Improper, Masked};
use tamis::vocab::{Token, Vocabulary};
use words::Words;

/// A model that writes at every step "yes" (0.4), "no" (0.1), either half of "é" (0.1, 0.1), an escape
/// character (0.1) or the end (0.2).
fn model() -> TableLm {
    let text = |bytes: &[u8]| Token::Text(bytes.to_vec());
    let tokens = [text(b"yes"), text(b"no"), text(&[0xC3]), text(&[0xA9]), text(b"\x1b[2J"), Token::End];
    TableLm::independent(Vocabulary::new(tokens).unwrap(), &[0.4, 0.1, 0.1, 0.1, 0.1, 0.2]).unwrap()
}

fn draw(words: &'static [&'static [u8]]) -> Posterior {
    ConstrainedDecoding::new(Words(words.to_vec())).particles(16).max_tokens(3).sampler(Masked::new()).run(&mut model(), &[]).unwrap()
}

fn info() -> RunInfo {
    RunInfo { options: OptionsInfo { particles: 16, max_tokens: 3, ..OptionsInfo::default() }, ..RunInfo::default() }
}

/// The record as a reader gets it.
fn json(posterior: &Posterior, info: &RunInfo) -> Value {
    serde_json::from_str(&Record::new(posterior, info).to_json()).unwrap()
}

/// The tokens of a particle, as the record holds them.
fn tokens_of(run: &Value, particle: usize) -> Vec<&Value> {
    let indices = run["particles"][particle]["tokens"].as_array().unwrap();
    indices.iter().map(|index| &run["tokens"][index.as_u64().unwrap() as usize]).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn close(value: &Value, truth: f64) {
    assert!((number(value) - truth).abs() < 1e-12, "{value} is not {truth}");
}

#[test]
fn json_tells_the_log_probabilities_that_are_true_of_the_toy() {
    // One text, by exact masks: every number is known without sampling.
    let run = json(&draw(&[b"yes"]), &info());
    close(&run["log_evidence"], (0.4f64 * 0.2).ln());
    close(&run["evidence"], 0.08);
    close(&run["ess"], 16.0);
    let answer = &run["answers"][0];
    assert_eq!(answer["text"], "yes");
    close(&answer["probability"], 1.0);
    close(&answer["log_prob"]["raw"], 0.08f64.ln());
    close(&answer["log_prob"]["constrained"], 0.0);
    close(&answer["log_prob"]["posterior"], 0.0);
    let tokens = tokens_of(&run, 0);
    assert_eq!(tokens.len(), 2, "the end is a token");
    assert_eq!((&tokens[0]["text"], &tokens[1]["text"], &tokens[1]["offset"]), (&"yes".into(), &"".into(), &3.into()));
    assert_eq!((&tokens[0]["token"], &tokens[0]["forced"], &tokens[0]["masked"]), (&0.into(), &true.into(), &true.into()));
    close(&tokens[0]["model_log_prob"], 0.4f64.ln());
    close(&tokens[0]["log_z"], 0.4f64.ln());
    let entropy = -(0.4 * 0.4f64.ln() + 4.0 * 0.1 * 0.1f64.ln() + 0.2 * 0.2f64.ln());
    close(&tokens[0]["entropy"], entropy);
    assert_eq!(run["steps"].as_array().unwrap().len(), 2);
    close(&run["steps"][0]["log_evidence"], 0.4f64.ln());
    assert_eq!(run["options"]["particles"], 16);
}

#[test]
fn bytes_that_are_no_utf8_are_given_beside_the_text() {
    let run = json(&draw(&[b"\xC3\xA9"]), &info());
    assert_eq!((&run["answers"][0]["text"], run["answers"][0].get("bytes")), (&"é".into(), None));
    let token = tokens_of(&run, 0)[0];
    assert_eq!((&token["text"], &token["bytes"]), (&"\u{FFFD}".into(), &vec![0xC3].into()));
}

#[test]
fn minus_infinity_is_null_and_the_dead_are_explained() {
    let posterior = draw(&[b"maybe"]);
    let run = json(&posterior, &info());
    assert_eq!((&run["impossible"], &run["log_evidence"], &run["evidence"]), (&true.into(), &Value::Null, &0.0.into()));
    assert_eq!(run["deaths"][0]["wanted"]["expected"], "a word of the list");
    let summary = Summary::new(&posterior, &info(), Look::PLAIN).to_string();
    assert!(summary.starts_with("No answer: all of 16 particles died.") && summary.contains("a word of the list"), "{summary}");
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let unsatisfiable: Value = serde_json::from_str(&Record::unsatisfiable(&info(), "nothing is both").to_json()).unwrap();
    assert_eq!(keys(&unsatisfiable), keys(&run), "a reader finds the same fields");
    assert_eq!(unsatisfiable["unsatisfiable"], "nothing is both");
}

#[test]
fn an_improper_run_reports_no_evidence_as_if_it_had_some() {
    let posterior = ConstrainedDecoding::new(Words(vec![b"yes", b"no"])).sampler(Improper::new()).run(&mut model(), &[]).unwrap();
    let mut info = info();
    info.options.properly_weighted = false;
    info.options.sampler = "improper".into();
    let run = json(&posterior, &info);
    // Absent, not null: null is the logarithm of zero.
    assert_eq!((run.get("log_evidence"), run.get("evidence")), (None, None));
    assert_eq!(run["answers"][0]["log_prob"].get("posterior"), None);
    assert!(Summary::new(&posterior, &info, Look::PLAIN).to_string().contains("biased"));
}

#[test]
fn the_summary_lists_candidates_by_probability_and_tells_the_evidence() {
    let posterior = draw(&[b"yes", b"no", b"nono"]);
    let summary = Summary::new(&posterior, &info(), Look::PLAIN).to_string();
    let lines: Vec<&str> = summary.lines().collect();
    assert!(lines[0].contains(&format!("{} candidates from 16 particles", posterior.answers.len())), "{summary}");
    assert!(lines[1].contains(&format!("{:.4}", posterior.answers[0].probability)) && lines[1].ends_with("yes"), "{summary}");
    assert!(lines[1].contains(&"█".repeat(20)) && !lines[2].contains(&"█".repeat(20)), "{summary}");
    assert!(summary.contains("Left to itself, the model would have answered validly within 3 tokens with probability 0."), "{summary}");
    assert!(!summary.contains('\x1b'));
}

#[test]
fn what_a_model_writes_cannot_steer_the_terminal() {
    let posterior = draw(&[b"\x1b[2J"]);
    for colour in [false, true] {
        let mut look = Look::PLAIN;
        look.colour = colour;
        let summary = Summary::new(&posterior, &info(), look).to_string();
        assert!(!summary.contains("\x1b[2J") && summary.contains(r"\u{1b}[2J"), "{summary:?}");
        assert_eq!(summary.contains('\x1b'), colour);
    }
}
