//! Grammars against enumeration: which texts they have, which prefixes are alive, and that the hard ones
//! of the textbooks are followed in good time.

#[path = "common/grammars.rs"]
mod grammars;

use grammars::{Part, check_laws, enumerate, is_alive, lark, texts};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, Grammar, JsonSchema};
use tamis::vocab::{Token, TokenSet, Vocabulary};

fn grammar(source: &str) -> Grammar {
    Grammar::parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

fn accepts(grammar: &Grammar, text: &str) -> bool {
    grammar.advance(&grammar.start(), text.as_bytes()).is_some_and(|state| grammar.may_end(&state))
}

fn part() -> impl Strategy<Value = Part> {
    let leaf = prop_oneof![
        3 => prop::sample::select(vec!['a', 'b']).prop_map(Part::Letter),
        3 => (0usize..3).prop_map(Part::Rule),
        1 => Just(Part::Sequence(Vec::new())),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(Part::Sequence),
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(Part::Choice),
            1 => (inner, prop::sample::select(vec!["?", "*", "+", "~2", "~1..3"])).prop_map(|(part, sign)| Part::Repeat(Box::new(part), sign)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_grammars_have_exactly_the_texts_that_can_be_derived(rules in prop::collection::vec(part(), 3)) {
        let source = lark(&rules);
        let language = enumerate(&rules, 6);
        match Grammar::parse(&source) {
            Ok(grammar) => check_laws(&grammar, &language, "ab", 6),
            Err(error) => prop_assert!(error.is_unsatisfiable() && language.is_empty(), "{error}\n{source}"),
        }
    }

    #[test]
    fn tokens_are_longest_and_keywords_are_no_names(text in "[aif1+ ]{0,8}") {
        // Terminals by hand: how long a token at the head of a text can be.
        let run = |text: &str, letters: &str| text.bytes().take_while(|byte| letters.as_bytes().contains(byte)).count();
        let lengths = |rest: &str| -> Vec<usize> {
            let (name, number, plus) = (run(rest, "aif"), run(rest, "1"), run(rest, "+"));
            // `if` is a keyword where it is the whole word; every other word is a name; `+` and `++` are two
            // terminals, and either may be read.
            let signs = if plus >= 2 { vec![1, 2] } else { vec![plus] };
            let blanks = run(rest, " ");
            [name, number, blanks].into_iter().chain(signs).filter(|length| *length > 0).collect()
        };
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for at in 0..text.len() {
            if reached[at] {
                for length in lengths(&text[at..]) {
                    reached[at + length] = true;
                }
            }
        }
        let grammar = grammar("start: (\"if\" | NAME | INT | \"+\" | \"++\")*\nNAME: /[aif]+/\nINT: /1+/\n%ignore / +/");
        prop_assert_eq!(accepts(&grammar, &text), reached[text.len()]);
        // The same, with only keywords and numbers: what is left are words spelled `if`.
        let words: Vec<&str> = text.split_whitespace().collect();
        if !text.contains('+') && !text.contains('1') {
            let keywords = self::grammar("start: (\"if\" | NAME \"!\")*\nNAME: /[aif]+/\n%ignore / +/");
            prop_assert_eq!(accepts(&keywords, &text), words.iter().all(|word| *word == "if"));
        }
    }

    #[test]
    fn json_as_a_grammar_agrees_with_two_parsers(text in json_like()) {
        let grammar = Grammar::builtin("json").unwrap();
        let mut options = Options::default();
        options.max_whitespace = u32::MAX;
        let schema = JsonSchema::parse_with_options("true", &options).unwrap();
        let valid = schema.advance(&schema.start(), text.as_bytes()).is_some_and(|state| schema.may_end(&state));
        prop_assert_eq!(accepts(&grammar, &text), valid);
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), valid);
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            prop_assert_eq!(is_alive(&grammar, &text[..end]), schema.allows(&schema.start(), &text.as_bytes()[..end]));
        }
    }

    #[test]
    fn the_mask_is_what_each_token_would_be_told(text in "[a-c(){}\\[\\]\",:0-9. ]{0,12}", tokens in prop::collection::vec("[a-c(){}\\[\\]\",:0-9. ]{1,4}", 1..60)) {
        let vocabulary = Vocabulary::new(tokens.iter().map(|token| Token::Text(token.clone().into_bytes())).chain([Token::End])).unwrap();
        for (name, start) in [("json", ""), ("sexpr", ""), ("csv", ""), ("sqlite_select", "SELECT a"), ("sqlite_select", "SELECT "), ("arithmetic", "1 + ")] {
            let grammar = BUILTIN.with(|grammars| grammars[name].clone());
            let text = format!("{start}{text}");
            let Some(state) = grammar.advance(&grammar.start(), text.as_bytes()) else { continue };
            let mut mask = TokenSet::new(vocabulary.len());
            grammar.mask(&state, vocabulary.trie(), &mut mask);
            for token in vocabulary.tokens() {
                let allowed = vocabulary.bytes(token).is_some_and(|bytes| grammar.allows(&state, bytes));
                prop_assert_eq!(mask.contains(token), allowed);
            }
        }
    }

    #[test]
    fn texts_may_be_cut_anywhere(
        name in prop::sample::select(Grammar::builtin_names().collect::<Vec<_>>()),
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..14),
        cut in any::<prop::sample::Index>(),
    ) {
        let grammar = BUILTIN.with(|grammars| grammars[name].clone());
        let text = pieces.concat().into_bytes();
        let whole = grammar.advance(&grammar.start(), &text);
        prop_assert_eq!(whole.is_some(), grammar.allows(&grammar.start(), &text));
        let (head, tail) = text.split_at(cut.index(text.len() + 1));
        let halves = grammar.advance(&grammar.start(), head).and_then(|state| grammar.advance(&state, tail));
        prop_assert_eq!(&whole, &halves);
        prop_assert_eq!(whole.is_none(), grammar.explain(&grammar.start(), &text).is_some());
        if let (Some(state), Some(other)) = (whole, halves) {
            prop_assert_eq!(grammar.may_end(&state), grammar.explain_end(&state).is_none());
            let mut forced = Vec::new();
            grammar.forced(&state, &mut forced);
            prop_assert!(grammar.allows(&other, &forced));
            prop_assert!(!grammar.may_end(&state) || (forced.is_empty() && grammar.closing_cost(&state) == Some(0)));
        }
    }

    #[test]
    fn no_text_makes_the_reader_of_grammars_panic(parts in prop::collection::vec(prop::sample::select(SOUP.to_vec()), 0..40)) {
        if let Ok(grammar) = Grammar::parse(&parts.concat()) {
            let _ = grammar.advance(&grammar.start(), b"ab1 ");
        }
    }
}

