//! From the definitions of a grammar file to what the recogniser runs on.

use super::GrammarWarning;
use super::lexicon::{Definition, Lexicon, TerminalId};
use super::network::Network;
use super::pattern::{Pattern, Patterns};
use super::problem::{Place, Problem};
use super::recognizer::Recognizer;
use super::rules::{Nfa, RuleId, Rules, Symbol};
use super::syntax::{Expression, GrammarFile, Rule, is_terminal};
use super::template;
use crate::constraint::ConstraintError;
use std::collections::HashMap;

/// The name of the rule that the whole text is.
const START: &str = "start";
/// The most parts of all rules together, once repetitions and templates are written out.
const MAX_PARTS: usize = 1 << 18;

/// Compiles a grammar.
pub(super) fn compile(file: &GrammarFile) -> Result<(Recognizer, Vec<GrammarWarning>), ConstraintError> {
    let mut rules = HashMap::new();
    for rule in &file.rules {
        if rules.insert(rule.name.as_str(), rule).is_some() {
            return Err(Problem::invalid(format!("the rule {} is defined twice", rule.name)).at(rule.place));
        }
    }
    for rule in &file.rules {
        check_names(&rule.body, rule, file, &rules)?;
    }
    let Some(start) = rules.get(START).copied() else {
        return Err(ConstraintError::invalid(format!("there is no rule `{START}`: it is what the whole text must be")));
    };
    if !start.parameters.is_empty() {
        return Err(Problem::invalid(format!("the rule {START} cannot be a template")).at(start.place));
    }
    let mut compiler = Compiler {
        rules,
        patterns: Patterns::new(&file.terminals, &file.imports)?,
        terminals: Vec::new(),
        terminal_numbers: HashMap::new(),
        priorities: file.terminals.iter().map(|terminal| (terminal.name.as_str(), terminal.priority)).collect(),
        instances: Vec::new(),
        instance_numbers: HashMap::new(),
        parts: 0,
    };
    let ignored = compiler.ignored(&file.ignored)?;
    let start = compiler.rule(start, &[], start.place)?;
    let mut automata = Vec::new();
    while automata.len() < compiler.instances.len() {
        let instance = compiler.instances[automata.len()].clone();
        let mut nfa = Nfa::new();
        let end = compiler.add(&mut nfa, Nfa::START, &instance.body, instance.place)?;
        nfa.add_edge(end, None, Nfa::END);
        automata.push(nfa);
    }
    let warnings = compiler.warnings(file);
    let lexicon = Lexicon::new(&compiler.terminals)?;
    let Some(rules) = Rules::new(automata, start)? else {
        return Err(ConstraintError::unsatisfiable(format!(
            "no text satisfies the rule `{START}`: each of its alternatives leads back to itself"
        )));
    };
    let network = Network::new(&rules, start, &lexicon);
    let ignored = ignored.into_iter().map(|terminal| lexicon.start(terminal)).collect();
    Ok((Recognizer { lexicon, network, ignored }, warnings))
}

/// A rule to be compiled; of a template, with its parameters replaced.
#[derive(Clone)]
struct Instance<'a> {
    body: std::borrow::Cow<'a, Expression>,
    place: Place,
}

struct Compiler<'a> {
    rules: HashMap<&'a str, &'a Rule>,
    patterns: Patterns<'a>,
    priorities: HashMap<&'a str, i64>,
    terminals: Vec<Definition>,
    terminal_numbers: HashMap<Pattern, TerminalId>,
    instances: Vec<Instance<'a>>,
    /// By the rule's name and, of a template, its arguments.
    instance_numbers: HashMap<(String, String), RuleId>,
    parts: usize,
}

impl<'a> Compiler<'a> {
    fn ignored(&mut self, ignored: &[Expression]) -> Result<Vec<TerminalId>, ConstraintError> {
        let nowhere = Place { line: 1, column: 1 };
        ignored.iter().map(|expression| self.terminal(expression, expression.place().unwrap_or(nowhere))).collect()
    }

    /// The number of a terminal: a named one, or one that stands in a rule. Equal patterns are one terminal.
    fn terminal(&mut self, expression: &Expression, place: Place) -> Result<TerminalId, ConstraintError> {
        let pattern = self.patterns.of(expression, place)?;
        let name = match (&pattern.literal, expression) {
            (Some(literal), _) => format!("{:?}", literal.text),
            (None, Expression::Name { name, .. }) => name.clone(),
            (None, Expression::Regex { pattern, .. }) => format!("/{pattern}/"),
            (None, Expression::Range { first, last, .. }) => format!("{first:?}..{last:?}"),
            (None, _) => pattern.text.clone(),
        };
        let priority = match expression {
            Expression::Name { name, .. } => self.priorities.get(name.as_str()).copied().unwrap_or(0),
            _ => 0,
        };
        if let Some(number) = self.terminal_numbers.get(&pattern) {
            let known = &mut self.terminals[*number as usize];
            known.priority = known.priority.max(priority);
            return Ok(*number);
        }
        let number = self.terminals.len() as TerminalId;
        self.terminal_numbers.insert(pattern.clone(), number);
        self.terminals.push(Definition { name, priority, pattern, place });
        Ok(number)
    }

