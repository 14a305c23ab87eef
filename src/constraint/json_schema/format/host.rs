//! Host names (RFC 1123) and internet addresses (RFC 2673, RFC 4291).

/// Labels of letters, digits and hyphens, which do not begin or end with one, up to 63 octets. The limit
/// of the whole name, 253 octets, is left to the final check.
pub(super) fn hostname() -> String {
    let label = "[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?";
    format!(r"{label}(?:\.{label})*")
}

/// Labels of what can be in a label at all, with any of the four dots of RFC 3490 between them.
pub(super) fn idn_hostname() -> String {
    let begins = r"\p{L}\p{N}\x{B7}\x{375}\x{5F3}\x{5F4}\x{30FB}\x{6FD}\x{6FE}\x{F0B}";
    let inside = format!(r"{begins}\p{{M}}\x{{200C}}\x{{200D}}");
    let label = format!("[{begins}](?:[{inside}-]*[{inside}])?");
    format!("{label}(?:[.。．｡]{label})*")
}

/// Four numbers below 256, without leading zeros.
pub(super) fn ipv4() -> String {
    let number = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    format!(r"{number}(?:\.{number}){{3}}")
}

/// Eight groups of up to four hexadecimal digits; the last two may be written as IPv4, and one run of
/// zeros as `::`.
pub(super) fn ipv6() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let last = format!("(?:{group}:{group}|{})", ipv4());
    let up_to = |groups: u32| format!("(?:(?:{group}:){{0,{}}}{group})?", groups - 1);
    let mut forms = vec![format!("(?:{group}:){{6}}{last}"), format!("::(?:{group}:){{5}}{last}")];
    forms.extend((0..5).map(|after| format!("{}::(?:{group}:){{{after}}}{last}", up_to(5 - after))));
    forms.push(format!("{}::{group}", up_to(6)));
    forms.push(format!("{}::", up_to(7)));
    format!("(?:{})", forms.join("|"))
}
