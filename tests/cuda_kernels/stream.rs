//! What is done to each row of the stream by itself: embeddings, norms, gates; and the conversions of f16 beneath.

use super::host::{Device, arguments};
use super::{THREADS, bits, numbers, rng};
use half::f16;

#[test]
fn every_f16_is_embedded_as_the_number_that_it_is() {
    let width = 1000;
    let table: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).chain([f16::ONE; 464]).collect();
    let rows = table.len() / width;
    // All rows, the last one first.
    let tokens: Vec<u32> = (0..rows as u32).rev().collect();
    let scale = 1.7f32;
    let mut device = Device::default();
    let (given, given_tokens) = (device.put(&table), device.put(&tokens));
    let stream = device.put(&vec![7.0f32; rows * width]);
    device.launch("embed", (rows, 1), THREADS, arguments![given, given_tokens, scale, width, stream]);
    for (row, got) in tokens.iter().zip(device.get::<f32>(stream).chunks(width)) {
        for (got, expected) in got.iter().zip(&table[*row as usize * width..]) {
            let expected = expected.to_f32() * scale;
            assert!(got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()), "{got}, not {expected}");
        }
    }
}

#[test]
fn gathered_rows_are_the_rows_of_these_numbers() {
    let width = 300;
    let rows = numbers(&mut rng(1), 9 * width, 5.0);
    let chosen = [8u32, 0, 3, 3, 7];
    let mut device = Device::default();
    let (given, given_chosen) = (device.put(&rows), device.put(&chosen));
    let to = device.put(&vec![7.0f32; chosen.len() * width]);
    device.launch("gather", (chosen.len(), 1), THREADS, arguments![given, given_chosen, width, to]);
    let expected: Vec<f32> = chosen.iter().flat_map(|row| &rows[*row as usize * width..][..width]).copied().collect();
    assert_eq!(bits(&device.get(to)), bits(&expected));
}

/// Rows normed by the kernel, added to `before` if there is any.
fn normed(rows: &[f32], weight: &[f32], epsilon: f32, before: Option<&[f32]>) -> Vec<f32> {
    let (width, count) = (weight.len(), rows.len() / weight.len());
    let mut device = Device::default();
    let (given, given_weight) = (device.put(rows), device.put(weight));
    let output = device.put(before.unwrap_or(&vec![7.0; rows.len()]));
    device.launch("rms_norm", (count, 1), THREADS, arguments![given, given_weight, epsilon, width, before.is_some(), output]);
    device.get(output)
}

#[test]
fn normed_rows_are_those_of_f64_and_do_not_depend_on_each_other() {
    for width in [1, 5, 64, 256, 300, 1000] {
        let mut rng = rng(width as u64);
        let mut rows = numbers(&mut rng, 4 * width, 3.0);
        // So small that epsilon matters, and nothing at all.
        rows[width..2 * width].iter_mut().for_each(|element| *element *= 1e-3);
        rows[2 * width..3 * width].fill(0.0);
        let (weight, before) = (numbers(&mut rng, width, 2.0), numbers(&mut rng, 4 * width, 2.0));
        let epsilon = 1e-5;
        for before in [None, Some(&before[..])] {
            let got = normed(&rows, &weight, epsilon, before);
            for (place, got) in got.iter().enumerate() {
                let row = rows[place / width * width..][..width].iter().map(|element| f64::from(*element));
                let mean = row.map(|element| element * element).sum::<f64>() / width as f64;
                let exact = f64::from(rows[place]) / (mean + f64::from(epsilon)).sqrt() * f64::from(weight[place % width]);
                let (added, error) = before.map_or((0.0, 0.0), |before| (f64::from(before[place]), f64::from(f32::EPSILON) * 2.0));
                let bound = exact.abs() * 1e-6 + error;
                assert!((f64::from(*got) - exact - added).abs() <= bound, "width {width}: {got}, not {}", exact + added);
            }
            for row in 0..4 {
                let range = row * width..(row + 1) * width;
                let alone = normed(&rows[range.clone()], &weight, epsilon, before.map(|before| &before[range.clone()]));
                assert_eq!(bits(&alone), bits(&got[range]));
            }
        }
    }
}

