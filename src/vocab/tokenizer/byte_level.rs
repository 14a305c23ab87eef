//! The alphabet of byte-level vocabularies.

/// The characters up to here stand for bytes, or for themselves.
const SIZE: usize = 0x144;

/// Which byte each character stands for: printable bytes stand for themselves, the others, in their order,
/// are written as the characters from U+0100 on.
const BYTES: [Option<u8>; SIZE] = {
    let mut bytes = [None; SIZE];
    let mut next = 0x100;
    let mut byte = 0;
    while byte < 0x100 {
        let character = match byte {
            0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => byte,
            _ => {
                next += 1;
                next - 1
            }
        };
        bytes[character] = Some(byte as u8);
        byte += 1;
    }
    bytes
};

/// The bytes that a token stands for. Characters outside the alphabet stand for themselves.
pub(super) fn bytes(token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(token.len());
    for character in token.chars() {
        match BYTES.get(character as usize) {
            Some(Some(byte)) => bytes.push(*byte),
            _ => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The characters that stand for bytes 0 to 255.
    pub(in crate::vocab::tokenizer) fn alphabet() -> Vec<char> {
        let character = |byte: u8| BYTES.iter().position(|stands_for| *stands_for == Some(byte)).unwrap() as u32;
        (0..=255).map(|byte| char::from_u32(character(byte)).unwrap()).collect()
    }

    #[test]
    fn every_byte_has_its_character() {
        let written: String = alphabet().into_iter().collect();
        assert_eq!(bytes(&written), (0..=255).collect::<Vec<u8>>());
        assert_eq!(bytes("Ġthe"), b" the");
        assert_eq!(bytes("日"), "日".as_bytes());
    }
}
