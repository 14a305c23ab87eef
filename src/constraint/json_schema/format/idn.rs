//! Internationalised host names (RFC 5890 to 5893): what no regular expression can tell.
//!
//! The crate `idna` does the normal form, Punycode, the rule of writing directions and the joiners, by the
//! tables of Unicode's UTS 46. IDNA 2008 is stricter in what it lets stand unmapped and in some characters
//! that need a certain neighbour (RFC 5892, appendix A); that is here.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::borrow::Cow;

const NAME_LIMIT: usize = 253;

/// Whether a name that matches the regular expression of `hostname` is one: its length, and its labels
/// that begin with `xn--`.
pub(super) fn hostname_is_valid(text: &str) -> bool {
    let encoded = |label: &str| label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    text.len() <= NAME_LIMIT && (!text.split('.').any(encoded) || name_is_valid(text))
}

/// Whether a text is an internationalised host name.
pub(super) fn idn_hostname_is_valid(text: &str) -> bool {
    name_is_valid(&text.replace(['。', '．', '｡'], "."))
}

/// Whether a text is an internationalised host name once it is mapped as UTS 46 has it: to normal form
/// and lower case.
pub(super) fn maps_to_hostname(text: &str) -> bool {
    to_ascii(text).is_some_and(|ascii| name_is_valid(&ascii))
}

fn to_ascii(name: &str) -> Option<Cow<'_, str>> {
    Uts46::new().to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Check, DnsLength::Verify).ok()
}

fn name_is_valid(name: &str) -> bool {
    let labels_are_valid = |ascii: Cow<str>| ascii.split('.').zip(name.split('.')).all(|(ascii, label)| label_is_valid(label, ascii));
    to_ascii(name).is_some_and(labels_are_valid)
}

/// Judges a label by its form in Unicode and its form in ASCII.
fn label_is_valid(label: &str, ascii: &str) -> bool {
    if label.is_ascii() && !ascii.starts_with("xn--") {
        return true;
    }
    let (unicode, errors) = Uts46::new().to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    // The mapping may change nothing, or the label was not in its one permitted spelling.
    let unchanged = label == unicode || label.eq_ignore_ascii_case(ascii);
    let characters: Vec<char> = unicode.chars().collect();
    errors.is_ok() && unchanged && (0..characters.len()).all(|at| is_permitted(characters[at]) && fits(&characters, at))
}

/// Whether a character that UTS 46 leaves as it is may stand in a label by RFC 5892.
fn is_permitted(character: char) -> bool {
    match character {
        // Exceptions of section 2.6.
        '\u{06FD}' | '\u{06FE}' | '\u{0F0B}' | '\u{3007}' | '\u{00B7}' | '\u{0375}' | '\u{05F3}' | '\u{05F4}' | '\u{30FB}' => true,
        '\u{0640}' | '\u{07FA}' | '\u{302E}' | '\u{302F}' | '\u{3031}'..='\u{3035}' | '\u{303B}' => false,
        // Old Hangul, section 2.9.
        '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97C}' | '\u{D7B0}'..='\u{D7FB}' => false,
        '\u{200C}' | '\u{200D}' | '-' => true,
        _ => is_letter_or_digit(character),
    }
}

/// The general categories of section 2.1.
fn is_letter_or_digit(character: char) -> bool {
    in_class(r"[\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}]", character)
}

/// The characters that need a context: RFC 5892, appendix A.3 to A.9. (A.1 and A.2, the joiners, are in
/// UTS 46.)
fn fits(label: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| label[at]);
    let after = label.get(at + 1).copied();
    match label[at] {
        '\u{00B7}' => before == Some('l') && after == Some('l'),
        '\u{0375}' => after.is_some_and(|after| in_class(r"\p{Greek}", after)),
        '\u{05F3}' | '\u{05F4}' => before.is_some_and(|before| in_class(r"\p{Hebrew}", before)),
        '\u{30FB}' => label.iter().any(|other| *other != '\u{30FB}' && in_class(r"[\p{Hiragana}\p{Katakana}\p{Han}]", *other)),
        '\u{0660}'..='\u{0669}' => !label.iter().any(|other| ('\u{06F0}'..='\u{06F9}').contains(other)),
        '\u{06F0}'..='\u{06F9}' => !label.iter().any(|other| ('\u{0660}'..='\u{0669}').contains(other)),
        _ => true,
    }
}

/// Whether a character is in a class of Unicode. The tables are those of `regex-syntax`; names of hosts
/// are short and this is asked once a name.
fn in_class(class: &str, character: char) -> bool {
    use regex_syntax::hir::{Class, HirKind};
    match regex_syntax::parse(class).map(regex_syntax::hir::Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => {
            let at = class.ranges().partition_point(|range| range.end() < character);
            class.ranges().get(at).is_some_and(|range| range.start() <= character)
        }
        _ => false,
    }
}