#[test]
fn gates_are_those_of_f64() {
    let (width, rows) = (700, 2);
    let mut rng = rng(3);
    let mut both = numbers(&mut rng, rows * 2 * width, 6.0);
    for (gate, value) in both.iter_mut().zip([0.0, -0.0, 1e-6, -1e-6, 20.0, -20.0, 60.0, -60.0, 200.0, -200.0, 1e4, -1e4]) {
        *gate = value;
    }
    for gelu in [false, true] {
        let mut device = Device::default();
        let given = device.put(&both);
        let output = device.put(&vec![7.0f32; rows * width]);
        device.launch("gated", (width.div_ceil(THREADS), rows), THREADS, arguments![given, width, gelu, output]);
        for (place, got) in device.get::<f32>(output).into_iter().enumerate() {
            let (row, place) = (place / width * 2 * width, place % width);
            let [x, up] = [row + place, row + width + place].map(|place| f64::from(both[place]));
            // Hendrycks and Gimpel 2016: x (1 + tanh u) / 2 for GELU; tanh by its exponentials, exact on both sides of 0.
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let slope = if gelu { 2.0 * u } else { x };
            let expected = x / (1.0 + (-slope).exp()) * up;
            // The slope is rounded, and its error is one of the exponent.
            let bound = expected.abs() * (4.0 + 4.0 * slope.abs()) * f64::powi(2.0, -24) + 1e-36;
            assert!((f64::from(got) - expected).abs() <= bound, "x {x}, gelu {gelu}: {got}, not {expected}");
        }
    }
}

/// Through the values of one head, which are rounded and nothing else.
#[test]
fn numbers_are_rounded_to_f16_as_ieee_754_says() {
    let size = 256;
    let mut given: Vec<f32> = Vec::new();
    for bits in (0..=0x7BFFu16).step_by(31).chain([0x3FF, 0x400, 0x7BFE, 0x7BFF]) {
        // A number of f16, the middle to the next one, and both neighbours of that.
        let (here, next) = (f16::from_bits(bits).to_f32(), f16::from_bits(bits + 1).to_f32());
        let middle = if next.is_finite() { (here + next) / 2.0 } else { 65520.0 };
        given.extend([here, middle, middle.next_up(), middle.next_down(), -here, -middle]);
    }
    given.extend([f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-45, -1e-45]);
    given.resize(given.len().next_multiple_of(size), f32::NAN);
    let rows = given.len() / size;
    let projected: Vec<f32> = given.chunks(size).flat_map(|values| [vec![0.0; 2 * size], values.to_vec()].concat()).collect();
    let mut device = Device::default();
    let pool = device.put(&vec![f16::ONE; rows * 2 * 16 * size]);
    let projected = device.put(&projected);
    let pages = device.put_addresses(pool, &(0..rows).map(|row| row * 2 * 16 * size * 2).collect::<Vec<_>>());
    let (positions, rotations) = (device.put(&vec![0u32; rows]), device.put::<f32>(&[]));
    let none = None::<super::host::Buffer>;
    device.launch(
        "place",
        (rows, 3),
        32,
        arguments![projected, none, none, 0.0f32, rotations, 0usize, false, pages, positions, 0usize, 1usize, 1usize, size, 1.0f32],
    );
    for (page, given) in device.get::<f16>(pool).chunks(2 * 16 * size).zip(given.chunks(size)) {
        for (got, given) in page[16 * size..].iter().zip(given) {
            let expected = f16::from_f32(*given);
            assert!(got.to_bits() == expected.to_bits() || (got.is_nan() && given.is_nan()), "{given}: {got}, not {expected}");
        }
    }
}
