//! JSON pointers (RFC 6901), and relative ones.

pub(super) fn json_pointer() -> String {
    r"(?:/(?:[^/~]|~[01])*)*".to_owned()
}

/// How many levels up, perhaps an index manipulation, then a pointer or `#`.
pub(super) fn relative_json_pointer() -> String {
    format!("(?:0|[1-9][0-9]*)(?:[+-](?:0|[1-9][0-9]*))?(?:#|{})", json_pointer())
}
