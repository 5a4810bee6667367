//! Whether a fork may be what another device has brought forward.

use vault_proto::head::UnverifiedHead;

use super::Member;
use super::view::View;
use crate::remote::SyncRequest;

/// The most heads that are looked at for a hint.
const MAX_HINTS: usize = 64;

/// Whether the hoster shows a head that says of itself that it takes the place of one
/// that this device has seen. Only a hint: nothing of it is verified, and where it
/// cannot be asked for, the fork is told as it is.
pub(super) fn is_replaced(member: &Member, base: &View) -> bool {
    let Some(known) = base.seen.position() else {
        return false;
    };
    let request = SyncRequest {
        without_root: true,
        ..base.asks_between(0, known.seq)
    };
    let heads = member
        .remote
        .sync_vault(&request)
        .map(|answer| answer.heads);
    let heads = heads.unwrap_or_default();
    let heads = heads
        .iter()
        .filter_map(|head| UnverifiedHead::decode(head).ok());
    let replaced = heads.filter_map(|head| head.claims().replaced());
    let mut replaced = replaced.take(MAX_HINTS);
    replaced.any(|at| {
        let seen = member.state.seen_head(&base.vault_log.id(), at.seq);
        at == known || seen.is_ok_and(|seen| seen == Some(at.hash))
    })
}
