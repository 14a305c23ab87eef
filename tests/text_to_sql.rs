//! What becomes of the queries of a run: grouped by the answer that they give, with the share of each clause,
//! and compared with gold ones. The model is a table that writes whole queries, so that what must come out can be
//! added up by hand.
#![cfg(feature = "sqlite")]

use std::sync::Arc;
use tamis::database::{Database, DatabaseOptions};
use tamis::decode::Posterior;
use tamis::lm::TableLm;
use tamis::text_to_sql::{Method, Outcome, Summary, TextToSql, answers, bootstrap, judge};
use tamis::vocab::{Token, Vocabulary};

const COUNT: &str = "SELECT count(*) FROM book";
const SPACED: &str = "select COUNT( * ) from book";
/// As many as there are books.
const LARGEST: &str = "SELECT max(book_id) FROM book";
const ORDERED: &str = "SELECT name FROM author ORDER BY born";
const UNORDERED: &str = "SELECT name FROM author";
const OTHER_NAMES: &str = "SELECT name FROM member";
const NOTHING: &str = "SELECT title FROM book WHERE year > 3000";
const QUERIES: [&str; 7] = [COUNT, SPACED, LARGEST, ORDERED, UNORDERED, OTHER_NAMES, NOTHING];

/// A model that writes one of the queries, or a text that is none, and ends.
fn model() -> TableLm {
    let texts = QUERIES.into_iter().chain(["SELECT price FROM book", "\n"]);
    let vocabulary = Vocabulary::new(texts.map(|text| Token::Text(text.into())).chain([Token::End])).unwrap();
    TableLm::new(vocabulary, |tokens| match tokens {
        [] => vec![5.0, 2.0, 3.0, 1.5, 2.5, 4.0, 1.0, 6.0, 0.0, 0.0],
        _ => vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0],
    })
}

fn ask(method: Method, particles: usize) -> (TextToSql, Posterior) {
    let asking = TextToSql::new(Arc::new(Database::sample().unwrap()));
    let posterior = method.run(&asking, &mut model(), &[], particles, 7).unwrap();
    (asking, posterior)
}

