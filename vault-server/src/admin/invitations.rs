//! Invitations: made, listed, revoked.

use std::time::Duration;

use tonic::Status;
use vault_proto::invitation::{Invitation as InvitationUrl, InvitationSecret, TlsTrust};
use vault_rpc::admin::{
    self as rpc, InviteRequest, InviteResponse, ListInvitationsResponse, RevokeInvitationResponse,
};

use super::{accounts, broken, find::find_invitation};
use crate::{
    random,
    service::{Hoster, Refusal, hash_invitation},
    store::{Invitation, InvitationHash},
};

pub(super) fn invite(
    hoster: &Hoster,
    trust: TlsTrust,
    request: InviteRequest,
) -> Result<InviteResponse, Status> {
    /// Longer labels are no labels.
    const MAX_LABEL_BYTES: usize = 256;
    let Some(origin) = hoster.origins.first() else {
        return Err(Status::failed_precondition(
            "the server listens on every address and does not know which one members dial; start \
             it with --public-address HOST:PORT",
        ));
    };
    if request.label.len() > MAX_LABEL_BYTES || request.label.contains(char::is_control) {
        return Err(Status::invalid_argument(
            "a label has at most 256 bytes and no control characters",
        ));
    }
    let lifetime = Duration::from_secs(request.lifetime_seconds);
    let expires = hoster.clock.now().plus(lifetime);
    let secret = InvitationSecret::from_array(random::array().map_err(Refusal::from)?);
    let (label_of_member, label_of_invitation) = label_is_taken(hoster, &request.label)?;
    let invitation = Invitation {
        quota_bytes: request.quota_bytes,
        label: request.label,
        expires,
        used_by: None,
    };
    let hash = hash_invitation(secret.as_bytes());
    hoster
        .ledger
        .add_invitation(&hash, &invitation)
        .map_err(broken)?;
    let url = InvitationUrl {
        origin: origin.clone(),
        hoster: hoster.key.id(),
        tls: trust,
        secret,
        expires: expires.seconds(),
    };
    Ok(InviteResponse {
        url: url.to_url(),
        label_of_member,
        label_of_invitation,
    })
}

/// Whether a member has this label, and whether an open invitation does. No label is
/// nobody's.
fn label_is_taken(hoster: &Hoster, label: &str) -> Result<(bool, bool), Status> {
    if label.is_empty() {
        return Ok((false, false));
    }
    let accounts = accounts(hoster)?;
    let open = open(hoster)?;
    Ok((
        accounts.iter().any(|account| account.label == label),
        open.iter().any(|(_, invitation)| invitation.label == label),
    ))
}

pub(super) fn list(hoster: &Hoster) -> Result<ListInvitationsResponse, Status> {
    let mut open = open(hoster)?;
    open.sort_by_key(|(hash, invitation)| (invitation.expires, *hash));
    let invitations = open
        .iter()
        .map(|(hash, invitation)| shown(hash, invitation));
    Ok(ListInvitationsResponse {
        invitations: invitations.collect(),
    })
}

pub(super) fn revoke(hoster: &Hoster, wanted: &str) -> Result<RevokeInvitationResponse, Status> {
    let open = open(hoster)?;
    let (hash, _) = find_invitation(&open, wanted)?;
    let dropped = hoster.ledger.drop_invitation(hash).map_err(broken)?;
    let used = || Status::failed_precondition("somebody has become a member with it just now");
    let dropped = dropped.ok_or_else(used)?;
    Ok(RevokeInvitationResponse {
        invitation: Some(shown(hash, &dropped)),
    })
}

fn open(hoster: &Hoster) -> Result<Vec<(InvitationHash, Invitation)>, Status> {
    let now = hoster.clock.now();
    hoster.ledger.open_invitations(now).map_err(broken)
}

fn shown(hash: &InvitationHash, invitation: &Invitation) -> rpc::Invitation {
    rpc::Invitation {
        id: hash.0.to_vec(),
        label: invitation.label.clone(),
        quota_bytes: invitation.quota_bytes,
        expires: invitation.expires.seconds(),
    }
}
