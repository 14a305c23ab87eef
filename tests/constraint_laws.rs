//! The laws of [`Constraint`], which every implementation passes.
//!
//! Each constraint is asked about texts that proptest makes: some of it, some broken copies of these, and
//! some noise. What is known of a text, whether it belongs to the constraint, comes from elsewhere (another
//! regular expression engine, another validator), never from the constraint itself.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::collections::hash_map::{DefaultHasher, Entry, HashMap};
use std::hash::{Hash, Hasher};
use tamis::constraint::json_schema::Options;
use tamis::constraint::sql::{SqlColumn, SqlOptions, SqlProfile, SqlSchema, SqlSelect, SqlTable};
use tamis::constraint::{AnyConstraint, Constraint, JsonSchema, Predicate, Product, Question, Regex, Stop};
use tamis::vocab::{Token, TokenSet, Vocabulary};

/// All bytes and some longer tokens, among them halves of characters.
fn vocabulary() -> Vocabulary {
    let longer = [
        "ab", "\":", "\", \"", "{\"", "\"}", "}}", "],", "1.", "e1", "true", "null", " \n", "\\u00", "\\\"", "é", "a\"b", "0.5", "[[",
        "name",
    ];
    let longer = longer.into_iter().map(|text| text.as_bytes().to_vec()).chain([vec![0xC3, b'"'], vec![0xA9, b'"'], vec![b'"', 0xF0]]);
    let bytes = (0..=255).map(|byte| vec![byte]);
    Vocabulary::new(bytes.chain(longer).map(Token::Text).chain([Token::End])).unwrap()
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The state after `text`, piece by piece.
fn advance_by<C: Constraint>(constraint: &C, text: &[u8], sizes: &[usize]) -> Option<C::State> {
    let (mut state, mut rest) = (constraint.start(), text);
    let mut sizes = sizes.iter().copied().cycle();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(sizes.next().unwrap_or(1).clamp(1, rest.len()));
        let next = constraint.advance(&state, piece);
        assert_eq!(constraint.allows(&state, piece), next.is_some(), "allows and advance disagree on {piece:?}");
        state = next?;
        rest = after;
    }
    Some(state)
}

/// What a constraint answers at a state, as far as it can be compared.
fn answers<C: Constraint>(constraint: &C, state: &C::State, vocabulary: &Vocabulary) -> (TokenSet, bool, Vec<u8>, Option<usize>) {
    let (mut mask, mut forced) = (TokenSet::new(vocabulary.len()), Vec::new());
    constraint.mask(state, vocabulary.trie(), &mut mask);
    constraint.forced(state, &mut forced);
    (mask, constraint.may_end(state), forced, constraint.closing_cost(state))
}

