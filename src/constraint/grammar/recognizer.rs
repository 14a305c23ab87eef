//! The recogniser: all ways to read a text, byte by byte.
//!
//! A *reading* is one of them: the token that is being written, where its rule goes on after it, and what is
//! open around that rule. A token ends only when a byte comes that it cannot go on with, so that within a
//! token a step is one look-up; then rules end and begin, as the byte asks for, until the next token has
//! begun. Readings that differ only in what is open around them are one, with a shared stack.

use super::lexicon::{BETWEEN, ByteSet, DEAD, LexState, Lexicon};
use super::network::{Call, FIRST, LAST, Network, PositionId};
use super::stack::Stack;
use smallvec::SmallVec;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One way to read a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// The token that is being written.
    pub(super) token: LexState,
    /// Where its rule goes on after it.
    pub(super) after: PositionId,
    /// What is open around the rule.
    pub(super) stack: Stack,
    /// What the next bytes must not complete: longer matches of tokens that were taken to have ended,
    /// and what must not follow them. Ordered; mostly there are none.
    pub(super) forbidden: Forbidden,
}

/// Where forbidden tokens stand.
pub(super) type Forbidden = Option<Arc<[LexState]>>;

impl Eq for Reading {}

impl Hash for Reading {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.token, self.after, self.stack.digest(), &self.forbidden).hash(state);
    }
}

/// All ways to read a text: ordered, none twice, none where no text can be read so.
pub(super) type Readings = SmallVec<[Reading; 1]>;

/// Between two tokens: a position where a byte is to be read.
struct Gap {
    at: PositionId,
    stack: Stack,
    forbidden: Forbidden,
}

/// A rule that is to begin, with what is to come after it.
struct Begin {
    call: Call,
    stack: Stack,
    forbidden: Forbidden,
}

/// Above this many gaps they are looked up in a set.
const FEW: usize = 16;

/// A grammar, compiled.
#[derive(Debug)]
pub(super) struct Recognizer {
    pub(super) lexicon: Lexicon,
    pub(super) network: Network,
    /// Where the tokens start that may stand between all others.
    pub(super) ignored: Vec<LexState>,
}

impl Recognizer {
    pub(super) fn start(&self) -> Readings {
        SmallVec::from_iter([Reading { token: BETWEEN, after: FIRST, stack: Stack::empty(), forbidden: None }])
    }

    /// Reads `byte`. Nothing is left where no text goes on so.
    pub(super) fn step(&self, readings: &mut Readings, byte: u8) {
        if self.step_within_tokens(readings, byte) {
            return;
        }
        let before = std::mem::take(readings);
        let mut gaps: SmallVec<[Gap; 2]> = SmallVec::new();
        for reading in &before {
            let Some(forbidden) = self.still_forbidden(&reading.forbidden, byte) else { continue };
            if self.is_complete(reading, &before)
                && let Some(forbidden) = self.end_token(reading, &before, byte, &forbidden)
            {
                gaps.push(Gap { at: reading.after, stack: reading.stack.clone(), forbidden });
            }
            let token = self.lexicon.next(reading.token, byte);
            if token != DEAD {
                readings.push(Reading { token, forbidden, ..reading.clone() });
            }
        }
        if !gaps.is_empty() {
            self.begin_tokens(gaps, byte, readings);
        }
        self.settle(readings);
    }

    /// Reads `byte` where no token can have ended before it; false, with nothing done, where one can.
    fn step_within_tokens(&self, readings: &mut Readings, byte: u8) -> bool {
        if !readings.iter().all(|reading| reading.forbidden.is_none() && self.within(reading.token, byte).is_some()) {
            return false;
        }
        readings.retain(|reading| {
            reading.token = self.lexicon.next(reading.token, byte);
            reading.token != DEAD
        });
        let in_order = readings.windows(2).all(|pair| pair[0].key() < pair[1].key());
        if !in_order || readings.iter().any(|reading| self.lexicon.is_settled(reading.token)) {
            self.settle(readings);
        }
        true
    }

    /// `token` after `byte`, or [`DEAD`]; `None` where the token may have ended before the byte. A longer
    /// match rules that out.
    fn within(&self, token: LexState, byte: u8) -> Option<LexState> {
        let next = self.lexicon.next(token, byte);
        let may_have_ended = self.lexicon.is_complete(token) && (next == DEAD || !self.lexicon.is_complete(next));
        (!may_have_ended).then_some(next)
    }

    /// Whether the token is complete, and no string of the grammar that may stand here takes its place.
    fn is_complete(&self, reading: &Reading, readings: &[Reading]) -> bool {
        let keywords = self.lexicon.keywords(reading.token);
        self.lexicon.is_complete(reading.token)
            && (keywords.is_empty()
                || !readings.iter().any(|other| {
                    // A keyword that is complete at the same byte began at the same byte.
                    other.token != BETWEEN
                        && self.lexicon.is_complete(other.token)
                        && keywords.contains(&self.lexicon.terminal(other.token))
                }))
    }

