//! What `inspect` prints. The document has the fields of the messages, by the same
//! names.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use vault_rpc::admin::{
    InspectMemberResponse, InspectedDevice, InspectedHead, InspectedInvitation, InspectedLink,
    InspectedOffer, InspectedPack, InspectedToken, InspectedVault, Member,
};

use super::{label, member_value, short};
use crate::{ask::Report, quantity::Size, time};

/// What is said of what is not shown.
const NOT_SHOWN: &str = "\
This is what the data directory holds about the member, in short; --json has more of it,
and says how long each list is that it cuts. Entries, roots, offers and packs are sealed:
names and contents are not among what the server can read. Addresses on the network,
calls under way and messages of pairings are in the running server's memory alone, and
not shown.
";

pub(crate) fn member(answer: InspectMemberResponse) -> Report {
    let member = answer.member.clone().unwrap_or_default();
    let mut text = String::new();
    account_text(&mut text, &member, &answer);
    for device in &answer.devices {
        device_text(&mut text, device, &answer.tokens);
    }
    for vault in &answer.vaults {
        vault_text(&mut text, vault);
    }
    if let Some(more) = cut(answer.vaults.len(), answer.vault_count) {
        let _ = writeln!(text, "\n{more} more vaults");
    }
    let _ = write!(text, "\n{NOT_SHOWN}");
    let document = json!({
        "schema": "coffre-server.inspect/1",
        "member": member_value(&member),
        "devices": list(&answer.devices, device_value),
        "vaults": list(&answer.vaults, vault_value),
        "vault_count": answer.vault_count,
        "log_entries": answer.log_entries,
        "invitation": answer.invitation.as_ref().map(invitation_value),
        "tokens": list(&answer.tokens, token_value),
        "token_count": answer.token_count,
        "guests": ids(&answer.guests),
        "offers": list(&answer.offers, offer_value),
        "offers_left": list(&answer.offers_left, offer_value),
        "offers_left_count": answer.offers_left_count,
    });
    Report {
        text,
        document,
        ..Report::default()
    }
}

fn list<T>(items: &[T], value: impl Fn(&T) -> Value) -> Value {
    items.iter().map(value).collect()
}

fn ids(ids: &[Vec<u8>]) -> Value {
    list(ids, |id| HEXLOWER.encode(id).into())
}

/// How many are not shown, if any.
fn cut(shown: usize, all: u64) -> Option<u64> {
    all.checked_sub(shown as u64).filter(|more| *more > 0)
}

fn device_value(device: &InspectedDevice) -> Value {
    json!({
        "device": HEXLOWER.encode(&device.device),
        "kind": device.kind,
        "added_seq": device.added_seq,
        "removed_seq": device.removed_seq,
        "signing_key": HEXLOWER.encode(&device.signing_key),
        "kem_key": HEXLOWER.encode(&device.kem_key),
        "sealed_name_bytes": device.sealed_name_bytes,
    })
}

fn invitation_value(invitation: &InspectedInvitation) -> Value {
    json!({
        "quota_bytes": invitation.quota_bytes,
        "label": invitation.label,
        "expires": invitation.expires,
    })
}

fn token_value(token: &InspectedToken) -> Value {
    json!({ "device": HEXLOWER.encode(&token.device), "expires": token.expires })
}

fn offer_value(offer: &InspectedOffer) -> Value {
    json!({
        "account": HEXLOWER.encode(&offer.account),
        "from": HEXLOWER.encode(&offer.from),
        "hash": HEXLOWER.encode(&offer.hash),
        "sealed_bytes": offer.sealed_bytes,
        "until": offer.until,
    })
}

fn vault_value(vault: &InspectedVault) -> Value {
    json!({
        "vault": HEXLOWER.encode(&vault.vault),
        "kind": vault.kind,
        "role": vault.role,
        "epoch": vault.epoch,
        "log_entries": vault.log_entries,
        "head_seq": vault.head_seq,
        "size_classes": list(&vault.size_classes, |class| {
            json!({ "size": class.size, "packs": class.packs })
        }),
        "heads": list(&vault.heads, head_value),
        "links": list(&vault.links, link_value),
        "link_count": vault.link_count,
        "creator": HEXLOWER.encode(&vault.creator),
        "members": list(&vault.members, |member| json!({
            "account": HEXLOWER.encode(&member.account),
            "role": member.role,
            "accepted": member.accepted,
        })),
        "packs": list(&vault.packs, pack_value),
        "pack_count": vault.pack_count,
    })
}

fn pack_value(pack: &InspectedPack) -> Value {
    json!({
        "pack": HEXLOWER.encode(&pack.pack),
        "size": pack.size,
        "state": pack.state,
        "until": pack.until,
    })
}

