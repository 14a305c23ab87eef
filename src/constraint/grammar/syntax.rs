//! The definitions of a grammar file, as they are written: Lark's notation to a tree.

use super::problem::{Place, Problem};
use super::token::{Kind, Token, tokens};
use crate::constraint::ConstraintError;

/// How deep brackets may nest.
const MAX_DEPTH: usize = 100;
/// The most bytes of a grammar file.
const MAX_SOURCE: usize = 1 << 20;

/// A grammar file.
#[derive(Debug, Default)]
pub(super) struct GrammarFile {
    pub(super) rules: Vec<Rule>,
    pub(super) terminals: Vec<Terminal>,
    pub(super) ignored: Vec<Expression>,
    pub(super) imports: Vec<Import>,
}

/// `name{parameters}: body`.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) parameters: Vec<String>,
    pub(super) body: Expression,
    pub(super) place: Place,
}

/// `NAME.priority: body`.
#[derive(Debug)]
pub(super) struct Terminal {
    pub(super) name: String,
    pub(super) priority: i64,
    pub(super) body: Expression,
    pub(super) place: Place,
}

/// `%import common.NAME -> ALIAS`.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) name: String,
    pub(super) alias: String,
    pub(super) place: Place,
}

/// The right-hand side of a definition.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    Sequence(Vec<Expression>),
    Choice(Vec<Expression>),
    Repeat {
        inner: Box<Expression>,
        min: u32,
        max: Option<u32>,
        place: Place,
    },
    /// A rule, a terminal or a template's parameter; `arguments` only of templates.
    Name {
        name: String,
        arguments: Vec<Expression>,
        place: Place,
    },
    Text {
        text: String,
        ignore_case: bool,
        place: Place,
    },
    Regex {
        pattern: String,
        flags: String,
        place: Place,
    },
    Range {
        first: char,
        last: char,
        place: Place,
    },
}

/// Whether `name` is a terminal's.
pub(super) fn is_terminal(name: &str) -> bool {
    name.trim_start_matches('_').starts_with(|first: char| first.is_ascii_uppercase())
}

