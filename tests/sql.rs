//! SQL queries on a known schema: gold queries are accepted in any tokenisation, wrong names are refused
//! at the first byte that leaves no way out.

#[path = "common/sql.rs"]
mod sql;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sql::{json_lines, normalized, shared, spider_schemas, walk};
use tamis::constraint::Constraint;
use tamis::constraint::sql::{SqlColumn, SqlOptions, SqlProfile, SqlSchema, SqlSelect, SqlTable};
use tamis::vocab::{Token, TokenSet, Vocabulary};

/// Accepts each query byte by byte and in random pieces; gives those that were refused.
fn refused(queries: &SqlSelect, text: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    if let Err(why) = walk(queries, text, &[1]) {
        return Some(why);
    }
    let pieces: Vec<usize> = (0..7).map(|_| rng.random_range(1..9)).collect();
    walk(queries, text, &pieces).err().map(|why| format!("in pieces of {pieces:?}: {why}"))
}

#[test]
fn gold_queries_of_spider_are_accepted_in_any_tokenisation() {
    let (Some(tables), Some(dev)) = (shared("spider-dev/tables.json"), shared("spider-dev/dev.jsonl")) else { return };
    let schemas = spider_schemas(&tables);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut wrong = Vec::new();
    for case in json_lines(&dev) {
        let queries = SqlSelect::new(&schemas[case["db_id"].as_str().unwrap()]);
        let query = normalized(case["query"].as_str().unwrap());
        wrong.extend(refused(&queries, &query, &mut rng));
    }
    assert!(wrong.is_empty(), "{} refused:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn nearly_all_training_queries_of_spider_are_accepted() {
    let (Some(tables), Some(gold)) = (shared("spider-train/tables.json"), shared("coverage/spider_train_gold.sql")) else { return };
    let schemas = spider_schemas(&tables);
    let queries: std::collections::HashMap<_, _> = schemas.iter().map(|(name, schema)| (name.as_str(), SqlSelect::new(schema))).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in std::fs::read_to_string(gold).unwrap().lines().filter(|line| !line.is_empty()) {
        let (query, database) = line.rsplit_once('\t').unwrap();
        count += 1;
        wrong.extend(refused(&queries[database.trim()], &normalized(query), &mut rng));
    }
    println!("{} of {count} refused:\n{}", wrong.len(), wrong.join("\n"));
    assert!(wrong.len() * 100 <= count, "{} of {count} refused", wrong.len());
}

fn table(name: &str, columns: &[&str]) -> SqlTable {
    SqlTable::new(name, columns.iter().map(|column| SqlColumn::new(*column, "")))
}

/// Singers and concerts; "name" is in both, "year" only in concerts, "age" only of singers.
fn concerts() -> SqlSchema {
    SqlSchema::new([
        table("singer", &["id", "name", "age"]),
        table("concert", &["concert_id", "name", "year", "singer_id"]),
        table("Order Details", &["id", "Unit Price", "order"]),
    ])
    .unwrap()
}

fn extended() -> SqlSelect {
    SqlSelect::with_options(&concerts(), SqlOptions::profile(SqlProfile::Extended))
}

/// The text before the first byte that is refused, and what was expected there.
fn refusal(queries: &SqlSelect, text: &str) -> (String, String) {
    let why = queries.explain(&queries.start(), text.as_bytes()).unwrap_or_else(|| panic!("{text:?} is not refused"));
    (text[..why.offset()].to_owned(), why.expected().to_owned())
}

#[test]
fn a_wrong_name_is_refused_at_the_first_byte_that_leaves_no_way_out() {
    let queries = SqlSelect::new(&concerts());
    for (text, alive) in [
        // No such name.
        ("SELECT nmae FROM singer", "SELECT n"),
        ("SELECT name FROM singers", "SELECT name FROM singer"),
        ("SELECT T1.agr FROM singer AS T1", "SELECT T1.ag"),
        ("SELECT singer.year FROM singer", "SELECT singer."),
        // A name of a table that is not there.
        ("SELECT name FROM singer WHERE year = 1", "SELECT name FROM singer WHERE "),
        ("SELECT T1.name FROM singer AS T1 WHERE T2.year = 1", "SELECT T1.name FROM singer AS T1 WHERE T"),
        ("SELECT T1.name FROM singer AS T1 WHERE singer.age = 1", "SELECT T1.name FROM singer AS T1 WHERE "),
        ("SELECT T1.year FROM singer AS T1", "SELECT T1.year FROM singer AS T"),
        ("SELECT T1.age, T1.year FROM singer", "SELECT T1.age, T1."),
        ("SELECT age FROM concert WHERE year = 1", "SELECT age FROM concert "),
        // Ambiguous, or bound to be.
        ("SELECT name FROM singer JOIN concert", "SELECT name FROM singer JOIN "),
        ("SELECT age, year, name FROM singer", "SELECT age, year, "),
        ("SELECT T1.age FROM singer AS T1 JOIN concert AS T2 WHERE name = 1", "SELECT T1.age FROM singer AS T1 JOIN concert AS T2 WHERE n"),
        // FROM that never brings what was asked for.
        ("SELECT year FROM singer WHERE age > 1", "SELECT year FROM singer "),
        ("SELECT T2.year FROM singer AS T1 WHERE T1.age > 1", "SELECT T2.year FROM singer AS T1 "),
        // Scopes.
        ("SELECT name FROM singer WHERE id IN (SELECT age FROM concert)", "SELECT name FROM singer WHERE id IN (SELECT age FROM concert"),
        ("SELECT T1.age FROM singer AS T1 JOIN concert AS T1", "SELECT T1.age FROM singer AS T1 JOIN concert AS T"),
    ] {
        assert_eq!(refusal(&queries, text).0, alive, "{text}");
    }
}

#[test]
fn what_sqlite_refuses_for_another_reason_is_refused_too() {
    let queries = extended();
    for text in [
        "SELECT count(*) FROM singer WHERE count(*) > 1",
        "SELECT sum(max(age)) FROM singer",
        "SELECT age FROM singer ORDER BY count(*)",
        "SELECT age FROM singer HAVING age > 1",
        "SELECT age FROM singer ORDER BY 2",
        "SELECT count(*), age FROM singer GROUP BY 1",
        "SELECT age FROM singer WHERE id IN (SELECT id, age FROM singer)",
        "SELECT age FROM singer UNION SELECT id, age FROM singer",
        "SELECT age FROM singer LIMIT 1 UNION SELECT id FROM singer",
        "SELECT age FROM singer UNION SELECT id FROM singer ORDER BY name",
        "SELECT max(*) FROM singer",
        "SELECT age FROM singer ORDER BY (1)",
        "SELECT max(age) AS oldest FROM singer WHERE oldest > 1",
        "SELECT max(age) AS oldest FROM singer GROUP BY oldest",
    ] {
        assert!(walk(&queries, text, &[1]).is_err(), "{text}");
    }
}

#[test]
fn legal_oddities_that_only_look_like_queries_are_refused() {
    let queries = extended();
    for text in [
        "SELECT name FROM singer ASC",
        "SELECT name FROM singer s",
        "SELECT name -- all of them\nFROM singer",
        "SELECT name /* all of them */ FROM singer",
        "SELECT name FROM 'singer'",
        "SELECT name FROM singer WHERE age = 1 = 1",
        "SELECT name FROM singer WHERE age",
        "SELECT name FROM singer WHERE age = 12345678901234567890",
        "SELECT name  FROM singer",
        "SELECT name FROM singer; SELECT age FROM singer",
        "SELECT name FROM singer WHERE name = \"Bob\"",
        "SELECT a FROM (SELECT age AS a FROM singer)",
        "DELETE FROM singer",
        "SELECT 1",
    ] {
        assert!(walk(&queries, text, &[1]).is_err(), "{text}");
    }
}

#[test]
fn queries_of_the_extended_profile_are_accepted_in_it_alone() {
    let (queries, spider) = (extended(), SqlSelect::new(&concerts()));
    for text in [
        "SELECT name FROM singer WHERE age IS NOT NULL;",
        "SELECT count(*) AS number, age FROM singer GROUP BY age ORDER BY number DESC LIMIT 3 OFFSET 1",
        "SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END AS kind, count(*) FROM singer GROUP BY kind",
        "SELECT CAST(sum(age) AS REAL) / count(*) FROM singer",
        "SELECT upper(T1.name) || ' !' FROM singer AS T1 LEFT JOIN concert AS T2 ON T1.id = T2.singer_id",
        "SELECT name FROM singer WHERE EXISTS (SELECT * FROM concert WHERE concert.singer_id = singer.id)",
        "SELECT name FROM singer UNION ALL SELECT name FROM concert ORDER BY name",
        "SELECT * FROM (SELECT count(*) AS n FROM singer) AS T1 WHERE n > 1 AND T1.n < 5",
        "SELECT iif(age > 3, coalesce(name, 'x'), NULL) FROM singer",
        "SELECT sum(age > 30) FROM singer",
    ] {
        walk(&queries, text, &[1]).unwrap();
        walk(&queries, text, &[3, 1, 7]).unwrap();
        assert!(walk(&spider, text, &[1]).is_err(), "{text}");
    }
}

#[test]
fn queries_of_the_analytic_profile_are_accepted_in_it_alone() {
    let queries = SqlSelect::with_options(&concerts(), SqlOptions::profile(SqlProfile::Analytic));
    for text in [
        "SELECT name, rank() OVER (PARTITION BY age ORDER BY name DESC NULLS LAST) AS place FROM singer ORDER BY place, name NULLS FIRST",
        "SELECT year, count(*), row_number() OVER (ORDER BY count(*) DESC) FROM concert GROUP BY year",
        "SELECT year - lag(year, 1, 0) OVER (ORDER BY year) FROM concert",
        "SELECT 100.0 * age / sum(age) OVER () FROM singer WHERE age IS NOT NULL",
        "SELECT age FROM singer ORDER BY dense_rank() OVER (ORDER BY age), 1 DESC NULLS LAST",
    ] {
        walk(&queries, text, &[1]).unwrap();
        walk(&queries, text, &[4, 1, 6]).unwrap();
        assert!(walk(&extended(), text, &[1]).is_err(), "{text}");
    }
    for text in [
        "SELECT rank() FROM singer",
        "SELECT rank(age) OVER () FROM singer",
        "SELECT abs(age) OVER () FROM singer",
        "SELECT sum(rank() OVER ()) FROM singer",
        "SELECT rank() OVER (ORDER BY rank() OVER ()) FROM singer",
        "SELECT lag(rank() OVER ()) OVER () FROM singer",
        "SELECT age FROM singer WHERE rank() OVER () = 1",
        "SELECT age FROM singer GROUP BY rank() OVER ()",
        "SELECT count(DISTINCT age) OVER () FROM singer",
        "SELECT rank() OVER () AS r FROM singer GROUP BY r",
        "SELECT age, sum(age) OVER () FROM singer ORDER BY count(*)",
        "SELECT age FROM singer GROUP BY age NULLS LAST",
        "SELECT age FROM singer LIMIT 3 NULLS LAST",
    ] {
        assert!(walk(&queries, text, &[1]).is_err(), "{text}");
    }
}

fn analytic() -> SqlSelect {
    SqlSelect::with_options(&concerts(), SqlOptions::profile(SqlProfile::Analytic))
}

#[test]
fn with_using_and_filter_are_accepted_in_the_analytic_profile_alone() {
    let queries = analytic();
    for text in [
        "WITH old AS (SELECT name, age FROM singer WHERE age > 60) SELECT name FROM old ORDER BY age",
        "with q(who, total) as (select singer_id, count(*) from concert group by 1) select name, total from singer join q on id = who",
        "WITH a AS (SELECT id FROM singer), b AS (SELECT T1.id FROM a AS T1 JOIN singer AS T2 ON T1.id = T2.id) SELECT count(*) FROM b",
        "WITH singer AS (SELECT year FROM concert) SELECT singer.year FROM singer WHERE year > 3",
        "WITH q AS (SELECT max(age) FROM singer) SELECT q.*, T1.name FROM q, singer AS T1",
        "WITH q AS (SELECT T1.name, T2.name FROM singer AS T1, concert AS T2) SELECT name FROM q",
        "WITH q(a) AS (SELECT age FROM singer UNION SELECT year FROM concert) SELECT a, count(*) FROM q GROUP BY a HAVING a > 3",
        "SELECT name FROM singer WHERE id IN (WITH q AS (SELECT singer_id AS who FROM concert) SELECT who FROM q)",
        "SELECT T1.id FROM singer AS T1 JOIN (WITH q AS (SELECT age FROM singer) SELECT age AS old FROM q) AS T2 ON old > T1.id",
        "WITH q AS (WITH r AS (SELECT id FROM singer) SELECT id FROM r) SELECT T1.id FROM q AS T1 JOIN q AS T2 USING (id)",
        "SELECT id, year FROM singer JOIN [order details] USING (id) JOIN concert ON id = singer_id",
        "SELECT name, singer.name, concert.name FROM singer LEFT JOIN concert USING (name) WHERE name = 'x' GROUP BY name",
        "SELECT age FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id JOIN [order details] AS T3 USING (id)",
        "SELECT * FROM singer JOIN concert USING (name) UNION SELECT 1, 2, 3, 4, 5, 6 FROM singer",
        "SELECT count(*) FILTER (WHERE age > 30), sum(DISTINCT age) FILTER (WHERE name LIKE 'a%' OR NOT age IN (SELECT year FROM concert)) FROM singer",
        "SELECT age, count(*) FILTER (WHERE id > 1) OVER (PARTITION BY age) AS n FROM singer ORDER BY n",
        "SELECT age FROM singer GROUP BY age HAVING count(*) FILTER (WHERE id > 1) > 2 ORDER BY max(id) FILTER (WHERE id < 9)",
    ] {
        walk(&queries, text, &[1]).unwrap();
        walk(&queries, text, &[4, 1, 6]).unwrap();
        assert!(walk(&extended(), text, &[1]).is_err(), "{text}");
    }
}

#[test]
fn names_of_with_and_of_using_mean_something_in_their_scope_alone() {
    let queries = analytic();
    for (text, alive) in [
        // A name that no column of the query has, or that has no column.
        ("WITH q AS (SELECT age FROM singer) SELECT q.id FROM q", "WITH q AS (SELECT age FROM singer) SELECT q."),
        ("WITH q AS (SELECT max(age) FROM singer) SELECT q.a FROM q", "WITH q AS (SELECT max(age) FROM singer) SELECT q."),
        ("WITH q(a) AS (SELECT age FROM singer) SELECT q.age FROM q", "WITH q(a) AS (SELECT age FROM singer) SELECT q.a"),
        ("WITH q(a, b) AS (SELECT age FROM singer) SELECT a FROM q", "WITH q(a, b) AS (SELECT age "),
        ("WITH q(a, a) AS (SELECT age, id FROM singer) SELECT a FROM q", "WITH q(a, a"),
        // Its own name, a later one, one that is out of scope.
        ("WITH q AS (SELECT age FROM q) SELECT age FROM q", "WITH q AS (SELECT age FROM "),
        ("WITH singer AS (SELECT name FROM singer) SELECT name FROM singer", "WITH singer AS (SELECT name FROM "),
        ("WITH q AS (SELECT a FROM r), r AS (SELECT age AS a FROM singer) SELECT a FROM q", "WITH q AS (SELECT a"),
        (
            "SELECT name FROM singer WHERE id IN (WITH q AS (SELECT age FROM singer) SELECT age FROM q) AND q.age = 1",
            "SELECT name FROM singer WHERE id IN (WITH q AS (SELECT age FROM singer) SELECT age FROM q) AND ",
        ),
        // A name that is taken: by another query, by an alias, by a table that was read.
        ("WITH q AS (SELECT age FROM singer), q AS (SELECT age FROM singer) SELECT 1 FROM q", "WITH q AS (SELECT age FROM singer), q"),
        ("WITH T1 AS (SELECT age FROM singer) SELECT age FROM T1", "WITH T1"),
        (
            "WITH q AS (SELECT age FROM singer), singer AS (SELECT year FROM concert) SELECT 1 FROM q",
            "WITH q AS (SELECT age FROM singer), singer",
        ),
        // A table that is hidden.
        ("WITH singer AS (SELECT year FROM concert) SELECT age FROM singer", "WITH singer AS (SELECT year FROM concert) SELECT a"),
        (
            "WITH singer AS (SELECT year FROM concert) SELECT singer.age FROM singer",
            "WITH singer AS (SELECT year FROM concert) SELECT singer.",
        ),
        // A column of USING that one side lacks, and what it leaves ambiguous.
        ("SELECT age FROM singer JOIN concert USING (age)", "SELECT age FROM singer JOIN concert USING ("),
        ("SELECT age FROM singer JOIN concert USING (name, id)", "SELECT age FROM singer JOIN concert USING (name"),
        ("SELECT age FROM singer, concert USING (name)", "SELECT age FROM singer, concert U"),
        ("SELECT name FROM singer JOIN concert ON age = year", "SELECT name FROM singer JOIN concert "),
        ("SELECT name FROM singer JOIN concert WHERE age = year", "SELECT name FROM singer JOIN concert "),
        ("SELECT id FROM singer JOIN [order details] AS T1 ON age = 1", "SELECT id FROM singer JOIN [order details] AS T1 "),
        (
            "SELECT T1.age FROM singer AS T1 JOIN singer AS T2 USING (name) WHERE id = 1",
            "SELECT T1.age FROM singer AS T1 JOIN singer AS T2 USING (name) WHERE i",
        ),
        // FILTER where it may not stand.
        ("SELECT abs(age) FILTER (WHERE age > 1) FROM singer", "SELECT abs(age) F"),
        ("SELECT rank() FILTER (WHERE age > 1) OVER () FROM singer", "SELECT rank() "),
        ("SELECT max(age) FILTER (WHERE max(age) > 1) FROM singer", "SELECT max(age) FILTER (WHERE "),
        ("SELECT count(DISTINCT age) FILTER (WHERE age > 1) OVER () FROM singer", "SELECT count(DISTINCT age) FILTER (WHERE age > 1) "),
    ] {
        assert_eq!(refusal(&queries, text).0, alive, "{text}");
    }
}

#[test]
fn a_table_that_only_using_can_join_is_not_refused() {
    let queries = analytic();
    // Before FROM `name` is of both tables, so one must be joined by it.
    for text in [
        "SELECT name, age, year FROM singer JOIN concert USING (name)",
        "SELECT name, singer.age, concert.year FROM concert JOIN singer USING (name)",
        "SELECT T1.age, T2.year, name FROM singer AS T1 JOIN concert AS T2 USING (name) WHERE name > 'a'",
    ] {
        walk(&queries, text, &[1]).unwrap();
        assert!(walk(&extended(), text, &[1]).is_err(), "{text}");
    }
}

#[test]
fn a_column_in_parentheses_keeps_its_name() {
    // To SQLite both sources have an `age` here.
    let text = "SELECT count(*) FROM (SELECT (age) FROM singer) AS T1, singer WHERE age > 1";
    assert!(walk(&extended(), text, &[1]).is_err());
}

#[test]
fn words_that_are_keywords_elsewhere_may_name_columns() {
    let schema = SqlSchema::new([table("name", &["first", "last", "over", "nulls", "rank"])]).unwrap();
    let queries = SqlSelect::with_options(&schema, SqlOptions::profile(SqlProfile::Analytic));
    for text in ["SELECT first, last, over FROM name ORDER BY nulls NULLS FIRST", "SELECT rank, rank() OVER (ORDER BY rank) FROM name"] {
        walk(&queries, text, &[1]).unwrap();
    }
}

#[test]
fn names_are_without_regard_to_case_and_may_be_quoted() {
    let queries = SqlSelect::new(&concerts());
    for text in [
        "sElEcT NAME from SINGER where Age >= 3.5 Group By age Order By COUNT (*)",
        "SELECT \"Unit Price\" FROM \"Order Details\"",
        "SELECT [unit price], `ORDER` FROM `order details` AS T1 WHERE T1.[order] = 3 AND T1.\"Unit Price\" < -2",
        "SELECT \"name\" FROM [singer] WHERE name = 'it''s \u{e9}'",
        "SELECT T1.*, T2.\"year\" FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id",
    ] {
        walk(&queries, text, &[1]).unwrap();
    }
    for text in ["SELECT \"price\" FROM singer", "SELECT order FROM [order details]", "SELECT Unit Price FROM [Order Details]"] {
        assert!(walk(&queries, text, &[1]).is_err(), "{text}");
    }
}

#[test]
fn refusals_say_what_was_expected() {
    let queries = SqlSelect::new(&concerts());
    let expected = |text| refusal(&queries, text).1;
    assert_eq!(expected("SELECT T1.name FROM singer AS T1 WHERE T1.year"), "a column of T1 (singer): age, id or name");
    assert_eq!(expected("SELECT age FROM concert WHERE"), "AS, JOIN or ',' (the select list still wants age)");
    assert_eq!(expected("SELECT age FROM singer LIMIT x"), "a whole number");
    let start = queries.explain_end(&queries.start()).unwrap();
    assert_eq!(start.expected(), "SELECT");
}

/// A small vocabulary with tokens that end, cross and lie inside words.
fn pieces() -> Vec<Vec<u8>> {
    let words = [
        "SELECT",
        " name",
        "na",
        "me",
        " FROM",
        " singer",
        "singer AS T1",
        "T1",
        ".name",
        ".",
        "*",
        "(",
        ")",
        "count",
        "count(",
        " WHERE",
        " year",
        " =",
        "=",
        " 1",
        "1",
        "'",
        "'a'",
        ",",
        ", age",
        " AND",
        " ",
        "\n",
        "\"",
        ";",
        " GROUP BY",
        " ORDER",
        " BY",
        " IN (",
        "IN (SELECT",
        " UNION",
        "-",
        "--",
        "<",
        ">=",
        " concert",
        " JOIN",
        " ON",
        " LIMIT",
        " T2",
        "AS",
        " AS",
        "Unit",
        "é",
        "_",
        " DISTINCT",
        "2.",
        "]",
    ];
    words.iter().map(|word| word.as_bytes().to_vec()).chain([vec![0xC3], vec![0xA9], vec![0]]).collect()
}

fn texts() -> [&'static str; 6] {
    [
        "SELECT T1.name, count(*) FROM singer AS T1 JOIN concert AS T2 ON T1.id = T2.singer_id WHERE T2.year >= 2.5 GROUP BY T1.id",
        "SELECT name FROM singer WHERE age NOT IN (SELECT year FROM concert WHERE name LIKE '%é''s') ORDER BY age DESC, 1 LIMIT 12",
        "SELECT * FROM singer UNION SELECT * FROM singer WHERE (age + 1) * 2 < id AND NOT (age BETWEEN 1 AND 3 OR name = 'x');",
        "SELECT count (DISTINCT \"Unit Price\") FROM [order details]",
        "SELECT CASE WHEN age IS NULL THEN 1 ELSE age END AS years FROM singer AS T1 ORDER BY years",
        "SELECT max(age) FROM (SELECT age FROM singer) WHERE age <> -1",
    ]
}

#[test]
fn masks_equal_brute_force_and_forks_equal_by_what_they_allow() {
    let queries = extended();
    let vocabulary = Vocabulary::new(pieces().into_iter().map(Token::Text).chain([Token::End])).unwrap();
    for text in texts().into_iter().take(5) {
        let mut state = queries.start();
        for byte in text.bytes() {
            let mut mask = TokenSet::new(vocabulary.len());
            queries.mask(&state, vocabulary.trie(), &mut mask);
            for token in vocabulary.tokens() {
                let Some(bytes) = vocabulary.bytes(token) else { continue };
                let allowed = queries.allows(&state, bytes);
                assert_eq!(mask.contains(token), allowed, "{:?} in {text:?}", String::from_utf8_lossy(bytes));
                // Byte by byte is the same as at once, and leads to an equal state.
                let at_once = queries.advance(&state, bytes);
                let mut slowly = Some(state.clone());
                for byte in bytes {
                    slowly = slowly.and_then(|state| queries.advance(&state, &[*byte]));
                }
                assert_eq!(at_once.is_some(), allowed);
                assert_eq!(at_once, slowly);
                assert_eq!(queries.explain(&state, bytes).is_none(), allowed);
            }
            state = queries.advance(&state, &[byte]).unwrap();
        }
        assert!(queries.may_end(&state), "{text}");
    }
}

#[test]
fn what_must_still_come_is_known() {
    let queries = analytic();
    for (text, rest) in [
        ("", "SELECT 1 FROM singer"),
        ("SELECT name", " FROM singer"),
        ("SELECT age FROM ", "singer"),
        ("SELECT age FROM concert", ",singer"),
        ("SELECT T1.age, T2.year FROM singer AS T1 JOIN ", "concert AS T2"),
        ("SELECT count(((age", ")))FROM singer"),
        ("SELECT age FROM singer WHERE name LIKE 'a", "'"),
        ("SELECT age FROM singer WHERE id IN (SELECT ", "1 FROM singer)"),
        ("SELECT CASE WHEN age > 1", " THEN 1 END FROM singer"),
        ("SELECT rank() OVER (PARTITION", " BY 1)FROM singer"),
        ("WITH q AS (", "SELECT 1 FROM singer)SELECT 1 FROM q"),
        ("SELECT age FROM singer UNION SELECT ", "1 FROM singer"),
        ("SELECT age, id FROM singer UNION SELECT 1", ",1 FROM singer"),
        ("SELECT age FROM singer WHERE age BETWEEN 1", " AND 2"),
        ("SELECT age FROM singer ORDER BY age NULLS", " LAST"),
        ("SELECT [unit", " price]FROM[order details]"),
    ] {
        let state = queries.advance(&queries.start(), text.as_bytes()).unwrap();
        let cost = queries.closing_cost(&state).unwrap();
        assert!(cost <= rest.len() && cost * 2 >= rest.len(), "{text}<HERE>{rest}: {cost}");
    }
    let forced = |text: &str| {
        let mut forced = Vec::new();
        queries.forced(&queries.advance(&queries.start(), text.as_bytes()).unwrap(), &mut forced);
        String::from_utf8(forced).unwrap()
    };
    // Letters may be of either case.
    assert_eq!(forced("SELECT age FROM concert JOIN singer ON age !"), "=");
    assert_eq!(forced("SELECT age FROM singer WHERE name = upper(name) |"), "|");
    assert_eq!(forced("SELECT year FROM concert WHERE singer"), "_");
    assert_eq!(forced("SELECT [unit"), " ");
    assert_eq!(forced("SELECT [unit price"), "]");
    assert_eq!(forced("SELECT concert"), "");
}

#[test]
fn states_are_equal_where_the_same_may_follow() {
    let queries = SqlSelect::new(&concerts());
    let after = |text: &str| queries.advance(&queries.start(), text.as_bytes()).unwrap();
    assert_eq!(after("SELECT age, id FROM singer WHERE age = 1 AND "), after("select age, id from [singer] where name = 2 and "));
    assert_eq!(after("SELECT T1.age, T1.id FROM "), after("SELECT DISTINCT T1.age , t1.id from "));
    assert_ne!(after("SELECT age FROM singer WHERE "), after("SELECT year FROM concert WHERE "));
    assert_ne!(after("SELECT age FROM "), after("SELECT year FROM "));
}
