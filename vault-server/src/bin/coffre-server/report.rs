//! What the commands print. Fields of the documents are only ever added.

mod inspected;

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use vault_rpc::admin::{InviteResponse, ListMembersResponse, Member, StatsResponse};

pub(crate) use inspected::member;

use crate::{ask::Report, quantity::Size};

pub(crate) fn invitation(answer: InviteResponse) -> Report {
    Report {
        text: format!("{}\n", answer.url),
        document: json!({ "schema": "coffre-server.invite/1", "url": answer.url }),
    }
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
            HEXLOWER.encode(member.account.get(..8).unwrap_or_default()),
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
    Report { text, document }
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
