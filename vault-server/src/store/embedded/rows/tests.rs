//! Rows as they are on the disks of hosters: none of these bytes may change.

use super::*;

const A: [u8; 32] = [1; 32];
const D: [u8; 32] = [2; 32];
const H: [u8; 32] = [3; 32];
const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
/// `NOW` as a varint.
const NOW_HEX: &str = "80a4a7da06";

/// The record is written as these bytes, and read from them.
#[track_caller]
fn check<R: Record + PartialEq + std::fmt::Debug>(record: &R, key: R::Key, hex: &str) {
    assert_eq!(data_encoding::HEXLOWER.encode(&record.to_row()), hex);
    let row = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    assert_eq!(&R::from_row(key, &row).unwrap(), record);
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[test]
fn an_invitation() {
    let mut invitation = Invitation {
        quota_bytes: 5_000_000_000,
        label: "alice".into(),
        expires: NOW,
        used_by: None,
    };
    let open = format!("0880e497d0121205616c69636518{NOW_HEX}");
    check(&invitation, (), &open);
    invitation.used_by = Some(AccountId::from_array(A));
    check(&invitation, (), &format!("{open}2220{}", hex(&A)));
}

#[test]
fn an_account() {
    let mut account = Account {
        id: AccountId::from_array(A),
        standing: Standing::Member,
        label: "alice".into(),
        joined: NOW,
        quota_bytes: 5_000_000_000,
        usage: Usage {
            committed_bytes: 1,
            unclaimed_bytes: 2,
            trash_bytes: 300,
        },
        log_seq: 4,
        record_bytes: 5000,
        guests: 0,
        guest_bytes: 0,
    };
    let row = format!("0a05616c69636510{NOW_HEX}1880e497d0122001280230ac023804408827");
    check(&account, account.id, &row);
    account.standing = Standing::Guest {
        brought_by: AccountId::from_array(H),
    };
    check(&account, account.id, &format!("{row}4a20{}", hex(&H)));
    account.standing = Standing::Member;
    account.guests = 6;
    check(&account, account.id, &format!("{row}5006"));
    account.guest_bytes = 300;
    check(&account, account.id, &format!("{row}500658ac02"));
}

#[test]
fn a_token() {
    let token = Token {
        account: AccountId::from_array(A),
        device: DeviceId::from_array(D),
        expires: NOW,
    };
    let row = format!("0a20{}1220{}18{NOW_HEX}", hex(&A), hex(&D));
    check(&token, (), &row);
}

#[test]
fn a_vault() {
    let id = VaultId::from_array([9; 32]);
    let mut vault = Vault {
        id,
        kind: VaultKind::Account,
        creator: AccountId::from_array(A),
        log_seq: 7,
        head: None,
    };
    check(&vault, id, &format!("08021220{}1807", hex(&A)));
    vault.kind = VaultKind::Storage;
    vault.head = Some(HeadPosition {
        seq: 9,
        hash: HeadHash::from_array(H),
    });
    let row = format!("08011220{}180720092a20{}", hex(&A), hex(&H));
    check(&vault, id, &row);
}

#[test]
fn a_pack_in_each_state() {
    let states = [
        (PackState::Unclaimed { until: NOW }, "10011880a4a7da06"),
        (PackState::Committed, "1002"),
        (PackState::Trash { until: NOW }, "10031880a4a7da06"),
        (PackState::Doomed { due: NOW }, "10041880a4a7da06"),
        (PackState::Lost, "1005"),
    ];
    for (state, row) in states {
        let pack = Pack {
            size: 16 << 10,
            state,
        };
        check(&pack, (), &format!("08808001{row}"));
    }
}

#[test]
fn a_head() {
    let head = HeadRecord {
        hash: HeadHash::from_array(H),
        signed: vec![4, 5],
        received: NOW,
        device: DeviceId::from_array(D),
        added_packs: 6,
        added_bytes: 7,
        removed_packs: 8,
    };
    let row = format!(
        "0a20{}1202040518{NOW_HEX}2220{}280630073808",
        hex(&H),
        hex(&D)
    );
    check(&head, (), &row);
}

#[test]
fn an_offer() {
    let mut offer = Offer {
        offer: vec![4, 5],
        from: OfferFrom::Member(AccountId::from_array(A)),
    };
    check(&offer, (), &format!("0a0204051a20{}", hex(&A)));
    offer.from = OfferFrom::Stranger;
    check(&offer, (), "0a0204051001");
    // One of a member, from before it stood there which.
    let row = [0x0a, 2, 4, 5];
    assert_eq!(Offer::from_row((), &row).unwrap(), offer);
}

#[test]
fn a_link() {
    let id = LinkId([7; 32]);
    let mut link = Link {
        id,
        vault: VaultId::from_array([9; 32]),
        account: AccountId::from_array(A),
        device: None,
        capsule: PackId::from_array(D),
        capsule_size: 16 << 10,
        digest: H,
        created: NOW,
        expires: None,
        max_downloads: 0,
        downloads: 3,
        tickets: 2,
        until: None,
        record_bytes: 5000,
    };
    let (vault, account, capsule, digest) = (hex(&[9; 32]), hex(&A), hex(&D), hex(&H));
    let begin = format!("0a20{vault}1220{account}1a20{capsule}208080012a20{digest}30{NOW_HEX}");
    check(&link, id, &format!("{begin}48035002608827"));
    link.expires = Some(NOW);
    link.max_downloads = 3;
    link.until = Some(UnixTime::from_seconds(1));
    let row = format!("{begin}38{NOW_HEX}4003480350025801608827");
    // From before it stood there with which device it was made.
    check(&link, id, &row);
    link.device = Some(DeviceId::from_array(D));
    check(&link, id, &format!("{row}6a20{}", hex(&D)));
}

#[test]
fn a_ticket() {
    let mut ticket = Ticket {
        link: LinkId(A),
        opened: UnixTime::default(),
        expires: NOW,
        counted: true,
    };
    let row = format!("0a20{}10{NOW_HEX}", hex(&A));
    check(&ticket, (), &row);
    ticket.opened = UnixTime::from_seconds(300);
    // As all are from before some did not count.
    check(&ticket, (), &format!("{row}18ac02"));
    ticket.counted = false;
    check(&ticket, (), &format!("{row}18ac022001"));
}

#[test]
fn a_membership() {
    for (unaccepted, row) in [(false, ""), (true, "0801")] {
        let member = MemberRow { unaccepted };
        assert_eq!(hex(&member.encode_to_vec()), row);
        assert_eq!(
            MemberRow::from_row(&member.encode_to_vec()).unwrap(),
            member
        );
    }
}

#[test]
fn the_changes_of_a_head() {
    let changes = ChangesRow {
        adds: A.to_vec(),
        removes: D.to_vec(),
    };
    let row = format!("0a20{}1220{}", hex(&A), hex(&D));
    assert_eq!(hex(&changes.encode_to_vec()), row);
}

#[test]
fn a_row_that_cannot_be_is_damage() {
    let damaged = |row: &[u8]| {
        let read = Pack::from_row((), row);
        assert!(matches!(read, Err(LedgerError::Damaged(_))), "{read:?}");
    };
    damaged(&[0xff]);
    // A size and no state.
    damaged(&[0x08, 0x80, 0x80, 0x01]);
    // A state that this version does not know.
    damaged(&[0x10, 0x06]);
    let short = Token::from_row((), &[0x0a, 0x01, 0x07]);
    assert!(matches!(short, Err(LedgerError::Damaged(_))), "{short:?}");
}
