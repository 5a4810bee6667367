//! What `coffre-server inspect` shows of each table. A table that comes new needs an
//! answer here, or this does not compile.

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};

use super::Table;

/// Where a table's rows of a member are.
enum Shown {
    /// In these fields of the answer.
    In(&'static [&'static str]),
    /// Nowhere: it says nothing of a member that is not said elsewhere, because...
    Nowhere(&'static str),
}

fn shown(table: Table) -> Shown {
    use Shown::{In, Nowhere};
    match table {
        Table::Format => Nowhere("it is about the directory"),
        Table::Invitations => In(&[
            "invitation.quota_bytes",
            "invitation.label",
            "invitation.expires",
        ]),
        Table::Accounts => In(&[
            "member.label",
            "member.joined",
            "member.quota_bytes",
            "member.committed_bytes",
            "member.unclaimed_bytes",
            "member.trash_bytes",
            "member.record_bytes",
            "member.brought_by",
            "member.guests",
            "guests",
            "log_entries",
        ]),
        Table::AccountLog => In(&[
            "devices.kind",
            "devices.added_seq",
            "devices.removed_seq",
            "devices.signing_key",
            "devices.kem_key",
            "devices.sealed_name_bytes",
        ]),
        Table::Devices => In(&["devices.device"]),
        Table::Tokens => In(&["tokens.device", "tokens.expires", "token_count"]),
        Table::Vaults => In(&[
            "vaults.kind",
            "vaults.creator",
            "vaults.log_entries",
            "vaults.head_seq",
        ]),
        Table::VaultLog => In(&[
            "vaults.role",
            "vaults.epoch",
            "vaults.members.account",
            "vaults.members.role",
            "vaults.members.accepted",
        ]),
        Table::Members => In(&["vaults.vault", "vault_count"]),
        Table::Packs => In(&[
            "vaults.packs.pack",
            "vaults.packs.size",
            "vaults.packs.state",
            "vaults.packs.until",
            "vaults.pack_count",
            "vaults.size_classes.size",
            "vaults.size_classes.packs",
        ]),
        Table::Due => Nowhere("its times are those of the packs, roots, offers and links"),
        Table::Heads => In(&[
            "vaults.heads.seq",
            "vaults.heads.hash",
            "vaults.heads.received",
            "vaults.heads.device",
            "vaults.heads.added_packs",
            "vaults.heads.added_bytes",
            "vaults.heads.removed_packs",
        ]),
        Table::Roots => In(&["vaults.heads.root_bytes"]),
        Table::Changes => In(&["vaults.heads.adds", "vaults.heads.removes"]),
        Table::Offers => In(&[
            "offers.from",
            "offers.hash",
            "offers.sealed_bytes",
            "offers.until",
            "offers_left.account",
            "offers_left_count",
        ]),
        Table::Links => In(&[
            "vaults.links.account",
            "vaults.links.device",
            "vaults.links.created",
            "vaults.links.expires",
            "vaults.links.max_downloads",
            "vaults.links.downloads",
            "vaults.links.serves",
            "vaults.links.capsule",
            "vaults.links.record_bytes",
        ]),
        Table::VaultLinks => In(&["vaults.links.link", "vaults.link_count"]),
        Table::LinkPacks => In(&["vaults.links.packs.pack", "vaults.links.pack_count"]),
        Table::LinkBlocks => In(&["vaults.links.packs.blocks"]),
        Table::Tickets => In(&[
            "vaults.links.tickets.expires",
            "vaults.links.tickets.counted",
        ]),
        Table::LinkTickets => In(&["vaults.links.tickets.opened", "vaults.links.ticket_count"]),
        Table::SmallPacks => Nowhere("it has the packs' sealed bytes, and Packs their lengths"),
        Table::Unrecorded => Nowhere("it has packs for the moment before Packs has them"),
    }
}

/// The messages of the hoster's own commands.
fn messages() -> Vec<DescriptorProto> {
    let files = FileDescriptorSet::decode(vault_rpc::DESCRIPTORS)
        .unwrap()
        .file;
    let admin = files
        .into_iter()
        .filter(|file| file.package() == "coffre.admin.v1");
    admin.flat_map(|file| file.message_type).collect()
}

/// Whether the answer has a field of this path.
fn is_field(messages: &[DescriptorProto], path: &str) -> bool {
    let mut of = "InspectMemberResponse".to_owned();
    path.split('.').all(|name| {
        let message = messages.iter().find(|message| message.name() == of);
        let field = message.and_then(|message| {
            let mut fields = message.field.iter();
            fields.find(|field| field.name() == name)
        });
        let named = field.map(|field| field.type_name().rsplit('.').next().unwrap_or_default());
        of = named.unwrap_or_default().to_owned();
        field.is_some()
    })
}

#[test]
fn every_table_is_shown_or_says_why_not() {
    let messages = messages();
    for table in Table::ALL {
        match shown(table) {
            Shown::In(paths) => {
                assert!(!paths.is_empty(), "{table:?}");
                for path in paths {
                    assert!(is_field(&messages, path), "{table:?}: {path}");
                }
            }
            Shown::Nowhere(why) => assert!(!why.is_empty(), "{table:?}"),
        }
    }
    assert!(!is_field(&messages, "vaults.heads.nothing"));
}
