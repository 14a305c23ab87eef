//! Addresses of electronic mail: RFC 5321, and RFC 6531 for all of Unicode.

use super::{host, idn};

const ATOM: &str = r"[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+";

pub(super) fn email() -> String {
    let quoted = r#""(?:[ !#-\[\]-~]|\\[ -~])*""#;
    let local = format!(r"(?:{ATOM}(?:\.{ATOM})*|{quoted})");
    format!("{local}@(?:{}|{})", host::hostname(), literal())
}

pub(super) fn idn_email() -> String {
    let atom = r"[0-9A-Za-z!#$%&'*+/=?^_`{|}~\x{80}-\x{10FFFF}-]+";
    let quoted = r#""(?:[ !#-\[\]-~\x{80}-\x{10FFFF}]|\\[ -~])*""#;
    let local = format!(r"(?:{atom}(?:\.{atom})*|{quoted})");
    format!("{local}@(?:{}|{})", host::idn_hostname(), literal())
}

/// An internet address in brackets.
fn literal() -> String {
    format!(r"\[(?:{}|[Ii][Pp][Vv]6:{})\]", host::ipv4(), host::ipv6())
}

/// Whether the domain of an address that [`idn_email`] matches is one; mail maps it before it looks it up.
pub(super) fn idn_email_is_valid(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(_, domain)| domain.starts_with('[') || idn::maps_to_hostname(domain))
}