    /// The number of a rule, or of a template with these arguments.
    fn rule(&mut self, rule: &'a Rule, arguments: &[Expression], place: Place) -> Result<RuleId, ConstraintError> {
        if rule.parameters.len() != arguments.len() {
            let (wanted, given) = (rule.parameters.len(), arguments.len());
            return Err(Problem::invalid(format!("the rule {} takes {wanted} arguments, not {given}", rule.name)).at(place));
        }
        let key = (rule.name.clone(), template::key(arguments));
        if let Some(number) = self.instance_numbers.get(&key) {
            return Ok(*number);
        }
        let body = match arguments {
            [] => std::borrow::Cow::Borrowed(&rule.body),
            _ => {
                let budget = MAX_PARTS - self.parts;
                let (body, parts) = template::instantiate(rule, arguments, budget).ok_or_else(|| too_large(place))?;
                self.parts += parts;
                std::borrow::Cow::Owned(body)
            }
        };
        let number = self.instances.len() as RuleId;
        self.instance_numbers.insert(key, number);
        self.instances.push(Instance { body, place: rule.place });
        Ok(number)
    }

    /// Adds what `expression` matches to `nfa` after the state `from`, and gives the state after it.
    fn add(&mut self, nfa: &mut Nfa, from: usize, expression: &Expression, place: Place) -> Result<usize, ConstraintError> {
        let place = expression.place().unwrap_or(place);
        self.parts += 1;
        if self.parts >= MAX_PARTS {
            return Err(too_large(place));
        }
        Ok(match expression {
            Expression::Sequence(parts) => {
                let mut at = from;
                for part in parts {
                    at = self.add(nfa, at, part, place)?;
                }
                at
            }
            Expression::Choice(alternatives) => {
                let after = nfa.add_state();
                for alternative in alternatives {
                    let end = self.add(nfa, from, alternative, place)?;
                    nfa.add_edge(end, None, after);
                }
                after
            }
            Expression::Repeat { inner, min, max, .. } => {
                let mut at = from;
                for _ in 0..*min {
                    at = self.add(nfa, at, inner, place)?;
                }
                let after = nfa.add_state();
                nfa.add_edge(at, None, after);
                match max {
                    None => {
                        let end = self.add(nfa, after, inner, place)?;
                        nfa.add_edge(end, None, after);
                    }
                    Some(max) => {
                        for _ in *min..*max {
                            at = self.add(nfa, at, inner, place)?;
                            nfa.add_edge(at, None, after);
                        }
                    }
                }
                after
            }
            Expression::Name { name, arguments, .. } if !is_terminal(name) => {
                let Some(rule) = self.rules.get(name.as_str()).copied() else {
                    return Err(Problem::invalid(format!("the rule {name} is not defined")).at(place));
                };
                let rule = self.rule(rule, arguments, place)?;
                self.add_symbol(nfa, from, Symbol::Rule(rule))
            }
            terminal => {
                let terminal = self.terminal(terminal, place)?;
                self.add_symbol(nfa, from, Symbol::Terminal(terminal))
            }
        })
    }

    fn add_symbol(&self, nfa: &mut Nfa, from: usize, symbol: Symbol) -> usize {
        let after = nfa.add_state();
        nfa.add_edge(from, Some(symbol), after);
        after
    }

    /// What is defined and never used.
    fn warnings(&self, file: &GrammarFile) -> Vec<GrammarWarning> {
        let used: std::collections::HashSet<&str> = self.instance_numbers.keys().map(|(name, _)| name.as_str()).collect();
        let rules = file.rules.iter().filter(|rule| !used.contains(rule.name.as_str())).map(|rule| ("rule", &rule.name, rule.place));
        let terminals = file.terminals.iter().filter(|terminal| !self.patterns.is_used(&terminal.name));
        let terminals = terminals.map(|terminal| ("terminal", &terminal.name, terminal.place));
        let mut warnings: Vec<_> = rules
            .chain(terminals)
            .map(|(kind, name, place)| GrammarWarning::new(format!("the {kind} {name} is never used"), place))
            .collect();
        warnings.sort_by_key(GrammarWarning::line);
        warnings
    }
}

fn too_large(place: Place) -> ConstraintError {
    Problem::too_large(format!("the rules have more than {MAX_PARTS} parts, repetitions and templates written out")).at(place)
}

/// Fails where an expression names what is not defined.
fn check_names(expression: &Expression, rule: &Rule, file: &GrammarFile, rules: &HashMap<&str, &Rule>) -> Result<(), ConstraintError> {
    match expression {
        Expression::Sequence(parts) | Expression::Choice(parts) => parts.iter().try_for_each(|part| check_names(part, rule, file, rules)),
        Expression::Repeat { inner, .. } => check_names(inner, rule, file, rules),
        Expression::Name { name, arguments, place } => {
            arguments.iter().try_for_each(|argument| check_names(argument, rule, file, rules))?;
            let (kind, is_known) = match is_terminal(name) {
                true => {
                    let is_defined = file.terminals.iter().any(|terminal| terminal.name == *name);
                    ("terminal", is_defined || file.imports.iter().any(|import| import.alias == *name))
                }
                false => ("rule", rules.contains_key(name.as_str())),
            };
            match is_known || rule.parameters.contains(name) {
                true => Ok(()),
                false => Err(Problem::invalid(format!("the {kind} {name} is not defined")).at(*place)),
            }
        }
        Expression::Text { .. } | Expression::Regex { .. } | Expression::Range { .. } => Ok(()),
    }
}
