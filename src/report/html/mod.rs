//! A record as a page for the browser: one file that asks for nothing else.
//!
//! `page.html` is the frame, `style.css` the looks; the scripts are joined in the order of `SCRIPTS`
//! into one module. `data.rs` is what the page is told of a record: its numbers to five digits, in
//! columns, since a large run has tens of thousands of tokens. A policy in the page forbids it any
//! request, so that what a model wrote cannot call home either.

mod data;

use super::Record;
use data::PageData;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");

/// The parts of the page's script; the last one runs, the others define what it runs.
const SCRIPTS: [&str; 7] = [
    include_str!("model.js"),
    include_str!("format.js"),
    include_str!("lists.js"),
    include_str!("text.js"),
    include_str!("card.js"),
    include_str!("timeline.js"),
    include_str!("main.js"),
];

/// The page that draws `record`.
///
/// ```
/// use tamis::report::{Record, RunInfo, html};
/// let page = html::page(&Record::unsatisfiable(&RunInfo::default(), "nothing is a number and a </script>"));
/// assert!(page.starts_with("<!doctype html>") && page.contains(r"nothing is a number and a \u003c/script>"));
/// ```
pub fn page(record: &Record) -> String {
    let data = serde_json::to_string(&PageData::new(record)).expect("numbers and texts are JSON");
    fill(PAGE, |slot| match slot {
        "title" => escaped(&title(record)),
        "style" => STYLE.into(),
        "script" => SCRIPTS.join("\n"),
        // In JSON "<" stands in strings alone, where it may be escaped: no tag can begin in the data.
        "data" => data.replace('<', "\\u003c"),
        _ => unreachable!("page.html has a slot {slot:?}, which nothing fills"),
    })
}

/// The template with its slots, `{{name}}`, filled; what fills them is not searched for slots again.
fn fill(template: &str, content: impl Fn(&str) -> String) -> String {
    let mut page = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (slot, after) = after.split_once("}}").expect("a slot of page.html ends");
        page.push_str(before);
        page.push_str(&content(slot));
        rest = after;
    }
    page + rest
}

/// The first words of the prompt.
fn title(record: &Record) -> String {
    const WORDS: usize = 60;
    let prompt = record.prompt.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut title: String = prompt.chars().take(WORDS).collect();
    if title.len() < prompt.len() {
        title.push('…');
    }
    if title.is_empty() { "a run of tamis".into() } else { title + " – tamis" }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
