//! White space between the tokens of JSON: as much as the options allow, or laid out in one way.

use super::JsonSchema;
use super::machine::{JsonState, Place, Step};
use super::refusal::Refusal;

/// The white space that a layout wants at some place.
enum Wanted {
    Nothing,
    /// After a colon.
    OneSpace,
    /// A line's end, and that many spaces.
    NewLine(u32),
}

impl Wanted {
    fn length(&self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::OneSpace => 1,
            Self::NewLine(spaces) => 1 + spaces,
        }
    }
}

impl JsonSchema {
    /// A byte of white space.
    pub(super) fn space(&self, state: &mut JsonState, byte: u8) -> Step {
        let allowed = match self.options.indent {
            None => state.whitespace < self.options.max_whitespace,
            Some(indent) => match (wanted(state, indent, None), state.whitespace) {
                (Wanted::NewLine(_), 0) => byte == b'\n',
                (wanted, so_far) => byte == b' ' && so_far < wanted.length(),
            },
        };
        if !allowed {
            return Err(Refusal::Json(if self.options.indent.is_some() {
                "white space as the layout has it"
            } else {
                "no more white space"
            }));
        }
        state.whitespace += 1;
        Ok(())
    }

    /// How much white space the layout wants before a property's name.
    pub(super) fn layout_before_name(&self, state: &JsonState) -> u32 {
        self.options.indent.map_or(0, |indent| wanted(state, indent, Some(b'"')).length())
    }

    /// A byte that ends the white space.
    pub(super) fn end_space(&self, state: &JsonState, byte: u8) -> Step {
        match self.options.indent {
            Some(indent) if state.whitespace != wanted(state, indent, Some(byte)).length() => {
                Err(Refusal::Json("white space as the layout has it"))
            }
            _ => Ok(()),
        }
    }
}

/// What must stand before `next`; with `None`, before whatever may have most before it.
fn wanted(state: &JsonState, indent: u32, next: Option<u8>) -> Wanted {
    let Some(top) = &state.top else { return Wanted::Nothing };
    let line = |depth: u32| Wanted::NewLine(depth.saturating_mul(indent));
    match (&state.place, next) {
        (Place::Value { or_end: true, .. }, Some(b']')) | (Place::Name { or_end: true }, Some(b'}')) | (Place::After, Some(b',')) => {
            Wanted::Nothing
        }
        (Place::Value { .. }, _) if top.is_object() => Wanted::OneSpace,
        (Place::Value { .. } | Place::Name { .. }, _) => line(top.depth),
        (Place::After, _) => line(top.depth - 1),
        _ => Wanted::Nothing,
    }
}