    /// What is forbidden after `byte`; `None` where it completes something forbidden.
    fn still_forbidden(&self, forbidden: &Forbidden, byte: u8) -> Option<Forbidden> {
        match forbidden {
            None => Some(None),
            Some(states) => self.forbid(states.iter().copied(), byte, SmallVec::new()),
        }
    }

    /// Ends the token of `reading` before `byte`, and gives what is then forbidden; `None` where the token
    /// cannot end here, because it, or what must not follow it, goes on with `byte` to a longer match.
    fn end_token(&self, reading: &Reading, readings: &[Reading], byte: u8, forbidden: &Forbidden) -> Option<Forbidden> {
        if reading.token == BETWEEN {
            return Some(forbidden.clone());
        }
        let terminal = self.lexicon.terminal(reading.token);
        // A keyword ends where the word does that it could be mistaken for.
        let words = readings
            .iter()
            .filter(|_| self.lexicon.is_keyword(terminal))
            .map(|other| other.token)
            .filter(|token| self.lexicon.keywords(*token).contains(&terminal));
        let own = [Some(reading.token), self.lexicon.ahead(terminal)].into_iter().flatten();
        self.forbid(own.chain(words), byte, forbidden.iter().flat_map(|states| states.iter().copied()).collect())
    }

    /// Adds to `forbidden` where `states` stand after `byte`; `None` where one of them is complete.
    fn forbid(&self, states: impl Iterator<Item = LexState>, byte: u8, mut forbidden: SmallVec<[LexState; 4]>) -> Option<Forbidden> {
        for state in states {
            match self.lexicon.next(state, byte) {
                DEAD => {}
                next if self.lexicon.is_complete(next) => return None,
                next => forbidden.push(next),
            }
        }
        if forbidden.is_empty() {
            return Some(None);
        }
        forbidden.sort_unstable();
        forbidden.dedup();
        Some(Some(forbidden.as_slice().into()))
    }

    /// Begins all tokens that `byte` may begin in `gaps`.
    fn begin_tokens(&self, mut gaps: SmallVec<[Gap; 2]>, byte: u8, readings: &mut Readings) {
        for gap in &gaps {
            for start in &self.ignored {
                self.begin_token(*start, gap.at, gap, byte, readings);
            }
        }
        self.end_rules(&mut gaps, Some(byte));
        let mut begins: SmallVec<[Begin; 4]> = SmallVec::new();
        for gap in &gaps {
            self.begin_at(gap, byte, readings, &mut begins);
        }
        // Callers come first, so that all calls of a rule are known when it begins.
        while let Some(at) = (0..begins.len()).min_by_key(|at| begins[*at].call.start) {
            let first = begins.swap_remove(at);
            let (start, forbidden) = (first.call.start, first.forbidden.clone());
            let mut stacks: SmallVec<[Stack; 2]> = SmallVec::from_iter([self.around(first)]);
            let mut at = 0;
            while at < begins.len() {
                if begins[at].call.start == start && begins[at].forbidden == forbidden {
                    stacks.push(self.around(begins.swap_remove(at)));
                } else {
                    at += 1;
                }
            }
            let gap = Gap { at: start, stack: Stack::union(&stacks), forbidden };
            self.begin_at(&gap, byte, readings, &mut begins);
        }
    }

    /// Adds to `gaps` where rules lead that end there: to where `byte` may begin something, if it is given.
    fn end_rules(&self, gaps: &mut SmallVec<[Gap; 2]>, byte: Option<u8>) {
        let wanted = |bytes: &ByteSet| byte.is_none_or(|byte| bytes.contains(byte));
        let mut seen: Option<HashSet<(PositionId, u128, Forbidden)>> = None;
        let mut done = 0;
        while done < gaps.len() {
            if self.network.at(gaps[done].at).is_end && wanted(gaps[done].stack.next_bytes()) {
                let (stack, forbidden) = (gaps[done].stack.clone(), gaps[done].forbidden.clone());
                for (back, below) in stack.tops() {
                    let position = self.network.at(*back);
                    let leads_on = wanted(&position.first_bytes) || position.is_end && wanted(below.next_bytes());
                    if !leads_on {
                        continue;
                    }
                    let is_new = match &mut seen {
                        Some(seen) => seen.insert((*back, below.digest(), forbidden.clone())),
                        None => !gaps.iter().any(|gap| gap.at == *back && gap.stack == *below && gap.forbidden == forbidden),
                    };
                    if is_new {
                        gaps.push(Gap { at: *back, stack: below.clone(), forbidden: forbidden.clone() });
                    }
                    if seen.is_none() && gaps.len() > FEW {
                        seen = Some(gaps.iter().map(|gap| (gap.at, gap.stack.digest(), gap.forbidden.clone())).collect());
                    }
                }
            }
            done += 1;
        }
    }

