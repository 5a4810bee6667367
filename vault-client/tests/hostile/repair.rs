//! What a member, or a thief of his device, spoils, and what brings it back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vault_client::account::{AccountError, Damage, OfferSelector, VaultSelector};
use vault_client::backup::BackupError;
use vault_client::check::{Problem, count_removed};
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::remote::{CommitOutcome, CommitRequest, SyncRequest};
use vault_client::repair::{RepairError, RepairOptions, Repaired, Unread, repair, repair_account};
use vault_client::vault::{Held, Vault, VaultError};
use vault_core::chunk::ChunkKind;
use vault_core::keys::{DeviceKeys, VaultKeys};
use vault_core::pack::PackBuilder;
use vault_core::seal::Compressor;
use vault_core::settings::{AccountSettings, KnownHoster, KnownVault};
use vault_proto::head::HeadError;
use vault_proto::ids::{PackId, VaultId};
use vault_proto::vault_log::Role;
use vault_proto::wire::{Located, Root};
use vault_rpc::hoster::SyncVaultResponse;

use super::history::assert_matches;
use super::scene::{Scene, SecondDevice};
use crate::devices::shut_out::spoil_epoch;
use crate::engine::common::garbage;
use crate::engine::forger::located;
use crate::engine::{assert_restores, assert_whole, backed_up, newest, noise, snapshots};
use crate::support::{Other, forge, rng};

/// A head and its sealed root.
type Made = (Vec<u8>, Vec<u8>);

fn repaired(vault: &mut Vault, head: Option<u64>) -> Result<Repaired, RepairError> {
    repair(vault, &RepairOptions::new(head), &Cancellation::new())
}

/// Likewise, of a member who says that what cannot be read is left out.
fn leaving_out(vault: &mut Vault, head: Option<u64>) -> Repaired {
    let mut options = RepairOptions::new(head);
    options.unread = Unread::LeaveOut;
    repair(vault, &options, &Cancellation::new()).unwrap()
}

/// Commits a root that is sealed under keys that nobody has.
fn commit_unreadable(thief: &Other, vault: VaultId) {
    let mut sight = thief.look(vault);
    let epochs = vec![[9; 32]; usize::try_from(sight.log.epoch().number).unwrap()];
    sight.keys = VaultKeys::from_epoch_secrets(vault, &epochs);
    let (head, root) = forge(&sight, &thief.keys, thief.account, |_| {});
    let outcome = thief.remote.commit_head(&CommitRequest {
        head,
        root,
        adds: Vec::new(),
        removes: Vec::new(),
    });
    assert_eq!(outcome.unwrap(), CommitOutcome::Accepted);
}

impl Scene {
    /// Commits a root that leads to nothing, and has all packs removed.
    fn empty(&self, thief: &Other) {
        let packs: Vec<_> = self.packs().into_iter().map(|(id, _)| id).collect();
        let nothing = Root {
            minimum_reader: 1,
            minimum_writer: 1,
            ..Root::default()
        };
        thief.commit_change(self.vault.id(), &nothing, &[], &packs);
    }

    /// A call that fails for the hoster's fault, after which nothing has moved.
    fn assert_not_repaired(&mut self, head: Option<u64>) -> RepairError {
        let (before, head_before) = (self.person.stored(), self.vault.head());
        let error = repaired(&mut self.vault, head).expect_err("a lie was believed");
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert!(!error.is_transient(), "{error}");
        assert_eq!(self.person.stored(), before, "{error}");
        assert_eq!(self.vault.head(), head_before);
        error
    }
}

