//! Products of rows with a matrix of f16.

use super::host::{Device, arguments};
use super::{THREADS, bits, numbers, rng};
use half::f16;
use rand::RngExt;

/// The kernels, with the rows and outputs of their blocks.
const KERNELS: [(&str, usize, usize); 4] =
    [("multiply_1_2", 16, 16), ("multiply_2_2", 32, 16), ("multiply_4_2", 64, 16), ("multiply_4_4", 64, 32)];

/// Inputs that a warp takes at once, and warps.
const PIECE: usize = 32;
const WARPS: usize = 8;

/// A product and what is added to it.
#[derive(Clone)]
struct Product {
    rows: usize,
    outputs: usize,
    inputs: usize,
    activations: Vec<f32>,
    weights: Vec<f16>,
    bias: Option<Vec<f32>>,
    /// What is there before, `[row][output]`; added to where `add` is set.
    before: Vec<f32>,
    add: bool,
}

impl Product {
    fn new(rows: usize, outputs: usize, inputs: usize) -> Self {
        let mut rng = rng((rows * 1000 + outputs * 10 + inputs) as u64);
        let activations = numbers(&mut rng, rows * inputs, 3.0);
        let weights = numbers(&mut rng, outputs * inputs, 0.5).into_iter().map(f16::from_f32).collect();
        let bias = Some(numbers(&mut rng, outputs, 2.0));
        let before = numbers(&mut rng, rows * outputs, 2.0);
        Self { rows, outputs, inputs, activations, weights, bias, before, add: true }
    }

    /// What a kernel gives, `[row][output]`.
    fn by(&self, (kernel, tall, wide): (&str, usize, usize)) -> Vec<f32> {
        let mut device = Device::default();
        let (activations, weights) = (device.put(&self.activations), device.put(&self.weights));
        let bias = self.bias.as_ref().map(|bias| device.put(bias));
        let output = device.put(&self.before);
        let grid = (self.outputs.div_ceil(wide), self.rows.div_ceil(tall));
        device.launch(
            kernel,
            grid,
            THREADS,
            arguments![activations, weights, bias, self.rows, self.outputs, self.inputs, self.add, output],
        );
        device.get(output)
    }

    /// Each product as a sum in `f64`, and by how much one in `f32` may differ from it.
    fn exact(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        // Roundings of the longest chain of sums: two for each 8 inputs of a warp's pieces, one for each warp, the bias
        // and what was there.
        let roundings = 2 * (PIECE / 8) * (self.inputs / PIECE).div_ceil(WARPS) + WARPS + 2;
        // An activation's two parts have all of its bits but the last one: an error of 2^-23.
        let relative = f64::powi(2.0, -24) * (roundings + 2) as f64;
        (0..self.rows * self.outputs).map(move |place| {
            let (row, output) = (place / self.outputs, place % self.outputs);
            let activations = &self.activations[row * self.inputs..][..self.inputs];
            let weights = &self.weights[output * self.inputs..][..self.inputs];
            let mut terms: Vec<f64> = activations.iter().zip(weights).map(|(x, w)| f64::from(*x) * w.to_f64()).collect();
            terms.extend(self.bias.as_ref().map(|bias| f64::from(bias[output])));
            terms.extend(self.add.then_some(f64::from(self.before[place])));
            (terms.iter().sum(), terms.iter().map(|term| term.abs()).sum::<f64>() * relative)
        })
    }

    /// One row of it.
    fn row(&self, row: usize) -> Self {
        let activations = self.activations[row * self.inputs..][..self.inputs].to_vec();
        let before = self.before[row * self.outputs..][..self.outputs].to_vec();
        Self { rows: 1, activations, before, ..self.clone() }
    }
}

/// The sizes are no multiples of a block's, and the pieces fewer than the warps, as many, or more.
const SHAPES: [(usize, usize, usize); 5] = [(1, 1, 32), (16, 16, 256), (17, 45, 288), (70, 33, 96), (5, 100, 544)];

#[test]
fn products_are_those_of_f64_up_to_the_rounding_of_f32_sums() {
    let mut worst: f64 = 0.0;
    for (rows, outputs, inputs) in SHAPES {
        let full = Product::new(rows, outputs, inputs);
        for product in [Product { bias: None, add: false, ..full.clone() }, Product { add: false, ..full.clone() }, full] {
            for kernel in KERNELS {
                for (place, (got, (exact, bound))) in product.by(kernel).into_iter().zip(product.exact()).enumerate() {
                    let error = (f64::from(got) - exact).abs();
                    assert!(error <= bound, "{kernel:?} {rows} {outputs} {inputs} at {place}: {got}, not {exact}: {error} > {bound}");
                    worst = worst.max(error / bound);
                }
            }
        }
    }
    println!("at worst {worst:.3} of the bound");
}

/// Whole numbers: sums of `f32` are exact, so each product is met with its own weight and every place with its own row.
#[test]
fn products_that_f32_holds_are_exact() {
    for (rows, outputs, inputs) in SHAPES {
        let mut product = Product::new(rows, outputs, inputs);
        let mut rng = rng(1);
        product.activations.iter_mut().for_each(|x| *x = rng.random_range(-4000..=4000) as f32);
        product.weights.iter_mut().for_each(|w| *w = f16::from_f32(rng.random_range(-2..=2) as f32));
        product.bias.iter_mut().flatten().for_each(|bias| *bias = rng.random_range(-99..=99) as f32);
        product.before.iter_mut().for_each(|before| *before = rng.random_range(-99..=99) as f32);
        let exact: Vec<f32> = product.exact().map(|(exact, _)| exact as f32).collect();
        for kernel in KERNELS {
            assert_eq!(product.by(kernel), exact, "{kernel:?} {rows} {outputs} {inputs}");
        }
    }
}

/// A single input: what is lost is lost by the activation's two parts.
#[test]
fn an_activation_keeps_all_of_its_bits_but_the_last() {
    let mut product = Product::new(64, 8, 32);
    (product.bias, product.add) = (None, false);
    for (place, x) in product.activations.iter_mut().enumerate() {
        *x = if place % 32 == place / 32 % 32 { *x } else { 0.0 };
    }
    for kernel in KERNELS {
        for (got, (exact, _)) in product.by(kernel).into_iter().zip(product.exact()) {
            // 2^-23 of the parts, and the rounding of the product.
            assert!((f64::from(got) - exact).abs() <= exact.abs() * 1.5 * f64::from(f32::EPSILON), "{got}, not {exact}");
        }
    }
}

#[test]
fn the_bits_of_a_row_depend_neither_on_the_batch_nor_on_the_kernel() {
    for (rows, outputs, inputs) in [(70, 45, 288), (33, 20, 544)] {
        let product = Product::new(rows, outputs, inputs);
        let all = KERNELS.map(|kernel| bits(&product.by(kernel)));
        for (kernel, others) in KERNELS.iter().zip(&all) {
            assert!(all[0] == *others, "{kernel:?} gives other bits");
        }
        for row in [0, 15, 16, rows - 1] {
            assert_eq!(bits(&product.row(row).by(KERNELS[0])), all[3][row * outputs..][..outputs], "row {row}");
        }
    }
}
