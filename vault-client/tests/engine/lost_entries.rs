//! Entries of a vault's log that name a head in whose place another stands.

use rusqlite::Connection;
use vault_client::account::VaultSelector;
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, Reconciled, reconcile};
use vault_client::remote::memory::MemoryHoster;
use vault_client::remote::{CommitOutcome, CommitRequest, Refusal, RefusalReason, RemoteError};
use vault_client::vault::{Vault, VaultError};
use vault_proto::entry::UnsignedEntry;
use vault_proto::ids::{AccountId, HeadHash};
use vault_proto::position::HeadPosition;
use vault_proto::sign::SignLabel;
use vault_proto::vault_log::Role;
use vault_proto::wire::{self, SignedEntry, vault_entry::Body};

use super::{Files, assert_whole, backed_up, noise, snapshots};
use crate::support::{Member, Other, forge, line_lost, rng};

/// A member's vault with one backup in it, which another member may write to.
pub(super) struct Shared {
    pub(super) owner: Member,
    pub(super) writer: Member,
    pub(super) files: Files,
    pub(super) vault: Vault,
}

impl Shared {
    pub(super) fn new() -> Self {
        let owner = Member::new();
        let mut vault = owner.account.create_vault("family").unwrap();
        let writer = Member::at(&owner.hoster);
        let (log, id) = (writer.paper().own_log(), writer.account.id());
        owner
            .paper()
            .append_knowing(vault.id(), &[log], |author, keys| {
                let mut rng = rng();
                author
                    .add_member(keys, &id, Role::Writer, &mut rng)
                    .unwrap()
            });
        writer
            .paper()
            .append(vault.id(), |author, _| author.accept().unwrap());
        vault.refresh().unwrap();
        let files = Files::many(1, 4, 30_000);
        backed_up(&mut vault, &files).unwrap();
        Self {
            owner,
            writer,
            files,
            vault,
        }
    }

    pub(super) fn at(&self, hoster: &MemoryHoster) -> Vault {
        let account = self.owner.reopened_at(hoster);
        account.open_vault(&VaultSelector::Only).unwrap()
    }

    /// What whoever sees the vault for the first time makes of it.
    fn paper_at(&self, hoster: &MemoryHoster) -> Other {
        let keys = self.owner.phrase.device_keys();
        Other::new(hoster, self.owner.account.id(), keys)
    }

    /// Another backup, and then the writer is removed; the keys are not changed.
    pub(super) fn remove_writer(&mut self) -> (HeadPosition, SignedEntry) {
        self.files.write("more", &noise(5, 40_000));
        backed_up(&mut self.vault, &self.files).unwrap();
        let (head, id) = (self.vault.head().unwrap(), self.writer.account.id());
        let removal = self.owner.paper().append(self.vault.id(), |author, _| {
            author.remove_member(&id).unwrap()
        });
        self.vault.refresh().unwrap();
        assert!(self.vault.log().rotation_due());
        (head, removal)
    }
}

/// Brings a vault forward again; its keys are changed where that has to be done before.
fn brought_back(vault: &mut Vault) -> Reconciled {
    reconcile(vault, Parted::Refuse, &Cancellation::new()).unwrap()
}

fn assert_goes_on(vault: &mut Vault, files: &Files, removed: &AccountId) {
    assert_eq!(vault.log().member(removed), None);
    assert!(!vault.log().rotation_due());
    backed_up(vault, files).unwrap();
    assert_whole(vault);
    let newest = snapshots(vault).pop().unwrap();
    super::assert_restores(vault, &newest, files);
}

#[test]
fn a_lost_removal_stands_again_and_the_keys_are_changed() {
    let mut shared = Shared::new();
    let old = shared.owner.hoster.fork();
    let (lost, removal) = shared.remove_writer();

    let mut vault = shared.at(&old);
    brought_back(&mut vault);
    let entries = vault.log().entries();
    let place = entries.iter().position(|entry| *entry == removal).unwrap();
    assert!(place + 1 < entries.len(), "a rotation follows it");
    assert_eq!(vault.log().pinned_head(), Some(lost));
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    assert_goes_on(&mut vault, &shared.files, &shared.writer.account.id());
    let paper = shared.paper_at(&old);
    assert_eq!(paper.look(vault.id()).seen.position(), vault.head());
    paper.commit(vault.id());
    vault.refresh().unwrap();
}

#[test]
fn a_lost_removal_stands_again_wherever_it_breaks() {
    for calls in 0..12 {
        let mut shared = Shared::new();
        let old = shared.owner.hoster.fork();
        shared.remove_writer();
        old.fail_after(calls, line_lost());
        let done = reconcile(&mut shared.at(&old), Parted::Refuse, &Cancellation::new());
        old.behave();
        let mut vault = shared.at(&old);
        // Nor does it stop who has nothing new to learn.
        let shown = vault.refresh();
        assert!(shown.is_ok() || done.is_err());
        brought_back(&mut vault);
        assert_goes_on(&mut vault, &shared.files, &shared.writer.account.id());
    }
}