fn head_value(head: &InspectedHead) -> Value {
    json!({
        "seq": head.seq,
        "received": head.received,
        "device": HEXLOWER.encode(&head.device),
        "added_packs": head.added_packs,
        "added_bytes": head.added_bytes,
        "removed_packs": head.removed_packs,
        "hash": HEXLOWER.encode(&head.hash),
        "adds": ids(&head.adds),
        "removes": ids(&head.removes),
        "root_bytes": head.root_bytes,
    })
}

fn link_value(link: &InspectedLink) -> Value {
    json!({
        "link": HEXLOWER.encode(&link.link),
        "account": HEXLOWER.encode(&link.account),
        "created": link.created,
        "expires": link.expires,
        "max_downloads": link.max_downloads,
        "downloads": link.downloads,
        "device": HEXLOWER.encode(&link.device),
        "serves": link.serves,
        "capsule": HEXLOWER.encode(&link.capsule),
        "packs": list(&link.packs, |named| json!({
            "pack": HEXLOWER.encode(&named.pack),
            "blocks": HEXLOWER.encode(&named.blocks),
        })),
        "pack_count": link.pack_count,
        "tickets": list(&link.tickets, |ticket| json!({
            "opened": ticket.opened,
            "expires": ticket.expires,
            "counted": ticket.counted,
        })),
        "ticket_count": link.ticket_count,
        "record_bytes": link.record_bytes,
    })
}

fn account_text(text: &mut String, member: &Member, answer: &InspectMemberResponse) {
    let _ = writeln!(text, "account   {}", HEXLOWER.encode(&member.account));
    let _ = writeln!(text, "label     {}", label(member));
    let _ = writeln!(text, "joined    {}", time::local(member.joined));
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
    let _ = writeln!(text, "log       {} entries", answer.log_entries);
    let _ = writeln!(text, "guests    {} brought", member.guests);
    let _ = writeln!(text, "logins    {}", answer.token_count);
    let _ = writeln!(
        text,
        "offers    {} waiting, {} left for others",
        answer.offers.len(),
        answer.offers_left_count
    );
    for offer in &answer.offers {
        let from = match &offer.from[..] {
            [] => "a stranger".into(),
            from => short(from),
        };
        let _ = writeln!(
            text,
            "  of {from}, {} bytes, until {}",
            offer.sealed_bytes,
            time::local(offer.until)
        );
    }
}

fn device_text(text: &mut String, device: &InspectedDevice, tokens: &[InspectedToken]) {
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
    let own = tokens.iter().filter(|token| token.device == device.device);
    if let Some(last) = own.map(|token| token.expires).max() {
        let _ = write!(text, ", logged in until {}", time::local(last));
    }
    let _ = writeln!(text);
}

fn vault_text(text: &mut String, vault: &InspectedVault) {
    let _ = writeln!(
        text,
        "\nvault {} ({}, {})\n  made by {}; epoch {}, {} log entries, head {}",
        HEXLOWER.encode(&vault.vault),
        vault.kind,
        vault.role,
        short(&vault.creator),
        vault.epoch,
        vault.log_entries,
        vault.head_seq
    );
    for member in &vault.members {
        let invited = if member.accepted { "" } else { ", invited" };
        let (account, role) = (short(&member.account), &member.role);
        let _ = writeln!(text, "  member {account} ({role}{invited})");
    }
    for class in &vault.size_classes {
        let _ = writeln!(text, "  {:>8} packs of {} bytes", class.packs, class.size);
    }
    for head in &vault.heads {
        let _ = writeln!(
            text,
            "  head {} at {} by {}: {} packs added ({}), {} removed",
            head.seq,
            time::local(head.received),
            short(&head.device),
            head.added_packs,
            Size(head.added_bytes),
            head.removed_packs
        );
    }
    if let Some(more) = cut(vault.heads.len(), vault.head_seq) {
        let _ = writeln!(text, "  {more} older heads");
    }
    for link in &vault.links {
        link_text(text, link);
    }
    if let Some(more) = cut(vault.links.len(), vault.link_count) {
        let _ = writeln!(text, "  {more} more links");
    }
}

fn link_text(text: &mut String, link: &InspectedLink) {
    let _ = write!(
        text,
        "  link {} of {}, made at {}: {} packs, {} downloads",
        short(&link.link),
        short(&link.account),
        time::local(link.created),
        link.pack_count,
        link.downloads
    );
    if link.max_downloads > 0 {
        let _ = write!(text, " of {}", link.max_downloads);
    }
    // 0 where it was not noted.
    if let Some(last) = link.tickets.first().filter(|last| last.opened > 0) {
        let _ = write!(text, ", opened at {}", time::local(last.opened));
    }
    if link.expires > 0 {
        let _ = write!(text, ", until {}", time::local(link.expires));
    }
    if !link.serves {
        let _ = write!(text, " (over)");
    }
    let _ = writeln!(text);
}
