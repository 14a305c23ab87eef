//! The rules as one table of positions, with all that a recogniser asks of a position.

use super::lexicon::{ByteSet, LexState, Lexicon};
use super::rules::{Dfa, Rules, Symbol};

/// A position in a rule: a row of the table.
pub(super) type PositionId = u32;

/// Before the first byte of the text.
pub(super) const FIRST: PositionId = 0;
/// After the last one.
pub(super) const LAST: PositionId = 1;

/// What may come at a position.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// Whether the rule may end here.
    pub(super) is_end: bool,
    /// A token that begins at the first, then the second.
    pub(super) tokens: Vec<(LexState, PositionId)>,
    pub(super) calls: Vec<Call>,
    /// The bytes with which a token of the rule, or of a rule that it calls, may begin here.
    pub(super) first_bytes: ByteSet,
    /// The fewest bytes to the rule's end.
    pub(super) distance: u32,
}

/// A call of a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Where the rule starts. Starts are numbered so that a rule comes after all that may begin with it.
    pub(super) start: PositionId,
    /// Where to go on after it; `None` where the caller, having nothing more to do, need not be come back to.
    pub(super) back: Option<PositionId>,
}

/// All positions of all rules.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) positions: Vec<Position>,
}

impl Network {
    /// Lays the rules out, from `start` on.
    pub(super) fn new(rules: &Rules, start: u32, lexicon: &Lexicon) -> Self {
        let mut reachable = vec![false; rules.automata.len()];
        reachable[start as usize] = true;
        let mut open = vec![start];
        while let Some(rule) = open.pop() {
            open.extend(rules.automata[rule as usize].calls().filter(|called| !std::mem::replace(&mut reachable[*called as usize], true)));
        }
        let order: Vec<u32> = rules.callers_first.iter().copied().filter(|rule| reachable[*rule as usize]).collect();
        // The starts of all rules, in their order, then all other positions.
        let mut first_state = vec![0; rules.automata.len()];
        let mut other_states = vec![0; rules.automata.len()];
        let mut count = 2 + order.len();
        for (at, rule) in order.iter().enumerate() {
            first_state[*rule as usize] = 2 + at;
            other_states[*rule as usize] = count;
            count += rules.automata[*rule as usize].edges.len() - 1;
        }
        let position = |rule: u32, state: usize| match state {
            0 => first_state[rule as usize] as PositionId,
            state => (other_states[rule as usize] + state - 1) as PositionId,
        };
        let mut positions: Vec<Position> = (0..count).map(|_| Position { distance: u32::MAX, ..Position::default() }).collect();
        positions[FIRST as usize].is_end = rules.empty;
        positions[LAST as usize].is_end = true;
        if !rules.automata[start as usize].edges[0].is_empty() {
            positions[FIRST as usize].calls.push(Call { start: position(start, 0), back: None });
        }
        for rule in &order {
            let dfa = &rules.automata[*rule as usize];
            for (state, edges) in dfa.edges.iter().enumerate() {
                let here = &mut positions[position(*rule, state) as usize];
                here.is_end = dfa.is_end[state];
                for (symbol, to) in edges {
                    match symbol {
                        Symbol::Terminal(terminal) => here.tokens.push((lexicon.start(*terminal), position(*rule, *to))),
                        Symbol::Rule(called) => {
                            let is_last = dfa.is_end[*to] && (dfa.edges[*to].is_empty() || called == rule && adds_nothing(dfa, *to));
                            let back = (!is_last).then(|| position(*rule, *to));
                            here.calls.push(Call { start: position(*called, 0), back });
                        }
                    }
                }
            }
        }
        let mut network = Self { positions };
        network.find_first_bytes(lexicon);
        network.find_distances(lexicon);
        network
    }

    pub(super) fn at(&self, position: PositionId) -> &Position {
        &self.positions[position as usize]
    }

    /// Starts are numbered callers first, so from the last on what they begin with is known.
    fn find_first_bytes(&mut self, lexicon: &Lexicon) {
        let starts = self.positions.iter().flat_map(|position| &position.calls).map(|call| call.start).max().unwrap_or(LAST);
        let others = starts + 1..self.positions.len() as PositionId;
        for at in (0..=starts).rev().chain(others) {
            let mut first = ByteSet::default();
            let position = &self.positions[at as usize];
            for (start, _) in &position.tokens {
                first.union_with(lexicon.bytes(*start));
            }
            for call in &position.calls {
                first.union_with(&self.positions[call.start as usize].first_bytes);
            }
            self.positions[at as usize].first_bytes = first;
        }
    }

    /// Until nothing gets nearer. Positions after each other mostly stand in that order, so that few
    /// rounds from the last to the first are needed.
    fn find_distances(&mut self, lexicon: &Lexicon) {
        let mut changed = true;
        while changed {
            changed = false;
            for at in (0..self.positions.len()).rev() {
                let distance = |position: PositionId| self.positions[position as usize].distance;
                let position = &self.positions[at];
                let end = if position.is_end { 0 } else { u32::MAX };
                let tokens = position.tokens.iter().map(|(start, to)| lexicon.distance(*start).saturating_add(distance(*to)));
                let calls = position.calls.iter().map(|call| distance(call.start).saturating_add(call.back.map_or(0, distance)));
                let nearest = tokens.chain(calls).fold(end, u32::min);
                if nearest < position.distance {
                    self.positions[at].distance = nearest;
                    changed = true;
                }
            }
        }
    }
}

/// Whether a rule that calls itself and comes back at `state`, an end, need not come back.
///
/// So it is if all that it can do from there, it can do from each of its ends: then the called one, having
/// ended, may go on in the caller's stead. So `s: s s | "a"` and `e: e "+" e | "-" e | "1"` need no stack.
fn adds_nothing(dfa: &Dfa, state: usize) -> bool {
    let mut ends = dfa.edges.iter().zip(&dfa.is_end).filter(|(_, is_end)| **is_end);
    ends.all(|(edges, _)| dfa.edges[state].iter().all(|(symbol, to)| edges.get(symbol) == Some(to)))
}
