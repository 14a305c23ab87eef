//! The rules as automata over terminals and rules: without empty rules, dead ends or left recursion.
//!
//! What comes out is a recursive transition network of a form that a recogniser can follow byte by byte:
//!
//! - No rule matches the empty text: a call of a rule that did may be skipped instead. (Whether the whole
//!   text may be empty is kept aside.)
//! - Every state can reach its rule's end, so that a text that has not failed can be completed.
//! - A rule never begins with itself. The left corners of mutually recursive rules are turned round, as
//!   `e: e "+" t | t` into `e: t ("+" t)*`: the rule begins with what is not recursive and climbs up from
//!   it. (The left-corner transform of Rosenkrantz and Lewis, 1970, done on automata.)
//! - States of equal futures within a rule are one.

use super::lexicon::TerminalId;
use crate::constraint::ConstraintError;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A rule's number.
pub(super) type RuleId = u32;

/// The most work of making all rules deterministic: states looked at.
const MAX_WORK: usize = 1 << 22;
/// The most work of merging the states of one rule; past it they stay apart, which is only larger.
const MAX_MERGING: usize = 1 << 22;

/// What a rule is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Symbol {
    Terminal(TerminalId),
    Rule(RuleId),
}

impl Symbol {
    fn rule(self) -> Option<RuleId> {
        match self {
            Self::Rule(rule) => Some(rule),
            Self::Terminal(_) => None,
        }
    }
}

/// A rule as it was written. State 0 is its start, state 1 its end; an edge without a symbol is free.
#[derive(Clone, Debug)]
pub(super) struct Nfa {
    edges: Vec<Vec<(Option<Symbol>, usize)>>,
}

impl Nfa {
    pub(super) const START: usize = 0;
    pub(super) const END: usize = 1;

    pub(super) fn new() -> Self {
        Self { edges: vec![Vec::new(); 2] }
    }

    pub(super) fn add_state(&mut self) -> usize {
        self.edges.push(Vec::new());
        self.edges.len() - 1
    }

    pub(super) fn add_edge(&mut self, from: usize, symbol: Option<Symbol>, to: usize) {
        self.edges[from].push((symbol, to));
    }

    /// Whether the end is reached by edges for which `crosses` holds.
    fn reaches_end(&self, crosses: impl Fn(Option<Symbol>) -> bool) -> bool {
        let mut seen = vec![false; self.edges.len()];
        seen[Self::START] = true;
        let mut open = vec![Self::START];
        while let Some(state) = open.pop() {
            for (symbol, to) in &self.edges[state] {
                if !seen[*to] && crosses(*symbol) {
                    seen[*to] = true;
                    open.push(*to);
                }
            }
        }
        seen[Self::END]
    }

    /// The states that `states` reach by free edges.
    fn closure(&self, states: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut closure: BTreeSet<usize> = states.into_iter().collect();
        let mut open: Vec<usize> = closure.iter().copied().collect();
        while let Some(state) = open.pop() {
            let free = self.edges[state].iter().filter(|(symbol, _)| symbol.is_none()).map(|(_, to)| *to);
            open.extend(free.filter(|to| closure.insert(*to)));
        }
        closure
    }

