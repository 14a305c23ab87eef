//! Valid JSON from a real model, with true weights.
//!
//!     cargo run --release --example json
//!
//! The first run fetches the default model (98 MB). A path to another GGUF file may be given instead.

use tamis::lm::candle::ModelSource;
use tamis::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "smollm2-135m".to_owned());
    let path = ModelSource::parse(&name)?.fetch(&mut |_| {})?;
    let mut model = CandleLm::load(path)?;
    let prompt = model.chat_prompt(r#"Write as JSON, with "name", "age" and "occupation": Ada Brand, a nurse, is 41 years old."#)?;
    let schema = JsonSchema::parse(include_str!("person.json"))?;

    let posterior = ConstrainedDecoding::new(schema).particles(8).seed(1).max_tokens(96).run(&mut model, &prompt)?;
    for answer in &posterior.answers {
        println!("{:.2}  {}", answer.probability, answer.text_lossy());
    }
    println!("The model would have answered validly with probability {:.2e}.", posterior.evidence());
    Ok(())
}