    fn around(&self, begin: Begin) -> Stack {
        match begin.call.back {
            Some(back) => begin.stack.push(back, &self.network),
            None => begin.stack,
        }
    }

    /// Begins the tokens that `byte` may begin at a position, and notes the rules that it may begin.
    fn begin_at(&self, gap: &Gap, byte: u8, readings: &mut Readings, begins: &mut SmallVec<[Begin; 4]>) {
        let position = self.network.at(gap.at);
        if !position.first_bytes.contains(byte) {
            return;
        }
        for (start, after) in &position.tokens {
            self.begin_token(*start, *after, gap, byte, readings);
        }
        for call in &position.calls {
            if self.network.at(call.start).first_bytes.contains(byte) {
                begins.push(Begin { call: *call, stack: gap.stack.clone(), forbidden: gap.forbidden.clone() });
            }
        }
    }

    fn begin_token(&self, start: LexState, after: PositionId, gap: &Gap, byte: u8, readings: &mut Readings) {
        let token = self.lexicon.next(start, byte);
        if token != DEAD {
            readings.push(Reading { token, after, stack: gap.stack.clone(), forbidden: gap.forbidden.clone() });
        }
    }

    /// Brings readings into the one form of all that have the same futures.
    ///
    /// A token that is over, whatever comes, is ended; a rule that can do nothing but end is. Readings
    /// that differ only in their stacks become one.
    fn settle(&self, readings: &mut Readings) {
        let mut at = 0;
        while at < readings.len() {
            let reading = &mut readings[at];
            if reading.token != BETWEEN && self.lexicon.is_settled(reading.token) {
                reading.token = BETWEEN;
            }
            let position = self.network.at(reading.after);
            if position.is_end && position.tokens.is_empty() && position.calls.is_empty() && reading.after != LAST {
                let reading = readings.swap_remove(at);
                readings.extend(reading.stack.tops().iter().map(|(back, below)| Reading {
                    after: *back,
                    stack: below.clone(),
                    ..reading.clone()
                }));
                if reading.stack.is_empty() {
                    readings.push(Reading { after: LAST, stack: Stack::empty(), ..reading });
                }
                continue;
            }
            at += 1;
        }
        if readings.len() < 2 {
            return;
        }
        readings.sort_unstable_by(|a, b| a.key().cmp(&b.key()).then(a.stack.digest().cmp(&b.stack.digest())));
        readings.dedup();
        let mut merged = Readings::new();
        for group in readings.chunk_by(|a, b| a.key() == b.key()) {
            let stacks: SmallVec<[Stack; 2]> = group.iter().map(|reading| reading.stack.clone()).collect();
            merged.push(Reading { stack: Stack::union(&stacks), ..group[0].clone() });
        }
        *readings = merged;
    }

    /// Whether the text is complete.
    pub(super) fn may_end(&self, readings: &[Reading]) -> bool {
        readings
            .iter()
            .any(|reading| self.network.at(reading.after).is_end && reading.stack.may_end() && self.is_complete(reading, readings))
    }

    /// A lower bound on the bytes that complete the text; exact but for what a token's longest match and
    /// keywords rule out.
    pub(super) fn distance(&self, readings: &[Reading]) -> u32 {
        let distance = |reading: &Reading| {
            let token = self.lexicon.distance(reading.token);
            token.saturating_add(self.network.at(reading.after).distance).saturating_add(reading.stack.distance())
        };
        readings.iter().map(distance).min().unwrap_or(0)
    }

    /// The bytes that may come next, and perhaps some that may not.
    pub(super) fn next_bytes(&self, readings: &[Reading]) -> ByteSet {
        let mut bytes = ByteSet::default();
        for reading in readings {
            bytes.union_with(self.lexicon.bytes(reading.token));
        }
        for reading in readings.iter().filter(|reading| self.lexicon.is_complete(reading.token)) {
            let position = self.network.at(reading.after);
            bytes.union_with(&position.first_bytes);
            if position.is_end {
                bytes.union_with(reading.stack.next_bytes());
            }
            for start in &self.ignored {
                bytes.union_with(self.lexicon.bytes(*start));
            }
        }
        bytes
    }

    /// The positions where a token may begin once the tokens that are complete have ended.
    pub(super) fn gaps(&self, readings: &[Reading]) -> impl Iterator<Item = PositionId> {
        let complete = readings.iter().filter(|reading| self.is_complete(reading, readings));
        let mut gaps = complete.map(|reading| Gap { at: reading.after, stack: reading.stack.clone(), forbidden: None }).collect();
        self.end_rules(&mut gaps, None);
        gaps.into_iter().map(|gap| gap.at)
    }
}

impl Reading {
    /// What readings must share to be one.
    fn key(&self) -> (LexState, PositionId, &Forbidden) {
        (self.token, self.after, &self.forbidden)
    }
}