#[test]
fn what_nobody_can_read_is_gone_back_from() {
    let mut scene = Scene::small();
    let thief = scene.person.paper(&scene.hostile);
    commit_unreadable(&thief, scene.vault.id());
    scene.files.write("more", &noise(9, 2_000));
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(error, BackupError::Vault(VaultError::Unreadable(_)));
    let heads = scene.vault.heads(None, 9).unwrap();
    let held: Vec<_> = heads.iter().map(|head| head.held).collect();
    assert_matches!(&held[..], [Held::Unreadable(_), Held::Readable { .. }]);
    assert_eq!(heads[0].device, thief.keys.id());

    let done = repaired(&mut scene.vault, None).unwrap();
    assert_eq!((done.from, done.head), (1, 3));
    assert!(done.left_out && !done.nothing_missing);
    assert_eq!((&done.gone[..], &done.uploaded[..]), (&[][..], &[][..]));
    scene.assert_restores_as_before();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    scene.snapshot = newest(&scene.vault).unwrap();
    scene.assert_honest_again();
    assert_eq!(snapshots(&scene.vault).len(), 2);
    // Once is enough.
    let head = scene.vault.head();
    for asked in [None, Some(1)] {
        let done = repaired(&mut scene.vault, asked).unwrap();
        assert!(done.nothing_missing, "{done:?}");
        assert_eq!(scene.vault.head(), head);
    }
}

impl Scene {
    fn assert_restores_as_before(&mut self) {
        let snapshot = snapshots(&self.vault).into_iter().next().unwrap();
        assert_eq!(snapshot.id, self.snapshot.id);
        let restored = self.restore().result.unwrap();
        assert!(restored.left_out.is_empty(), "{:?}", restored.left_out);
    }
}

/// All packs are in the hoster's trash, and what was saved since stays.
#[test]
fn what_a_thief_has_emptied_is_filled_again() {
    let mut scene = Scene::small();
    let first = scene.snapshot.clone();
    let thief = scene.person.paper(&scene.hostile);
    scene.empty(&thief);
    scene.vault.refresh().unwrap();
    assert_eq!(snapshots(&scene.vault).len(), 0);
    scene.files.write("more", &noise(9, 2_000));
    backed_up(&mut scene.vault, &scene.files).unwrap();
    // There is something now, and it is for the member to say what he misses.
    assert!(repaired(&mut scene.vault, None).unwrap().nothing_missing);
    let done = repaired(&mut scene.vault, Some(1)).unwrap();
    assert!(!done.left_out && !done.nothing_missing && done.gone.is_empty());
    let all = snapshots(&scene.vault);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].id, first.id);
    assert_restores(&scene.vault, &all[1], &scene.files);
    assert_whole(&mut scene.vault);
    // A device that has seen nothing of it finds the same.
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    second.forgets(&scene.vault);
    let mut theirs = second.vault();
    assert_eq!(snapshots(&theirs).len(), 2);
    assert_whole(&mut theirs);
}

#[test]
fn a_deleted_vault_is_brought_back_with_its_name() {
    let mut scene = Scene::small();
    let account = &scene.person.account;
    account.delete_vault(&scene.vault.id()).unwrap();
    let error = account.open_vault(&VaultSelector::Only).err().unwrap();
    assert_matches!(error, AccountError::NoVault);
    let mut vault = account.open_deleted_vault("documents").unwrap();
    assert_eq!(vault.id(), scene.vault.id());
    let done = repaired(&mut vault, None).unwrap();
    assert!(done.gone.is_empty());
    account.list_vault_again(&vault.id()).unwrap();
    scene.vault = account
        .open_vault(&VaultSelector::Name("documents".to_owned()))
        .unwrap();
    scene.vault.refresh().unwrap();
    scene.assert_restores_as_before();
    assert_whole(&mut scene.vault);
    let error = scene.person.account.open_deleted_vault("documents").err();
    assert_matches!(error, Some(AccountError::NotDeleted));
}

