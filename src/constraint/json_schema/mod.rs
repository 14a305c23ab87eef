//! stub
/// stub
pub struct JsonSchema;