thread_local! {
    /// The grammars that come along, compiled once.
    static BUILTIN: BTreeMap<&'static str, Grammar> = Grammar::builtin_names().map(|name| (name, Grammar::builtin(name).unwrap())).collect();
}

/// Pieces of texts of the grammars that come along.
const PIECES: [&str; 40] = [
    "SELECT ", "a", "* ", "FROM ", "not", " WHERE", " 1", "2", ".", "5e", "-", "(", ")", "[", "]", "{", "}", ":", ",", "\"", "'", "x", "=",
    "<", " AND ", "true", "nul", "l", "Cl", "c1", "@@", "2026-", "11", "T14:05", "and ", "?x ", ";", "\n", "é", "/*",
];

/// Pieces of grammar files.
const SOUP: [&str; 41] = [
    "start",
    "start: ",
    "a",
    "a: ",
    "B",
    "\nB: ",
    "B.2: ",
    "\n",
    "\n  | ",
    " | ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "?",
    "*",
    "+",
    "~",
    "~2..3",
    "..",
    ".",
    ",",
    "->",
    " ",
    "\"x\"",
    "\"x\"i",
    "/a+/",
    "/[a&&b]/x",
    "/(?!b)/",
    "/é[ü-ÿ]/",
    "\"",
    "/",
    "%ignore ",
    "%import common.INT",
    "%import ",
    "%",
    "//",
    "\\\n",
    "é",
];

