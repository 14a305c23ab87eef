//! Records of runs and the pages made of them: what they hold, that they can be read again, and that a
//! large run stays small and quick.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;
use tamis::check::refusal;
use tamis::constraint::json_schema::Options;
use tamis::constraint::{JsonSchema, Regex};
use tamis::decode::{ConstrainedDecoding, Posterior};
use tamis::lm::TableLm;
use tamis::report::{OptionsInfo, Record, RunInfo, html};
use tamis::sampler::{Awrs, Direct, Improper, Masked, TokenSampler};
use tamis::vocab::{Token, TokenId, Vocabulary};

/// Words that the constraint below takes, in small letters, and some that it refuses.
const WORDS: [&str; 18] = [
    "a", "grain", " of", " sand", " falls", " through", " the", " sieve", ",", " and", " what", " is", " left", ".\n", " COARSE", " STAYS",
    " caf", " 7",
];

/// Small letters, blanks and signs; "é", which the vocabulary has in two halves.
const PATTERN: &str = "[a-zé ,.\n]*";

/// A model that ends no text before `shortest` tokens, and then with probability 0.02, about.
fn model(shortest: usize) -> TableLm {
    let words = WORDS.iter().map(|word| word.as_bytes()).chain([&[0xC3][..], &[0xA9]]);
    let tokens = words.map(|bytes| Token::Text(bytes.to_vec())).chain([Token::End]);
    TableLm::new(Vocabulary::new(tokens).unwrap(), move |context| row(context, shortest))
}