/// Checks all laws on `texts`; `belongs` tells which are in the constraint.
fn obeys_the_laws<C: Constraint>(constraint: &C, texts: &[Vec<u8>], sizes: &[usize], belongs: impl Fn(&[u8]) -> bool) {
    let vocabulary = vocabulary();
    let start = constraint.start();
    assert_eq!(constraint.advance(&start, b"").as_ref(), Some(&start), "no bytes lead to an equal state");
    // Mask, whether the text may end, forced bytes, closing cost.
    type Answers = (TokenSet, bool, Vec<u8>, Option<usize>);
    let mut known: HashMap<C::State, Answers> = HashMap::new();
    for text in texts {
        let shown = String::from_utf8_lossy(text);
        // However it is cut, the same state.
        let whole = constraint.advance(&start, text);
        for sizes in [&[1][..], sizes] {
            let pieces = advance_by(constraint, text, sizes);
            assert_eq!(pieces, whole, "{shown} in pieces of {sizes:?}");
            assert_eq!(pieces.as_ref().map(hash_of), whole.as_ref().map(hash_of));
        }
        // The verdict at the end is exact, and what belongs was allowed all the way.
        let accepted = whole.as_ref().is_some_and(|state| constraint.may_end(state));
        assert_eq!(accepted, belongs(text), "{shown}");
        // Reasons agree with verdicts.
        match (&whole, constraint.explain(&start, text)) {
            (Some(state), None) => assert_eq!(constraint.explain_end(state).is_none(), accepted, "{shown}"),
            (None, Some(reason)) => {
                let at = reason.offset();
                assert_eq!(reason.found(), Some(text[at]), "{shown}");
                let before = constraint.advance(&start, &text[..at]).expect("the bytes before the refused one are allowed");
                assert!(!constraint.allows(&before, &text[at..=at]), "{shown}: {reason}");
            }
            (whole, reason) => panic!("{shown}: {whole:?} but {reason:?}"),
        }
        // At some places along the text: masks by brute force, equal states, what is forced and what is still to come.
        let places = (0..=text.len()).step_by((text.len() / 6).max(1));
        for at in places {
            let Some(state) = constraint.advance(&start, &text[..at]) else { break };
            let fork = state.clone();
            let answer = answers(constraint, &state, &vocabulary);
            for token in vocabulary.tokens() {
                let allowed = vocabulary.bytes(token).is_some_and(|bytes| constraint.advance(&fork, bytes).is_some());
                assert_eq!(answer.0.contains(token), allowed, "{shown} at {at}: {:?}", vocabulary.bytes(token));
            }
            assert_eq!((hash_of(&fork), &fork), (hash_of(&state), &state), "a fork is changed by what its sibling takes");
            let (_, may_end, forced, cost) = &answer;
            if accepted {
                let rest = &text[at..];
                assert!(forced.is_empty() || rest.starts_with(forced), "{shown} at {at}: {forced:?} is not forced");
                assert!(cost.is_none_or(|cost| cost <= rest.len()), "{shown} at {at}: {cost:?} bytes to the end, not {}", rest.len());
            }
            assert!(!may_end || forced.is_empty(), "{shown} at {at}: where the text may end nothing is forced");
            assert!(!may_end || cost.is_none_or(|cost| cost == 0), "{shown} at {at}");
            match known.entry(state) {
                Entry::Occupied(same) => assert_eq!(same.get(), &answer, "{shown} at {at}: equal states, different answers"),
                Entry::Vacant(new) => drop(new.insert(answer)),
            }
        }
    }
}