/// Texts that are JSON, or nearly.
fn json_like() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "0",
        "-1.5e+2",
        "\"a\"",
        "\"\\n\\u00e9\"",
        "true",
        "null",
        "01",
        "1.",
        "tru",
        "\"",
        "[]",
        "{}",
        "\"é\"",
        "1E5",
        "-",
        "",
    ]);
    let value = leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| {
                let members = items.iter().map(|item| format!("\"?\" : {item}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(" , "))
            }),
            inner.prop_map(|inner| format!(" {inner}\n")),
        ]
    });
    (value, prop::option::of((any::<prop::sample::Index>(), prop::sample::select(vec!["", ",", "}", "]", ":", "1", "\"", " "])))).prop_map(
        |(text, edit)| {
            // No name comes twice, whatever one edit does: the schema's reader refuses that, the grammar cannot.
            let mut letters = 'A'..;
            let mut text: String =
                text.split_inclusive('?').map(|part| part.replace('?', &format!("k{}", letters.next().unwrap()))).collect();
            if let Some((at, with)) = edit
                && !text.is_empty()
            {
                let at = at.index(text.len());
                if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                    text.replace_range(at..=at, with);
                }
            }
            text
        },
    )
}

/// Whether a text is of a language.
type Member = fn(&str) -> bool;

/// Grammars that parsers are known to stumble over, each with a rule for its texts over `ab`.
const CLASSICS: [(&str, &str, Member); 14] = [
    ("left recursion", "start: start \"a\" | \"b\"", |text| text.starts_with('b') && text[1..].bytes().all(|byte| byte == b'a')),
    ("left recursion through another rule", "start: x \"a\" | \"b\"\nx: start \"b\" | \"a\"", |text| {
        let mut rest = text;
        while let Some(shorter) = rest.strip_suffix("ba") {
            rest = shorter;
        }
        rest == "b" || text.ends_with('a') && rest == "aa"
    }),
    ("left recursion hidden by an empty rule", "start: e start \"a\" | \"b\"\ne: | \"a\"", |text| {
        let tail = text.bytes().rev().take_while(|byte| *byte == b'a').count();
        let head = text.bytes().take_while(|byte| *byte == b'a').count();
        text.matches('b').count() == 1 && head <= tail
    }),
    ("right recursion", "start: \"a\" start | \"b\"", |text| {
        text.ends_with('b') && text[..text.len() - 1].bytes().all(|byte| byte == b'a')
    }),
    ("ambiguous sequence", "start: start start | \"a\"", |text| !text.is_empty() && !text.contains('b')),
    ("ambiguous and empty", "start: start start | \"a\" | ", |text| !text.contains('b')),
    ("palindromes", "start: \"a\" start \"a\" | \"b\" start \"b\" | \"a\" | \"b\" | ", |text| text.chars().rev().eq(text.chars())),
    ("equal numbers in order", "start: [\"a\" start \"b\"]", |text| {
        let half = text.len() / 2;
        text.len() % 2 == 0 && text[..half].bytes().all(|byte| byte == b'a') && text[half..].bytes().all(|byte| byte == b'b')
    }),
    ("equal numbers in any order", "start: (\"a\" start \"b\" | \"b\" start \"a\")*", |text| {
        text.matches('a').count() == text.matches('b').count()
    }),
    ("a circle of empty rules", "start: x y\nx: y | \"a\"\ny: x | z\nz: y | ", |text| text.len() <= 2 && !text.contains('b')),
    ("a circle of unit rules", "start: x\nx: y | \"a\"\ny: z | \"b\" x\nz: x", |text| {
        text.ends_with('a') && !text[..text.len() - 1].contains('a')
    }),
    ("dangling else", "start: \"a\" start [\"b\" start] | ", |text| {
        let mut open = 0i32;
        text.bytes().all(|byte| {
            open += if byte == b'a' { 1 } else { -1 };
            open >= 0
        })
    }),
    ("optional tails", "start: \"a\" [start] [\"b\"]", |text| {
        let letters = text.bytes().take_while(|byte| *byte == b'a').count();
        letters > 0 && text.len() - letters <= letters && text[letters..].bytes().all(|byte| byte == b'b')
    }),
    ("rules that lead nowhere", "start: \"a\" | \"b\" x | x\nx: x \"a\" | \"b\" y\ny: y x", |text| text == "a"),
];