/// A distribution that depends on the last two tokens, some peaked, some flat; now and then most of it is
/// on words that the constraint refuses.
fn row(context: &[TokenId], shortest: usize) -> Vec<f64> {
    let size = WORDS.len() + 3;
    let seed = context.iter().rev().take(2).fold(7u64, |seed, token| (seed ^ u64::from(token.get())).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut row: Vec<f64> = (0..size as u64)
        .map(|token| {
            let mixed = (seed ^ token).wrapping_mul(0xD6E8_FEB8_6659_FD93);
            let uniform = ((mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40) as f64 / (1u64 << 24) as f64;
            (6.0 * uniform).exp()
        })
        .collect();
    // The second half of "é" follows the first and nothing else; the end is rare.
    let half = WORDS.len();
    if context.last() == Some(&TokenId::new(half as u32)) {
        row.iter_mut().enumerate().for_each(|(token, weight)| *weight = if token == half + 1 { 1.0 } else { 1e-6 });
    } else {
        row[half + 1] = 1e-4;
    }
    let total: f64 = row.iter().sum();
    row[size - 1] = if context.len() < shortest { 0.0 } else { 0.02 * total };
    row
}

fn run(particles: usize, max_tokens: usize, history: bool, sampler: impl TokenSampler + 'static) -> Posterior {
    ConstrainedDecoding::new(Regex::new(PATTERN).unwrap())
        .particles(particles)
        .max_tokens(max_tokens)
        .seed(5)
        .sampler(sampler)
        .keep_history(history)
        .run(&mut model(if max_tokens < 100 { 3 } else { 450 }), &[])
        .unwrap()
}

fn info(particles: usize, max_tokens: usize) -> RunInfo {
    let mut info = RunInfo { options: OptionsInfo { particles, max_tokens, ..OptionsInfo::default() }, ..RunInfo::default() };
    info.model.name = "a table".into();
    info.prompt.text = "Go on about <sieves> & </script> sand.".into();
    info.constraints = vec![tamis::report::ConstraintInfo { kind: "regex".into(), source: PATTERN.into() }];
    info
}

#[test]
fn a_history_holds_every_draw_and_shares_what_particles_share() {
    let posterior = run(12, 40, true, Awrs::new());
    assert!(posterior.steps.iter().any(|step| step.resampled()), "nothing was lost in this run");
    let record = Record::new(&posterior, &info(12, 40));
    let drawn: HashSet<(usize, usize)> = record.tokens.iter().map(|token| (token.step, token.particle)).collect();
    assert_eq!(drawn.len(), record.tokens.len(), "no draw stands twice");
    // Each step, every particle that was writing before it drew a token or died.
    let mut writing = vec![true; 12];
    for (step, told) in record.steps.iter().enumerate() {
        for (place, (writing, log_weight)) in writing.iter().zip(&told.log_weights).enumerate() {
            let survived = *log_weight > f64::NEG_INFINITY;
            assert_eq!(drawn.contains(&(step, place)), *writing && survived, "step {step}, place {place}");
        }
        let ended = |place: usize| record.tokens.iter().any(|token| (token.step, token.particle) == (step, place) && token.text.is_empty());
        let still: Vec<bool> =
            (0..12).map(|place| writing[place] && !ended(place) && told.log_weights[place] > f64::NEG_INFINITY).collect();
        writing = match &told.ancestors {
            Some(ancestors) => ancestors.iter().map(|ancestor| still[*ancestor]).collect(),
            None => still,
        };
    }
    let kept: HashSet<usize> = record.particles.iter().flat_map(|particle| particle.tokens.iter().copied()).collect();
    assert!(kept.len() < record.tokens.len(), "lost texts are there too");
    for particle in &record.particles {
        let text: String = particle.tokens.iter().map(|token| record.tokens[*token].text.as_str()).collect();
        assert!(text == particle.text || particle.text.contains('é'), "{text:?} is not {:?}", particle.text);
        for (token, parent) in particle.tokens.iter().skip(1).zip(&particle.tokens) {
            assert_eq!(record.tokens[*token].parent, Some(*parent));
        }
    }
}

#[test]
fn a_history_changes_nothing_of_the_run() {
    let (with, without) = (run(8, 30, true, Awrs::new()), run(8, 30, false, Awrs::new()));
    assert_eq!(with.log_evidence, without.log_evidence);
    assert_eq!(with.steps, without.steps);
    let [with, without] = [with, without].map(|posterior| Record::new(&posterior, &info(8, 30)));
    assert_eq!((with.history, without.history), (true, false));
    assert!(without.tokens.iter().all(|token| token.alternatives.is_empty()));
    let texts =
        |record: &Record| record.particles.iter().map(|particle| (particle.text.clone(), particle.tokens.len())).collect::<Vec<_>>();
    assert_eq!(texts(&with), texts(&without));
    // What is kept of living texts is the same, but for the alternatives.
    let path = |record: &Record| record.particles[0].tokens.iter().map(|token| record.tokens[*token].model_log_prob).collect::<Vec<_>>();
    assert_eq!(path(&with), path(&without));
}

#[test]
fn increments_add_up_to_the_weights() {
    let record = Record::new(&run(12, 40, true, Awrs::new()), &info(12, 40));
    let mut log_weights = [0.0; 12];
    for step in &record.steps {
        for (place, log_weight) in log_weights.iter_mut().enumerate() {
            *log_weight += step.log_increments[place];
            assert!((*log_weight - step.log_weights[place]).abs() < 1e-9 || *log_weight == step.log_weights[place]);
            let drawn = record.tokens.iter().find(|token| (token.step, token.particle) == (step.step, place));
            assert!((drawn.map_or(step.log_increments[place], |token| token.log_z) - step.log_increments[place]).abs() < 1e-9);
        }
        if step.ancestors.is_some() {
            log_weights.fill(step.log_evidence);
        }
    }
}

#[test]
fn alternatives_tell_what_the_constraint_said_and_what_nobody_asked() {
    let allowed = Regex::new(PATTERN).unwrap();
    for record in [run(8, 30, true, Awrs::new()), run(8, 30, true, Masked::new())].map(|posterior| Record::new(&posterior, &info(8, 30))) {
        let (mut refused, mut open, mut asked) = (0, 0, 0);
        for token in &record.tokens {
            assert!(!token.alternatives.is_empty() && token.alternatives.len() <= 8);
            assert!(token.alternatives.iter().all(|other| other.token != token.token), "the drawn token is no alternative");
            assert!(token.alternatives.is_sorted_by(|a, b| a.log_prob >= b.log_prob));
            for other in &token.alternatives {
                // The constraint is one state but for the halves of "é", so that a token is judged alone.
                if let (Some(verdict), None, false) = (other.allowed, &other.bytes, other.text.is_empty()) {
                    let alone = refusal(&allowed, other.text.as_bytes()).is_none();
                    assert!(verdict == alone || !verdict, "{:?} is {verdict}", other.text);
                }
                refused += usize::from(other.allowed == Some(false));
                open += usize::from(other.allowed.is_none());
                asked += usize::from(other.asked);
                assert!(!other.asked || other.allowed.is_some());
            }
            assert!(!token.masked || token.alternatives.iter().all(|other| other.allowed.is_some()), "a mask knows all");
        }
        assert!(refused > 0 && asked + open > 0 || record.tokens.iter().all(|token| token.masked));
    }
}

#[test]
fn a_record_read_again_is_the_same() {
    let direct = Record::new(&run(6, 20, true, Direct::new()), &info(6, 20));
    assert!(direct.steps.iter().any(|step| step.log_weights.contains(&f64::NEG_INFINITY)), "some particle dies in this run");
    let mut improper = info(6, 20);
    improper.options.properly_weighted = false;
    for record in [
        direct,
        Record::new(&run(6, 20, false, Awrs::new()), &info(6, 20)),
        Record::new(&run(6, 20, true, Improper::new()), &improper),
        Record::unsatisfiable(&info(6, 20), "nothing is both"),
    ] {
        assert_eq!(Record::read(record.to_json().as_bytes()).unwrap(), record);
    }
}

#[test]
fn records_satisfy_their_schema_by_our_validator_and_by_another() {
    let ours = JsonSchema::parse_with_options(Record::SCHEMA, &Options::default()).unwrap();
    let theirs = jsonschema::validator_for(&serde_json::from_str(Record::SCHEMA).unwrap()).unwrap();
    let mut improper = info(6, 20);
    improper.options.properly_weighted = false;
    let records = [
        Record::new(&run(6, 20, true, Awrs::new()), &info(6, 20)),
        Record::new(&run(6, 20, true, Direct::new()), &info(6, 20)),
        Record::new(&run(6, 20, true, Improper::new()), &improper),
        Record::unsatisfiable(&info(6, 20), "nothing is both"),
    ];
    for record in &records {
        let json = record.to_json();
        assert_eq!(refusal(&ours, json.as_bytes()).map(|refused| refused.to_string()), None);
        let value = serde_json::from_str(&json).unwrap();
        assert!(theirs.is_valid(&value), "{:?}", theirs.iter_errors(&value).next().map(|error| error.to_string()));
        // The schema asks for something.
        let broken = json.replacen("\"impossible\":", "\"impossibly\":", 1);
        assert!(refusal(&ours, broken.as_bytes()).is_some());
    }
}

#[test]
fn what_is_no_record_is_told_with_its_place() {
    let error = |json: &str| Record::read(json.as_bytes()).unwrap_err().to_string();
    assert!(error("{\n  \"schema_version\": x}").contains("line 2 column 21"), "{}", error("{\n  \"schema_version\": x}"));
    assert!(error("[1]").contains("line 1"), "{}", error("[1]"));
    assert!(error("{\"name\": \"Ann\"}").contains("no \"schema_version\""));
    assert!(error("{\"schema_version\": 99}").contains("version 99"));
    assert!(error("{\"schema_version\": 1}").contains("missing field"));
    let json = Record::new(&run(6, 20, true, Awrs::new()), &info(6, 20)).to_json();
    assert!(error(&format!("{json}\n{json}")).contains("line 2"));
    let late = json.replacen("\"parent\":null", "\"parent\":4", 1);
    assert!(error(&late).starts_with("/tokens/0/parent"), "{}", error(&late));
    let far = json.replacen("\"particle\":0", "\"particle\":77", 1);
    assert!(error(&far).starts_with("/tokens/0"), "{}", error(&far));
}

#[test]
fn a_page_asks_for_nothing_and_no_text_can_end_its_script() {
    let record = Record::new(&run(6, 20, true, Awrs::new()), &info(6, 20));
    let page = html::page(&record);
    assert!(page.contains("<title>Go on about &lt;sieves&gt; &amp; &lt;/script&gt; sand. – tamis</title>"));
    assert_eq!(page.matches("</script>").count(), 2, "the data's and the script's own");
    assert!(page.contains("default-src 'none'"));
    for outside in ["src=", "href=\"http", "@import", "url(", "fetch(", "XMLHttpRequest", "innerHTML", "eval("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("{{") && !page.contains("}}</"), "every slot is filled");
}

/// The page of 64 particles of up to 512 tokens: small enough to send, made in no time. The files stay, to
/// be looked at.
#[test]
fn a_large_run_makes_a_page_of_a_few_megabytes() {
    let posterior = run(64, 512, true, Awrs::new());
    let mut info = info(64, 512);
    info.timings.tokens = posterior.history.as_ref().unwrap().len();
    let started = Instant::now();
    let record = Record::new(&posterior, &info);
    let json = record.to_json();
    let recorded = started.elapsed();
    let read = Record::read(json.as_bytes()).unwrap();
    let started = Instant::now();
    let page = html::page(&read);
    println!(
        "{} tokens in {} steps: record {:.1} MB in {recorded:.1?}, page {:.1} MB in {:.1?}",
        record.tokens.len(),
        record.steps.len(),
        json.len() as f64 / 1e6,
        page.len() as f64 / 1e6,
        started.elapsed(),
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("large.json"), &json).unwrap();
    std::fs::write(folder.join("large.html"), &page).unwrap();
    assert!(record.steps.len() > 500 && record.tokens.len() > 25_000, "a large run");
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
}
