//! How a schema is read, and which spellings of JSON are taken.

/// Options of a [`super::JsonSchema`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The longest run of white space between two tokens of JSON, in bytes; 0 is compact JSON.
    pub max_whitespace: u32,
    /// The deepest nesting of arrays and objects.
    pub max_depth: u32,
    /// Whether numbers may have an exponent. Without, a number that leaves its bounds is refused at the
    /// digit that does; with, `150e-1` may still become 15.
    pub exponents: bool,
    /// Whether keywords that the standard does not know are taken as annotations, as the standard has it.
    /// Otherwise they are errors, which catches misspelt ones.
    pub unknown_keywords: bool,
    /// Whether `format` only describes, as the standard's default has it.
    pub format_is_annotation: bool,
}

impl Default for Options {
    /// 64 bytes of white space, 1,000 levels, exponents; unknown keywords and formats are errors.
    fn default() -> Self {
        Self { max_whitespace: 64, max_depth: 1_000, exponents: true, unknown_keywords: false, format_is_annotation: false }
    }
}