#[test]
fn classic_grammars_have_their_textbook_languages() {
    for (name, source, rule) in CLASSICS {
        println!("{name}");
        let language: BTreeSet<String> = texts("ab", 9).into_iter().filter(|text| rule(text)).collect();
        check_laws(&grammar(source), &language, "ab", 9);
    }
}

#[test]
fn long_recursions_take_linear_time() {
    for source in [
        "start: \"a\" start | \"a\"",
        "start: start \"a\" | \"a\"",
        "start: start start | \"a\"",
        "start: x\nx: \"a\" y\ny: x | ",
        "start: e\ne: e \"+\" e | e \"*\" e | \"a\" e | \"a\"",
    ] {
        let grammar = grammar(source);
        let state = grammar.advance(&grammar.start(), "a".repeat(100_000).as_bytes()).unwrap();
        assert!(grammar.may_end(&state));
        assert_eq!(state, grammar.advance(&grammar.start(), b"aaa").unwrap(), "what is open does not grow: {source}");
    }
    let nested = grammar("start: \"(\" start \")\" | \"a\"");
    let text = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
    let (open, close) = text.split_at(100_001);
    let state = nested.advance(&nested.start(), open.as_bytes()).unwrap();
    assert_eq!(nested.closing_cost(&state), Some(100_000));
    let same = nested.advance(&nested.start(), open.as_bytes()).unwrap();
    assert!(state == same && nested.may_end(&nested.advance(&state, close.as_bytes()).unwrap()));
}

#[test]
fn ambiguity_costs_no_more_than_the_square_of_the_length() {
    let grammar = grammar("start: \"a\" [start] [\"b\"]");
    let text = format!("{}{}", "a".repeat(1_000), "b".repeat(1_000));
    assert!(accepts(&grammar, &text) && !accepts(&grammar, &format!("{text}b")));
    let palindromes = self::grammar("start: \"a\" start \"a\" | \"b\" start \"b\" | ");
    let half = "abbab".repeat(60);
    let text: String = half.chars().chain(half.chars().rev()).collect();
    assert!(accepts(&palindromes, &text));
}

#[test]
fn keywords_win_where_they_may_stand() {
    let statements = grammar("start: (\"if\" NAME \";\" | NAME \"=\" NAME \";\" | \"print\"i NAME \";\")*\nNAME: /[a-z]+/\n%ignore \" \"");
    for valid in ["if a;", "iffy = a;", "a = iffy;", "a=if;", "if if;", "print x;", "printer = x;", "PRINT print;"] {
        assert!(accepts(&statements, valid), "{valid}");
    }
    for invalid in ["if = a;", "iffy;", "print = a;", "ifa;", "i f a;"] {
        assert!(!accepts(&statements, invalid), "{invalid}");
    }
    assert_eq!(statements.explain(&statements.start(), b"if =").unwrap().offset(), 3);
    // The word may still become another one, so that nothing is decided before it ends.
    assert!(is_alive(&statements, "if") && is_alive(&statements, "ifx") && !is_alive(&statements, "ifx;"));
    // A regular expression of higher priority keeps its reading.
    let names_first = grammar("start: \"if\" \"!\" | NAME \"?\"\nNAME.1: /[a-z]+/");
    assert!(accepts(&names_first, "if!") && accepts(&names_first, "if?"));
    let keywords_first = grammar("start: \"if\" \"!\" | NAME \"?\"\nNAME: /[a-z]+/");
    assert!(accepts(&keywords_first, "if!") && !accepts(&keywords_first, "if?") && accepts(&keywords_first, "it?"));
}

