//! Keys and values: how they are put into pages, copied, and attended to.

use super::host::{Device, arguments};
use super::{PAGE, THREADS, bits, numbers, rng};
use half::f16;
use rand::RngExt;

/// Threads of a block of attention.
const ATTENTION_THREADS: usize = 512;

/// The heads of a layer.
#[derive(Clone, Copy)]
struct Heads {
    layers: usize,
    layer: usize,
    heads: usize,
    key_heads: usize,
    size: usize,
}

impl Heads {
    /// Queries, keys and values of a row.
    fn width(self) -> usize {
        (self.heads + 2 * self.key_heads) * self.size
    }

    /// Numbers of a page: blocks of a layer's head, each with keys `[position][element]` and then values alike.
    fn page(self) -> usize {
        self.layers * self.key_heads * self.block()
    }

    fn block(self) -> usize {
        2 * PAGE * self.size
    }

    /// Where the key of a position is in a page; its value is `PAGE * size` after.
    fn key(self, head: usize, position: usize) -> usize {
        (self.layer * self.key_heads + head) * self.block() + position % PAGE * self.size
    }
}

/// A row and what it sees.
struct Row {
    position: usize,
    projected: Vec<f32>,
    /// Numbers of its pages.
    pages: Vec<usize>,
}

/// Rows that see pages in which nothing but what they see is a number.
struct Attention {
    heads: Heads,
    window: usize,
    rows: Vec<Row>,
    /// `[page][number]`.
    pool: Vec<f16>,
}

impl Attention {
    fn new(heads: Heads, window: usize, positions: &[usize]) -> Self {
        let mut rng = rng((heads.size + window) as u64);
        let counts: Vec<usize> = positions.iter().map(|position| position / PAGE + 1).collect();
        let total: usize = counts.iter().sum();
        // Pages of a row lie anywhere.
        let mut free: Vec<usize> = (0..total).collect();
        for place in (1..total).rev() {
            free.swap(place, rng.random_range(0..=place));
        }
        let mut pool = vec![f16::NAN; total * heads.page()];
        let row = |(position, count): (&usize, usize)| {
            let pages = free.split_off(free.len() - count);
            for seen in Self::seen(window, *position) {
                for head in 0..heads.key_heads {
                    let key = pages[seen / PAGE] * heads.page() + heads.key(head, seen);
                    for element in 0..heads.size {
                        pool[key + element] = f16::from_f32(rng.random_range(-1.0..1.0));
                        pool[key + PAGE * heads.size + element] = f16::from_f32(rng.random_range(-1.0..1.0));
                    }
                }
            }
            // Scores have the spread that models give them.
            let projected = numbers(&mut rng, heads.width(), 8.0 / (heads.size as f32).sqrt());
            Row { position: *position, projected, pages }
        };
        let rows = positions.iter().zip(counts).map(row).collect();
        Self { heads, window, rows, pool }
    }

    /// The positions that are seen from one.
    fn seen(window: usize, position: usize) -> std::ops::RangeInclusive<usize> {
        let first = if window == 0 { 0 } else { (position + 1).saturating_sub(window) };
        first..=position
    }

    /// What the kernel gives for some of the rows, `[row][head][element]`.
    fn by_kernel(&self, rows: &[&Row]) -> Vec<f32> {
        let heads = self.heads;
        let mut device = Device::default();
        let pool = device.put(&self.pool);
        let projected = device.put(&rows.iter().flat_map(|row| row.projected.clone()).collect::<Vec<_>>());
        let addresses: Vec<usize> = rows.iter().flat_map(|row| &row.pages).map(|page| page * heads.page() * 2).collect();
        let tables = device.put_addresses(pool, &addresses);
        let starts = rows.iter().scan(0, |end, row| {
            let start = *end;
            *end += row.pages.len() as u32;
            Some(start)
        });
        let starts = device.put(&starts.collect::<Vec<u32>>());
        let positions = device.put(&rows.iter().map(|row| row.position as u32).collect::<Vec<_>>());
        let output = device.put(&vec![7.0f32; rows.len() * heads.heads * heads.size]);
        let kernel = match heads.size {
            ..=64 => "attend_1",
            65..=128 => "attend_2",
            _ => "attend_4",
        };
        let Heads { layer, heads: count, key_heads, size, .. } = heads;
        device.launch(
            kernel,
            (rows.len(), count),
            ATTENTION_THREADS,
            arguments![projected, tables, starts, positions, layer, count, key_heads, size, self.window, output],
        );
        device.get(output)
    }