    /// The same as a deterministic automaton that does not match the empty text. Takes what it costs from
    /// `budget`.
    fn determinized(&self, budget: &mut usize) -> Result<Dfa, ConstraintError> {
        *budget = budget.checked_sub(self.edges.len()).ok_or_else(too_large)?;
        let mut dfa = Dfa::default();
        let mut numbers: FxHashMap<BTreeSet<usize>, usize> = FxHashMap::default();
        // The start is no state that is come back to: it alone must not be an end.
        let mut sets = vec![self.closure([Self::START])];
        while dfa.edges.len() < sets.len() {
            let at = dfa.edges.len();
            let mut moves: BTreeMap<Symbol, BTreeSet<usize>> = BTreeMap::new();
            for state in &sets[at] {
                for (symbol, to) in &self.edges[*state] {
                    if let Some(symbol) = symbol {
                        moves.entry(*symbol).or_default().insert(*to);
                    }
                }
            }
            dfa.is_end.push(at > 0 && sets[at].contains(&Self::END));
            let mut edges = BTreeMap::new();
            for (symbol, targets) in moves {
                let set = self.closure(targets);
                *budget = budget.checked_sub(set.len()).ok_or_else(too_large)?;
                let next = match numbers.get(&set) {
                    Some(number) => *number,
                    None => {
                        sets.push(set.clone());
                        numbers.insert(set, sets.len() - 1);
                        sets.len() - 1
                    }
                };
                edges.insert(symbol, next);
            }
            dfa.edges.push(edges);
        }
        Ok(dfa)
    }
}

fn too_large() -> ConstraintError {
    ConstraintError::too_large(
        "the automata of the rules grow too large: use smaller repetitions or fewer rules that begin with each other",
    )
}

/// A rule's automaton. State 0 is its start, which no edge leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Dfa {
    pub(super) edges: Vec<BTreeMap<Symbol, usize>>,
    pub(super) is_end: Vec<bool>,
}

impl Dfa {
    /// Without the edges for which `keeps` is false, and without states that reach no end.
    fn trimmed(&self, keeps: impl Fn(Symbol) -> bool) -> Self {
        let before = self.edges_backwards(&keeps);
        let mut live = self.is_end.clone();
        let mut open: Vec<usize> = (0..live.len()).filter(|state| live[*state]).collect();
        while let Some(state) = open.pop() {
            for previous in &before[state] {
                if !std::mem::replace(&mut live[*previous], true) {
                    open.push(*previous);
                }
            }
        }
        live[0] = true;
        let mut kept = 0;
        let number: Vec<usize> = live
            .iter()
            .map(|live| {
                kept += usize::from(*live);
                kept - 1
            })
            .collect();
        let mut trimmed = Self::default();
        for state in (0..live.len()).filter(|state| live[*state]) {
            let edges = self.edges[state].iter().filter(|(symbol, to)| live[**to] && keeps(**symbol));
            trimmed.edges.push(edges.map(|(symbol, to)| (*symbol, number[*to])).collect());
            trimmed.is_end.push(self.is_end[state]);
        }
        trimmed
    }

    /// With states of equal futures merged (Moore's refinement), the start apart. It begins with the
    /// distances from the end, which equal futures share, so that few rounds are needed.
    fn minimized(self) -> Self {
        // Whether a state is the start, its class so far, and where its edges lead.
        type Future = (bool, usize, Vec<(Symbol, usize)>);
        let mut class = self.distances();
        let (mut classes, mut work) = (0, 0);
        loop {
            let mut found: FxHashMap<Future, usize> = FxHashMap::default();
            class = (0..class.len())
                .map(|state| {
                    let edges = self.edges[state].iter().map(|(symbol, to)| (*symbol, class[*to])).collect();
                    let number = found.len();
                    *found.entry((state == 0, class[state], edges)).or_insert(number)
                })
                .collect();
            if found.len() == classes {
                break;
            }
            classes = found.len();
            work += class.len();
            if work > MAX_MERGING {
                return self;
            }
        }
        let mut merged = Self::default();
        for state in 0..class.len() {
            if class[state] == merged.edges.len() {
                merged.edges.push(self.edges[state].iter().map(|(symbol, to)| (*symbol, class[*to])).collect());
                merged.is_end.push(self.is_end[state]);
            }
        }
        merged
    }

    /// For each state the fewest edges to an end.
    fn distances(&self) -> Vec<usize> {
        let before = self.edges_backwards(|_| true);
        let mut distance: Vec<usize> = self.is_end.iter().map(|end| if *end { 0 } else { usize::MAX }).collect();
        let mut open: VecDeque<usize> = (0..distance.len()).filter(|state| self.is_end[*state]).collect();
        while let Some(state) = open.pop_front() {
            for previous in &before[state] {
                if distance[*previous] == usize::MAX {
                    distance[*previous] = distance[state] + 1;
                    open.push_back(*previous);
                }
            }
        }
        distance
    }