#[test]
fn a_token_is_as_long_as_its_terminal_can_be() {
    let numbers = grammar("start: INT INT | INT \".\" INT | DECIMAL \"!\"\nDECIMAL: /1+\\.1+/\n%import common.INT\n%ignore \" \"");
    for (text, valid) in [("12", false), ("1 2", true), ("1.1", true), ("1.1!", true), ("11", false), ("1 . 1", true)] {
        assert_eq!(accepts(&numbers, text), valid, "{text}");
    }
    // What could become longer only later is watched until it cannot.
    let range = grammar("start: (NUMBER | \".\")+\nNUMBER: /[0-9]+(\\.[0-9]+)?/");
    for (text, valid) in [("1..2", true), ("1.", true), ("1.2", true), ("1.2.3", true)] {
        assert_eq!(accepts(&range, text), valid, "{text}");
    }
    let words = grammar("start: A (\"b\" \"c\" \"!\")? (\"b\" \"d\")?\nA: /a(bc)?/");
    for (text, valid) in [("abc", true), ("abc!", false), ("abd", true), ("abcbd", true), ("abcbc!", true)] {
        assert_eq!(accepts(&words, text), valid, "{text}");
    }
    // As Python's `re` would have it: a lazy repetition stops as soon as it can, the first alternative wins.
    let comment = grammar("start: C+\nC: /#.*?;/");
    assert!(accepts(&comment, "#a;#b;") && !accepts(&comment, "#a;b;"));
    let first = grammar("start: X \"c\"\nX: /a|ab/");
    assert!(accepts(&first, "ac") && !accepts(&first, "abc"));
    let longer_first = grammar("start: X \"c\"\nX: \"a\" | \"ab\"");
    assert!(accepts(&longer_first, "ac") && accepts(&longer_first, "abc"));
    let plus = grammar("start: v ((\"+\" | \"-\") v)*\nv: \"++\"? NAME \"++\"?\nNAME: /[a-z]/");
    assert!(accepts(&plus, "a+++b") && accepts(&plus, "a+++++b") && !accepts(&plus, "a++b"));
}

#[test]
fn a_terminal_may_forbid_what_follows() {
    let query = grammar("start: SELECT NAME | SELECT \"*\"\nSELECT: \"select\"i /(?!\\w)/\nNAME: /[a-z]+/\n%ignore \" \"");
    assert!(accepts(&query, "Select a") && accepts(&query, "SELECT*") && !is_alive(&query, "selecta"));
    assert!(accepts(&grammar("start: A\nA: /a(?!b)/"), "a") && !is_alive(&grammar("start: A \"b\"\nA: /a(?!b)/"), "ab"));
}

