//! How many things a request lists. One that is empty takes two bytes on the line and
//! some fifty in memory: a megabyte of them that waits for its turn would take twenty-five.

use vault_proto::wire::SignedEntry;
use vault_rpc::hoster as rpc;

use super::refusal::Refusal;

/// More than honest requests list: 16,384 accounts were never in one vault, and packs,
/// ranges and entries have smaller bounds of their own.
const MAX_ELEMENTS: usize = 16_384;

/// A request, of which it is known what lists it has.
pub(super) trait Elements {
    /// How many elements they hold, those within others included.
    fn elements(&self) -> usize;
}

/// Refuses a request that lists too much. This comes before it waits for anything.
pub(super) fn check(request: &impl Elements) -> Result<(), Refusal> {
    if request.elements() <= MAX_ELEMENTS {
        return Ok(());
    }
    Err(Refusal::too_large(format!(
        "A request lists at most {MAX_ELEMENTS} things."
    )))
}

fn of_entry(entry: &SignedEntry) -> usize {
    1 + entry.signatures.len()
}

fn of_optional(entry: Option<&SignedEntry>) -> usize {
    entry.map_or(0, of_entry)
}

macro_rules! elements {
    ($($request:ident: $count:expr;)*) => {$(
        impl Elements for rpc::$request {
            fn elements(&self) -> usize {
                let count: fn(&Self) -> usize = $count;
                count(self)
            }
        }
    )*};
}

elements! {
    HelloRequest: |_| 0;
    LoginRequest: |_| 0;
    CreateAccountRequest: |request| of_optional(request.genesis.as_ref());
    AppendAccountEntryRequest: |request| of_optional(request.entry.as_ref());
    CreateVaultRequest: |request| of_optional(request.genesis.as_ref());
    AppendVaultEntryRequest: |request| of_optional(request.entry.as_ref());
    ListVaultsRequest: |_| 0;
    SyncVaultRequest: |request| request.accounts.len();
    WatchHeadsRequest: |request| request.vaults.len();
    HavePacksRequest: |_| 0;
    ReadPacksRequest: |request| request.ranges.len();
    CommitHeadRequest: |_| 0;
    UsageRequest: |_| 0;
    FetchAccountLogRequest: |_| 0;
    FindAccountRequest: |_| 0;
    PutAccountLogRequest: |request| request.entries.iter().map(of_entry).sum();
    PutOfferRequest: |_| 0;
    ListOffersRequest: |_| 0;
    DropOfferRequest: |_| 0;
    CreateLinkRequest: |request| request.packs.len();
    ListLinksRequest: |_| 0;
    RevokeLinkRequest: |_| 0;
    OpenLinkRequest: |_| 0;
    ReadLinkRequest: |request| request.ranges.len();
}
