//! Context-free grammars in Lark's notation, followed byte by byte.
//!
//! # The notation
//!
//! What a grammar file may have, as Lark (<https://github.com/lark-parser/lark>) defines it:
//!
//! | | |
//! |---|---|
//! | `rule: a b \| c` | rules in lower case; the whole text is the rule `start` |
//! | `NAME: "a" /b+/` | terminals in upper case, made of strings, regular expressions, ranges and terminals |
//! | `"text"` `"text"i` | a string; with `i`, ASCII letters match in either case |
//! | `/regex/imsx` | a regular expression of Python's; no anchors, word boundaries or back-references, and of look-around only one `(?!...)` at the end of a terminal |
//! | `"a".."z"` | one character of a range |
//! | `x?` `[x]` `x*` `x+` `x~3` `x~2..5` `(x y)` | repetitions and groups |
//! | `name{a, b}: a (b a)*` | templates, used as `name{x, ","}` |
//! | `%ignore WS` | a terminal that may stand before and after every token |
//! | `%import common.INT -> N` | a terminal of Lark's library `common` |
//! | `// ...` `# ...` | comments |
//!
//! What only shapes Lark's trees is read and has no effect: `?rule`, `!rule`, `_rule`, `-> alias`, priorities
//! of rules. `%declare`, `%override`, `%extend` and imports of other files are refused.
//!
//! # Which texts a grammar has
//!
//! A text is of the grammar if it can be cut into tokens that some derivation of `start` gives, with ignored
//! tokens anywhere between. All ways to cut and to derive are followed at once, as by Lark's Earley parser
//! with its dynamic lexer, so that terminals may overlap and rules may be ambiguous. Three rules keep
//! apart what a reader would not take for two tokens, or for another:
//!
//! - *Longest match.* A token is as long as its terminal can be: no token is followed by bytes that would
//!   make a longer one of the same terminal. `12` is one INT, never two. What a terminal can be is what
//!   Python's `re.match` would find: alternatives in their order, lazy repetitions short.
//! - *Keywords.* Where both a string and a regular expression may begin, the string takes what is spelled like
//!   it, and only that: with `"if"` and NAME both possible, `if` is the keyword and no NAME, `iffy` is a NAME
//!   and no keyword before `fy`. Where the string is not possible, NAME may be `if`. A terminal of higher
//!   priority than the string's keeps its own reading too. So does Lark's contextual lexer; its
//!   dynamic one would read both ways, and with it a model's half-written keyword is always a name.
//! - *Look-ahead.* A terminal that ends in `(?!x)` is not followed by `x`: `/select(?!\w)/i` ends its word even
//!   where no NAME could begin instead.
//!
//! Two different terminals of which one is longer are not weighed against each other: `a+++b` is read in
//! every way that the grammar has. Priorities among regular expressions choose between derivations, and
//! so have no effect on which texts there are.
//!
//! # How it works
//!
//! `token.rs` and `syntax.rs` read the file, `pattern.rs` turns terminals into regular expressions, `lexicon.rs`
//! these into automata, `rules.rs` rules into automata that call each other. `recognizer.rs` follows
//! them, `stack.rs` keeps what is open, `mask.rs` asks about a whole vocabulary at once. There is no lexer
//! that commits itself to a token, and no chart: a state is a set of (place in a token, place in a rule,
//! stack), where stacks share their tails. Earley's algorithm, which would do as well, keeps all its past in a
//! state; here right recursion leaves no trace, left recursion is turned into loops, and states that allow the
//! same continuations are mostly equal, so that
//! particles share their labels.
//!
//! A prefix is alive only if the rules can complete it: rules and states that lead nowhere are taken out when the
//! grammar is compiled. What longest match, keywords and look-ahead rule out *later* is not foreseen:
//! with `start: INT INT` and nothing to part them, `1` is alive, though no text is.

mod builtin;
mod compile;
mod explain;
mod lexicon;
mod mask;
mod network;
mod pattern;
mod problem;
mod recognizer;
mod rules;
mod stack;
mod syntax;
mod template;
mod token;

use super::{Constraint, ConstraintError, Rejection};
use crate::vocab::{TokenSet, TokenTrie};
use recognizer::{Readings, Recognizer};
use std::fmt;
use std::sync::Arc;

/// The most bytes that [`Constraint::forced`] gives at once.
const MAX_FORCED: usize = 1 << 12;