#[test]
fn notation_is_read_as_lark_does() {
    let cases: [(&str, &[&str], &[&str]); 15] = [
        ("start: \"a\"~2..3 \"b\"~2", &["aabb", "aaabb"], &["abb", "aab", "aaaabb"]),
        ("start: [\"a\"] (\"b\" | \"c\")+", &["b", "abc"], &["", "a"]),
        ("start: X\nX: \"a\"..\"c\"+ \"é\"", &["abé"], &["é", "d"]),
        ("start: \"a\" -> first\n  | \"b\" -> second // why not\n\n  | _c\n_c: \"c\"", &["a", "b", "c"], &["d"]),
        ("?start: !x\n", &[], &[]),
        ("start: list{INT, \",\"}\nlist{x, separator}: x (separator x)*\n%import common.INT", &["1", "1,22"], &["1,", ","]),
        ("start: pair{pair{\"a\"}} \npair{x}: x x", &["aaaa"], &["aa", "aaa"]),
        ("start: /[[&~a-]+/ /\\/[]]/", &["[&~-a/]"], &["a/"]),
        ("start: /a b # c\n/x", &[], &[]),
        ("start: /é[^üß]+/ /[ß-ÿ](?!ß)/", &["éaß"], &["é", "éüß", "éßß", "éaý"]),
        ("start: /a b/x \"\\x41\\u00e9\\n\\\"\"", &["abAé\n\""], &["a bA"]),
        ("start: (\"a\"\n  \"b\"\n  | \"c\")", &["ab", "c"], &["a"]),
        ("start: N\n%import common.SIGNED_NUMBER -> N", &["-1.5e3", ".5", "7"], &["", "+", "e"]),
        (
            "start: ESCAPED_STRING CNAME\n%import common (ESCAPED_STRING, CNAME, WS)\n%ignore WS",
            &["\"a\\\"b\" _x1", "\"\"x"],
            &["\"a\\\" x", "\"a\" 1"],
        ),
        ("# a comment\nstart.2: A\nA.-1: \"a\"i \\\n  \"b\"i\n", &["aB"], &["a"]),
    ];
    for (source, valid, invalid) in cases {
        match Grammar::parse(source) {
            Ok(grammar) => {
                assert!(!valid.is_empty(), "{source}");
                valid.iter().for_each(|text| assert!(accepts(&grammar, text), "{source}\n{text}"));
                invalid.iter().for_each(|text| assert!(!accepts(&grammar, text), "{source}\n{text}"));
            }
            Err(error) => assert!(valid.is_empty(), "{error}\n{source}"),
        }
    }
}

#[test]
fn errors_say_what_and_where() {
    for (source, place, part) in [
        ("start: a", "line 1, column 8", "rule a is not defined"),
        ("start: \"a\" | A\n", "line 1, column 14", "terminal A is not defined"),
        ("start: \"a\"\nx: y\n", "line 2, column 4", "rule y is not defined"),
        ("start: \"a\"\nstart: \"b\"", "line 2, column 1", "defined twice"),
        ("start: A\nA: \"a\"\n\nA: \"b\"", "line 4, column 1", "defined twice"),
        ("start: (\"a\"", "line 1, column 12", "expected `)`"),
        ("start: \"a\" )", "line 1, column 12", "found `)`"),
        ("start: \"a\" ; \"b\"", "line 1, column 12", "';'"),
        ("start: \"a\n", "line 1, column 8", "does not end"),
        ("start: /a", "line 1, column 8", "does not end"),
        ("start: \"\"", "line 1, column 8", "empty string"),
        ("start: A\nA: /a*/", "line 1, column 8", "the terminal A matches the empty text"),
        ("start: A\nA: \"a\" B\nB: A", "line 3, column 4", "defined by itself"),
        ("start: \"a\\q\"", "line 1, column 10", "unknown escape"),
        ("start: /(a/", "line 1, column 8", "does not parse"),
        ("start: /a\\b/", "line 1, column 8", "word boundary"),
        ("start: /(?=a)a/", "line 1, column 8", "looks around"),
        ("start: /a|b(?!c)/", "line 1, column 8", "looks around"),
        ("start: /a/l", "line 1, column 8", "flag l"),
        ("start: \"b\"..\"a\"", "line 1, column 8", "later one"),
        ("start: \"a\"~3..2", "line 1, column 11", "no number of times"),
        ("start: x{\"a\"}\nx: \"b\"", "line 1, column 8", "takes 0 arguments"),
        ("start: Ab", "line 1, column 8", "neither a rule's"),
        ("%declare A\nstart: \"a\"", "line 1, column 1", "%declare"),
        ("%import other.A\nstart: A", "line 1, column 1", "common"),
        ("%import common.FOO\nstart: FOO", "line 1, column 1", "no terminal FOO; it has CNAME"),
        ("start: \"a\"\n%ignore x", "line 2, column 9", "cannot be made of the rule x"),
        ("x: \"a\"", "", "no rule `start`"),
        ("start: \"a\" start", "", "no text satisfies"),
        ("", "", "no rule `start`"),
    ] {
        let error = Grammar::parse(source).expect_err(source).to_string();
        assert!(error.starts_with(place) && error.contains(part), "{source:?}: {error}");
    }
}