/// Another vault has its name by now: which one is meant has to be clear afterwards, too.
#[test]
fn a_deleted_vault_does_not_come_back_under_a_name_that_is_taken() {
    let scene = Scene::small();
    let account = &scene.person.account;
    account.delete_vault(&scene.vault.id()).unwrap();
    let other = account.create_vault("documents").unwrap();
    for name in ["documents".to_owned(), scene.vault.id().to_string()] {
        let error = account.open_deleted_vault(&name).err().unwrap();
        assert_matches!(error, AccountError::NameTaken(taken) if taken == other.id());
    }
}

/// The root that is to be gone back to, and the head that leads to it, are the hoster's to
/// give: another root, another head, one beside the chain, none.
#[test]
fn no_other_head_than_that_of_the_chain_is_gone_back_to() {
    let mut scene = Scene::small();
    let thief = scene.person.paper(&scene.hostile);
    // What a device of the member's could have committed, and did not.
    let sight = thief.look(scene.vault.id());
    let beside = forge(&sight, &thief.keys, thief.account, |_| {});
    scene.back_up_again();
    let first = {
        let asked = thief.remote.sync_vault(&SyncRequest {
            vault: scene.vault.id(),
            vault_log_seq: 0,
            head_seq: 0,
            accounts: Vec::new(),
            without_root: false,
            until_head_seq: 1,
        });
        let mut asked = asked.unwrap();
        (asked.heads.remove(0), asked.root)
    };
    commit_unreadable(&thief, scene.vault.id());
    scene.vault.refresh().unwrap();

    // Of the head that is asked for alone, not of the refresh before.
    let lies: [fn(&mut SyncVaultResponse, &Made, &Made); 4] = [
        |shown, _, _| shown.root[20] ^= 1,
        |shown, _, first| (shown.heads[0], shown.root) = first.clone(),
        |shown, beside, _| (shown.heads[0], shown.root) = beside.clone(),
        |shown, _, _| shown.heads.clear(),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (beside, first) = (beside.clone(), first.clone());
        let vault = scene.vault.id().to_vec();
        scene
            .hostile
            .orders()
            .sync_vault
            .tamper(move |asked, answer| {
                if asked.vault == vault && asked.until_head_seq == 2 && !asked.without_root {
                    lie(answer, &beside, &first);
                }
            });
        let error = scene.assert_not_repaired(None);
        let is_told = match (&error, number) {
            (RepairError::Vault(VaultError::Head(error)), 0) => *error == HeadError::OtherRoot,
            (RepairError::Vault(VaultError::Head(_)), 2) => true,
            (RepairError::Vault(VaultError::Answer(_)), 1 | 3) => true,
            _ => false,
        };
        assert!(is_told, "lie {number}: {error}");
        scene.front().behave();
    }
    // Said to be kept no longer, nothing older is taken for it.
    let vault = scene.vault.id().to_vec();
    scene
        .hostile
        .orders()
        .sync_vault
        .tamper(move |asked, answer| {
            if asked.vault == vault && asked.until_head_seq == 2 {
                answer.root.clear();
            }
        });
    let head = scene.vault.head();
    let error = repaired(&mut scene.vault, None).unwrap_err();
    assert_matches!(error, RepairError::NothingReadable { .. });
    let error = repaired(&mut scene.vault, Some(2)).unwrap_err();
    assert_matches!(error, RepairError::Dropped { seq: 2 });
    let error = repaired(&mut scene.vault, Some(7)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    assert_eq!(scene.vault.head(), head);
    scene.front().behave();
    assert_eq!(repaired(&mut scene.vault, None).unwrap().from, 2);
    scene.assert_honest_again();
}

/// A root that says that this program may not read it, or not write: whoever may write can
/// say so of any. A newer program may have said it, so that only a member knows.
#[test]
fn a_vault_that_says_it_needs_a_newer_program_is_repaired_when_a_member_says_so() {
    let mut scene = Scene::small();
    let thief = scene.person.paper(&scene.hostile);
    let root = scene.vault.root().unwrap().clone();
    for (minimum_reader, minimum_writer) in [(1, 2), (2, 2)] {
        let newer = Root {
            minimum_reader,
            minimum_writer,
            ..scene.vault.root().unwrap().clone()
        };
        thief.commit_change(scene.vault.id(), &newer, &[], &[]);
        scene.vault.refresh().unwrap();
        let head = scene.vault.head();
        backed_up(&mut scene.vault, &scene.files).unwrap_err();
        for head in [None, Some(1)] {
            let error = repaired(&mut scene.vault, head).unwrap_err();
            assert_eq!(error.code(), ErrorCode::TooNew, "{error}");
        }
        assert_eq!(scene.vault.head(), head);
        let done = leaving_out(&mut scene.vault, None);
        assert_eq!(done.left_out, minimum_reader == 2);
        let now = scene.vault.root().unwrap();
        assert_eq!(now.minimum_writer, root.minimum_writer);
        scene
            .files
            .write("more", &noise(minimum_reader.into(), 2_000));
        backed_up(&mut scene.vault, &scene.files).unwrap();
        assert_whole(&mut scene.vault);
    }
    assert_eq!(snapshots(&scene.vault).len(), 3);
}

/// He reads on, and that is all: what he signed would be no head.
#[test]
fn a_reader_brings_nothing_back() {
    let mut scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let bob = scene.named("bob");
    let offer = OfferSelector::Text(scene.offer(&bob, Role::Reader));
    let mut theirs = bob.account.accept_offer(&offer, None).unwrap();
    scene.back_up_again();
    theirs.refresh().unwrap();
    let (before, head) = (bob.stored(), theirs.head());
    let error = repaired(&mut theirs, Some(1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotAllowed, "{error}");
    assert_eq!(bob.stored(), before);
    theirs.refresh().unwrap();
    assert_eq!(theirs.head(), head);
    // What there was, he may know.
    assert_eq!(theirs.heads(None, 9).unwrap().len(), 2);
}

/// The vault of what the account's devices agree on is one that each of them writes to.
#[test]
fn what_a_thief_has_made_of_the_account_is_gone_back_from() {
    let scene = Scene::small();
    let account = &scene.person.account;
    let thief = scene.person.paper(&scene.hostile);
    commit_unreadable(&thief, account.own_vault());
    account.vaults().unwrap_err();
    account.create_vault("photos").err().unwrap();
    let heads = account.heads(None, 9).unwrap();
    assert_matches!(heads[0].held, Held::Unreadable(_));
    let done = repair_account(account, &RepairOptions::new(None), &Cancellation::new()).unwrap();
    assert_eq!((done.from, done.head), (heads[0].seq - 1, heads[0].seq + 1));
    let names: Vec<_> = account
        .vaults()
        .unwrap()
        .into_iter()
        .filter_map(|vault| vault.name)
        .collect();
    assert_eq!(names, ["documents"]);
    account.create_vault("photos").unwrap();
}

/// The head is in order, and leads to all there is, which the hoster is to throw away in a
/// month. A backup of the same files would send nothing.
#[test]
fn what_is_in_the_trash_and_needed_is_told_and_taken_back() {
    let mut scene = Scene::large();
    let thief = scene.person.paper(&scene.hostile);
    let packs: Vec<_> = scene.packs().into_iter().map(|(id, _)| id).collect();
    let root = scene.vault.root().unwrap().clone();
    thief.commit_change(scene.vault.id(), &root, &[], &packs);
    scene.vault.refresh().unwrap();
    let mut found = scene.check().unwrap().problems;
    found.retain(|problem| matches!(problem, Problem::PackRemoved(_)));
    assert_eq!(found.len(), packs.len());
    assert!(found.iter().all(|problem| !problem.is_the_hosters()));
    assert_eq!(count_removed(&scene.vault).unwrap(), packs.len() as u64);
    let done = repaired(&mut scene.vault, None).unwrap();
    assert!(!done.nothing_missing && !done.left_out);
    assert_eq!((done.from, done.head), (2, 3));
    assert_eq!(count_removed(&scene.vault).unwrap(), 0);
    scene.assert_honest_again();
    // Likewise where the catalog is another one, and the index the same.
    let nothing = Root {
        catalog: None,
        ..root
    };
    thief.commit_change(scene.vault.id(), &nothing, &[], &packs);
    let done = repaired(&mut scene.vault, None).unwrap();
    assert_eq!(done.from, 3);
    scene.assert_honest_again();
    // And of packs in which nothing stands but the catalog and the index.
    let root = scene.vault.root().unwrap().clone();
    let segments = root
        .segments
        .iter()
        .filter_map(|segment| segment.at.as_ref());
    let lists: BTreeSet<_> = segments
        .chain(&root.catalog)
        .map(|at| PackId::from_slice(&at.pack).unwrap())
        .collect();
    let lists: Vec<_> = lists.into_iter().collect();
    assert!(lists.iter().all(|pack| !packs.contains(pack)));
    thief.commit_change(scene.vault.id(), &root, &[], &lists);
    scene.vault.refresh().unwrap();
    assert_eq!(count_removed(&scene.vault).unwrap(), lists.len() as u64);
    assert!(!repaired(&mut scene.vault, None).unwrap().nothing_missing);
    assert_eq!(count_removed(&scene.vault).unwrap(), 0);
    scene.assert_honest_again();
}

/// A catalog, a list of links or settings in the place of which something else is: they are
/// signed for, and cannot be read.
#[test]
fn garbage_behind_a_root_that_opens_is_gone_back_from() {
    for spoil in [Garbage::Catalog, Garbage::Index, Garbage::Links] {
        let mut scene = Scene::small();
        let thief = scene.person.paper(&scene.hostile);
        let garbage = scene.pack_of_garbage();
        let mut root = scene.vault.root().unwrap().clone();
        match spoil {
            Garbage::Catalog => root.catalog = Some(garbage.clone()),
            Garbage::Index => root.segments[0].at = Some(garbage.clone()),
            Garbage::Links => root.links = Some(garbage.clone()),
        }
        let pack = PackId::from_slice(&garbage.pack).unwrap();
        thief.commit_change(scene.vault.id(), &root, &[pack], &[]);
        scene.vault.refresh().unwrap();
        let done = repaired(&mut scene.vault, None).unwrap();
        let from = if spoil == Garbage::Links { 2 } else { 1 };
        assert_eq!((done.from, done.left_out), (from, true), "{spoil:?}");
        scene.assert_restores_as_before();
        assert_whole(&mut scene.vault);
        backed_up(&mut scene.vault, &scene.files).unwrap();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Garbage {
    Catalog,
    Index,
    Links,
}

impl Scene {
    /// Uploads a pack whose only chunk is of file data; where that is.
    fn pack_of_garbage(&self) -> Located {
        let pack = garbage(&self.vault.keys().unwrap());
        let remote = self.vault.remote();
        let at = located(&pack, 0);
        remote
            .put_pack(&self.vault.id(), &pack.id, pack.bytes.into())
            .unwrap();
        at
    }
}

/// Settings that hold nothing, and what are no settings at all.
#[test]
fn names_and_contacts_that_a_thief_has_taken_out_come_back() {
    for malformed in [false, true] {
        let scene = Scene::small();
        let account = &scene.person.account;
        account.set_name("alice").unwrap();
        let bob = scene.named("bob");
        account
            .add_contact(&bob.account.address().unwrap())
            .unwrap();
        let thief = scene.person.paper(&scene.hostile);
        let own = account.own_vault();
        let content = match malformed {
            true => b"none".to_vec(),
            false => AccountSettings::default().encode(),
        };
        commit_settings(&thief, own, &content);
        let newest = account.heads(None, 1);
        assert_eq!(account.contacts().map_or(0, |contacts| contacts.len()), 0);
        let seq = newest.unwrap()[0].seq;
        let head = if malformed { None } else { Some(seq - 1) };
        let done = repair_account(account, &RepairOptions::new(head), &Cancellation::new());
        let done = done.unwrap();
        assert_eq!((done.from, done.left_out), (seq - 1, malformed));
        assert_eq!(account.contacts().unwrap().len(), 1);
        let names = account
            .vaults()
            .unwrap()
            .into_iter()
            .filter_map(|vault| vault.name);
        assert_eq!(names.collect::<Vec<_>>(), ["documents"]);
    }
}

/// It would have an older state put in the place of the newest.
#[test]
fn what_the_hoster_withholds_is_not_taken_for_spoiled() {
    let mut scene = Scene::small();
    scene.back_up_again();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    second.forgets(&scene.vault);
    let mut theirs = second.vault();
    let catalog = {
        let root = scene.vault.root().unwrap();
        PackId::from_slice(&root.catalog.as_ref().unwrap().pack).unwrap()
    };
    scene.front().lay(&catalog, None);
    let head = theirs.head();
    let error = repaired(&mut theirs, Some(1)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(theirs.head(), head);
    let done = leaving_out(&mut theirs, Some(1));
    assert!(done.left_out);
    assert_eq!(snapshots(&theirs).len(), 1);
}

/// A writer begins an epoch that is closed to everybody else, and commits in it.
#[test]
fn an_epoch_that_is_closed_is_gone_back_from_when_a_member_says_so() {
    let mut scene = Scene::small();
    let thief = scene.person.paper(&scene.hostile);
    thief.append(scene.vault.id(), |author, keys| {
        spoil_epoch(&thief, &author.rotate(keys, &mut rng()).unwrap())
    });
    commit_unreadable(&thief, scene.vault.id());
    let error = repaired(&mut scene.vault, None).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
    let done = leaving_out(&mut scene.vault, None);
    assert_eq!((done.from, done.left_out), (1, true));
    scene.assert_restores_as_before();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    assert_whole(&mut scene.vault);
}

/// Who removes a device is told what it has spoiled.
#[test]
fn a_removal_names_vaults_that_are_not_whole() {
    let mut scene = Scene::large();
    let account = &scene.person.account;
    let mut photos = account.create_vault("photos").unwrap();
    backed_up(&mut photos, &scene.files).unwrap();
    let paper = scene.person.paper(&scene.hostile);
    let lost = DeviceKeys::generate(&mut rng());
    paper.add_device(&lost, "a phone");
    let id = lost.id();
    let thief = scene.person.writer(&scene.hostile, lost);
    let packs: Vec<_> = scene.packs().into_iter().map(|(id, _)| id).collect();
    let root = scene.vault.root().unwrap().clone();
    thief.commit_change(scene.vault.id(), &root, &[], &packs);
    commit_unreadable(&thief, photos.id());
    let left = account.remove_device(&id).unwrap().left_behind;
    let damage: BTreeMap<_, _> = left
        .damaged
        .iter()
        .map(|damaged| (damaged.name.as_deref().unwrap(), &damaged.damage))
        .collect();
    assert_eq!(damage.len(), 2, "{damage:?}");
    let count = packs.len() as u64;
    assert_matches!(damage["documents"], Damage::Removed(removed) if *removed == count);
    assert_matches!(damage["photos"], Damage::Unreadable(_));
    assert!(!left.is_empty() && left.unseen.is_empty());
    for vault in [&mut scene.vault, &mut photos] {
        assert!(!repaired(vault, None).unwrap().nothing_missing);
        assert_whole(vault);
    }
}

/// Commits these bytes as what the account's devices agree on.
fn commit_settings(thief: &Other, own: VaultId, content: &[u8]) {
    let sight = thief.look(own);
    let keys = Arc::new(sight.keys);
    let kind = ChunkKind::Settings;
    let mut pack = PackBuilder::new(keys.clone(), 1);
    let id = keys.chunk_id(kind, content);
    let mut compressor = Compressor::default();
    let pushed = pack.push_chunk(kind, &id, content, &mut compressor, &mut rng());
    pushed.unwrap();
    let pack = pack.finish(&mut rng());
    let bytes = pack.bytes.clone().into();
    thief.remote.put_pack(&own, &pack.id, bytes).unwrap();
    let root = Root {
        settings: Some(located(&pack, 0)),
        ..sight.root
    };
    thief.commit_change(own, &root, &[pack.id], &[]);
}

/// As full as settings can be: there is no room for what was there before.
#[test]
fn what_has_no_room_beside_what_is_there_is_told() {
    let scene = Scene::small();
    let account = &scene.person.account;
    let thief = scene.person.paper(&scene.hostile);
    let mut settings = AccountSettings::default();
    let hoster = account.vaults().unwrap()[0].hoster;
    let at = account.hoster_of(&scene.vault).unwrap();
    let known = KnownHoster {
        hoster,
        origin: at.origin.to_string(),
        tls: at.tls,
    };
    settings.set_hoster(known).unwrap();
    for number in 0_u32.. {
        let junk = KnownVault {
            vault: VaultId::from_array(*blake3::hash(&number.to_le_bytes()).as_bytes()),
            hoster,
            name: number.to_string(),
            deleted: true,
            shared_by: None,
        };
        if settings.set_vault(junk).is_err() {
            break;
        }
    }
    commit_settings(&thief, account.own_vault(), &settings.encode());
    assert_eq!(account.vaults().unwrap().len(), 0);
    let newest = account.heads(None, 1).unwrap()[0].seq;
    let mut options = RepairOptions::new(Some(newest - 1));
    let error = repair_account(account, &options, &Cancellation::new()).unwrap_err();
    assert_matches!(error, RepairError::NoRoom { seq } if seq == newest - 1);
    options.unread = Unread::LeaveOut;
    let done = repair_account(account, &options, &Cancellation::new()).unwrap();
    assert!(done.left_out);
    assert_eq!(account.vaults().unwrap().len(), 1);
}

/// It looks as if the hoster had lost it.
#[test]
fn what_never_was_is_left_out_when_a_member_says_so() {
    let mut scene = Scene::small();
    let thief = scene.person.paper(&scene.hostile);
    let root = scene.vault.root().unwrap().clone();
    let never = Located {
        pack: vec![7; 32],
        ..root.catalog.clone().unwrap()
    };
    let root = Root {
        catalog: Some(never),
        ..root
    };
    thief.commit_change(scene.vault.id(), &root, &[], &[]);
    scene.vault.refresh().unwrap();
    let head = scene.vault.head();
    let error = repaired(&mut scene.vault, None).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(scene.vault.head(), head);
    let done = leaving_out(&mut scene.vault, None);
    assert_eq!((done.from, done.left_out), (1, true));
    scene.assert_restores_as_before();
}

/// Its timer goes on: it has not heard of the deletion.
#[test]
fn what_another_device_saves_after_a_deletion_stays_beside_what_comes_back() {
    let scene = Scene::small();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    let account = &scene.person.account;
    account.delete_vault(&scene.vault.id()).unwrap();
    scene.files.write("more", &noise(9, 2_000));
    backed_up(&mut theirs, &scene.files).unwrap();
    let mut vault = account.open_deleted_vault("documents").unwrap();
    let mut options = RepairOptions::new(None);
    options.before_emptied = true;
    for is_first in [true, false] {
        let done = repair(&mut vault, &options, &Cancellation::new()).unwrap();
        assert_eq!(done.nothing_missing, !is_first, "{done:?}");
    }
    assert_eq!(snapshots(&vault).len(), 2);
    assert_whole(&mut vault);
}