/// The texts of a context-free grammar in Lark's notation.
///
/// ```
/// use tamis::constraint::{Constraint, Grammar};
/// let sums = Grammar::parse(r#"
///     start: sum
///     sum: product | sum "+" product
///     product: INT | "(" sum ")"
///     %import common (INT, WS)
///     %ignore WS
/// "#)?;
/// let state = sums.advance(&sums.start(), b"1 + (23").unwrap();
/// assert!(sums.allows(&state, b" + 4)") && !sums.allows(&state, b"))"));
/// assert_eq!(sums.closing_cost(&state), Some(1));
/// let rejection = sums.explain(&state, b" 4").unwrap();
/// assert_eq!((rejection.offset(), rejection.expected()), (1, r#"")", "+" or WS"#));
/// # Ok::<(), tamis::constraint::ConstraintError>(())
/// ```
#[derive(Clone)]
pub struct Grammar {
    recognizer: Arc<Recognizer>,
    warnings: Vec<GrammarWarning>,
}

/// Something in a grammar file that is no error, and still hardly meant: a definition that is never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrammarWarning {
    message: String,
    place: problem::Place,
}

impl GrammarWarning {
    fn new(message: String, place: problem::Place) -> Self {
        Self { message, place }
    }

    /// The line of the grammar file, from 1.
    pub fn line(&self) -> usize {
        self.place.line
    }
}

impl fmt::Display for GrammarWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.place.line, self.place.column, self.message)
    }
}

/// Where in a [`Grammar`] a text stands. A clone shares what is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrammarState(Arc<Readings>);

impl Grammar {
    /// Compiles a grammar. The head of this module tells the notation and what it means.
    ///
    /// # Errors
    /// With line and column: if the file does not parse, names what is not defined, defines a name twice, has
    /// a terminal that matches the empty text, uses what tamis does not enforce, or grows past a limit. If
    /// there is no rule `start`, or no text that it matches.
    pub fn parse(source: &str) -> Result<Self, ConstraintError> {
        let (recognizer, warnings) = compile::compile(&syntax::parse(source)?)?;
        Ok(Self { recognizer: Arc::new(recognizer), warnings })
    }

    /// One of the grammars that come with tamis (the folder `grammars/`): `json`, `sqlite_select`, ...
    ///
    /// # Errors
    /// If there is none of this name; the message lists those that there are.
    pub fn builtin(name: &str) -> Result<Self, ConstraintError> {
        Self::parse(builtin::source(name)?)
    }

    /// The names that [`Grammar::builtin`] knows.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        builtin::names()
    }

    /// What is hardly meant in the file: definitions that are never used.
    pub fn warnings(&self) -> &[GrammarWarning] {
        &self.warnings
    }

    /// `readings` after `bytes`; empty where no text goes on so.
    fn read(&self, readings: &Readings, bytes: &[u8]) -> Readings {
        let mut readings = readings.clone();
        for byte in bytes {
            self.recognizer.step(&mut readings, *byte);
            if readings.is_empty() {
                break;
            }
        }
        readings
    }
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammar").field("positions", &self.recognizer.network.positions.len()).finish_non_exhaustive()
    }
}

impl Constraint for Grammar {
    type State = GrammarState;

    fn start(&self) -> GrammarState {
        GrammarState(Arc::new(self.recognizer.start()))
    }

    fn advance(&self, state: &GrammarState, bytes: &[u8]) -> Option<GrammarState> {
        if bytes.is_empty() {
            return Some(state.clone());
        }
        let readings = self.read(&state.0, bytes);
        (!readings.is_empty()).then(|| GrammarState(Arc::new(readings)))
    }

    fn allows(&self, state: &GrammarState, bytes: &[u8]) -> bool {
        !self.read(&state.0, bytes).is_empty()
    }

    fn may_end(&self, state: &GrammarState) -> bool {
        self.recognizer.may_end(&state.0)
    }

    fn forced(&self, state: &GrammarState, out: &mut Vec<u8>) {
        let mut readings = (*state.0).clone();
        while out.len() < MAX_FORCED
            && !self.recognizer.may_end(&readings)
            && let Some(byte) = self.recognizer.next_bytes(&readings).single()
        {
            self.recognizer.step(&mut readings, byte);
            if readings.is_empty() {
                return;
            }
            out.push(byte);
        }
    }

    /// Exact but for what longest match, keywords and look-ahead make longer.
    fn closing_cost(&self, state: &GrammarState) -> Option<usize> {
        Some(self.recognizer.distance(&state.0) as usize)
    }

    fn mask(&self, state: &GrammarState, trie: &TokenTrie, out: &mut TokenSet) {
        self.recognizer.mask(&state.0, trie, out);
    }

    fn explain(&self, state: &GrammarState, bytes: &[u8]) -> Option<Rejection> {
        let mut readings = (*state.0).clone();
        for (offset, byte) in bytes.iter().enumerate() {
            let before = readings.clone();
            self.recognizer.step(&mut readings, *byte);
            if readings.is_empty() {
                return Some(Rejection::new(offset, Some(*byte), self.recognizer.expected(&before)));
            }
        }
        None
    }

    fn explain_end(&self, state: &GrammarState) -> Option<Rejection> {
        (!self.may_end(state)).then(|| Rejection::new(0, None, self.recognizer.expected(&state.0)))
    }
}