#[test]
fn many_lost_entries_are_sent_again() {
    let mut shared = Shared::new();
    let old = shared.owner.hoster.fork();
    shared.remove_writer();
    let paper = shared.owner.paper();
    for _ in 0..30 {
        paper.append(shared.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    shared.vault.refresh().unwrap();
    let report = brought_back(&mut shared.at(&old));
    assert_eq!(report.entries, 31);
}

/// The entries name the head that was lost first: it is that one which the head in
/// its place has to name, not the one that had taken its place the first time.
#[test]
fn a_hoster_may_go_back_twice() {
    let mut shared = Shared::new();
    let [old, older] = [(); 2].map(|()| shared.owner.hoster.fork());
    let (lost, removal) = shared.remove_writer();

    let mut vault = shared.at(&old);
    brought_back(&mut vault);
    let before = vault.log().position();
    drop(vault);

    let mut vault = shared.at(&older);
    let report = brought_back(&mut vault);
    assert_eq!(report.entries, 2);
    assert_eq!(vault.log().position(), before);
    assert!(vault.log().entries().contains(&removal));
    assert_eq!(vault.log().pinned_head(), Some(lost));
    assert_goes_on(&mut vault, &shared.files, &shared.writer.account.id());
    let paper = shared.paper_at(&older);
    assert_eq!(paper.look(vault.id()).seen.position(), vault.head());
}

impl Shared {
    /// The writer commits a head in the place of one that never was, and leaves with
    /// an entry that names that: nothing can be committed before the keys are
    /// changed, by an entry that names what his does.
    fn undermine(&self) -> HeadPosition {
        let (id, writer) = (self.vault.id(), self.writer.paper());
        let sight = writer.look(id);
        let (head, root) = forge(&sight, &writer.keys, writer.account, |head| {
            head.reconciled = Some(HeadHash::from_array([9; 32]));
        });
        let commit = CommitRequest {
            head,
            root,
            adds: Vec::new(),
            removes: Vec::new(),
        };
        let outcome = writer.remote.commit_head(&commit).unwrap();
        assert_eq!(outcome, CommitOutcome::Accepted);
        let sight = writer.look(id);
        let never = sight.seen.newest().unwrap().replaced();
        let leave = sight.log.next_entry(
            &writer.account,
            &sight.accounts[&writer.account].position(),
            &writer.keys.id(),
            never,
            Body::Leave(wire::LeaveVault {}),
        );
        let payload = prost::Message::encode_to_vec(&leave);
        let signature = writer.keys.sign(SignLabel::VaultEntry, &payload);
        let leave = UnsignedEntry::vault(&leave).with_signatures([(writer.keys.id(), signature)]);
        writer.remote.append_vault_entry(&id, &leave).unwrap();
        never.unwrap()
    }
}

#[test]
fn a_writer_who_names_a_head_that_never_was_stops_nobody() {
    let mut shared = Shared::new();
    let never = shared.undermine();
    // Nor does it stop who has nothing new to learn.
    shared.vault.refresh().unwrap();
    shared.vault.refresh().unwrap();
    let removed = shared.writer.account.id();
    // What he committed leads nowhere: all is stored anew.
    backed_up(&mut shared.vault, &shared.files).unwrap();
    assert_eq!(shared.vault.log().pinned_head(), Some(never));
    assert_goes_on(&mut shared.vault, &shared.files, &removed);
}

#[test]
fn an_entry_that_names_a_replaced_head_is_sent_byte_for_byte_too() {
    let mut shared = Shared::new();
    let never = shared.undermine();
    let lock = shared.vault.lock().unwrap();
    shared.vault.refresh().unwrap();
    // Refreshed, and then the line breaks.
    shared.owner.hoster.fail_after(1, line_lost());
    shared.vault.keep_up().unwrap_err();
    let held = signed(&shared.owner);
    assert_eq!(held.len(), 1);
    shared.vault.refresh().unwrap();
    let newest = shared.vault.log().entries().last().unwrap();
    assert_eq!(newest.payload, held[0].payload);
    assert_eq!(shared.vault.log().pinned_head(), Some(never));
    assert!(!shared.vault.log().rotation_due());
    assert_eq!(signed(&shared.owner), []);
    drop(lock);
}

#[test]
fn a_race_about_a_replaced_head_that_nobody_has_won_is_told() {
    let mut shared = Shared::new();
    shared.undermine();
    shared.vault.refresh().unwrap();
    let lost = Refusal::new(RefusalReason::LostRace, "another was first");
    let lost = RemoteError::Refused(lost);
    shared.owner.hoster.fail_after(1, lost);
    let error = shared.vault.keep_up().unwrap_err();
    assert!(matches!(error, VaultError::UnfoundedRace), "{error}");
}

/// What the device has signed for a log and not seen accepted.
fn signed(member: &Member) -> Vec<SignedEntry> {
    let database = Connection::open(member.home.path().join("state.db")).unwrap();
    let mut rows = database.prepare("SELECT entry FROM signed_entry").unwrap();
    let rows = rows.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let entries = rows.map(|entry| prost::Message::decode(&entry.unwrap()[..]).unwrap());
    entries.collect()
}
