//! The gRPC services of Coffre: what a hoster offers to devices
//! ([`hoster`]) and to its own administrators ([`admin`]).
//!
//! Generated from `proto/coffre/{rpc,admin}/v1/` by `vault-proto-gen`. This
//! crate is apart from `vault-proto` so that `vault-core`, which needs the
//! messages, never reaches a network library.

/// Client, server and messages of the service `coffre.rpc.v1.Hoster`.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
pub mod hoster {
    include!("generated/coffre.rpc.v1.rs");
}

/// Client, server and messages of the service `coffre.admin.v1.Admin`.
#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]
pub mod admin {
    include!("generated/coffre.admin.v1.rs");
}

/// The encoded `FileDescriptorSet` of both services, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