    fn edges_backwards(&self, keeps: impl Fn(Symbol) -> bool) -> Vec<Vec<usize>> {
        let mut before = vec![Vec::new(); self.edges.len()];
        for (state, edges) in self.edges.iter().enumerate() {
            for (symbol, to) in edges {
                if keeps(*symbol) {
                    before[*to].push(state);
                }
            }
        }
        before
    }

    /// The rules that the automaton calls anywhere.
    pub(super) fn calls(&self) -> impl Iterator<Item = RuleId> + '_ {
        self.edges.iter().flat_map(BTreeMap::keys).filter_map(|symbol| symbol.rule())
    }

    fn called_first(&self) -> impl Iterator<Item = RuleId> + '_ {
        self.edges[0].keys().filter_map(|symbol| symbol.rule())
    }
}

/// The rules, ready to be followed.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) automata: Vec<Dfa>,
    /// Whether the start rule matches the empty text.
    pub(super) empty: bool,
    /// All rules, each before those that it may begin with.
    pub(super) callers_first: Vec<RuleId>,
}

impl Rules {
    /// Turns the rules into the form that the module's head tells of. `None` where `start` matches nothing.
    pub(super) fn new(mut rules: Vec<Nfa>, start: RuleId) -> Result<Option<Self>, ConstraintError> {
        let mut budget = MAX_WORK;
        let empty = mark(
            rules.len(),
            |rule| rules[rule].edges.iter().flatten().filter_map(|(symbol, _)| symbol.as_ref()?.rule()),
            |rule, known| {
                rules[rule].reaches_end(|symbol| match symbol {
                    None => true,
                    Some(Symbol::Terminal(_)) => false,
                    Some(Symbol::Rule(rule)) => known[rule as usize],
                })
            },
        );
        for nfa in &mut rules {
            for edges in &mut nfa.edges {
                let free = edges.iter().filter(|(symbol, _)| matches!(symbol, Some(Symbol::Rule(rule)) if empty[*rule as usize]));
                let free: Vec<_> = free.map(|(_, to)| (None, *to)).collect();
                edges.extend(free);
            }
        }
        let mut automata = rules.iter().map(|nfa| nfa.determinized(&mut budget)).collect::<Result<Vec<_>, _>>()?;
        drop(rules);
        // A rule that matches nothing, or nothing but the empty text, is not called.
        let productive = mark(
            automata.len(),
            |rule| automata[rule].calls(),
            |rule, known| !automata[rule].trimmed(|symbol| symbol.rule().is_none_or(|rule| known[rule as usize])).edges[0].is_empty(),
        );
        let keeps = |symbol: Symbol| symbol.rule().is_none_or(|rule| productive[rule as usize]);
        automata = automata.iter().map(|dfa| dfa.trimmed(keeps).minimized()).collect();
        if !productive[start as usize] && !empty[start as usize] {
            return Ok(None);
        }
        for group in groups(&automata) {
            if group.len() > 1 || automata[group[0] as usize].called_first().any(|rule| rule == group[0]) {
                let turned = group.iter().map(|rule| turn_left_corners(&automata, &group, *rule).determinized(&mut budget));
                let turned = turned.collect::<Result<Vec<_>, _>>()?;
                for (rule, dfa) in group.iter().zip(turned) {
                    automata[*rule as usize] = dfa.trimmed(|_| true).minimized();
                }
            }
        }
        // Nothing is left recursive any more: each group is one rule, and groups come callees first.
        let callers_first = groups(&automata).into_iter().flatten().rev().collect();
        Ok(Some(Self { automata, empty: empty[start as usize], callers_first }))
    }
}

