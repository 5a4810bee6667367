//! Fields of requests, parsed at the edge.

use prost::Message;
use vault_proto::{
    entry::MAX_ENTRY_BYTES,
    ids::{AccountId, PackId, VaultId},
    pack_list::{MAX_LISTED_PACKS, PackList, PackListError},
    wire::SignedEntry,
};

use super::refusal::Refusal;

/// The most packs that one existence check asks for.
const MAX_ASKED_PACKS: usize = 8192;
/// Sizes of packs: the powers of two in between, and these.
pub(crate) const MIN_PACK_BYTES: u32 = 16 << 10;
/// See [`MIN_PACK_BYTES`].
pub(crate) const MAX_PACK_BYTES: u32 = 16 << 20;

/// A field of exactly `N` bytes.
pub(crate) fn array<const N: usize>(bytes: &[u8], field: &str) -> Result<[u8; N], Refusal> {
    bytes
        .try_into()
        .map_err(|_| Refusal::malformed(format!("The field {field} is not {N} bytes long.")))
}

pub(crate) fn vault(bytes: &[u8]) -> Result<VaultId, Refusal> {
    Ok(VaultId::from_array(array(bytes, "vault")?))
}

pub(crate) fn account(bytes: &[u8]) -> Result<AccountId, Refusal> {
    Ok(AccountId::from_array(array(bytes, "account")?))
}

pub(crate) fn pack(bytes: &[u8]) -> Result<PackId, Refusal> {
    Ok(PackId::from_array(array(bytes, "pack")?))
}

/// Pack ids end to end, in any order.
pub(crate) fn asked_packs(bytes: &[u8]) -> Result<Vec<PackId>, Refusal> {
    let (ids, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(Refusal::malformed("The pack ids are not 32 bytes each."));
    }
    if ids.len() > MAX_ASKED_PACKS {
        return Err(Refusal::too_large(format!(
            "At most {MAX_ASKED_PACKS} packs can be asked for at once."
        )));
    }
    Ok(ids.iter().copied().map(PackId::from_array).collect())
}

/// Pack ids end to end, in strictly ascending order.
pub(crate) fn pack_list(bytes: &[u8]) -> Result<PackList, Refusal> {
    PackList::from_bytes(bytes).map_err(|error| match error {
        PackListError::TooMany(_) => Refusal::too_large(format!(
            "A head adds and removes at most {MAX_LISTED_PACKS} packs each."
        )),
        error => Refusal::undecodable(&error),
    })
}

/// A size that a pack can have.
pub(crate) fn pack_size(size: u32) -> Result<u32, Refusal> {
    if size.is_power_of_two() && (MIN_PACK_BYTES..=MAX_PACK_BYTES).contains(&size) {
        return Ok(size);
    }
    Err(Refusal::malformed(format!(
        "A pack has a power of two of bytes, from {MIN_PACK_BYTES} to {MAX_PACK_BYTES}."
    )))
}

/// An entry that is there and not too long, with its encoding.
pub(crate) fn entry(entry: Option<SignedEntry>) -> Result<(SignedEntry, Vec<u8>), Refusal> {
    let entry = entry.ok_or_else(|| Refusal::malformed("The entry is missing."))?;
    if entry.payload.len() > MAX_ENTRY_BYTES {
        return Err(Refusal::too_large(format!(
            "An entry has at most {MAX_ENTRY_BYTES} bytes."
        )));
    }
    let encoded = entry.encode_to_vec();
    Ok((entry, encoded))
}
