//! What a text lacks, in the grammar's own words.

use super::recognizer::{Reading, Recognizer};
use std::collections::BTreeSet;

/// The most names in a message.
const MAX_NAMES: usize = 12;

impl Recognizer {
    /// What may come next: the terminals that may begin, those that are begun, the end of the text.
    pub(super) fn expected(&self, readings: &[Reading]) -> String {
        let (mut open, mut next) = (BTreeSet::new(), BTreeSet::new());
        for reading in readings.iter().filter(|reading| !self.lexicon.is_complete(reading.token)) {
            open.insert(format!("the rest of {}", self.lexicon.name(self.lexicon.terminal(reading.token))));
        }
        if readings.iter().any(|reading| self.lexicon.is_complete(reading.token)) {
            next.extend(self.ignored.iter().map(|start| self.lexicon.name(self.lexicon.terminal(*start)).to_owned()));
        }
        let mut positions: Vec<_> = self.gaps(readings).collect();
        let mut seen: BTreeSet<_> = positions.iter().copied().collect();
        while let Some(position) = positions.pop() {
            let position = self.network.at(position);
            next.extend(position.tokens.iter().map(|(start, _)| self.lexicon.name(self.lexicon.terminal(*start)).to_owned()));
            positions.extend(position.calls.iter().map(|call| call.start).filter(|start| seen.insert(*start)));
        }
        let mut names: Vec<String> = open.into_iter().chain(next).collect();
        if names.len() > MAX_NAMES {
            names.truncate(MAX_NAMES);
            names.push("...".into());
        }
        if self.may_end(readings) {
            names.push("the end of the text".into());
        }
        match names.pop() {
            None => "nothing".into(),
            Some(last) if names.is_empty() => last,
            Some(last) => format!("{} or {last}", names.join(", ")),
        }
    }
}
