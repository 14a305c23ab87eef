//! URIs (RFC 3986), IRIs (RFC 3987) and templates of URIs (RFC 6570).

use super::host;

/// The characters that IRIs allow beyond those of URIs, as the inside of a class: `ucschar`, and
/// `iprivate` for queries.
#[derive(Clone, Copy)]
pub(super) struct Characters {
    beyond: &'static str,
    private: &'static str,
}

pub(super) const ASCII: Characters = Characters { beyond: "", private: "" };
pub(super) const INTERNATIONAL: Characters = Characters {
    beyond: r"\x{A0}-\x{D7FF}\x{F900}-\x{FDCF}\x{FDF0}-\x{FFEF}\x{10000}-\x{1FFFD}\x{20000}-\x{2FFFD}\x{30000}-\x{3FFFD}\x{40000}-\x{4FFFD}\x{50000}-\x{5FFFD}\x{60000}-\x{6FFFD}\x{70000}-\x{7FFFD}\x{80000}-\x{8FFFD}\x{90000}-\x{9FFFD}\x{A0000}-\x{AFFFD}\x{B0000}-\x{BFFFD}\x{C0000}-\x{CFFFD}\x{D0000}-\x{DFFFD}\x{E1000}-\x{EFFFD}",
    private: r"\x{E000}-\x{F8FF}\x{F0000}-\x{FFFFD}\x{100000}-\x{10FFFD}",
};

const UNRESERVED: &str = "0-9A-Za-z._~";
const DELIMITERS: &str = "!$&'()*+,;=";
const ESCAPED: &str = "%[0-9A-Fa-f]{2}";

impl Characters {
    /// One character of a path segment, or of `more`. The hyphen of the unreserved ones comes last.
    fn one(self, more: &str) -> String {
        format!("(?:[{UNRESERVED}{DELIMITERS}{}{more}-]|{ESCAPED})", self.beyond)
    }

    fn authority(self) -> String {
        let future = format!(r"[Vv][0-9A-Fa-f]+\.[{UNRESERVED}{DELIMITERS}:-]+");
        let literal = format!(r"\[(?:{}|{future})\]", host::ipv6());
        // A registered name takes in every IPv4 address.
        format!("(?:{}*@)?(?:{literal}|{}*)(?::[0-9]*)?", self.one(":"), self.one(""))
    }

    fn query_and_fragment(self) -> String {
        let query = self.one(&format!(":@/?{}", self.private));
        let fragment = self.one(":@/?");
        format!(r"(?:\?{query}*)?(?:#{fragment}*)?")
    }
}

pub(super) fn uri(characters: Characters) -> String {
    let segment = characters.one(":@");
    let path = format!("(?://{}(?:/{segment}*)*|/(?:{segment}+(?:/{segment}*)*)?|{segment}+(?:/{segment}*)*)?", characters.authority());
    format!("[A-Za-z][0-9A-Za-z+.-]*:{path}{}", characters.query_and_fragment())
}

pub(super) fn reference(characters: Characters) -> String {
    let segment = characters.one(":@");
    let no_colon = characters.one("@");
    let path = format!("(?://{}(?:/{segment}*)*|/(?:{segment}+(?:/{segment}*)*)?|{no_colon}+(?:/{segment}*)*)?", characters.authority());
    format!("(?:{}|{path}{})", uri(characters), characters.query_and_fragment())
}

/// Literals and expressions in braces.
pub(super) fn template() -> String {
    let Characters { beyond, private } = INTERNATIONAL;
    let literal = format!(r"(?:[!#-$&-;=?-\[\]_a-z~{beyond}{private}]|{ESCAPED})");
    let character = format!("(?:[0-9A-Za-z_]|{ESCAPED})");
    let variable = format!(r"{character}(?:\.?{character})*(?::[1-9][0-9]{{0,3}}|\*)?");
    format!(r"(?:{literal}|\{{[+#./;?&=,!@|]?{variable}(?:,{variable})*\}})*")
}
