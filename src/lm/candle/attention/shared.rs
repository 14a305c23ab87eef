//! Which pages rows share.
//!
//! Rows of particles have most of their history in common, and so have rows of one prompt. A [`Stretch`] is
//! some pages that the same neighbouring rows have one after the other: they are loaded once for all of these.

use super::super::context::{PAGE, Page, PageShape};
use crate::simd::Pairs;
use std::ops::Range;
use std::sync::Arc;

/// A row's view of the positions before it.
pub(in super::super) struct Row<'a> {
    /// Full pages, finished before this pass.
    pub pages: &'a [Arc<Page>],
    /// This layer's pages that this pass writes (see [`PageShape::layer`]), after the full ones.
    pub open: &'a [Pairs],
    /// The row's own position: it sees this one and those before.
    pub position: usize,
}

impl<'a> Row<'a> {
    /// The pages that hold its history.
    pub(super) fn page_count(&self) -> usize {
        self.position / PAGE + 1
    }

    /// A page's keys and values of one head in one layer.
    pub(super) fn block(&self, page: usize, head: usize, layer: usize, shape: PageShape) -> &'a [Pairs] {
        let layer_of_page = match self.pages.get(page) {
            Some(page) => &page.0[layer * shape.layer()..],
            None => &self.open[(page - self.pages.len()) * shape.layer()..],
        };
        &layer_of_page[head * shape.block()..][..shape.block()]
    }

    /// What tells a page from all others; None after the last.
    fn identity(&self, page: usize) -> Option<(*const Pairs, usize)> {
        let open = || (self.open.as_ptr(), page - self.pages.len());
        (page < self.page_count()).then(|| self.pages.get(page).map_or_else(open, |page| (page.0.as_ptr(), 0)))
    }
}

/// Pages that neighbouring rows have in common.
#[derive(Debug, PartialEq)]
pub(in super::super) struct Stretch {
    pub rows: Range<usize>,
    pub pages: Range<usize>,
}

/// Cuts the rows' histories into stretches: all pages of each row, in order.
pub(in super::super) fn stretches(rows: &[Row<'_>]) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    if !rows.is_empty() {
        cut(rows, 0..rows.len(), 0, &mut stretches);
    }
    stretches
}

/// The stretches of some rows from a page on: what all have in common, then that of each group of those that
/// part there.
fn cut(rows: &[Row<'_>], group: Range<usize>, first: usize, stretches: &mut Vec<Stretch>) {
    let alike =
        |row: usize, page: usize| rows[row..group.end].iter().take_while(|other| other.identity(page) == rows[row].identity(page)).count();
    let shared = |page: &usize| rows[group.start].identity(*page).is_some() && alike(group.start, *page) == group.len();
    let end = (first..).find(|page| !shared(page)).expect("histories end");
    if end > first {
        stretches.push(Stretch { rows: group.clone(), pages: first..end });
    }
    let mut start = group.start;
    while start < group.end {
        let count = alike(start, end);
        if rows[start].identity(end).is_some() {
            cut(rows, start..start + count, end, stretches);
        }
        start += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_what_neighbours_have_in_common() {
        let shape = PageShape { layers: 1, key_heads: 1, head_size: 2 };
        let lines = |pages: usize| vec![Pairs::default(); pages * shape.layer()];
        let memory = Default::default();
        let page = || Arc::new(Page(super::super::super::context::Memory::count(&memory, lines(1).into())));
        let pages: Vec<_> = (0..6).map(|_| page()).collect();
        let fork: Vec<_> = pages[..4].iter().cloned().chain([page()]).collect();
        let tails: Vec<_> = (0..4).map(|_| lines(2)).collect();
        let row = |pages, tail: usize, position| Row { pages, open: &tails[tail], position };
        // Two rows of one prompt, a particle beside them, two that have parted earlier, one that is short.
        let rows = [
            row(&pages, 0, 6 * PAGE + 15),
            row(&pages, 0, 7 * PAGE),
            row(&pages, 1, 6 * PAGE),
            row(&fork, 2, 5 * PAGE + 1),
            row(&fork, 3, 5 * PAGE + 2),
            row(&pages[..2], 3, 2 * PAGE),
        ];
        let expected = [
            (0..6, 0..2),
            (0..5, 2..4),
            (0..3, 4..6),
            (0..2, 6..7),
            (1..2, 7..8),
            (2..3, 6..7),
            (3..5, 4..5),
            (3..4, 5..6),
            (4..5, 5..6),
            (5..6, 2..3),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(rows, pages)| Stretch { rows, pages }).collect();
        assert_eq!(stretches(&rows), expected);
        assert_eq!(stretches(&[]), []);
    }
}
