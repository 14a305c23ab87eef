//! Numbers as words: probabilities and the evidence, in sentences a reader need not decode.

use super::OptionsInfo;

/// The probability whose natural logarithm is `log_prob`, to two significant digits: `0.31`, `0.0042`,
/// `3.1e-7`; `e^-800` where it underflows, `0` for minus infinity.
///
/// Estimates may lie above 1, where the truth is near 1; they are given as they are.
///
/// ```
/// use tamis::report::probability_in_words;
/// assert_eq!(probability_in_words(0.3149f64.ln()), "0.31");
/// assert_eq!(probability_in_words(0.00418f64.ln()), "0.0042");
/// assert_eq!(probability_in_words(-1000.0), "e^-1000");
/// assert_eq!(probability_in_words(f64::NEG_INFINITY), "0");
/// ```
pub fn probability_in_words(log_prob: f64) -> String {
    let prob = log_prob.exp();
    if log_prob == f64::NEG_INFINITY {
        "0".into()
    } else if prob < f64::MIN_POSITIVE {
        format!("e^{log_prob:.0}")
    } else if prob < 0.001 {
        format!("{prob:.1e}")
    } else if prob < 0.0995 {
        // Two digits after the zeros that follow the point.
        let zeros = (-prob.log10()).floor() as usize;
        format!("{prob:.*}", zeros + 2)
    } else if (0.995..1.0).contains(&prob) {
        // Rounded to "1.00", it would say that nothing else could have happened.
        match 1.0 - prob {
            rest if rest < 1e-6 => "1.00".into(),
            rest => format!("1 - {rest:.1e}"),
        }
    } else {
        format!("{prob:.2}")
    }
}

/// The evidence in a sentence.
///
/// ```
/// use tamis::report::{OptionsInfo, evidence_in_words};
/// assert_eq!(
///     evidence_in_words(0.31f64.ln(), &OptionsInfo::default()),
///     "Left to itself, the model would have answered validly within 256 tokens with probability 0.31."
/// );
/// ```
pub fn evidence_in_words(log_evidence: f64, options: &OptionsInfo) -> String {
    if !options.properly_weighted {
        return format!(
            "The sampler `{}` does not weigh what it draws: its answers are biased, and there is no evidence.",
            options.sampler
        );
    }
    let tokens = options.max_tokens;
    let changed = if options.changes_the_model() { ", at these sampling settings," } else { "" };
    if log_evidence == f64::NEG_INFINITY {
        return format!(
            "Left to itself{changed} the model would hardly have answered validly within {tokens} tokens: every particle died."
        );
    }
    let changed = if changed.is_empty() { "," } else { changed };
    if !options.critics.is_empty() {
        let scores = options.critics.join(", ");
        return format!(
            "Left to itself{changed} the model would give valid answers within {tokens} tokens, times their scores ({scores}), a weight of {}.",
            probability_in_words(log_evidence)
        );
    }
    format!(
        "Left to itself{changed} the model would have answered validly within {tokens} tokens with probability {}.",
        probability_in_words(log_evidence)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_keep_two_significant_digits_down_to_underflow() {
        for (prob, words) in
            [(0.5, "0.50"), (0.0999, "0.10"), (0.05, "0.050"), (0.0012, "0.0012"), (0.00099, "9.9e-4"), (1.0, "1.00"), (1.25, "1.25")]
        {
            assert_eq!(probability_in_words(f64::ln(prob)), words, "{prob}");
        }
        assert_eq!(probability_in_words(f64::ln(0.9981)), "1 - 1.9e-3");
    }

    #[test]
    fn an_improper_sampler_is_never_given_evidence() {
        let options = OptionsInfo { properly_weighted: false, sampler: "improper".into(), ..OptionsInfo::default() };
        let words = evidence_in_words(0.0, &options);
        assert!(words.contains("biased") && !words.contains("probability"), "{words}");
    }

    #[test]
    fn what_scores_are_in_is_not_called_a_probability() {
        let options = OptionsInfo { critics: vec!["length 0.1".into()], ..OptionsInfo::default() };
        let words = evidence_in_words(2f64.ln(), &options);
        assert!(words.contains("(length 0.1), a weight of 2.00") && !words.contains("probability"), "{words}");
    }

    #[test]
    fn a_changed_model_is_said_to_be_changed() {
        let options = OptionsInfo { temperature: 0.5, ..OptionsInfo::default() };
        assert!(evidence_in_words(-1.0, &options).starts_with("Left to itself, at these sampling settings, the model"));
    }
}
