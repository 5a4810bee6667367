//! Settings of accounts.

use serde_json::{Value, json};
use vault_core::settings::{AccountSettings, Contact, KnownHoster, KnownVault};
use vault_proto::address::Address;
use vault_proto::ids::{AccountId, EntryHash, HosterId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::Origin;
use vault_proto::position::LogPosition;
use vault_proto::wire;

use super::{Described, File, Vector, changed, hex, refused, vector};

pub const FILE: File = File {
    name: "settings",
    about: "bytes: an encoded coffre.v1.AccountSettings.",
    describe,
    make,
};

fn describe(bytes: &[u8], _: &Value) -> Described {
    let settings = AccountSettings::decode(bytes).map_err(refused)?;
    assert_eq!(settings.encode(), bytes);
    let hoster = |known: &KnownHoster| {
        let (mode, pin) = known.tls.to_wire();
        json!({
            "hoster": known.hoster.to_string(),
            "origin": known.origin,
            "tls_mode": mode.as_str_name(),
            "tls_pin": hex(&pin),
        })
    };
    let vault = |known: &KnownVault| {
        json!({
            "vault": known.vault.to_string(),
            "hoster": known.hoster.to_string(),
            "name": known.name,
            "deleted": known.deleted,
            "shared_by": known.shared_by.as_ref().map(Address::to_string),
        })
    };
    let contact = |known: &Contact| {
        json!({
            "address": known.address.to_string(),
            "hoster": known.hoster.to_string(),
            "verified": known.is_verified,
            "seq": known.position.seq,
            "hash": known.position.hash.to_string(),
        })
    };
    Ok(json!({
        "name": settings.name(),
        "contacts": settings.contacts().iter().map(contact).collect::<Vec<_>>(),
        "hosters": settings.hosters().iter().map(hoster).collect::<Vec<_>>(),
        "vaults": settings.vaults().iter().map(vault).collect::<Vec<_>>(),
    }))
}

fn make() -> Vec<Vector> {
    let mut settings = AccountSettings::default();
    for (id, origin, tls) in [
        (2, "b.example:7443", TlsTrust::Public),
        (1, "[::1]:7443", TlsTrust::Pinned([7; 32])),
    ] {
        let known = KnownHoster {
            hoster: HosterId::from_array([id; 32]),
            origin: origin.to_owned(),
            tls,
        };
        settings.set_hoster(known).unwrap();
    }
    let address = |name: &str, id| {
        let origin = Origin::parse("c.example:443").unwrap();
        Address::new(name, origin, AccountId::from_array([id; 32])).unwrap()
    };
    for (id, name, deleted) in [(4, "photos", false), (3, "\u{e9}t\u{e9}", true)] {
        let known = KnownVault {
            vault: VaultId::from_array([id; 32]),
            hoster: HosterId::from_array([1; 32]),
            name: name.to_owned(),
            deleted,
            shared_by: deleted.then(|| address("bob", 6)),
        };
        settings.set_vault(known).unwrap();
    }
    settings.set_name("alice").unwrap();
    for (name, id, is_verified) in [("bob", 6, true), ("zo\u{e9}", 5, false)] {
        let contact = Contact {
            address: address(name, id),
            hoster: HosterId::from_array([8; 32]),
            is_verified,
            position: LogPosition {
                seq: u64::from(id),
                hash: EntryHash::from_array([id; 32]),
            },
        };
        settings.set_contact(contact).unwrap();
    }
    let good = settings.encode();
    let mut vectors = vec![
        vector("nothing", Vec::new()),
        vector("two hosters, two vaults, two contacts", good.clone()),
    ];
    let mut bad = |name, change: &dyn Fn(&mut wire::AccountSettings)| {
        vectors.push(vector(name, changed(&good, change)));
    };
    bad("hosters out of order", &|s| s.hosters.reverse());
    bad("a vault twice", &|s| s.vaults[1] = s.vaults[0].clone());
    bad("a vault of 31 bytes", &|s| s.vaults[0].vault.truncate(31));
    bad("a vault at an unknown hoster", &|s| {
        s.vaults[0].hoster = vec![9; 32]
    });
    bad("a vault without a name", &|s| s.vaults[0].name.clear());
    bad("an origin with a space", &|s| {
        s.hosters[0].origin = "a b".to_owned()
    });
    bad("a hoster without a mode of TLS", &|s| {
        s.hosters[0].tls_mode = 0
    });
    bad("a pin that is not pinned", &|s| s.hosters[0].tls_mode = 2);
    bad("shared by no address", &|s| {
        s.vaults[0].shared_by = "bob".to_owned()
    });
    bad("an own name with a space", &|s| {
        s.name = "al ice".to_owned()
    });
    bad("contacts out of order", &|s| s.contacts.reverse());
    bad("a contact without a name", &|s| s.contacts[0].name.clear());
    bad("a contact without a place", &|s| {
        s.contacts[0].position = None
    });
    vectors
}
