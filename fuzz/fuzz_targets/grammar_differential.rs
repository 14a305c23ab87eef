//! A random grammar over two letters has exactly the texts that its rules derive.

#![no_main]

#[path = "../../tests/common/grammars.rs"]
mod grammars;

use arbitrary::{Result, Unstructured};
use grammars::{Part, check_laws, enumerate, lark};
use libfuzzer_sys::fuzz_target;
use tamis::constraint::Grammar;

/// The longest texts that are compared.
const LENGTH: usize = 5;

fn part(source: &mut Unstructured<'_>, depth: u32) -> Result<Part> {
    Ok(match source.int_in_range(0..=if depth == 0 { 2 } else { 7 })? {
        0 => Part::Letter(*source.choose(&['a', 'b'])?),
        1 => Part::Rule(source.int_in_range(0..=2)?),
        2 => Part::Sequence(Vec::new()),
        3 | 4 => Part::Sequence(parts(source, depth - 1)?),
        5 | 6 => Part::Choice(parts(source, depth - 1)?),
        _ => Part::Repeat(Box::new(part(source, depth - 1)?), source.choose(&["?", "*", "+", "~2", "~1..3"])?),
    })
}

fn parts(source: &mut Unstructured<'_>, depth: u32) -> Result<Vec<Part>> {
    (0..source.int_in_range(1..=3)?).map(|_| part(source, depth)).collect()
}

fuzz_target!(|data: &[u8]| {
    let mut source = Unstructured::new(data);
    let Ok(rules) = (0..3).map(|_| part(&mut source, 3)).collect::<Result<Vec<Part>>>() else { return };
    let (source, language) = (lark(&rules), enumerate(&rules, LENGTH));
    match Grammar::parse(&source) {
        Ok(grammar) => check_laws(&grammar, &language, "ab", LENGTH),
        Err(error) => assert!(error.is_unsatisfiable() && language.is_empty(), "{error}\n{source}"),
    }
});
