//! What the commands print. Fields of the documents are only ever added.

mod inspected;

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use vault_rpc::admin::{
    Invitation, InviteResponse, ListInvitationsResponse, ListMembersResponse, Member,
    RevokeInvitationResponse, SetQuotaResponse, StatsResponse,
};

pub(crate) use inspected::member;

use crate::{ask::Report, quantity::Size, time};

pub(crate) fn invitation(answer: InviteResponse) -> Report {
    let warnings = [
        (answer.label_of_member, "a member has this label already"),
        (
            answer.label_of_invitation,
            "another open invitation has this label already",
        ),
    ];
    let warnings = warnings.into_iter().filter(|(is_so, _)| *is_so);
    Report {
        text: format!("{}\n", answer.url),
        document: json!({
            "schema": "coffre-server.invite/1",
            "url": answer.url,
            "label_of_member": answer.label_of_member,
            "label_of_invitation": answer.label_of_invitation,
        }),
        warnings: warnings.map(|(_, warning)| warning).collect(),
    }
}

pub(crate) fn invitations(answer: ListInvitationsResponse) -> Report {
    let mut text = format!(
        "{:<16}  {:<20}  {:>10}  {:<16}\n",
        "INVITATION", "LABEL", "QUOTA", "EXPIRES"
    );
    for invitation in &answer.invitations {
        let _ = writeln!(
            text,
            "{:<16}  {:<20}  {:>10}  {}",
            short(&invitation.id),
            invitation.label,
            Size(invitation.quota_bytes).to_string(),
            time::local(invitation.expires),
        );
    }
    let invitations: Vec<_> = answer.invitations.iter().map(invitation_value).collect();
    Report {
        text,
        document: json!({
            "schema": "coffre-server.invitation-list/1",
            "invitations": invitations,
        }),
        ..Report::default()
    }
}

pub(crate) fn revoked(answer: RevokeInvitationResponse) -> Report {
    let invitation = answer.invitation.unwrap_or_default();
    Report {
        text: format!("revoked {}  {}\n", short(&invitation.id), invitation.label),
        document: json!({
            "schema": "coffre-server.invitation-revoke/1",
            "invitation": invitation_value(&invitation),
        }),
        ..Report::default()
    }
}

fn invitation_value(invitation: &Invitation) -> Value {
    json!({
        "id": HEXLOWER.encode(&invitation.id),
        "label": invitation.label,
        "quota_bytes": invitation.quota_bytes,
        "expires": invitation.expires,
    })
}

pub(crate) fn quota(answer: SetQuotaResponse) -> Report {
    let member = answer.member.unwrap_or_default();
    let used_bytes = member.committed_bytes + member.unclaimed_bytes;
    let (old, new) = (Size(answer.old_quota_bytes), Size(member.quota_bytes));
    let account = short(&member.account);
    let mut text = format!("{account}  {}  quota {old} -> {new}\n", member.label);
    let is_over = used_bytes > member.quota_bytes;
    if is_over {
        let _ = writeln!(
            text,
            "{} are stored: nothing is deleted, and nothing more can be uploaded",
            Size(used_bytes)
        );
    }
    Report {
        text,
        document: json!({
            "schema": "coffre-server.member-quota/1",
            "old_quota_bytes": answer.old_quota_bytes,
            "over_quota": is_over,
            "member": member_value(&member),
        }),
        ..Report::default()
    }
}

/// The first digits of an id.
fn short(id: &[u8]) -> String {
    HEXLOWER.encode(id.get(..8).unwrap_or_default())
}

pub(crate) fn members(answer: ListMembersResponse) -> Report {
    let mut text = format!(
        "{:<16}  {:<20}  {:>10}  {:>10}  {:>10}  {:>6}  {:>7}\n",
        "ACCOUNT", "LABEL", "USED", "QUOTA", "TRASH", "VAULTS", "DEVICES"
    );
    for member in &answer.members {
        let used = Size(member.committed_bytes + member.unclaimed_bytes);
        let _ = writeln!(
            text,
            "{:<16}  {:<20}  {:>10}  {:>10}  {:>10}  {:>6}  {:>7}",
            short(&member.account),
            label(member),
            used.to_string(),
            Size(member.quota_bytes).to_string(),
            Size(member.trash_bytes).to_string(),
            member.vaults,
            member.devices,
        );
    }
    let members: Vec<Value> = answer.members.iter().map(member_value).collect();
    Report {
        text,
        document: json!({ "schema": "coffre-server.member-list/1", "members": members }),
        ..Report::default()
    }
}

/// What the hoster typed, or who brought a guest.
fn label(member: &Member) -> String {
    match member.brought_by.get(..8) {
        None => member.label.clone(),
        Some(by) => format!("(guest of {})", HEXLOWER.encode(by)),
    }
}

pub(crate) fn stats(answer: StatsResponse) -> Report {
    let text = format!(
        "members           {}\n\
         guests            {}\n\
         open invitations  {}\n\
         vaults            {}\n\
         packs             {}\n\
         committed         {}\n\
         unclaimed         {}\n\
         trash             {}\n\
         disk              {} free of {}\n\
         up for            {} s\n\
         version           {}\n\
         hoster id         {}\n",
        answer.members,
        answer.guests,
        answer.open_invitations,
        answer.vaults,
        answer.packs,
        Size(answer.committed_bytes),
        Size(answer.unclaimed_bytes),
        Size(answer.trash_bytes),
        Size(answer.disk_free_bytes),
        Size(answer.disk_total_bytes),
        answer.uptime_seconds,
        answer.version,
        answer.hoster_id,
    );
    let document = json!({
        "schema": "coffre-server.stats/1",
        "members": answer.members,
        "open_invitations": answer.open_invitations,
        "vaults": answer.vaults,
        "packs": answer.packs,
        "committed_bytes": answer.committed_bytes,
        "unclaimed_bytes": answer.unclaimed_bytes,
        "trash_bytes": answer.trash_bytes,
        "disk_free_bytes": answer.disk_free_bytes,
        "disk_total_bytes": answer.disk_total_bytes,
        "uptime_seconds": answer.uptime_seconds,
        "version": answer.version,
        "hoster_id": answer.hoster_id,
        "guests": answer.guests,
    });
    Report {
        text,
        document,
        ..Report::default()
    }
}

fn member_value(member: &Member) -> Value {
    json!({
        "account": HEXLOWER.encode(&member.account),
        "label": member.label,
        "joined": member.joined,
        "quota_bytes": member.quota_bytes,
        "committed_bytes": member.committed_bytes,
        "unclaimed_bytes": member.unclaimed_bytes,
        "trash_bytes": member.trash_bytes,
        "vaults": member.vaults,
        "devices": member.devices,
        "brought_by": HEXLOWER.encode(&member.brought_by),
        "guests": member.guests,
        "record_bytes": member.record_bytes,
        "record_limit_bytes": member.record_limit_bytes,
        "offers": member.offers,
    })
}
