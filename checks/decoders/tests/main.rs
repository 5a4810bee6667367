//! The decoders against what was saved, and against what there is to decode.

mod corpora;
mod sources;