/// A text with one byte changed, inserted or taken out.
fn broken(text: &str, at: Index, byte: u8, how: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let place = at.index(bytes.len() + 1);
    match how % 3 {
        0 if place < bytes.len() => bytes[place] = byte,
        1 if place < bytes.len() => drop(bytes.remove(place)),
        _ => bytes.insert(place, byte),
    }
    bytes
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-30i64..30).prop_map(Value::from),
        prop::sample::select(vec!["1.0", "0.5", "-2.5e1", "10", "1e1", "7.25"]).prop_map(|number| serde_json::from_str(number).unwrap()),
        prop::sample::select(vec!["", "a", "ab", "red", "green", "é\"\\\n", "name"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop::sample::select(vec!["a", "b", "name", "kind", "é"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Schemas that between them use every applicator.
fn schemas() -> Vec<Value> {
    vec![
        json!(true),
        json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": -5, "maximum": 12}, "name": {"type": "string", "minLength": 1, "maxLength": 3}}, "required": ["a"], "additionalProperties": false}),
        json!({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}, {"type": ["string", "array"], "maxLength": 2, "maxItems": 2}, {"required": ["a"]}, {"required": ["b"]}]}),
        json!({"not": {"anyOf": [{"type": "string", "pattern": "^a"}, {"type": "array", "contains": {"type": "null"}}, {"properties": {"a": {"const": 1}}, "required": ["a"]}]}}),
        json!({"if": {"required": ["kind"]}, "then": {"properties": {"kind": {"enum": ["red", "green", 1, {"a": 1}]}}, "maxProperties": 2}, "else": {"minProperties": 1}, "type": ["object", "number"]}),
        json!({"items": {"enum": [1, 0.5, "red", null, [], {"a": [1, "ab"]}]}, "uniqueItems": true, "minItems": 1}),
        json!({"prefixItems": [{"type": "string"}, {"type": ["number", "object"]}], "contains": {"type": "integer"}, "minContains": 1, "maxContains": 2, "unevaluatedItems": {"type": "boolean"}}),
        json!({"anyOf": [{"properties": {"a": true}}, {"properties": {"b": {"type": "string"}}, "patternProperties": {"^n": {"type": "integer"}}}], "unevaluatedProperties": false}),
        json!({"propertyNames": {"pattern": "^[a-n]"}, "dependentRequired": {"a": ["b"]}, "dependentSchemas": {"b": {"properties": {"a": {"type": "integer"}}}}, "maxProperties": 3}),
        json!({"$defs": {"tree": {"type": "object", "properties": {"a": {"$ref": "#/$defs/tree"}, "b": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "additionalProperties": {"type": ["integer", "null"]}}}, "$ref": "#/$defs/tree"}),
        json!({"multipleOf": 0.5, "exclusiveMaximum": 7.25, "minLength": 2, "pattern": "[a-e]"}),
    ]
}

/// How a value may be spelled.
fn spell(value: &Value, how: u8) -> String {
    match how % 4 {
        0 => value.to_string(),
        1 => serde_json::to_string_pretty(value).unwrap(),
        2 => value.to_string().replace(':', " : ").replace(',', ",\n"),
        _ => value.to_string().replace("\"a", "\"\\u0061"),
    }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..7, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn json_schemas_obey_the_laws(
        values in prop::collection::vec((any_json(), any::<u8>()), 12),
        noise in prop::collection::vec((any::<Index>(), prop::sample::select(&b"\"\\{}[],:0159.-ea \nnt"[..]), any::<u8>()), 4),
        sizes in sizes(),
    ) {
        let mut texts: Vec<Vec<u8>> = values.iter().map(|(value, how)| spell(value, *how).into_bytes()).collect();
        for ((value, how), (at, byte, change)) in values.iter().zip(&noise) {
            texts.push(broken(&spell(value, *how), *at, *byte, *change));
        }
        for definition in schemas() {
            let oracle = jsonschema::validator_for(&definition).unwrap();
            let is_valid = |text: &[u8], spelled: &dyn Fn(&Value) -> bool| {
                let is_valid = |value: &Value| same_number_of_names(value, text) && oracle.is_valid(value);
                serde_json::from_slice::<Value>(text).is_ok_and(|value| is_valid(&value) && spelled(&value))
            };
            obeys_the_laws(&JsonSchema::new(&definition).unwrap(), &texts, &sizes, |text| is_valid(text, &|_| true));
            // In one spelling only, and not too deep.
            let mut options = Options::default();
            (options.canonical_escapes, options.plain_numbers, options.max_depth) = (true, true, 2);
            let schema = JsonSchema::with_options(&definition, &options).unwrap();
            // Whether a whole number may have a point depends on the schema.
            let texts: Vec<Vec<u8>> = texts.iter().filter(|text| !numbers(text).iter().any(|number| number.contains('.') && is_whole(number))).cloned().collect();
            let is_minus_zero = |number: &str| number.starts_with('-') && number.parse() == Ok(0.0);
            let is_plain = |number: &String| !number.contains(['e', 'E']) && !is_minus_zero(number);
            let spelled = |text: &[u8], value: &Value| value.to_string().as_bytes() == compact(text) && numbers(text).iter().all(is_plain);
            obeys_the_laws(&schema, &texts, &sizes, |text| is_valid(text, &|value| nesting(value) <= 2 && spelled(text, value)));
        }
    }

    #[test]
    fn regular_expressions_obey_the_laws(texts in prop::collection::vec("[0-9a-c-]{0,6}|[a-c]{1,3}é?|[0-9]{2}-[0-9]{2}", 12), sizes in sizes()) {
        let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
        for pattern in ["[0-9]{2}-[0-9]{2}", "(ab|a)*c?é?", ".*", "(?s).{2}|abc", "[^a]+"] {
            let oracle = regex_automata::dfa::regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            let belongs = |text: &[u8]| std::str::from_utf8(text).is_ok_and(|text| oracle.is_match(text));
            obeys_the_laws(&Regex::new(pattern).unwrap(), &texts, &sizes, belongs);
            obeys_the_laws(&AnyConstraint::new(Regex::new(pattern).unwrap()), &texts, &sizes, belongs);
        }
    }

    #[test]
    fn products_and_predicates_obey_the_laws(texts in prop::collection::vec("[a-c]{0,7}", 12), sizes in sizes()) {
        let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
        let short = || Predicate::new(|text, question| Ok(text.len() <= 5 && (question == Question::Prefix || text.contains(&b'b'))));
        let is_short = |text: &[u8]| text.len() <= 5 && text.contains(&b'b');
        obeys_the_laws(&short(), &texts, &sizes, is_short);
        let even = || Regex::new("(..)*").unwrap();
        let product = Product::new([AnyConstraint::new(short()), AnyConstraint::new(even())]);
        obeys_the_laws(&product, &texts, &sizes, |text| is_short(text) && text.len() % 2 == 0);
        obeys_the_laws(&AnyConstraint::new(product), &texts, &sizes, |text| is_short(text) && text.len() % 2 == 0);
        obeys_the_laws(&Product::new([]), &texts, &sizes, |_| true);
    }

    #[test]
    fn texts_that_end_at_a_stop_string_obey_the_laws(texts in prop::collection::vec("[a-c\n]{0,8}", 12), sizes in sizes()) {
        let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
        let stop = || Stop::at(Regex::new("[ab]+c?").unwrap(), ["\n", "ca"]);
        // What was written up to the first stop string belongs to the inner constraint.
        let whole = regex_automata::dfa::regex::Regex::new(r"\A[ab]+c?\z").unwrap();
        let belongs = |text: &[u8]| {
            let end = (0..text.len()).find(|end| text[*end] == b'\n' || text[*end..].starts_with(b"ca")).unwrap_or(text.len());
            whole.is_match(&text[..end])
        };
        obeys_the_laws(&stop(), &texts, &sizes, belongs);
        obeys_the_laws(&AnyConstraint::new(stop()), &texts, &sizes, belongs);
    }

    #[test]
    fn sql_queries_obey_the_laws(
        queries in prop::collection::vec(simple_query(), 8),
        noise in prop::collection::vec((any::<Index>(), prop::sample::select(b"abtu1,=".to_vec()), any::<u8>()), 8),
        sizes in sizes(),
    ) {
        let mut texts: Vec<Vec<u8>> = queries.iter().map(|query| query.clone().into_bytes()).collect();
        texts.extend(queries.iter().zip(&noise).map(|(query, (at, byte, how))| broken(query, *at, *byte, *how)));
        for profile in [SqlProfile::Spider, SqlProfile::Extended, SqlProfile::Analytic] {
            let select = SqlSelect::with_options(&two_tables(), SqlOptions::profile(profile));
            obeys_the_laws(&select, &texts, &sizes, |text| is_simple_query(std::str::from_utf8(text).unwrap()));
        }
    }
}

/// `t (a, ab)` and `u (a, b)`.
fn two_tables() -> SqlSchema {
    let table = |name: &str, columns: [&str; 2]| SqlTable::new(name, columns.map(|column| SqlColumn::new(column, "")));
    SqlSchema::new([table("t", ["a", "ab"]), table("u", ["a", "b"])]).unwrap()
}

/// Queries of one simple form on the two tables, most of them wrong in their names.
fn simple_query() -> impl Strategy<Value = String> {
    let column = || prop::sample::select(vec!["a", "ab", "b", "1"]);
    let tables = prop::sample::select(vec!["t", "u", "t, u", "u,t", "t , t"]);
    let items = prop::collection::vec(column(), 1..3);
    let condition = prop::option::of((column(), column()));
    (items, tables, condition).prop_map(|(items, tables, condition)| {
        let condition = condition.map_or_else(String::new, |(left, right)| format!(" WHERE {left} ={right}"));
        format!("SELECT {} FROM {tables}{condition}", items.join(", "))
    })
}

/// Whether a text is such a query and right: tables come once, and each column is in one of them.
fn is_simple_query(text: &str) -> bool {
    let tables = [("t", ["a", "ab"]), ("u", ["a", "b"])];
    let form = regex::Regex::new(r"^(?i:SELECT) (.*?) (?i:FROM) (.*?)(?: (?i:WHERE) ([^=]*)=([^=]*))?$").unwrap();
    let Some(parts) = form.captures(text) else { return false };
    // One blank may stand before and after a name or number, but not at the end of a query.
    let words = |list: &str, ends: bool| -> Option<Vec<String>> {
        let words = list.split(',').map(|word| {
            let word = word.strip_prefix(' ').unwrap_or(word);
            word.strip_suffix(' ').unwrap_or(word).to_owned()
        });
        (!(ends && list.ends_with(' '))).then(|| words.collect())
    };
    let has_condition = parts.get(3).is_some();
    let Some(sources) = words(&parts[2], !has_condition) else { return false };
    let known = sources.iter().all(|source| tables.iter().any(|(name, _)| name == source));
    let twice = (1..sources.len()).any(|at| sources[..at].contains(&sources[at]));
    let operands = parts.get(3).zip(parts.get(4)).map(|(left, right)| {
        let one = |words: Option<Vec<String>>| words.filter(|words| words.len() == 1);
        Some([one(words(left.as_str(), false))?, one(words(right.as_str(), true))?].concat())
    });
    let (Some(mut columns), Some(operands)) = (words(&parts[1], false), operands.unwrap_or_else(|| Some(Vec::new()))) else { return false };
    columns.extend(operands);
    let is_value = |value: &String| {
        let having =
            tables.iter().filter(|(name, columns)| sources.iter().any(|source| source == name) && columns.contains(&value.as_str()));
        let number = !value.is_empty() && value.len() <= 12 && value.bytes().all(|byte| byte.is_ascii_digit());
        number || having.count() == 1
    };
    known && !twice && columns.iter().all(is_value)
}

fn nesting(value: &Value) -> u32 {
    match value {
        Value::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}

/// The bytes outside of strings, and those within.
fn by_place(text: &[u8]) -> impl Iterator<Item = (bool, u8)> {
    let (mut inside, mut escaped) = (false, false);
    text.iter().map(move |byte| {
        let was_inside = inside;
        inside ^= *byte == b'"' && !escaped;
        escaped = inside && *byte == b'\\' && !escaped;
        (was_inside || inside, *byte)
    })
}

/// A text without its white space.
fn compact(text: &[u8]) -> Vec<u8> {
    by_place(text).filter(|(inside, byte)| *inside || !byte.is_ascii_whitespace()).map(|(_, byte)| byte).collect()
}

/// The numbers in a text, as they are written.
fn numbers(text: &[u8]) -> Vec<String> {
    let outside: String = by_place(text).map(|(inside, byte)| if inside { ' ' } else { char::from(byte) }).collect();
    let pieces = outside.split(|letter: char| !matches!(letter, '0'..='9' | '.' | '-' | '+' | 'e' | 'E'));
    pieces.filter(|piece| piece.contains(|letter: char| letter.is_ascii_digit())).map(str::to_owned).collect()
}

fn is_whole(number: &str) -> bool {
    number.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
}

/// Whether a text has as many property names as its value: duplicates are refused here, and by no other
/// validator.
fn same_number_of_names(value: &Value, text: &[u8]) -> bool {
    fn names(value: &Value) -> usize {
        match value {
            Value::Array(items) => items.iter().map(names).sum(),
            Value::Object(members) => members.len() + members.values().map(names).sum::<usize>(),
            _ => 0,
        }
    }
    names(value) == by_place(text).filter(|at| *at == (false, b':')).count()
}
