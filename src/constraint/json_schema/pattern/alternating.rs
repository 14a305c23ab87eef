//! Patterns with look-around, as automata.
//!
//! An NFA with look-around alternates: a *thread* is a state of the NFA together with *obligations*, what
//! the look-aheads that it passed still want of the rest of the text. An obligation is itself a set of
//! threads (of the look-ahead's NFA) that must, or must not, come to match. What precedes a position is
//! known when it is reached, so look-behinds run along from the start of the text and are merely looked
//! at. Sets of threads are interned and their steps memoised: exploring the sets that the whole pattern
//! reaches (the subset construction, with obligations) gives a plain DFA. `$` and `\b` are look-aheads
//! by one character.
//!
//! Brzozowski and Leiss, "On equations for regular languages, finite automata, and sequential networks"
//! (1980), introduced the boolean automata that this determinises.

use super::syntax::Node;
use super::{escapes, translate};
use crate::constraint::automaton::{Classes, LiveAutomaton, Problem, common_classes};
use regex_automata::nfa::thompson::{self, NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::Hir;
use std::collections::{HashMap, HashSet};

/// The most sets of threads, and threads in them, of one pattern.
const SUBSET_LIMIT: usize = 20_000;
const THREAD_LIMIT: usize = 400_000;
const NFA_LIMIT: usize = 4 << 20;

/// The automaton of the texts that `node` matches a part of.
///
/// # Errors
/// If it grows too large (which an expression that no automaton of this kind can do counts as), or no
/// text matches.
pub(super) fn explore(node: &Node) -> Result<LiveAutomaton, Problem> {
    let mut machine = Machine::new(node)?;
    let first = machine.first()?;
    let classes = machine.classes;
    let mut failed = None;
    let machine = std::cell::RefCell::new(machine);
    let step = |id: &Id, byte| match machine.borrow_mut().step(*id, byte) {
        Ok(next) => (next != FAILED).then_some(next),
        Err(problem) => {
            failed = Some(problem);
            None
        }
    };
    let explored = LiveAutomaton::explore(first, &classes, SUBSET_LIMIT, step, |id| machine.borrow().accepts(*id));
    failed.map_or(explored, Err)
}

/// An interned set of threads.
type Id = u32;

/// The look-ahead has matched: whatever follows will do.
const SATISFIED: Id = 0;
/// No thread is left.
const FAILED: Id = 1;

/// One NFA.
struct Program {
    nfa: NFA,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Spans the text.
    Whole,
    Ahead,
    /// Its number among the look-behinds. One that stands in another has the larger number.
    Behind(usize),
}

struct Guard {
    program: usize,
    negated: bool,
}

/// The programs that every pattern has: itself, any character, a character of a word.
const WHOLE: usize = 0;
const ANY: usize = 1;
const WORD: usize = 2;

#[derive(Clone, PartialEq, Eq, Hash, Default)]
struct Subset {
    program: usize,
    threads: Vec<Thread>,
    /// The look-behinds from number `first_behind` on, each as far as it has come.
    first_behind: usize,
    behind: Vec<Id>,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Thread {
    /// `None`: matched.
    state: Option<StateID>,
    /// Sorted.
    obligations: Vec<Obligation>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Obligation {
    id: Id,
    negated: bool,
}

/// What stands before a position.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Word,
    Other,
}

struct Machine {
    programs: Vec<Program>,
    guards: Vec<Guard>,
    /// The programs of the look-behinds, by number.
    behind: Vec<usize>,
    classes: Classes,
    subsets: Vec<Subset>,
    ids: HashMap<Subset, Id>,
    steps: HashMap<(Id, u8), Id>,
    threads: usize,
}

/// Where threads are closed: the look-behinds and what precedes.
#[derive(Clone, Copy)]
struct Position<'a> {
    before: Before,
    first_behind: usize,
    behind: &'a [Id],
}

impl Machine {
    fn new(node: &Node) -> Result<Self, Problem> {
        let mut looks = Vec::new();
        let whole = Hir::concat(vec![translate::anything(), translate::hir(node, &mut looks), translate::anything()]);
        let class = |class| Hir::class(regex_syntax::hir::Class::Unicode(class));
        let mut programs = vec![
            Program { nfa: nfa(&whole)?, kind: Kind::Whole },
            Program { nfa: nfa(&class(escapes::any()))?, kind: Kind::Ahead },
            Program { nfa: nfa(&class(escapes::word()))?, kind: Kind::Ahead },
        ];
        let (mut guards, mut behind) = (Vec::new(), Vec::new());
        // Translating a look-around may find further ones in it.
        while let Some(look) = looks.get(guards.len()) {
            let Node::Look { ahead, negated, inner } = look else { continue };
            guards.push(Guard { program: programs.len(), negated: *negated });
            let inner = translate::hir(inner, &mut looks);
            if *ahead {
                programs.push(Program { nfa: nfa(&inner)?, kind: Kind::Ahead });
            } else {
                let program = nfa(&Hir::concat(vec![translate::anything(), inner]))?;
                behind.push(programs.len());
                programs.push(Program { nfa: program, kind: Kind::Behind(behind.len() - 1) });
            }
        }
        let key = |byte| programs.iter().map(|program| program.nfa.byte_classes().get(byte)).collect::<Vec<_>>();
        let classes = common_classes(key);
        // The first two ids have no set of threads of their own.
        let subsets = vec![Subset::default(), Subset::default()];
        Ok(Self { programs, guards, behind, classes, subsets, ids: HashMap::new(), steps: HashMap::new(), threads: 0 })
    }

    fn first(&mut self) -> Result<Id, Problem> {
        let mut behind: Vec<Id> = Vec::new();
        for number in (0..self.behind.len()).rev() {
            let position = Position { before: Before::Nothing, first_behind: number + 1, behind: &behind };
            let first = self.start(self.behind[number], position)?;
            behind.insert(0, first);
        }
        self.start(WHOLE, Position { before: Before::Nothing, first_behind: 0, behind: &behind })
    }

    /// The threads of a program before its first byte.
    fn start(&mut self, program: usize, position: Position<'_>) -> Result<Id, Problem> {
        let start = self.programs[program].nfa.start_anchored();
        self.closed(program, vec![(start, Vec::new())], Vec::new(), position)
    }

    fn step(&mut self, id: Id, byte: u8) -> Result<Id, Problem> {
        if id == SATISFIED || id == FAILED {
            return Ok(id);
        }
        let byte = self.classes[usize::from(byte)];
        if let Some(next) = self.steps.get(&(id, byte)) {
            return Ok(*next);
        }
        let subset = self.subsets[id as usize].clone();
        let behind = subset.behind.iter().map(|id| self.step(*id, byte)).collect::<Result<Vec<_>, _>>()?;
        let (mut open, mut kept) = (Vec::new(), Vec::new());
        for thread in subset.threads {
            let Some(obligations) = self.stepped(&thread.obligations, byte)? else { continue };
            match thread.state {
                Some(state) => open.extend(successor(self.programs[subset.program].nfa.state(state), byte).map(|next| (next, obligations))),
                // A look-ahead that has matched waits for its obligations; any other match must be at once.
                None if self.programs[subset.program].kind == Kind::Ahead => kept.push(Thread { state: None, obligations }),
                None => {}
            }
        }
        let before = if byte.is_ascii_alphanumeric() || byte == b'_' { Before::Word } else { Before::Other };
        let position = Position { before, first_behind: subset.first_behind, behind: &behind };
        let next = self.closed(subset.program, open, kept, position)?;
        self.steps.insert((id, byte), next);
        Ok(next)
    }

    /// Obligations after one more byte; `None` where one cannot be met any more.
    fn stepped(&mut self, obligations: &[Obligation], byte: u8) -> Result<Option<Vec<Obligation>>, Problem> {
        let mut stepped = Some(Vec::with_capacity(obligations.len()));
        for obligation in obligations {
            let id = self.step(obligation.id, byte)?;
            stepped = stepped.and_then(|stepped| with(stepped, Obligation { id, ..*obligation }));
        }
        Ok(stepped)
    }

    /// Follows all that takes no byte, and interns what is reached.
    fn closed(
        &mut self,
        program: usize,
        mut open: Vec<(StateID, Vec<Obligation>)>,
        kept: Vec<Thread>,
        position: Position<'_>,
    ) -> Result<Id, Problem> {
        let nfa = self.programs[program].nfa.clone();
        let mut threads = kept;
        let mut seen: HashSet<(StateID, Vec<Obligation>)> = HashSet::new();
        while let Some((state, obligations)) = open.pop() {
            if !seen.insert((state, obligations.clone())) {
                continue;
            }
            match nfa.state(state) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => threads.push(Thread { state: Some(state), obligations }),
                State::Match { .. } => threads.push(Thread { state: None, obligations }),
                State::Fail => {}
                State::Union { alternates } => open.extend(alternates.iter().map(|next| (*next, obligations.clone()))),
                State::BinaryUnion { alt1, alt2 } => open.extend([(*alt1, obligations.clone()), (*alt2, obligations)]),
                State::Look { look: Look::Start, next } => {
                    if position.before == Before::Nothing {
                        open.push((*next, obligations));
                    }
                }
                State::Look { look, next } => {
                    let after_word = position.before == Before::Word;
                    let (program, negated) = match look {
                        Look::End => (ANY, true),
                        Look::WordAscii => (WORD, after_word),
                        _ => (WORD, !after_word),
                    };
                    let id = self.start(program, position)?;
                    open.extend(with(obligations, Obligation { id, negated }).map(|obligations| (*next, obligations)));
                }
                State::Capture { next, group_index, slot, .. } => {
                    match self.guards.get(group_index.as_usize().wrapping_sub(1)).filter(|_| slot.as_usize() % 2 == 0) {
                        None => open.push((*next, obligations)),
                        Some(guard) => {
                            let (program, negated) = (guard.program, guard.negated);
                            for wanted in self.wanted(program, negated, position)? {
                                let joined = wanted.into_iter().try_fold(obligations.clone(), with);
                                open.extend(joined.map(|obligations| (*next, obligations)));
                            }
                        }
                    }
                }
            }
            self.threads += 1;
            if self.threads > THREAD_LIMIT {
                return Err(Problem::TooLarge);
            }
        }
        let ahead = self.programs[program].kind == Kind::Ahead;
        if ahead && threads.iter().any(|thread| thread.state.is_none() && thread.obligations.is_empty()) {
            return Ok(SATISFIED);
        }
        if threads.is_empty() {
            return Ok(FAILED);
        }
        let threads = without_subsumed(threads);
        self.intern(Subset { program, threads, first_behind: position.first_behind, behind: position.behind.to_vec() })
    }

    /// What passing a look-around obliges to: one of these lists.
    fn wanted(&mut self, program: usize, negated: bool, position: Position<'_>) -> Result<Vec<Vec<Obligation>>, Problem> {
        let Kind::Behind(number) = self.programs[program].kind else {
            let id = self.start(program, position)?;
            return Ok(vec![vec![Obligation { id, negated }]]);
        };
        let subset = &self.subsets[position.behind[number - position.first_behind] as usize];
        let matched: Vec<Vec<Obligation>> =
            subset.threads.iter().filter(|thread| thread.state.is_none()).map(|thread| thread.obligations.clone()).collect();
        match negated {
            false => Ok(matched),
            // None of the matches may meet its obligations. Where one has several the choice which to break
            // would multiply.
            true => match matched.iter().all(|obligations| obligations.len() < 2) {
                true if matched.iter().any(Vec::is_empty) => Ok(Vec::new()),
                true => Ok(vec![matched.iter().flatten().map(|one| Obligation { negated: !one.negated, ..*one }).collect()]),
                false => Err(Problem::TooLarge),
            },
        }
    }

    fn intern(&mut self, subset: Subset) -> Result<Id, Problem> {
        if let Some(id) = self.ids.get(&subset) {
            return Ok(*id);
        }
        if self.subsets.len() >= SUBSET_LIMIT {
            return Err(Problem::TooLarge);
        }
        let id = self.subsets.len() as Id;
        self.ids.insert(subset.clone(), id);
        self.subsets.push(subset);
        Ok(id)
    }

    /// Whether the text may end here.
    fn accepts(&self, id: Id) -> bool {
        let met = |obligation: &Obligation| self.accepts(obligation.id) != obligation.negated;
        let matched = |thread: &Thread| thread.state.is_none() && thread.obligations.iter().all(met);
        id == SATISFIED || self.subsets[id as usize].threads.iter().any(matched)
    }
}

