//! What is still open around a rule: a stack of positions to come back to, shared by all that came the same way.
//!
//! A node is immutable and reference-counted; where a grammar is ambiguous it stands for several stacks
//! at once (a graph-structured stack, Tomita 1985). Nodes are built bottom up and never changed, so that
//! each carries a digest of all that hangs from it. Two stacks are taken to be equal where their digests
//! of 128 bits are, which makes a comparison one step, whatever their depth.

use super::lexicon::ByteSet;
use super::network::{Network, PositionId};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// One or several stacks of positions to come back to.
#[derive(Clone)]
pub(super) struct Stack(Arc<Node>);

struct Node {
    /// The uppermost positions, each with the stacks below it; ordered, none twice.
    tops: SmallVec<[(PositionId, Stack); 1]>,
    /// Whether one of the stacks is empty: the text may end where it is come back to.
    is_empty: bool,
    digest: u128,
    /// Whether all that is open may end at once.
    may_end: bool,
    /// The fewest bytes that close all that is open.
    distance: u32,
    /// The bytes with which something may begin once what is open above has ended.
    next_bytes: ByteSet,
}

impl Stack {
    /// The empty stack.
    pub(super) fn empty() -> Self {
        Self::new(Node { tops: SmallVec::new(), is_empty: true, digest: 0, may_end: true, distance: 0, next_bytes: ByteSet::default() })
    }

    /// This stack with `position` on top.
    pub(super) fn push(&self, position: PositionId, network: &Network) -> Self {
        let at = network.at(position);
        let mut next_bytes = at.first_bytes;
        if at.is_end {
            next_bytes.union_with(&self.0.next_bytes);
        }
        Self::new(Node {
            tops: SmallVec::from_iter([(position, self.clone())]),
            is_empty: false,
            digest: 0,
            may_end: at.is_end && self.0.may_end,
            distance: at.distance.saturating_add(self.0.distance),
            next_bytes,
        })
    }

    /// All stacks of all of them.
    pub(super) fn union(stacks: &[Self]) -> Self {
        if let [only] = stacks {
            return only.clone();
        }
        let mut tops: SmallVec<[(PositionId, Self); 1]> = stacks.iter().flat_map(|stack| stack.0.tops.iter().cloned()).collect();
        tops.sort_unstable_by_key(|(position, below)| (*position, below.0.digest));
        tops.dedup_by_key(|(position, below)| (*position, below.0.digest));
        let mut next_bytes = ByteSet::default();
        for stack in stacks {
            next_bytes.union_with(&stack.0.next_bytes);
        }
        Self::new(Node {
            tops,
            is_empty: stacks.iter().any(|stack| stack.0.is_empty),
            digest: 0,
            may_end: stacks.iter().any(|stack| stack.0.may_end),
            distance: stacks.iter().map(|stack| stack.0.distance).min().unwrap_or(0),
            next_bytes,
        })
    }

    /// Seals a node with its digest.
    fn new(mut node: Node) -> Self {
        node.digest = mix(0, u128::from(node.is_empty));
        for (position, below) in &node.tops {
            node.digest = mix(mix(node.digest, u128::from(*position)), below.0.digest);
        }
        Self(Arc::new(node))
    }

    /// The uppermost positions, each with what is below it.
    pub(super) fn tops(&self) -> &[(PositionId, Self)] {
        &self.0.tops
    }

    /// Whether nothing is open, on one of the stacks.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty
    }

    /// Whether all that is open may end at once.
    pub(super) fn may_end(&self) -> bool {
        self.0.may_end
    }

    /// The fewest bytes that close all that is open.
    pub(super) fn distance(&self) -> u32 {
        self.0.distance
    }

    /// The bytes with which something may begin once what is open above has ended.
    pub(super) fn next_bytes(&self) -> &ByteSet {
        &self.0.next_bytes
    }

    pub(super) fn digest(&self) -> u128 {
        self.0.digest
    }
}

/// Two rounds of multiplication by an odd constant, the upper half folded down after each.
fn mix(digest: u128, value: u128) -> u128 {
    const ODD: u128 = 0xC5A3_8B1F_46E9_D2F7_9E37_79B9_7F4A_7C15;
    let fold = |word: u128| word ^ word >> 71;
    fold(fold((digest ^ value).wrapping_add(ODD).wrapping_mul(ODD)).wrapping_mul(ODD).wrapping_add(digest.rotate_left(31)))
}

impl PartialEq for Stack {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl fmt::Debug for Stack {
    /// The positions from the top down; `...` where there are several stacks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        let mut stack = self;
        while let Some((position, below)) = stack.tops().first() {
            list.entry(position);
            if stack.tops().len() > 1 {
                list.entry(&format_args!("..."));
            }
            stack = below;
        }
        list.finish()
    }
}

impl Drop for Node {
    /// Drops what hangs from the node one by one: nested calls would overflow on a deep stack.
    fn drop(&mut self) {
        let mut open: SmallVec<[Stack; 4]> = self.tops.drain(..).map(|(_, below)| below).collect();
        while let Some(Stack(node)) = open.pop() {
            if let Some(mut node) = Arc::into_inner(node) {
                open.extend(node.tops.drain(..).map(|(_, below)| below));
            }
        }
    }
}
