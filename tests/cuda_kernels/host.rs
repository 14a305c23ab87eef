//! The program that runs kernels, as a device.

use half::f16;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, id};
use std::sync::LazyLock;

/// The program, compiled once.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda_kernels");
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cuda_kernels");
    // Whoever else runs these tests has a whole program all the time.
    let fresh = made.with_extension(id().to_string());
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let mut words = compiler.split_whitespace();
    let output = Command::new(words.next().expect("CXX names a compiler"))
        .args(words)
        .args(["-std=c++17", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-I"])
        .args([&folder, &folder.join("host.cpp")])
        .arg("-o")
        .arg(&fresh)
        .output()
        .unwrap_or_else(|error| panic!("the tests of the CUDA kernels need a C++ compiler, and `{compiler}` does not run: {error}"));
    assert!(output.status.success(), "`{compiler}` does not compile the kernels:\n{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&fresh, &made).unwrap();
    made
});

/// A number as the kernels have it in memory.
pub trait Number: Copy {
    const BYTES: usize;

    fn write(self, to: &mut Vec<u8>);

    fn read(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const BYTES: usize = size_of::<Self>();

            fn write(self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("as many bytes as the number has"))
            }
        }
    )*};
}
number!(f16, f32, f64, i32, u32, u64);

/// Memory of a device.
#[derive(Clone, Copy)]
pub struct Buffer(usize);

/// An argument of a kernel; no buffer is a null pointer.
#[derive(Clone, Copy)]
pub enum Argument {
    Int(i32),
    Float(f32),
    Address(Option<Buffer>),
}

impl From<usize> for Argument {
    fn from(number: usize) -> Self {
        Self::Int(number as i32)
    }
}

impl From<bool> for Argument {
    fn from(flag: bool) -> Self {
        Self::Int(flag.into())
    }
}

impl From<f32> for Argument {
    fn from(number: f32) -> Self {
        Self::Float(number)
    }
}

impl From<Buffer> for Argument {
    fn from(buffer: Buffer) -> Self {
        Self::Address(Some(buffer))
    }
}

impl From<Option<Buffer>> for Argument {
    fn from(buffer: Option<Buffer>) -> Self {
        Self::Address(buffer)
    }
}

/// The arguments of a kernel, in its order.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { &[$($crate::host::Argument::from($argument)),*] };
}
pub(crate) use arguments;

#[derive(Clone, PartialEq)]
struct Memory {
    bytes: Vec<u8>,
    /// Where its words point into, if they are offsets there, in bytes.
    points_into: Option<usize>,
}

/// A device with all of its memory.
#[derive(Clone, Default)]
pub struct Device {
    memory: Vec<Memory>,
}

/// All ones: no buffer.
const NONE: u64 = u64::MAX;

impl Device {
    /// A buffer with these numbers.
    pub fn put<T: Number>(&mut self, numbers: &[T]) -> Buffer {
        let mut bytes = Vec::with_capacity(numbers.len() * T::BYTES);
        numbers.iter().for_each(|number| number.write(&mut bytes));
        self.memory.push(Memory { bytes, points_into: None });
        Buffer(self.memory.len() - 1)
    }

    /// A buffer of addresses: `offsets` into another one, in bytes.
    pub fn put_addresses(&mut self, of: Buffer, offsets: &[usize]) -> Buffer {
        let offsets: Vec<u64> = offsets.iter().map(|offset| *offset as u64).collect();
        let buffer = self.put(&offsets);
        self.memory[buffer.0].points_into = Some(of.0);
        buffer
    }

    /// The numbers of a buffer.
    pub fn get<T: Number>(&self, buffer: Buffer) -> Vec<T> {
        self.memory[buffer.0].bytes.chunks_exact(T::BYTES).map(T::read).collect()
    }

    /// Runs a kernel in blocks of `threads` threads, whose order must not matter.
    pub fn launch(&mut self, kernel: &str, grid: (usize, usize), threads: usize, arguments: &[Argument]) {
        let after = self.after(kernel, grid, threads, arguments, "forward");
        let otherwise = self.after(kernel, grid, threads, arguments, "backward");
        assert!(
            after == otherwise,
            "{kernel} leaves other numbers when its threads run in reverse: a barrier is missing, or threads share a place"
        );
        self.memory = after;
    }

    /// The memory after a kernel has run.
    fn after(&self, kernel: &str, grid: (usize, usize), threads: usize, arguments: &[Argument], order: &str) -> Vec<Memory> {
        let mut input = Vec::new();
        (self.memory.len() as u64).write(&mut input);
        for memory in &self.memory {
            (memory.bytes.len() as u64).write(&mut input);
            memory.points_into.map_or(NONE, |buffer| buffer as u64).write(&mut input);
            input.extend(&memory.bytes);
        }
        for argument in arguments {
            match argument {
                Argument::Int(number) => number.write(&mut input),
                Argument::Float(number) => number.write(&mut input),
                Argument::Address(buffer) => buffer.map_or(NONE as u32, |buffer| buffer.0 as u32).write(&mut input),
            }
        }
        let mut program = Command::new(&*PROGRAM)
            .args([kernel, &grid.0.to_string(), &grid.1.to_string(), &threads.to_string(), order])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that ends early says why, below.
        let _ = program.stdin.take().map(|mut stdin| stdin.write_all(&input));
        let output = program.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kernel}, {order}: {}: {said} (a signal: memory outside of all buffers)", output.status);
        let mut rest = &output.stdout[..];
        let memory = self.memory.iter().map(|memory| {
            let (bytes, after) = rest.split_at(memory.bytes.len());
            rest = after;
            Memory { bytes: bytes.to_vec(), ..*memory }
        });
        memory.collect()
    }
}