#[test]
fn hostile_grammars_are_refused_quickly() {
    let doubling: String = (0..40).map(|n| format!("t{n}{{x}}: t{}{{x x}}\n", n + 1)).collect();
    let terminals: String = (0..40).map(|n| format!("T{n}: T{} T{}\n", n + 1, n + 1)).collect();
    for source in [
        format!("start: {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000)),
        "start: ((((\"a\"~1000)~1000)~1000)~1000)".to_owned(),
        "start: ()~4000000000".to_owned(),
        "start: \"a\"~0..4000000000".to_owned(),
        "start: /((a{1000}){1000}){1000}/".to_owned(),
        "start: /(?:[ab]*a[ab]{30})/ \"c\"".to_owned(),
        format!("start: t0{{\"a\"}}\n{doubling}t40{{x}}: x"),
        format!("start: T0\n{terminals}T40: \"a\""),
        "start: t{\"a\"}\nt{x}: x | t{(x x)}".to_owned(),
        format!("start: {}", "\"a\"? ".repeat(200_000)),
        // A rule whose deterministic form has 2^30 states.
        format!("start: (\"a\" | \"b\")* \"a\" {}", "(\"a\" | \"b\") ".repeat(30)),
    ] {
        let begin = std::time::Instant::now();
        assert!(Grammar::parse(&source).is_err(), "{}", &source[..60.min(source.len())]);
        assert!(begin.elapsed().as_secs() < 20, "{}", &source[..60.min(source.len())]);
    }
}

#[test]
fn what_is_never_used_is_told() {
    let grammar = grammar("start: \"a\"\nx: y\ny: x\nUSED: \"u\"\nOTHER: USED");
    let warnings: Vec<String> = grammar.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert_eq!(warnings[0], "line 2, column 1: the rule x is never used");
    for name in Grammar::builtin_names() {
        assert!(Grammar::builtin(name).unwrap().warnings().is_empty(), "{name}");
    }
}

#[test]
fn refusals_name_the_terminals() {
    let json = Grammar::builtin("json").unwrap();
    let rejection = json.explain(&json.start(), b"{\"a\": 1, }").unwrap();
    assert_eq!((rejection.offset(), rejection.found(), rejection.expected()), (9, Some(b'}'), "STRING or WS"));
    let rejection = json.explain(&json.start(), b"[tru]").unwrap();
    assert_eq!((rejection.offset(), rejection.expected()), (4, "the rest of \"true\""));
    let state = json.advance(&json.start(), b"[1").unwrap();
    assert_eq!(json.explain_end(&state).unwrap().expected(), "\",\", \"]\" or WS");
}

#[test]
fn the_grammars_that_come_along_know_their_languages() {
    let cases: BTreeMap<&str, (&[&str], &[&str])> = BTreeMap::from([
        ("arithmetic", (&["1", "-2^-x * (a + f(1, 2.5e-3)) % 3", "sin(x)", "2 ^ 3 ^ 4"][..], &["", "1 +", "2x", "(1", "f(1,)", "1 2"][..])),
        ("csv", (&["", "a,b", ",", "\"a,\"\"b\",c d", "é"], &["a\"b", "\"a", "a\nb", "\"a\"b"])),
        (
            "iso8601",
            (
                &["2026-11-26", "2026-11", "2026-W48-4", "2026-330", "14:05", "24:00", "2026-11-26T14:05:30.25+01:00", "23:59:60Z"],
                &["2026-13-01", "2026-02-30", "2026-11-31", "2026-W54", "2026-367", "24:01", "14:60", "2026-11-26 14:05"],
            ),
        ),
        ("json", (&["{\"a\": [1, -0.5e3, \"\\u00e9\", {}, []], \"b\": null}", " true "], &["{a: 1}", "[1,]", "01", "\"\t\"", "'a'", ""])),
        (
            "pddl_goal",
            (
                &["(and (on b1 b2) (not (clear b3)))", "(forall (?x ?y - block ?z) (imply (on ?x ?y) (= ?x b1)))", "(handempty)"],
                &["(and (on b1 b2)", "on a b", "(not)", "(forall ?x (p))", "(not (p) (q))", "()"],
            ),
        ),
        ("sexpr", (&["(a . (b c))", "'(1 -2.5 \"x\\\"y\" + ...)", "; note\n(λ x)", "()"], &["(a . b c)", "(", "(a))", "( . b)", ""])),
        (
            "smiles",
            (
                &[
                    "CC(=O)Oc1ccccc1C(=O)O",
                    "N[C@@H](C)C(=O)O",
                    "[Na+].[Cl-]",
                    "C/C=C/C",
                    "[13CH4]",
                    "C%12CC%12",
                    "[Fe++]",
                    "F/C=C\\F",
                    "OC[C@H]1OC(O)[C@H](O)[C@@H](O)[C@@H]1O",
                ],
                &["C(", "()", "C1CC)", "[C", "X", "C==C", "[0C]", ""],
            ),
        ),
        (
            "sqlite_select",
            (
                &[
                    "SELECT name FROM singer",
                    "select count(*), T1.a as x from t AS T1 JOIN u ON T1.id = u.id WHERE a NOT IN (SELECT b FROM c) GROUP BY x HAVING count(*) > 1 ORDER BY x DESC LIMIT 3;",
                    "SELECT DISTINCT a FROM t WHERE b LIKE '%x''y%' AND c BETWEEN 1 AND 2.5 OR NOT EXISTS (SELECT 1) UNION SELECT 2",
                    "WITH a AS (SELECT 1) SELECT CASE WHEN x IS NOT NULL THEN 1 ELSE 'b' END FROM a",
                    "SELECT*FROM[a b]WHERE x=-1",
                ],
                &[
                    "SELECT",
                    "SELECT FROM t",
                    "SELECTa FROM t",
                    "SELECT a FROM t WHERE",
                    "SELECT a,, b",
                    "DELETE FROM t",
                    "SELECT a FROM t LIMIT",
                    "SELECT 1a",
                    "SELECT (a",
                ],
            ),
        ),
    ]);
    assert_eq!(Grammar::builtin_names().collect::<Vec<_>>(), cases.keys().copied().collect::<Vec<_>>());
    for (name, (valid, invalid)) in cases {
        let grammar = Grammar::builtin(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        valid
            .iter()
            .for_each(|text| assert!(accepts(&grammar, text), "{name}: {text}\n{:?}", grammar.explain(&grammar.start(), text.as_bytes())));
        invalid.iter().for_each(|text| assert!(!accepts(&grammar, text), "{name}: {text}"));
    }
    assert!(Grammar::builtin("nosuch").unwrap_err().to_string().contains("json"));
}

#[test]
fn every_grammar_that_comes_along_tells_its_source_and_its_limits() {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("grammars")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let head: String = text.lines().take_while(|line| line.starts_with("//")).collect();
        assert!(head.contains("Source: ") && head.contains("Not covered: "), "{}", path.display());
        names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    assert_eq!(names, Grammar::builtin_names().map(str::to_owned).collect());
}

#[test]
fn real_queries_are_of_the_sql_grammar() {
    let root = std::env::var_os("TAMIS_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let Ok(queries) = std::fs::read_to_string(root.join("data/sql/coverage/spider_train_gold.sql")) else {
        println!("skipped: the queries are not here");
        return;
    };
    let grammar = Grammar::builtin("sqlite_select").unwrap();
    let (mut accepted, mut refused) = (0, Vec::new());
    for query in queries.lines().filter_map(|line| line.split('\t').next()) {
        match accepts(&grammar, query) {
            true => accepted += 1,
            false => refused.push(query),
        }
    }
    println!("{accepted} accepted; refused: {:#?}", &refused[..refused.len().min(40)]);
    assert!(accepted * 1000 >= (accepted + refused.len()) * 995, "{accepted} of {}", accepted + refused.len());
}