/// The probability that the run gives to these texts together.
fn together(posterior: &Posterior, texts: &[&str]) -> f64 {
    posterior.answers.iter().filter(|answer| texts.contains(&answer.text_lossy().as_str())).map(|answer| answer.probability).sum()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn queries_that_give_the_same_rows_are_one_answer() {
    let (asking, posterior) = ask(Method::Awrs, 200);
    let found = answers(&posterior, Some(asking.database()));
    let groups: [&[&str]; 4] = [&[COUNT, SPACED, LARGEST], &[ORDERED, UNORDERED], &[OTHER_NAMES], &[NOTHING]];
    assert_eq!(found.len(), groups.len());
    for group in groups {
        let answer = found.iter().find(|answer| group.contains(&answer.query.as_str())).unwrap();
        assert!(close(answer.probability, together(&posterior, group)), "{group:?}");
        // All of its queries, the most probable first and in front.
        let mut queries: Vec<&str> = answer.queries.iter().map(|(query, _)| query.as_str()).collect();
        assert_eq!(queries[0], answer.query);
        assert!(answer.queries.is_sorted_by(|a, b| a.1 >= b.1));
        queries.sort_unstable();
        let mut group = group.to_vec();
        group.sort_unstable();
        assert_eq!(queries, group);
    }
    assert!(found.is_sorted_by(|a, b| a.probability >= b.probability));
    assert!(close(found.iter().map(|answer| answer.probability).sum(), 1.0));
}

#[test]
fn without_a_database_only_the_spelling_is_looked_through() {
    let (_, posterior) = ask(Method::Awrs, 200);
    let found = answers(&posterior, None);
    assert_eq!(found.len(), QUERIES.len() - 1);
    let count = found.iter().find(|answer| [COUNT, SPACED].contains(&answer.query.as_str())).unwrap();
    assert!(count.rows.is_none() && close(count.probability, together(&posterior, &[COUNT, SPACED])));
}

#[test]
fn results_that_were_cut_off_are_not_taken_to_be_equal() {
    let (asking, posterior) = ask(Method::Awrs, 200);
    let mut options = DatabaseOptions::default();
    options.rows = 3;
    let short = Database::with_options(asking.database().path(), options).unwrap();
    let found = answers(&posterior, Some(&short));
    // The two lists of authors are longer than that, and alike only as far as they were read.
    assert!(found.iter().all(|answer| !(answer.queries.len() > 1 && answer.query.contains("author"))));
    assert!(found.iter().any(|answer| answer.queries.len() == 3), "short results are still compared");
}

#[test]
fn a_clause_is_as_sure_as_all_queries_that_have_it() {
    let (asking, posterior) = ask(Method::Awrs, 200);
    let found = answers(&posterior, Some(asking.database()));
    let share = |query: &str, clause: &str| {
        let answer = found.iter().find(|answer| answer.query == query).unwrap();
        answer.clauses.iter().find(|share| share.text == clause).unwrap_or_else(|| panic!("{:?}", answer.clauses)).probability
    };
    let books = together(&posterior, &[COUNT, SPACED, LARGEST, NOTHING]);
    assert!(close(share(COUNT, "SELECT count(*)"), together(&posterior, &[COUNT, SPACED])));
    assert!(close(share(COUNT, "FROM book"), books) && close(share(NOTHING, "FROM book"), books));
    assert!(close(share(UNORDERED, "SELECT name"), together(&posterior, &[ORDERED, UNORDERED, OTHER_NAMES])));
    assert!(close(share(NOTHING, "WHERE year > 3000"), together(&posterior, &[NOTHING])));
}

#[test]
fn every_method_but_the_improper_one_has_the_model_given_a_valid_query_as_its_target() {
    // 19 of the 25 parts of the model's probability are queries.
    let truth = [10.0 / 19.0, 4.0 / 19.0, 4.0 / 19.0, 1.0 / 19.0];
    for method in [Method::Awrs, Method::Masked, Method::Direct, Method::Rerank] {
        let (asking, posterior) = ask(method, 4000);
        let found = answers(&posterior, Some(asking.database()));
        for (query, truth) in [COUNT, UNORDERED, OTHER_NAMES, NOTHING].into_iter().zip(truth) {
            let answer = found.iter().find(|answer| answer.query == query).unwrap();
            assert!((answer.probability - truth).abs() < 0.03, "{method:?}, {query}: {} and not {truth}", answer.probability);
        }
        assert!((posterior.evidence() - 19.0 / 25.0).abs() < 0.03, "{method:?}: {}", posterior.evidence());
    }
}

#[test]
fn an_outcome_tells_how_much_of_the_posterior_gives_the_gold_answer() {
    let (asking, posterior) = ask(Method::Direct, 200);
    let database = asking.database();
    let gold = |query: &str| database.execute(query).unwrap().key();
    let right = judge(&posterior, database, &gold("SELECT 12"));
    assert!(close(right.weighted, together(&posterior, &[COUNT, SPACED, LARGEST])) && right.best == 1.0);
    let second = judge(&posterior, database, &gold("SELECT name FROM author ORDER BY name"));
    assert!(close(second.weighted, together(&posterior, &[ORDERED, UNORDERED])) && second.best == 0.0);
    let wrong = judge(&posterior, database, &gold("SELECT 13"));
    assert!(wrong.weighted == 0.0 && wrong.weighted.is_sign_positive() && wrong.best == 0.0);
    assert!(right.prepares == 1.0 && right.valid > 0.5 && right.tokens > 0.0 && right.query == COUNT);
}

#[test]
fn intervals_hold_the_mean_and_shrink_with_the_number_of_questions() {
    let outcome = |weighted: f64| Outcome { weighted, ..Outcome::default() };
    let summary = |times: usize| Summary::new(&[0.0, 0.25, 1.0, 0.75].repeat(times).into_iter().map(outcome).collect::<Vec<_>>());
    let (few, many) = (summary(5), summary(100));
    assert_eq!((few.questions, many.questions), (20, 400));
    for interval in [few.weighted, many.weighted] {
        assert!(close(interval.mean, 0.5) && interval.low < 0.5 && 0.5 < interval.high);
    }
    // The standard error of 400 such numbers is 0.0198; 1.96 of them on each side.
    let width = many.weighted.high - many.weighted.low;
    assert!((width - 0.0776).abs() < 0.01, "{width}");
    assert!(few.weighted.high - few.weighted.low > 3.0 * width);
    let same = bootstrap(&[0.5; 10]);
    assert!(same.mean == 0.5 && same.low == 0.5 && same.high == 0.5);
    assert!(bootstrap(&[]).mean.is_nan());
}
