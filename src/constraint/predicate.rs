//! stub
/// stub
pub struct Predicate;