    /// The attention of a row's head as sums in `f64`.
    fn exact(&self, row: &Row, head: usize) -> Vec<f64> {
        let heads = self.heads;
        let query = &row.projected[head * heads.size..][..heads.size];
        let at = |seen: usize, values: usize| {
            let key = row.pages[seen / PAGE] * heads.page() + heads.key(head / (heads.heads / heads.key_heads), seen);
            self.pool[key + values * PAGE * heads.size..][..heads.size].iter().map(|number| number.to_f64())
        };
        let score = |seen| query.iter().zip(at(seen, 0)).map(|(query, key)| f64::from(*query) * key).sum::<f64>();
        let weights: Vec<f64> = Self::seen(self.window, row.position).map(|seen| score(seen).exp()).collect();
        let mut mixture = vec![0.0; heads.size];
        for (seen, weight) in Self::seen(self.window, row.position).zip(&weights) {
            mixture.iter_mut().zip(at(seen, 1)).for_each(|(sum, value)| *sum += weight * value);
        }
        let total: f64 = weights.iter().sum();
        mixture.into_iter().map(|sum| sum / total).collect()
    }
}

/// Positions at either end of a page and within; more pages than the sixteen warps, and twice as many.
const POSITIONS: [usize; 8] = [0, 5, 15, 16, 38, 255, 260, 600];

fn all_sizes(check: impl Fn(&Attention)) {
    let small = Heads { layers: 2, layer: 1, heads: 4, key_heads: 2, size: 16 };
    check(&Attention::new(small, 0, &POSITIONS));
    for window in [1, 5, 16, 40, 300] {
        check(&Attention::new(Heads { heads: 2, ..small }, window, &POSITIONS));
    }
    for size in [48, 64, 80, 128, 192, 256] {
        check(&Attention::new(Heads { heads: 2, key_heads: 1, size, ..small }, 0, &[0, 21, 263]));
        check(&Attention::new(Heads { layer: 0, heads: 1, key_heads: 1, size, ..small }, 20, &[30, 270]));
    }
}

#[test]
fn attention_is_that_of_f64_and_sees_nothing_but_the_rows_own_positions() {
    let worst = std::cell::Cell::new(0.0);
    all_sizes(|attention| {
        let rows: Vec<&Row> = attention.rows.iter().collect();
        let got = attention.by_kernel(&rows);
        let Heads { heads, size, .. } = attention.heads;
        for (place, got) in got.chunks(size).enumerate() {
            let (row, head) = (rows[place / heads], place % heads);
            for (got, exact) in got.iter().zip(attention.exact(row, head)) {
                let error = (f64::from(*got) - exact).abs();
                let Attention { window, .. } = attention;
                assert!(error < 2e-6, "heads of {size}, window {window}, position {}, head {head}: {got}, not {exact}", row.position);
                worst.set(f64::max(worst.get(), error));
            }
        }
    });
    println!("errors of at most {:.2e}", worst.get());
}

#[test]
fn the_bits_of_attention_do_not_depend_on_the_batch() {
    all_sizes(|attention| {
        let rows: Vec<&Row> = attention.rows.iter().rev().collect();
        let width = attention.heads.heads * attention.heads.size;
        let together = bits(&attention.by_kernel(&rows));
        for (row, together) in rows.iter().zip(together.chunks(width)) {
            assert_eq!(bits(&attention.by_kernel(&[row])), together, "position {}", row.position);
        }
    });
}

const EPSILON: f32 = 1e-5;
const SCORE_SCALE: f32 = 0.3;

/// A head normed and turned, in `f64`. Pairs are of neighbours, or of elements as far apart as there are pairs.
fn turned(head: &[f32], norm: Option<&[f32]>, rotations: &[f32], neighbours: bool) -> Vec<f64> {
    let mut head: Vec<f64> = head.iter().map(|element| f64::from(*element)).collect();
    if let Some(norm) = norm {
        let mean = head.iter().map(|element| element * element).sum::<f64>() / head.len() as f64;
        let scale = 1.0 / (mean + f64::from(EPSILON)).sqrt();
        head.iter_mut().zip(norm).for_each(|(element, weight)| *element *= scale * f64::from(*weight));
    }
    for (pair, rotation) in rotations.chunks(2).enumerate() {
        let (first, second) = if neighbours { (2 * pair, 2 * pair + 1) } else { (pair, pair + rotations.len() / 2) };
        let (cos, sin) = (f64::from(rotation[0]), f64::from(rotation[1]));
        (head[first], head[second]) = (head[first] * cos - head[second] * sin, head[first] * sin + head[second] * cos);
    }
    head
}