/// The obligations and one more; `None` where they cannot all be met.
fn with(mut obligations: Vec<Obligation>, one: Obligation) -> Option<Vec<Obligation>> {
    match (one.id, one.negated) {
        (SATISFIED, false) | (FAILED, true) => return Some(obligations),
        (SATISFIED, true) | (FAILED, false) => return None,
        _ => {}
    }
    if obligations.contains(&Obligation { negated: !one.negated, ..one }) {
        return None;
    }
    if let Err(place) = obligations.binary_search(&one) {
        obligations.insert(place, one);
    }
    Some(obligations)
}

/// A thread that another of the same state outlives whenever it does itself adds nothing.
fn without_subsumed(mut threads: Vec<Thread>) -> Vec<Thread> {
    threads.sort();
    threads.dedup();
    let subsumes = |a: &Thread, b: &Thread| {
        a.state == b.state && a.obligations.len() < b.obligations.len() && a.obligations.iter().all(|one| b.obligations.contains(one))
    };
    let needless: Vec<bool> = threads
        .iter()
        .map(|thread| {
            let from = threads.partition_point(|other| other.state < thread.state);
            threads[from..].iter().take_while(|other| other.state == thread.state).any(|other| subsumes(other, thread))
        })
        .collect();
    let mut needless = needless.into_iter();
    threads.retain(|_| !needless.next().unwrap_or(false));
    threads
}

fn successor(state: &State, byte: u8) -> Option<StateID> {
    match state {
        State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        State::Sparse(sparse) => sparse.matches_byte(byte),
        State::Dense(dense) => dense.matches_byte(byte),
        _ => None,
    }
}

fn nfa(hir: &Hir) -> Result<NFA, Problem> {
    let config = thompson::Config::new().shrink(false).nfa_size_limit(Some(NFA_LIMIT));
    thompson::Compiler::new().configure(config).build_from_hir(hir).map_err(|_| Problem::TooLarge)
}
