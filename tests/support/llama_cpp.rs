//! Rows beside those of llama.cpp, as recorded in the shared vectors.

use super::shared;
use tamis::lm::LanguageModel;
use tamis::lm::candle::CandleLm;
use tamis::vocab::TokenId;

/// The best token is llama.cpp's where its lead is larger than this; both engines round activations to
/// eight bits, each in its own way.
const LEAD: f64 = 0.3;

/// Log-probabilities of the twenty best tokens agree to `tolerance`, and on average to two fifths of it.
pub fn agrees_with_llama_cpp(model: &str, mut lm: CandleLm, tolerance: f64) {
    let Some(vectors) = shared("vectors/lm.json") else { return };
    let vectors: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(vectors).unwrap()).unwrap();
    let mut largest: f64 = 0.0;
    for case in vectors["models"][model]["cases"].as_array().unwrap() {
        let prompt: Vec<_> = case["tokens"].as_array().unwrap().iter().map(|id| TokenId::new(id.as_u64().unwrap() as u32)).collect();
        let context = lm.prefill(&prompt).unwrap();
        let row = lm.next_token(&context).unwrap();
        let normaliser = case["logsumexp"].as_f64().unwrap();
        let expected = case["top"].as_array().unwrap().iter();
        let expected: Vec<_> =
            expected.map(|pair| (TokenId::new(pair[0].as_u64().unwrap() as u32), pair[1].as_f64().unwrap() - normaliser)).collect();
        let worst = expected.iter().map(|(token, log_prob)| (row.log_prob(*token) - log_prob).abs()).fold(0.0, f64::max);
        let mean = expected.iter().map(|(token, log_prob)| (row.log_prob(*token) - log_prob).abs()).sum::<f64>() / expected.len() as f64;
        println!("{}: differences of at most {worst:.3}, on average {mean:.3}", case["text"]);
        largest = largest.max(worst);
        assert!(mean < tolerance / 2.5);
        if expected[0].1 - expected[1].1 > LEAD {
            assert_eq!(row.top(1)[0].0, expected[0].0, "{}", case["text"]);
        }
    }
    println!("largest difference of log-probabilities: {largest:.3}");
    assert!(largest < tolerance);
}
