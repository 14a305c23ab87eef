//! tamis draws from a language model *conditioned on a constraint*, and tells how probable and how
//! uncertain what it drew is.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod constraint;
pub mod decode;
pub mod lm;
pub mod log_math;
pub mod next_token;
pub mod report;
pub mod sampler;
pub mod smc;
pub mod vocab;
