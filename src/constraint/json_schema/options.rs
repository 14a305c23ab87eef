//! How a schema is read, and which spellings of JSON are taken.

use super::documents::Documents;
use super::draft::Draft;

/// Options of a [`super::JsonSchema`].
///
/// Those that limit texts (all but the last four) are part of the constraint: a text beyond them is
/// refused, whatever the schema says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The longest run of white space between two tokens of JSON, in bytes; 0 is compact JSON.
    pub max_whitespace: u32,
    /// With a number of spaces, JSON is laid out in lines, indented by so many a level, and in no other
    /// way; `max_whitespace` then counts for nothing.
    pub indent: Option<u32>,
    /// Whether only those characters may be escaped that cannot stand as they are, in the shortest way.
    pub canonical_escapes: bool,
    /// Whether the properties that `properties` lists come in its order, and before all others.
    pub declared_order: bool,
    /// The deepest nesting of arrays and objects.
    pub max_depth: u32,
    /// The longest string that is a value, in code points.
    pub max_string: Option<u64>,
    /// The most items of an array.
    pub max_items: Option<u64>,
    /// The most properties of an object.
    pub max_properties: Option<u64>,
    /// Whether numbers are written plainly: no exponent, no minus before zero, no decimal point in those that
    /// the schema wants whole, and at most 17 digits (all that a 64-bit floating point tells apart), or as many
    /// as it takes to write a number between any two that the schema names. A number that leaves its bounds is
    /// then refused at the digit that does, where otherwise `150e-1` may still become 15; and none runs on
    /// without end.
    pub plain_numbers: bool,
    /// Whether keywords that the standard does not know are taken as annotations, as the standard has it.
    /// Otherwise they are errors, which catches misspelt ones.
    pub unknown_keywords: bool,
    /// Whether `format` only describes, as the standard's default has it.
    pub format_is_annotation: bool,
    /// The version of the standard for schemas without `$schema`.
    pub draft: Draft,
    /// Where references to other documents lead.
    pub documents: Documents,
}

impl Default for Options {
    /// 64 bytes of white space, 1,000 levels, no other limits, any spelling; unknown keywords and formats are
    /// errors; draft 2020-12, and no documents but the standard's meta-schemas.
    fn default() -> Self {
        Self {
            max_whitespace: 64,
            indent: None,
            canonical_escapes: false,
            declared_order: false,
            max_depth: 1_000,
            max_string: None,
            max_items: None,
            max_properties: None,
            plain_numbers: false,
            unknown_keywords: false,
            format_is_annotation: false,
            draft: Draft::default(),
            documents: Documents::default(),
        }
    }
}
