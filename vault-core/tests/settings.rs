//! The settings of an account vault.

use proptest::prelude::*;
use prost::Message;
use vault_core::settings::{
    AccountSettings, Contact, KnownHoster, KnownVault, MAX_KNOWN, SettingsError,
};
use vault_proto::address::Address;
use vault_proto::ids::{AccountId, EntryHash, HosterId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::Origin;
use vault_proto::position::LogPosition;
use vault_proto::wire;

fn hoster(n: u8) -> KnownHoster {
    KnownHoster {
        hoster: HosterId::from_array([n; 32]),
        origin: format!("hoster{n}.example:7443"),
        tls: TlsTrust::Pinned([n; 32]),
    }
}

fn vault(n: u8, at: u8) -> KnownVault {
    KnownVault {
        vault: VaultId::from_array([n; 32]),
        hoster: HosterId::from_array([at; 32]),
        name: format!("vault {n}"),
        deleted: false,
        shared_by: None,
    }
}

fn address(n: u8) -> Address {
    let origin = Origin::parse(&format!("hoster{n}.example:7443")).unwrap();
    Address::new(
        &format!("member-{n}"),
        origin,
        AccountId::from_array([n; 32]),
    )
    .unwrap()
}

fn contact(n: u8) -> Contact {
    Contact {
        address: address(n),
        hoster: HosterId::from_array([n; 32]),
        is_verified: false,
        position: LogPosition {
            seq: 1,
            hash: EntryHash::from_array([n; 32]),
        },
    }
}

fn settings() -> AccountSettings {
    let mut settings = AccountSettings::default();
    for n in [2, 1] {
        settings.set_hoster(hoster(n)).unwrap();
    }
    for n in [4, 3] {
        settings.set_vault(vault(n, 1)).unwrap();
    }
    settings.set_name("alice").unwrap();
    for n in [6, 5] {
        settings.set_contact(contact(n)).unwrap();
    }
    settings
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(settings) = AccountSettings::decode(&bytes) {
            prop_assert_eq!(settings.encode(), bytes);
        }
    }

    #[test]
    fn changed_settings_are_refused_or_others(at: prop::sample::Index, flip in 1_u8..) {
        let mut bytes = settings().encode();
        prop_assert_eq!(AccountSettings::decode(&bytes), Ok(settings()));
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(other) = AccountSettings::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}

#[test]
fn settings_are_set_and_found() {
    let mut settings = settings();
    assert_eq!(settings.hosters(), [hoster(1), hoster(2)]);
    assert_eq!(settings.vaults(), [vault(3, 1), vault(4, 1)]);
    let moved = KnownVault {
        hoster: HosterId::from_array([2; 32]),
        deleted: true,
        ..vault(3, 1)
    };
    settings.set_vault(moved.clone()).unwrap();
    assert_eq!(settings.vault(moved.vault), Some(&moved));
    let renamed = KnownHoster {
        origin: "other.example:1".to_owned(),
        ..hoster(2)
    };
    settings.set_hoster(renamed.clone()).unwrap();
    assert_eq!(settings.hoster(renamed.hoster), Some(&renamed));
    assert_eq!((settings.hosters().len(), settings.vaults().len()), (2, 2));
    assert_eq!(
        AccountSettings::decode(&settings.encode()),
        Ok(settings.clone())
    );

    let before = settings.clone();
    assert_eq!(
        settings.set_vault(vault(5, 9)),
        Err(SettingsError::UnknownHoster)
    );
    for bad in ["", "a b", "a\n", "é", &"x".repeat(260)] {
        let origin = bad.to_owned();
        let result = settings.set_hoster(KnownHoster {
            origin,
            ..hoster(3)
        });
        assert_eq!(result, Err(SettingsError::Origin));
    }
    for bad in ["", "a\nb", &"x".repeat(256)] {
        let name = bad.to_owned();
        let result = settings.set_vault(KnownVault {
            name,
            ..vault(3, 1)
        });
        assert_eq!(result, Err(SettingsError::Name));
    }
    assert_eq!(settings, before);
    assert_eq!(AccountSettings::decode(b""), Ok(AccountSettings::default()));
}

#[test]
fn contacts_and_names_are_set_and_found() {
    let mut settings = settings();
    assert_eq!(settings.name(), Some("alice"));
    assert_eq!(settings.contacts(), [contact(5), contact(6)]);
    let verified = Contact {
        is_verified: true,
        position: LogPosition {
            seq: 9,
            hash: EntryHash::from_array([9; 32]),
        },
        ..contact(5)
    };
    settings.set_contact(verified.clone()).unwrap();
    let shared = KnownVault {
        shared_by: Some(address(5)),
        ..vault(3, 1)
    };
    settings.set_vault(shared.clone()).unwrap();
    for tls in [TlsTrust::Public, TlsTrust::Proxy] {
        settings
            .set_hoster(KnownHoster { tls, ..hoster(2) })
            .unwrap();
        let again = AccountSettings::decode(&settings.encode()).unwrap();
        assert_eq!(again, settings);
        assert_eq!(again.hosters()[1].tls, tls);
        assert_eq!(
            again.contact(&AccountId::from_array([5; 32])),
            Some(&verified)
        );
        assert_eq!(again.vault(shared.vault), Some(&shared));
    }
    for bad in ["", "al ice", "a@b", &"a".repeat(65)] {
        assert_eq!(settings.set_name(bad), Err(SettingsError::OwnName));
    }
    assert_eq!(settings.name(), Some("alice"));
    settings.remove_contact(&AccountId::from_array([6; 32]));
    settings.remove_contact(&AccountId::from_array([7; 32]));
    assert_eq!(settings.contacts(), [verified]);
    assert_eq!(AccountSettings::default().name(), None);
}

#[test]
fn settings_have_a_number_of_each_sort() {
    let contact = |n: u16| {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let origin = Origin::parse("h.example:1").unwrap();
        Contact {
            address: Address::new("m", origin, AccountId::from_array(id)).unwrap(),
            ..contact(1)
        }
    };
    // Setting one by one would encode all of them a thousand times over.
    let mut wire = wire::AccountSettings::default();
    let mut settings = AccountSettings::default();
    settings.set_contact(contact(0)).unwrap();
    let one = wire::AccountSettings::decode(&*settings.encode())
        .unwrap()
        .contacts;
    for n in 0..MAX_KNOWN as u16 {
        let mut another = one[0].clone();
        another.account = contact(n).address.account().to_vec();
        wire.contacts.push(another);
    }
    let full = AccountSettings::decode(&wire.encode_to_vec());
    let mut full = full.unwrap();
    assert_eq!(full.contacts().len(), MAX_KNOWN);
    let error = full.set_contact(contact(MAX_KNOWN as u16));
    assert_eq!(error, Err(SettingsError::TooMany));
    full.set_contact(contact(3)).unwrap();
}

#[test]
fn hostile_settings_are_refused() {
    let changed = |change: &dyn Fn(&mut wire::AccountSettings)| {
        let bytes = settings().encode();
        let mut settings = wire::AccountSettings::decode(bytes.as_slice()).unwrap();
        change(&mut settings);
        AccountSettings::decode(&settings.encode_to_vec()).unwrap_err()
    };
    assert_eq!(changed(&|s| s.hosters.swap(0, 1)), SettingsError::Ids);
    assert_eq!(changed(&|s| s.vaults.swap(0, 1)), SettingsError::Ids);
    assert_eq!(
        changed(&|s| s.vaults[1] = s.vaults[0].clone()),
        SettingsError::Ids
    );
    assert_eq!(
        changed(&|s| s.vaults[0].vault.truncate(31)),
        SettingsError::Ids
    );
    assert_eq!(
        changed(&|s| s.vaults[0].hoster.truncate(31)),
        SettingsError::Ids
    );
    assert_eq!(
        changed(&|s| s.hosters[0].hoster.clear()),
        SettingsError::Ids
    );
    let unknown = changed(&|s| s.hosters.truncate(0));
    assert_eq!(unknown, SettingsError::UnknownHoster);

    let is_field = |error| matches!(error, SettingsError::Field(_));
    assert!(is_field(changed(&|s| s.hosters[0].tls_mode = 0)));
    assert!(is_field(changed(&|s| s.hosters[0].tls_mode = 2)));
    assert!(is_field(changed(&|s| s.hosters[0].tls_pin.truncate(31))));
    let is_address = |error| matches!(error, SettingsError::Address(_));
    assert!(is_address(changed(
        &|s| s.vaults[0].shared_by = "alice".to_owned()
    )));
    assert!(is_address(changed(
        &|s| s.vaults[0].shared_by = format!(" {}", address_text())
    )));
    assert!(is_address(changed(&|s| s.contacts[0].name.clear())));
    assert!(is_address(changed(
        &|s| s.contacts[0].origin = "H.example:1".to_owned()
    )));
    assert_eq!(
        changed(&|s| s.name = "a b".to_owned()),
        SettingsError::OwnName
    );
    assert_eq!(changed(&|s| s.contacts.swap(0, 1)), SettingsError::Ids);
    assert_eq!(
        changed(&|s| s.contacts[1] = s.contacts[0].clone()),
        SettingsError::Ids
    );
    assert_eq!(
        changed(&|s| s.contacts[0].account.truncate(31)),
        SettingsError::Ids
    );
    assert_eq!(
        changed(&|s| s.contacts[0].hoster.clear()),
        SettingsError::Ids
    );
    assert_eq!(
        changed(&|s| s.contacts[0].position = None),
        SettingsError::Ids
    );
    assert!(is_field(changed(&|s| {
        s.contacts[0].position.as_mut().unwrap().seq = 0
    })));
}

fn address_text() -> String {
    address(1).to_string()
}

#[test]
fn settings_of_two_histories_are_joined() {
    let ours = settings();
    assert_eq!(ours.joined_with(&ours), Ok(ours.clone()));
    let nothing = AccountSettings::default();
    assert_eq!(ours.joined_with(&nothing), Ok(ours.clone()));
    assert_eq!(nothing.joined_with(&ours), Ok(ours.clone()));

    let mut theirs = AccountSettings::default();
    for n in [1, 7] {
        theirs.set_hoster(hoster(n)).unwrap();
    }
    // Of what both have: another name, one deleted, a log seen longer, and a number compared.
    let mut renamed = vault(3, 1);
    renamed.name = "as they call it".to_owned();
    renamed.deleted = true;
    theirs.set_vault(renamed).unwrap();
    theirs.set_vault(vault(8, 7)).unwrap();
    theirs.set_name("mallory").unwrap();
    let mut longer = contact(5);
    longer.position.seq += 1;
    longer.is_verified = true;
    theirs.set_contact(longer.clone()).unwrap();
    theirs.set_contact(contact(9)).unwrap();

    let joined = ours.joined_with(&theirs).unwrap();
    let hosters: Vec<_> = joined.hosters().iter().map(|known| known.hoster).collect();
    assert_eq!(hosters, [1, 2, 7].map(|n| hoster(n).hoster));
    let deleted = KnownVault {
        deleted: true,
        ..vault(3, 1)
    };
    let vaults = [deleted, vault(4, 1), vault(8, 7)];
    assert_eq!(joined.vaults(), vaults);
    assert_eq!(joined.name(), Some("alice"));
    assert_eq!(joined.contacts(), [longer, contact(6), contact(9)]);
    // What is known of a log does not go back, whichever is the other.
    let back = theirs.joined_with(&ours).unwrap();
    assert_eq!(back.contacts(), joined.contacts());
    assert!(back.vault(vault(3, 1).vault).unwrap().deleted);
    assert_eq!(back.name(), Some("mallory"));
    // Again nothing is added.
    assert_eq!(joined.joined_with(&theirs), Ok(joined.clone()));

    let mut full = AccountSettings::default();
    full.set_hoster(hoster(1)).unwrap();
    while full.vaults().len() < MAX_KNOWN {
        let mut another = vault(0, 1);
        let number = u16::try_from(full.vaults().len()).unwrap();
        another.vault = VaultId::from_array(*blake3::hash(&number.to_le_bytes()).as_bytes());
        full.set_vault(another).unwrap();
    }
    assert_eq!(full.joined_with(&ours), Err(SettingsError::TooMany));
}
