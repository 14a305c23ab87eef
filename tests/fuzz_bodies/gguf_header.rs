//! Any bytes as a GGUF file: its header, its table of tensors, its tokenizer.

use tamis::lm::candle::CandleLm;

/// Loads the bytes as a model: an error or a model, never a panic.
pub fn run(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("tamis-fuzz-{}-{:?}.gguf", std::process::id(), std::thread::current().id()));
    std::fs::write(&path, data).expect("the folder of temporary files can be written");
    let loaded = CandleLm::load(&path);
    let _ = std::fs::remove_file(&path);
    if let Err(error) = loaded {
        assert!(!error.to_string().is_empty());
    }
}
