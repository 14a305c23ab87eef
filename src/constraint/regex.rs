//! stub
/// stub
pub struct Regex;
