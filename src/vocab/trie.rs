//! The text tokens of a vocabulary arranged by prefix, so that one walk asks a constraint about all of
//! them and leaves a whole subtree at the first byte that the constraint refuses.

use super::{TokenId, TokenSet, Vocabulary};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The text tokens of a vocabulary as a trie of bytes, in depth-first order.
///
/// Node 0 is the root, the empty prefix. A node's children follow it directly; `skip` leads past its
/// subtree. Tokens with equal bytes share a node.
#[derive(Debug)]
pub struct TokenTrie {
    nodes: Vec<Node>,
    /// Token ids ordered by their bytes; node `i` ends those of `tokens[nodes[i].first_token..nodes[i + 1].first_token]`.
    tokens: Vec<TokenId>,
    longest: usize,
    vocabulary_size: usize,
    id: u64,
    plain: OnceLock<Box<Plain>>,
}

/// The tokens apart that are plain text, and all others.
#[derive(Debug)]
struct Plain {
    tokens: TokenSet,
    /// The same, each with its number of characters, by that.
    by_characters: Vec<(u32, TokenId)>,
    others: TokenTrie,
    /// What follows plain text within the others, from a quote or backslash on.
    rests: TokenTrie,
}

#[derive(Debug)]
struct Node {
    byte: u8,
    /// The node after this node's subtree.
    skip: u32,
    first_token: u32,
}