#[test]
fn queries_and_keys_are_normed_and_turned_and_each_goes_to_its_place() {
    let heads = Heads { layers: 3, layer: 1, heads: 6, key_heads: 2, size: 80 };
    let positions = [0usize, 3, 15, 16, 29, 40];
    for (norms, pairs, neighbours) in [(false, 40, false), (true, 40, true), (true, 13, false), (false, 20, true), (true, 0, true)] {
        let mut rng = rng(pairs as u64);
        let Heads { layer, heads: count, key_heads, size, .. } = heads;
        let before = numbers(&mut rng, positions.len() * heads.width(), 2.0);
        let (query_norm, key_norm) = (numbers(&mut rng, size, 2.0), numbers(&mut rng, size, 2.0));
        let angles = numbers(&mut rng, 41 * pairs, 3.0);
        let rotations: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        // Whatever is not written stays.
        let untouched = f16::from_bits(0x1234);
        let mut device = Device::default();
        let pool = device.put(&vec![untouched; positions.len() * heads.page()]);
        let projected = device.put(&before);
        let norm = [&query_norm, &key_norm].map(|norm| norms.then(|| device.put(norm)));
        let given_rotations = device.put(&rotations);
        // The pages of rows in another order.
        let page = |row: usize| (row + 4) % positions.len();
        let pages = device.put_addresses(pool, &(0..positions.len()).map(|row| page(row) * heads.page() * 2).collect::<Vec<_>>());
        let given_positions = device.put(&positions.map(|position| position as u32));
        device.launch(
            "place",
            (positions.len(), count + 2 * key_heads),
            32,
            arguments![
                projected,
                norm[0],
                norm[1],
                EPSILON,
                given_rotations,
                pairs,
                neighbours,
                pages,
                given_positions,
                layer,
                count,
                key_heads,
                size,
                SCORE_SCALE,
            ],
        );
        let (projected, mut pool) = (device.get::<f32>(projected), device.get::<f16>(pool));
        for (row, position) in positions.into_iter().enumerate() {
            let rotations = &rotations[position * pairs * 2..][..pairs * 2];
            let part = |all: &[f32], head: usize| all[row * heads.width() + head * size..][..size].to_vec();
            for head in 0..count {
                let expected = turned(&part(&before, head), norms.then_some(&query_norm), rotations, neighbours);
                for (got, expected) in part(&projected, head).into_iter().zip(expected) {
                    let expected = expected * f64::from(SCORE_SCALE);
                    assert!((f64::from(got) - expected).abs() < 1e-6, "query {got}, not {expected}");
                }
            }
            for head in count..count + 2 * key_heads {
                assert_eq!(part(&projected, head), part(&before, head), "keys and values stay as they were projected");
            }
            for head in 0..key_heads {
                let key = page(row) * heads.page() + heads.key(head, position);
                let expected = turned(&part(&before, count + head), norms.then_some(&key_norm), rotations, neighbours);
                for (got, expected) in pool[key..][..size].iter_mut().zip(expected) {
                    let bound = expected.abs() * f64::powi(2.0, -11) + 1e-6;
                    assert!((got.to_f64() - expected).abs() <= bound, "key {got}, not {expected}");
                    *got = untouched;
                }
                let values = part(&before, count + key_heads + head);
                for (got, expected) in pool[key + PAGE * size..][..size].iter_mut().zip(values) {
                    assert_eq!(*got, f16::from_f32(expected), "values are rounded and nothing else");
                    *got = untouched;
                }
            }
        }
        assert!(pool.iter().all(|number| *number == untouched), "nothing else is written");
    }
}

#[test]
fn the_first_positions_of_pages_are_copied_and_no_others() {
    let heads = Heads { layers: 2, layer: 0, heads: 1, key_heads: 3, size: 48 };
    let positions = [0usize, 1, 7, 16];
    let page = heads.page();
    let random: Vec<f16> = numbers(&mut rng(1), 2 * positions.len() * page, 1.0).into_iter().map(f16::from_f32).collect();
    let mut device = Device::default();
    let pool = device.put(&random);
    // From pages 0, 2, ... to the ones after, last first.
    let from: Vec<usize> = (0..positions.len()).map(|copy| 2 * (positions.len() - 1 - copy)).collect();
    let addresses = |pages: &[usize]| pages.iter().map(|number| number * page * 2).collect::<Vec<_>>();
    let to: Vec<usize> = from.iter().map(|number| number + 1).collect();
    let (given_from, given_to) = (device.put_addresses(pool, &addresses(&from)), device.put_addresses(pool, &addresses(&to)));
    let given_positions = device.put(&positions.map(|position| position as u32));
    let grid = (heads.layers * heads.key_heads, positions.len());
    device.launch("copy_pages", grid, THREADS, arguments![given_from, given_to, given_positions, heads.size]);
    let mut expected = random;
    for (copy, positions) in positions.into_iter().enumerate() {
        for half_block in (0..page).step_by(PAGE * heads.size) {
            let (source, target) = (from[copy] * page + half_block, to[copy] * page + half_block);
            expected.copy_within(source..source + positions * heads.size, target);
        }
    }
    assert!(device.get::<f16>(pool) == expected);
}
