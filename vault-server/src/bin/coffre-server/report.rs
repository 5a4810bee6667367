//! What the commands print. Fields of the documents are only ever added.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use vault_rpc::admin::{
    InspectMemberResponse, InspectedVault, InviteResponse, ListMembersResponse, Member,
    StatsResponse,
};

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

pub(crate) fn member(answer: InspectMemberResponse) -> Report {
    let member = answer.member.unwrap_or_default();
    let devices = answer.devices.iter().map(|device| {
        json!({
            "device": HEXLOWER.encode(&device.device),
            "kind": device.kind,
            "added_seq": device.added_seq,
            "removed_seq": device.removed_seq,
        })
    });
    let document = json!({
        "schema": "coffre-server.inspect/1",
        "member": member_value(&member),
        "devices": devices.collect::<Vec<_>>(),
        "vaults": answer.vaults.iter().map(vault_value).collect::<Vec<_>>(),
    });

    let mut text = String::new();
    let _ = writeln!(text, "account   {}", HEXLOWER.encode(&member.account));
    let _ = writeln!(text, "label     {}", label(&member));
    let _ = writeln!(text, "joined    {} (seconds since 1970)", member.joined);
    let _ = writeln!(text, "quota     {}", Size(member.quota_bytes));
    let _ = writeln!(text, "committed {}", Size(member.committed_bytes));
    let _ = writeln!(text, "unclaimed {}", Size(member.unclaimed_bytes));
    let _ = writeln!(text, "trash     {}", Size(member.trash_bytes));
    let _ = writeln!(
        text,
        "records   {} of {}",
        Size(member.record_bytes),
        Size(member.record_limit_bytes)
    );
    let _ = writeln!(text, "guests    {} brought", member.guests);
    let _ = writeln!(text, "offers    {} waiting", member.offers);
    for device in &answer.devices {
        let _ = write!(
            text,
            "\ndevice {} ({})\n  added by entry {}",
            HEXLOWER.encode(&device.device),
            device.kind,
            device.added_seq
        );
        if device.removed_seq > 0 {
            let _ = write!(text, ", removed by entry {}", device.removed_seq);
        }
    }
    let _ = writeln!(text);
    for vault in &answer.vaults {
        vault_text(&mut text, vault);
    }
    let _ = writeln!(
        text,
        "\nThis is all that the server knows. Names and contents are not among it."
    );
    Report { text, document }
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

fn vault_value(vault: &InspectedVault) -> Value {
    let classes = vault
        .size_classes
        .iter()
        .map(|class| json!({ "size": class.size, "packs": class.packs }));
    let heads = vault.heads.iter().map(|head| {
        json!({
            "seq": head.seq,
            "received": head.received,
            "device": HEXLOWER.encode(&head.device),
            "added_packs": head.added_packs,
            "added_bytes": head.added_bytes,
            "removed_packs": head.removed_packs,
        })
    });
    let links = vault.links.iter().map(|link| {
        json!({
            "link": HEXLOWER.encode(&link.link),
            "account": HEXLOWER.encode(&link.account),
            "created": link.created,
            "expires": link.expires,
            "max_downloads": link.max_downloads,
            "downloads": link.downloads,
        })
    });
    json!({
        "vault": HEXLOWER.encode(&vault.vault),
        "kind": vault.kind,
        "role": vault.role,
        "epoch": vault.epoch,
        "log_entries": vault.log_entries,
        "head_seq": vault.head_seq,
        "size_classes": classes.collect::<Vec<_>>(),
        "heads": heads.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
    })
}

fn vault_text(text: &mut String, vault: &InspectedVault) {
    let _ = writeln!(
        text,
        "\nvault {} ({}, {})\n  epoch {}, {} log entries, head {}",
        HEXLOWER.encode(&vault.vault),
        vault.kind,
        vault.role,
        vault.epoch,
        vault.log_entries,
        vault.head_seq
    );
    for class in &vault.size_classes {
        let _ = writeln!(text, "  {:>8} packs of {} bytes", class.packs, class.size);
    }
    for head in &vault.heads {
        let _ = writeln!(
            text,
            "  head {} at {}: {} packs added ({}), {} removed",
            head.seq,
            head.received,
            head.added_packs,
            Size(head.added_bytes),
            head.removed_packs
        );
    }
    for link in &vault.links {
        let _ = write!(
            text,
            "  link {} of {}, made at {}: {} downloads",
            HEXLOWER.encode(link.link.get(..8).unwrap_or_default()),
            HEXLOWER.encode(link.account.get(..8).unwrap_or_default()),
            link.created,
            link.downloads
        );
        if link.max_downloads > 0 {
            let _ = write!(text, " of {}", link.max_downloads);
        }
        if link.expires > 0 {
            let _ = write!(text, ", until {}", link.expires);
        }
        let _ = writeln!(text);
    }
}
