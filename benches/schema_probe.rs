use serde_json::Value;
use std::time::Instant;
use tamis::constraint::json_schema::Options;
use tamis::constraint::{Constraint, JsonSchema};
use tamis::vocab::{Token, TokenSet, Vocabulary};

fn pct(v: &mut Vec<f64>, p: f64) -> f64 {
    v.sort_by(|a, b| a.total_cmp(b));
    v[((v.len() - 1) as f64 * p) as usize]
}

fn main() {
    let dir = "../shared/data/json/maskbench-dev";
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut options = Options::default();
    options.unknown_keywords = true;
    let (mut compile, mut allows, mut advance, mut fork, mut masks, mut words) =
        (vec![], vec![], vec![], vec![], vec![], std::collections::BTreeSet::new());
    let mut slow: Vec<(f64, String)> = vec![];
    let mut slowc: Vec<(f64, String)> = vec![];
    let mut cases = vec![];
    for f in &files {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(f).unwrap()).unwrap();
        let t = Instant::now();
        let s = JsonSchema::with_options(&case["schema"], &options);
        let e = t.elapsed().as_secs_f64() * 1e6;
        compile.push(e);
        slowc.push((e, f.file_name().unwrap().to_string_lossy().into_owned()));
        let Ok(s) = s else { continue };
        let texts: Vec<String> = case["tests"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|t| t["valid"] == true)
            .map(|t| serde_json::to_string_pretty(&t["data"]).unwrap())
            .collect();
        for t in &texts {
            for w in t.split_inclusive(|c: char| !c.is_alphanumeric()) {
                for n in 1..=w.len().min(7) {
                    if w.is_char_boundary(n) {
                        words.insert(w.as_bytes()[..n].to_vec());
                    }
                }
            }
        }
        cases.push((f.clone(), s, texts));
    }
    let mut seed = 1u64;
    let mut rnd = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for (f, s, texts) in &cases {
        for text in texts.iter().take(4) {
            for round in 0..2 {
                let mut state = s.start();
                let mut at = 0;
                let bytes = text.as_bytes();
                while at < bytes.len() {
                    let n = (1 + rnd() as usize % 6).min(bytes.len() - at);
                    let piece = &bytes[at..at + n];
                    let t = Instant::now();
                    let ok = std::hint::black_box(s.allows(&state, piece));
                    let e = t.elapsed().as_secs_f64() * 1e6;
                    assert!(ok || true);
                    if !ok {
                        break;
                    }
                    let t = Instant::now();
                    let next = s.advance(&state, piece).unwrap();
                    let a = t.elapsed().as_secs_f64() * 1e6;
                    let t = Instant::now();
                    let c = std::hint::black_box(state.clone());
                    let k = t.elapsed().as_secs_f64() * 1e6;
                    if round == 1 {
                        allows.push(e);
                        advance.push(a);
                        fork.push(k);
                        slow.push((e, format!("{} {:?}", f.file_name().unwrap().to_string_lossy(), String::from_utf8_lossy(piece))));
                    }
                    drop(c);
                    state = next;
                    at += n;
                }
            }
        }
    }
    println!("words {}", words.len());
    let mut all: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
    for w in words {
        if w.len() > 1 {
            all.push(w);
        }
    }
    for a in [" ", "\"", ",", ":", "{", "}", "[", "]", "\n"] {
        for b in [" ", "\"", ",", ":", "{", "}", "[", "]", "\n"] {
            for c in ["", " ", "\"", "a"] {
                all.push(format!("{a}{b}{c}").into_bytes());
            }
        }
    }
    let vocabulary = Vocabulary::new(all.into_iter().map(Token::Text).chain([Token::End])).unwrap();
    println!("vocabulary {}", vocabulary.len());
    let trie = vocabulary.trie();
    trie.plain_text();
    let mut out = TokenSet::new(vocabulary.len());
    let mut slowm: Vec<(f64, String)> = vec![];
    for (f, s, texts) in cases.iter().step_by(8) {
        for text in texts.iter().take(1) {
            let mut state = s.start();
            let mut at = 0;
            let bytes = text.as_bytes();
            while at < bytes.len().min(600) {
                let n = (1 + rnd() as usize % 6).min(bytes.len() - at);
                let t = Instant::now();
                s.mask(&state, trie, &mut out);
                let e = t.elapsed().as_secs_f64() * 1e6;
                masks.push(e);
                slowm.push((
                    e,
                    format!(
                        "{} after {:?}",
                        f.file_name().unwrap().to_string_lossy(),
                        String::from_utf8_lossy(&bytes[at.saturating_sub(12)..at])
                    ),
                ));
                let Some(next) = s.advance(&state, &bytes[at..at + n]) else { break };
                state = next;
                at += n;
            }
        }
    }
    for (name, v) in
        [("compile", &mut compile), ("allows", &mut allows), ("advance", &mut advance), ("fork", &mut fork), ("mask", &mut masks)]
    {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        println!(
            "{name:8} n {:7} mean {mean:9.3} p50 {:9.3} p90 {:9.3} p99 {:9.3} p99.9 {:9.3} max {:9.3} us",
            v.len(),
            pct(v, 0.5),
            pct(v, 0.9),
            pct(v, 0.99),
            pct(v, 0.999),
            pct(v, 1.0)
        );
    }
    for list in [&mut slowc, &mut slow, &mut slowm] {
        list.sort_by(|a, b| b.0.total_cmp(&a.0));
        let step = (list.len() / 100).max(1);
        println!("---");
        for (e, f) in list.iter().take(6).chain(list.iter().take(step).step_by((step / 12).max(1))) {
            println!("{e:9.2} {f}");
        }
    }
}
