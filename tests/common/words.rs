//! The smallest constraint there is, for tests: a set of strings written down.

use tamis::constraint::{Constraint, Rejection};

/// The texts of a list. The state is the text so far: nothing is clever here.
#[derive(Clone, Debug)]
pub struct Words(pub Vec<&'static [u8]>);

impl Constraint for Words {
    type State = Vec<u8>;

    fn start(&self) -> Vec<u8> {
        Vec::new()
    }

    fn advance(&self, state: &Vec<u8>, bytes: &[u8]) -> Option<Vec<u8>> {
        let longer = [state, bytes].concat();
        self.0.iter().any(|word| word.starts_with(&longer)).then_some(longer)
    }

    fn may_end(&self, state: &Vec<u8>) -> bool {
        self.0.iter().any(|word| word == state)
    }

    fn explain(&self, state: &Vec<u8>, bytes: &[u8]) -> Option<Rejection> {
        let offset = (0..bytes.len()).find(|end| self.advance(state, &bytes[..=*end]).is_none())?;
        Some(Rejection::new(offset, Some(bytes[offset]), "a word of the list"))
    }

    fn explain_end(&self, state: &Vec<u8>) -> Option<Rejection> {
        (!self.may_end(state)).then(|| Rejection::new(0, None, "a word of the list"))
    }
}