/// The least fixed point: marks rules for which `holds`, given the marks so far, until none is added.
/// `calls` gives what a rule's answer may depend on.
fn mark<C: Iterator<Item = RuleId>>(count: usize, calls: impl Fn(usize) -> C, holds: impl Fn(usize, &[bool]) -> bool) -> Vec<bool> {
    let mut callers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
    for caller in 0..count {
        for called in calls(caller) {
            callers[called as usize].insert(caller);
        }
    }
    let mut marks = vec![false; count];
    let mut open: Vec<usize> = (0..count).collect();
    while let Some(rule) = open.pop() {
        if !marks[rule] && holds(rule, &marks) {
            marks[rule] = true;
            open.extend(callers[rule].iter().filter(|caller| !marks[**caller]));
        }
    }
    marks
}

/// The rule `entry` of a group of rules that begin with each other, so that it begins with none of them.
///
/// A derivation from the left: begin with something of the group's rules that is not of the group, which
/// completes some rule m; then, as long as it goes, some rule that begins with m goes on after it and is
/// completed in turn; the text ends where `entry` is.
fn turn_left_corners(automata: &[Dfa], group: &[RuleId], entry: RuleId) -> Nfa {
    let mut nfa = Nfa::new();
    let completed: FxHashMap<RuleId, usize> = group.iter().map(|rule| (*rule, nfa.add_state())).collect();
    nfa.add_edge(completed[&entry], None, Nfa::END);
    for rule in group {
        let dfa = &automata[*rule as usize];
        let states: Vec<usize> = dfa.edges.iter().map(|_| nfa.add_state()).collect();
        for (state, edges) in dfa.edges.iter().enumerate() {
            for (symbol, to) in edges {
                match symbol {
                    Symbol::Rule(first) if state == 0 && completed.contains_key(first) => nfa.add_edge(completed[first], None, states[*to]),
                    _ if state == 0 => nfa.add_edge(Nfa::START, Some(*symbol), states[*to]),
                    _ => nfa.add_edge(states[state], Some(*symbol), states[*to]),
                }
            }
            if dfa.is_end[state] {
                nfa.add_edge(states[state], None, completed[rule]);
            }
        }
    }
    nfa
}

/// The rules in groups that begin with each other, directly or not: strongly connected components
/// (Tarjan), each after all that it may begin with.
fn groups(automata: &[Dfa]) -> Vec<Vec<RuleId>> {
    const UNSEEN: usize = usize::MAX;
    let (mut index, mut low) = (vec![UNSEEN; automata.len()], vec![0; automata.len()]);
    let (mut on_stack, mut stack, mut groups) = (vec![false; automata.len()], Vec::new(), Vec::new());
    let mut next = 0;
    for root in 0..automata.len() {
        if index[root] != UNSEEN {
            continue;
        }
        // A call of the recursion: a rule, what it begins with, and how many of those were followed.
        let mut calls = vec![(root, automata[root].called_first().collect::<Vec<_>>(), 0)];
        while let Some((rule, first, followed)) = calls.last_mut() {
            let rule = *rule;
            if *followed == 0 {
                (index[rule], low[rule]) = (next, next);
                next += 1;
                stack.push(rule as RuleId);
                on_stack[rule] = true;
            }
            if let Some(other) = first.get(*followed).map(|other| *other as usize) {
                *followed += 1;
                if index[other] == UNSEEN {
                    calls.push((other, automata[other].called_first().collect(), 0));
                } else if on_stack[other] {
                    low[rule] = low[rule].min(index[other]);
                }
                continue;
            }
            calls.pop();
            if let Some((caller, ..)) = calls.last() {
                low[*caller] = low[*caller].min(low[rule]);
            }
            if low[rule] == index[rule] {
                let start = stack.iter().rposition(|member| *member as usize == rule).expect("a rule stays until its group is complete");
                let group = stack.split_off(start);
                for member in &group {
                    on_stack[*member as usize] = false;
                }
                groups.push(group);
            }
        }
    }
    groups
}
