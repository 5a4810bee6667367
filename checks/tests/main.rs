//! Checks over the workspace as a whole, which no single crate can make.

mod french;
mod graph;
mod layering;
mod manifests;
mod metadata;
mod security_cases;
