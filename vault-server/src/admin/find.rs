//! Members and invitations by what a hoster types.

use tonic::Status;

use crate::store::{Account, Invitation, InvitationHash};

/// The account of this label, or whose id begins so.
pub(super) fn find_member<'a>(all: &'a [Account], wanted: &str) -> Result<&'a Account, Status> {
    let label = |account: &Account| account.label == wanted;
    let id = |account: &Account| account.id.to_string().starts_with(wanted);
    match find(all, wanted, label, id) {
        Found::One(account) => Ok(account),
        Found::None => Err(Status::not_found("no member has this label or id")),
        Found::Several => Err(Status::failed_precondition(
            "several members fit; give more digits of the account id",
        )),
    }
}

/// The open invitation of this label, or whose id begins so.
pub(super) fn find_invitation<'a>(
    all: &'a [(InvitationHash, Invitation)],
    wanted: &str,
) -> Result<&'a (InvitationHash, Invitation), Status> {
    let label = |(_, invitation): &(_, Invitation)| invitation.label == wanted;
    let id = |(hash, _): &(InvitationHash, _)| {
        let id = data_encoding::HEXLOWER.encode(&hash.0);
        id.starts_with(wanted)
    };
    match find(all, wanted, label, id) {
        Found::One(invitation) => Ok(invitation),
        Found::None => Err(Status::not_found(
            "no open invitation has this label or id: see coffre-server invitation list",
        )),
        Found::Several => Err(Status::failed_precondition(
            "several invitations fit; give more digits of the id",
        )),
    }
}

enum Found<'a, T> {
    None,
    One(&'a T),
    Several,
}

/// A label goes before an id.
fn find<'a, T>(
    all: &'a [T],
    wanted: &str,
    label: impl Fn(&T) -> bool,
    id: impl Fn(&T) -> bool,
) -> Found<'a, T> {
    let mut fitting: Vec<_> = all.iter().filter(|one| label(one)).collect();
    if fitting.is_empty() {
        fitting = all.iter().filter(|one| id(one)).collect();
    }
    match fitting[..] {
        [one] if !wanted.is_empty() => Found::One(one),
        [] => Found::None,
        _ => Found::Several,
    }
}