impl TokenTrie {
    /// The trie of all text tokens of `vocabulary`. Sorts them: O(bytes log tokens).
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let tokens = vocabulary.tokens().filter_map(|token| Some((vocabulary.bytes(token)?.to_vec(), token)));
        Self::of_tokens(tokens.collect(), vocabulary.len())
    }

    fn of_tokens(mut texts: Vec<(Vec<u8>, TokenId)>, vocabulary_size: usize) -> Self {
        texts.sort();
        let mut nodes = vec![Node { byte: 0, skip: 0, first_token: 0 }];
        let mut open: Vec<u32> = vec![0];
        let longest = texts.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or(0);
        let mut previous: &[u8] = &[];
        for (position, (bytes, _)) in texts.iter().enumerate() {
            if bytes == previous {
                continue;
            }
            let shared = bytes.iter().zip(previous).take_while(|(a, b)| a == b).count();
            while open.len() > shared + 1 {
                let closed = open.pop().expect("the root stays open");
                nodes[closed as usize].skip = nodes.len() as u32;
            }
            for byte in &bytes[shared..] {
                open.push(nodes.len() as u32);
                nodes.push(Node { byte: *byte, skip: 0, first_token: position as u32 });
            }
            previous = bytes;
        }
        for closed in open {
            nodes[closed as usize].skip = nodes.len() as u32;
        }
        nodes.push(Node { byte: 0, skip: 0, first_token: texts.len() as u32 });
        let tokens = texts.into_iter().map(|(_, token)| token).collect();
        static TRIES: AtomicU64 = AtomicU64::new(0);
        let id = TRIES.fetch_add(1, Ordering::Relaxed);
        Self { nodes, tokens, longest, vocabulary_size, id, plain: OnceLock::new() }
    }

    /// A number that no other trie of this process has, by which what was worked out for one can be kept.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The number of tokens of the vocabulary, all kinds together.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// The number of bytes of the longest token.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The tokens that are plain text: whole characters of UTF-8, the last perhaps cut off, without
    /// quotes (`"`), backslashes and control characters. A quoted string that may hold any text may go on
    /// with each of them.
    pub fn plain_text(&self) -> &TokenSet {
        &self.plain().tokens
    }

    /// Adds the plain text of at most so many characters to `out`, which is empty; a character that is cut off
    /// counts.
    pub fn plain_text_up_to(&self, characters: u64, out: &mut TokenSet) {
        let plain = self.plain();
        let end = plain.by_characters.partition_point(|(count, _)| u64::from(*count) <= characters);
        let (short, long) = plain.by_characters.split_at(end);
        if short.len() < long.len() {
            for (_, token) in short {
                out.insert(*token);
            }
        } else {
            out.union_with(&plain.tokens);
            for (_, token) in long {
                out.remove(*token);
            }
        }
    }

    /// The trie of all tokens but those of [`TokenTrie::plain_text`].
    pub fn other_than_plain_text(&self) -> &TokenTrie {
        &self.plain().others
    }

    /// The trie of what the tokens hold from their first quote or backslash on, of those that are plain text up
    /// to there. A quoted string that may hold any text can go on with a token where it can with that rest.
    pub fn after_plain_text(&self) -> &TokenTrie {
        &self.plain().rests
    }

    fn plain(&self) -> &Plain {
        self.plain.get_or_init(|| {
            let mut tokens = TokenSet::new(self.vocabulary_size);
            let (mut by_characters, mut others, mut rests) = (Vec::new(), Vec::new(), Vec::new());
            for (bytes, token) in self.texts() {
                if is_plain(&bytes) {
                    tokens.insert(token);
                    by_characters.push((bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u32, token));
                } else {
                    let text = bytes.iter().take_while(|byte| **byte >= 0x20 && !matches!(byte, b'"' | b'\\')).count();
                    if bytes.get(text).is_some_and(|byte| *byte >= 0x20) && std::str::from_utf8(&bytes[..text]).is_ok() {
                        rests.push((bytes[text..].to_vec(), token));
                    }
                    others.push((bytes, token));
                }
            }
            let trie = |texts| Self::of_tokens(texts, self.vocabulary_size);
            by_characters.sort();
            Box::new(Plain { tokens, by_characters, others: trie(others), rests: trie(rests) })
        })
    }

    /// The trie of the tokens in which one of these bytes stands.
    pub fn holding(&self, bytes: &[u8]) -> TokenTrie {
        let texts = self.texts().into_iter().filter(|(text, _)| text.iter().any(|byte| bytes.contains(byte)));
        Self::of_tokens(texts.collect(), self.vocabulary_size)
    }

    /// All tokens, by their bytes.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// All tokens with their bytes, in that order.
    fn texts(&self) -> Vec<(Vec<u8>, TokenId)> {
        let (mut texts, mut path) = (Vec::with_capacity(self.tokens.len()), Vec::<(u8, usize)>::new());
        for at in 0..self.end() {
            while path.last().is_some_and(|(_, skip)| *skip <= at) {
                path.pop();
            }
            let node = &self.nodes[at];
            if at > 0 {
                path.push((node.byte, node.skip as usize));
            }
            let own = &self.tokens[node.first_token as usize..self.own_tokens_end(at)];
            texts.extend(own.iter().map(|token| (path.iter().map(|(byte, _)| *byte).collect(), *token)));
        }
        texts
    }

    /// Visits the prefixes of all tokens, parents first.
    ///
    /// `enter(state, byte)` gives the state after one more byte, or `None` where no token may go that way:
    /// the subtree is then left out. `found` is called for each token whose last byte was entered.
    pub fn walk<S>(&self, start: S, mut enter: impl FnMut(&S, u8) -> Option<S>, mut found: impl FnMut(TokenId)) {
        // States of the open nodes, each with the end of its subtree.
        let mut path = vec![(start, self.end())];
        let mut at = 1;
        while at < self.end() {
            while path.last().is_some_and(|(_, skip)| *skip <= at) {
                path.pop();
            }
            let node = &self.nodes[at];
            let (state, _) = path.last().expect("the root's subtree is the whole trie");
            match enter(state, node.byte) {
                Some(state) => {
                    for token in &self.tokens[node.first_token as usize..self.own_tokens_end(at)] {
                        found(*token);
                    }
                    path.push((state, node.skip as usize));
                    at += 1;
                }
                None => at = node.skip as usize,
            }
        }
    }

    fn end(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Where the tokens that end exactly at this node end. A node made for the bytes of a longer token
    /// has the same `first_token` as its first child and so no tokens of its own.
    fn own_tokens_end(&self, node: usize) -> usize {
        self.nodes[node + 1].first_token as usize
    }
}

/// Whether bytes that begin between two characters are plain text.
fn is_plain(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return false,
    };
    !bytes[..valid].iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::super::Token;
    use super::*;
    use proptest::prelude::*;

    fn vocabulary(texts: &[Vec<u8>]) -> Vocabulary {
        Vocabulary::new(texts.iter().cloned().map(Token::Text).chain([Token::End, Token::Control])).unwrap()
    }

    proptest! {
        #[test]
        fn a_walk_finds_exactly_the_tokens_made_of_entered_bytes(
            texts in prop::collection::vec(prop::collection::vec(0u8..4, 1..5), 0..40),
            allowed in prop::collection::vec(prop::bool::ANY, 16),
        ) {
            // A byte may follow another where the table says so: a small automaton that prunes anywhere.
            let vocabulary = vocabulary(&texts);
            let mut found = Vec::new();
            vocabulary.trie().walk(0u8, |state, byte| allowed[(state * 4 + byte) as usize].then_some(byte), |token| found.push(token));
            found.sort();
            let expected: Vec<_> = vocabulary.tokens().filter(|token| vocabulary.bytes(*token).is_some_and(|bytes| {
                let mut state = 0;
                bytes.iter().all(|byte| { let ok = allowed[(state * 4 + byte) as usize]; state = *byte; ok })
            })).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
