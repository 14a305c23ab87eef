//! A query taken apart at its outermost clauses.

/// A clause of the outermost SELECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlClause<'a> {
    /// The keyword that begins it: WITH, SELECT, FROM, WHERE, GROUP, HAVING, ORDER, LIMIT or a set operation.
    pub keyword: &'static str,
    /// The offset of its first byte.
    pub start: usize,
    /// Its text, keyword included, without white space around it and without a last `;`.
    pub text: &'a str,
}

const BEGINNINGS: [&str; 11] = ["WITH", "SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION", "INTERSECT", "EXCEPT"];

/// The outermost clauses of a query or of a prefix of one, in their order.
///
/// ```
/// use tamis::constraint::sql::clauses;
/// let parts = clauses("SELECT name FROM t WHERE x IN (SELECT y FROM u) ORDER BY name");
/// assert_eq!(parts.iter().map(|part| part.keyword).collect::<Vec<_>>(), ["SELECT", "FROM", "WHERE", "ORDER"]);
/// assert_eq!(parts[2].text, "WHERE x IN (SELECT y FROM u)");
/// ```
pub fn clauses(query: &str) -> Vec<SqlClause<'_>> {
    let mut starts: Vec<(usize, &'static str)> = Vec::new();
    let (mut depth, mut quote, mut word) = (0usize, None, None);
    for (at, byte) in query.bytes().chain([b' ']).enumerate() {
        if let Some(close) = quote {
            if byte == close {
                quote = None;
            }
            continue;
        }
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 {
            word.get_or_insert(at);
            continue;
        }
        if let Some(start) = word.take()
            && depth == 0
            && (start == 0 || query.as_bytes()[start - 1] != b'.')
            && let Some(keyword) = BEGINNINGS.iter().find(|keyword| keyword.eq_ignore_ascii_case(&query[start..at]))
        {
            starts.push((start, keyword));
        }
        match byte {
            b'\'' | b'"' | b'`' => quote = Some(byte),
            b'[' => quote = Some(b']'),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([query.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((start, keyword), end)| SqlClause { keyword, start: *start, text: query[*start..end].trim_end_matches([';', ' ', '\n']) })
        .collect()
}

/// The text with what does not matter taken out: case and white space outside quotes, a last `;`.
///
/// ```
/// use tamis::constraint::sql::canonical;
/// assert_eq!(canonical("SELECT  Name ,count( * ) FROM T WHERE x = 'A b';"), "select name,count(*)from t where x='A b'");
/// ```
pub fn canonical(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    let (mut quote, mut space) = (None, false);
    for character in query.trim().trim_end_matches(';').trim_end().chars() {
        if let Some(close) = quote {
            out.push(character);
            if character == close {
                quote = None;
            }
            continue;
        }
        if character.is_whitespace() {
            space = true;
            continue;
        }
        // White space matters between two words alone.
        let in_word = |character: char| character.is_alphanumeric() || character == '_';
        if std::mem::take(&mut space) && in_word(character) && out.chars().last().is_some_and(in_word) {
            out.push(' ');
        }
        match character {
            '\'' | '"' | '`' => quote = Some(character),
            '[' => quote = Some(']'),
            _ => {}
        }
        out.push(character.to_ascii_lowercase());
    }
    out
}
