//! A question in English on the sample database: queries, their probabilities, their answers.
//!
//!     cargo run --release --example text_to_sql -- "How many books are there?"
//!
//! The first run fetches the default model (98 MB).

use std::sync::Arc;
use tamis::database::Database;
use tamis::lm::candle::ModelSource;
use tamis::prelude::*;
use tamis::text_to_sql::{SqlExample, TextToSql, answers};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "How many books are there?".to_owned());
    let database = Arc::new(Database::sample()?);
    // A log of questions and queries: those nearest to the question are shown to the model.
    let log = [
        ("Which genre has the most books?", "SELECT genre FROM book GROUP BY genre ORDER BY count(*) DESC LIMIT 1"),
        ("What are the names of authors from Japan?", "SELECT name FROM author WHERE country = 'Japan'"),
        (
            "Which titles did Ada Brand write?",
            "SELECT T1.title FROM book AS T1 JOIN author AS T2 ON T1.author_id = T2.author_id WHERE T2.name = 'Ada Brand'",
        ),
    ];
    let log = log.map(|(question, query)| SqlExample { question: question.into(), query: query.into() });
    let asking = TextToSql::new(database.clone()).examples(log);

    let mut model = CandleLm::load(ModelSource::parse("smollm2-135m")?.fetch(&mut |_| {})?)?;
    let prompt = model.raw_prompt(&asking.prompt(&question))?;
    let posterior = asking.decoding().particles(8).seed(1).run(&mut model, &prompt)?;

    for answer in answers(&posterior, Some(&database)) {
        println!("{:.2}  {}", answer.probability, answer.query);
        if let Some(Ok(rows)) = answer.rows {
            for row in rows.rows.iter().take(5) {
                println!("        {}", row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "));
            }
        }
    }
    println!("The model alone would have written a valid query with probability {:.2e}.", posterior.evidence());
    Ok(())
}