/// Reads a grammar file.
pub(super) fn parse(source: &str) -> Result<GrammarFile, ConstraintError> {
    if source.len() > MAX_SOURCE {
        return Err(ConstraintError::too_large(format!("the grammar has more than {MAX_SOURCE} bytes")));
    }
    let mut parser = Parser { tokens: tokens(source)?, at: 0, depth: 0 };
    let mut file = GrammarFile::default();
    while parser.at < parser.tokens.len() {
        if parser.takes(&Kind::NewLine) {
            continue;
        }
        parser.definition(&mut file)?;
        parser.expect(&Kind::NewLine, "the end of the definition (a new line), an operator or more of its right-hand side")?;
    }
    Ok(file)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Kind {
        // The last token is a new line and nothing takes more than one; past it the line still ends.
        self.tokens.get(self.at).map_or(&Kind::NewLine, |token| &token.kind)
    }

    fn place(&self) -> Place {
        self.tokens[self.at.min(self.tokens.len() - 1)].place
    }

    fn takes(&mut self, kind: &Kind) -> bool {
        let there = self.peek() == kind;
        self.at += usize::from(there);
        there
    }

    fn takes_sign(&mut self, sign: &'static str) -> bool {
        self.takes(&Kind::Sign(sign))
    }

    fn expect(&mut self, kind: &Kind, wanted: &str) -> Result<(), ConstraintError> {
        if self.takes(kind) { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    fn unexpected(&self, wanted: &str) -> ConstraintError {
        Problem::syntax(format!("expected {wanted}; found {}", self.peek().in_words())).at(self.place())
    }

    fn name(&mut self, wanted: &str) -> Result<String, ConstraintError> {
        let Kind::Name(name) = self.peek() else { return Err(self.unexpected(wanted)) };
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    fn number(&mut self, wanted: &str) -> Result<i64, ConstraintError> {
        let Kind::Number(number) = *self.peek() else { return Err(self.unexpected(wanted)) };
        self.at += 1;
        Ok(number)
    }

    fn definition(&mut self, file: &mut GrammarFile) -> Result<(), ConstraintError> {
        let place = self.place();
        if let Kind::Directive(word) = self.peek() {
            let word = word.clone();
            self.at += 1;
            return self.directive(&word, place, file);
        }
        // These shape Lark's trees, not the language.
        while self.takes_sign("?") || self.takes_sign("!") {}
        let name = self.name("a definition (`name: ...`) or a directive (`%ignore ...`)")?;
        let mut parameters = Vec::new();
        if self.takes_sign("{") {
            while {
                parameters.push(self.name("a parameter of the template")?);
                self.takes_sign(",")
            } {}
            self.expect(&Kind::Sign("}"), "`,` or `}`")?;
        }
        let priority = if self.takes_sign(".") { self.number("a priority")? } else { 0 };
        self.expect(&Kind::Sign(":"), "`:`")?;
        let body = self.choice()?;
        match is_terminal(&name) {
            true if !parameters.is_empty() => return Err(Problem::unsupported("a terminal cannot be a template").at(place)),
            true => file.terminals.push(Terminal { name, priority, body, place }),
            // A rule's priority chooses among trees, not among texts.
            false => file.rules.push(Rule { name, parameters, body, place }),
        }
        Ok(())
    }

    fn directive(&mut self, word: &str, place: Place, file: &mut GrammarFile) -> Result<(), ConstraintError> {
        match word {
            "ignore" => file.ignored.push(self.choice()?),
            "import" => self.import(place, file)?,
            "declare" | "override" | "extend" => {
                return Err(Problem::unsupported(format!("%{word} is not supported: write the definition out")).at(place));
            }
            _ => return Err(Problem::syntax(format!("unknown directive %{word}: there are %ignore and %import")).at(place)),
        }
        Ok(())
    }

    fn import(&mut self, place: Place, file: &mut GrammarFile) -> Result<(), ConstraintError> {
        let only_common = || Problem::unsupported("only the terminals of `common` can be imported: `%import common.INT`").at(place);
        if self.peek() == &Kind::Sign(".") || self.name("`common`")? != "common" {
            return Err(only_common());
        }
        if self.takes_sign(".") {
            let name = self.name("the name of a terminal")?;
            let alias = if self.takes_sign("->") { self.name("a name for it")? } else { name.clone() };
            file.imports.push(Import { name, alias, place });
            return Ok(());
        }
        self.expect(&Kind::Sign("("), "`.` or `(`")?;
        while {
            let place = self.place();
            let name = self.name("the name of a terminal")?;
            file.imports.push(Import { alias: name.clone(), name, place });
            self.takes_sign(",")
        } {}
        self.expect(&Kind::Sign(")"), "`,` or `)`")
    }

    fn choice(&mut self) -> Result<Expression, ConstraintError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::too_large(format!("brackets nest deeper than {MAX_DEPTH}")).at(self.place()));
        }
        let mut alternatives = Vec::new();
        while {
            alternatives.push(self.sequence()?);
            if self.takes_sign("->") {
                // An alias names a tree's node; there are no trees here.
                self.name("a name for the alternative")?;
            }
            self.takes_sign("|")
        } {}
        self.depth -= 1;
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Expression::Choice(alternatives) })
    }

    fn sequence(&mut self) -> Result<Expression, ConstraintError> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), Kind::NewLine | Kind::Sign("|" | ")" | "]" | "}" | "," | "->")) {
            parts.push(self.repeated()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Sequence(parts) })
    }

    fn repeated(&mut self) -> Result<Expression, ConstraintError> {
        let atom = self.atom()?;
        let place = self.place();
        let (min, max) = match self.peek() {
            Kind::Sign("?") => (0, Some(1)),
            Kind::Sign("*") => (0, None),
            Kind::Sign("+") => (1, None),
            Kind::Sign("~") => {
                self.at += 1;
                let min = self.count()?;
                let max = if self.takes_sign("..") { self.count()? } else { min };
                if max < min {
                    return Err(Problem::invalid(format!("~{min}..{max} repeats no number of times")).at(place));
                }
                return Ok(Expression::Repeat { inner: Box::new(atom), min, max: Some(max), place });
            }
            _ => return Ok(atom),
        };
        self.at += 1;
        Ok(Expression::Repeat { inner: Box::new(atom), min, max, place })
    }

    fn count(&mut self) -> Result<u32, ConstraintError> {
        let place = self.place();
        let count = self.number("how often to repeat")?;
        u32::try_from(count).map_err(|_| Problem::invalid(format!("{count} is no number of repetitions")).at(place))
    }

    fn atom(&mut self) -> Result<Expression, ConstraintError> {
        let place = self.place();
        let kind = self.peek().clone();
        self.at += 1;
        match kind {
            Kind::Sign("(") => {
                let inner = self.choice()?;
                self.expect(&Kind::Sign(")"), "`)`, `|` or more of the group")?;
                Ok(inner)
            }
            Kind::Sign("[") => {
                let inner = Box::new(self.choice()?);
                self.expect(&Kind::Sign("]"), "`]`, `|` or more of the group")?;
                Ok(Expression::Repeat { inner, min: 0, max: Some(1), place })
            }
            Kind::Text { text, .. } if self.takes_sign("..") => {
                let Kind::Text { text: last, .. } = self.peek().clone() else {
                    return Err(self.unexpected("the last character of the range"));
                };
                self.at += 1;
                self.range(&text, &last, place)
            }
            Kind::Text { text, ignore_case } => Ok(Expression::Text { text, ignore_case, place }),
            Kind::Regex { pattern, flags } => Ok(Expression::Regex { pattern, flags, place }),
            Kind::Name(name) => {
                let mut arguments = Vec::new();
                if self.takes_sign("{") {
                    while {
                        arguments.push(self.choice()?);
                        self.takes_sign(",")
                    } {}
                    self.expect(&Kind::Sign("}"), "`,` or `}`")?;
                }
                Ok(Expression::Name { name, arguments, place })
            }
            _ => {
                self.at -= 1;
                Err(self.unexpected("a name, a string, a regular expression or a group"))
            }
        }
    }

    fn range(&self, first: &str, last: &str, place: Place) -> Result<Expression, ConstraintError> {
        let mut characters = (first.chars(), last.chars());
        match (characters.0.next(), characters.0.next(), characters.1.next(), characters.1.next()) {
            (Some(first), None, Some(last), None) if first <= last => Ok(Expression::Range { first, last, place }),
            _ => Err(Problem::invalid("a range goes from one character to a later one: \"a\"..\"z\"").at(place)),
        }
    }
}

impl Expression {
    /// Where it stands in the file, for those that are one token or end in one.
    pub(super) fn place(&self) -> Option<Place> {
        match self {
            Self::Sequence(parts) | Self::Choice(parts) => parts.iter().find_map(Self::place),
            Self::Repeat { place, .. }
            | Self::Name { place, .. }
            | Self::Text { place, .. }
            | Self::Regex { place, .. }
            | Self::Range { place, .. } => Some(*place),
        }
    }
}
