//! Grammars over letters, all their texts by enumeration, and what a recogniser must say about each.
#![allow(dead_code, reason = "the fuzz target uses a part")]

use std::collections::{BTreeSet, HashMap};
use tamis::constraint::{Constraint, Grammar};

/// Whether some text begins so.
pub fn is_alive(grammar: &Grammar, text: &str) -> bool {
    grammar.allows(&grammar.start(), text.as_bytes())
}

/// All texts over `letters` of at most `length` bytes, shorter ones first.
pub fn texts(letters: &str, length: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..length {
        last = last.iter().flat_map(|text| letters.chars().map(move |letter| format!("{text}{letter}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Holds a grammar to `language`, which must have exactly its texts of at most `length` bytes.
pub fn check_laws(grammar: &Grammar, language: &BTreeSet<String>, letters: &str, length: usize) {
    let mut by_state: HashMap<_, Vec<String>> = HashMap::new();
    for text in texts(letters, length) {
        let completion = language.iter().filter(|whole| whole.starts_with(&text)).map(|whole| whole.len() - text.len()).min();
        let Some(state) = grammar.advance(&grammar.start(), text.as_bytes()) else {
            assert_eq!(completion, None, "{text:?} was refused");
            let rejection = grammar.explain(&grammar.start(), text.as_bytes()).expect("a refusal has a reason");
            assert!(!is_alive(grammar, &text[..=rejection.offset()]) && is_alive(grammar, &text[..rejection.offset()]));
            continue;
        };
        assert_eq!(grammar.may_end(&state), language.contains(&text), "{text:?}");
        assert_eq!(grammar.explain_end(&state).is_none(), grammar.may_end(&state), "{text:?}");
        assert_eq!(grammar.explain(&grammar.start(), text.as_bytes()), None, "{text:?}");
        let cost = grammar.closing_cost(&state).expect("grammars know how far the end is");
        match completion {
            Some(completion) => assert_eq!(cost, completion, "{text:?}"),
            None => assert!(text.len() + cost > length, "{text:?} is alive, and nothing of at most {length} bytes completes it"),
        }
        let split = text.bytes().try_fold(grammar.start(), |state, byte| grammar.advance(&state, &[byte]));
        assert_eq!(split.as_ref(), Some(&state), "{text:?} byte by byte");
        let mut forced = Vec::new();
        grammar.forced(&state, &mut forced);
        for (at, byte) in forced.iter().enumerate() {
            let forced_so_far = grammar.advance(&state, &forced[..at]).expect("forced bytes are allowed");
            assert!(!grammar.may_end(&forced_so_far), "{text:?}");
            assert!(letters.bytes().all(|other| grammar.allows(&forced_so_far, &[other]) == (other == *byte)), "{text:?}");
        }
        by_state.entry(state).or_default().push(text);
    }
    for equal in by_state.values() {
        for (text, suffix) in equal.iter().skip(1).flat_map(|text| texts(letters, 3).into_iter().map(move |suffix| (text, suffix))) {
            let (first, other) = (format!("{}{suffix}", equal[0]), format!("{text}{suffix}"));
            if first.len().max(other.len()) <= length {
                assert_eq!(language.contains(&first), language.contains(&other), "{:?} and {text:?} are equal states", equal[0]);
            }
        }
    }
}

/// What a rule is made of, for random grammars and for the enumeration of their texts.
#[derive(Clone, Debug)]
pub enum Part {
    Letter(char),
    Rule(usize),
    Sequence(Vec<Part>),
    Choice(Vec<Part>),
    Repeat(Box<Part>, &'static str),
}

impl Part {
    fn lark(&self) -> String {
        match self {
            Self::Letter(letter) => format!("\"{letter}\""),
            Self::Rule(rule) => format!("r{rule}"),
            Self::Sequence(parts) => format!("({})", parts.iter().map(Self::lark).collect::<Vec<_>>().join(" ")),
            Self::Choice(parts) => format!("({})", parts.iter().map(Self::lark).collect::<Vec<_>>().join(" | ")),
            Self::Repeat(part, sign) => format!("({}){sign}", part.lark()),
        }
    }

    /// The texts of at most `length` bytes, where the rules have `known` ones.
    fn texts(&self, known: &[BTreeSet<String>], length: usize) -> BTreeSet<String> {
        let joined = |left: &BTreeSet<String>, right: &BTreeSet<String>| -> BTreeSet<String> {
            left.iter().flat_map(|a| right.iter().filter(move |b| a.len() + b.len() <= length).map(move |b| format!("{a}{b}"))).collect()
        };
        let nothing = BTreeSet::from([String::new()]);
        match self {
            Self::Letter(letter) => BTreeSet::from([letter.to_string()]),
            Self::Rule(rule) => known[*rule].clone(),
            Self::Sequence(parts) => parts.iter().fold(nothing, |texts, part| joined(&texts, &part.texts(known, length))),
            Self::Choice(parts) => parts.iter().flat_map(|part| part.texts(known, length)).collect(),
            Self::Repeat(part, sign) => {
                let once = part.texts(known, length);
                let (min, max) = match *sign {
                    "?" => (0, 1),
                    "*" => (0, length),
                    "+" => (1, length + 1),
                    "~2" => (2, 2),
                    _ => (1, 3),
                };
                let mut texts = if min == 0 { nothing.clone() } else { BTreeSet::new() };
                let mut times = nothing;
                for count in 1..=max {
                    times = joined(&times, &once);
                    if count >= min {
                        texts.extend(times.iter().cloned());
                    }
                }
                texts
            }
        }
    }
}

/// All texts of at most `length` bytes of rule 0: what can be derived in ever more steps, until nothing new comes.
pub fn enumerate(rules: &[Part], length: usize) -> BTreeSet<String> {
    let mut known = vec![BTreeSet::new(); rules.len()];
    loop {
        let next: Vec<_> = rules.iter().map(|rule| rule.texts(&known, length)).collect();
        if next == known {
            return known.swap_remove(0);
        }
        known = next;
    }
}

/// The rules as a grammar file that begins with rule 0.
pub fn lark(rules: &[Part]) -> String {
    let rules = rules.iter().enumerate().map(|(number, rule)| format!("r{number}: {}\n", rule.lark()));
    format!("start: r0\n{}", rules.collect::<String>())
}
