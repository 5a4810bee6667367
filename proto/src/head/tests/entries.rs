//! Entries and heads in one order, whatever a member who may write does to it.

use super::Cast;
use crate::head::{
    Head, HeadContext, HeadError, PreviousHeads, SeenHeads, UnverifiedHead, head_for_entry,
    is_head_for_entry, skip_path,
};
use crate::ids::HeadHash;
use crate::position::HeadPosition;
use crate::testing::{TestAccount, TestHeads, TestVault, filler_32, signed_head, signed_vault};
use crate::vault_log::{Role, VaultKind};
use crate::wire::vault_entry::Body;

/// A vault as its hoster has it. Alice manages, Bob writes, Carol reads.
#[derive(Clone)]
struct Shelf<'a> {
    cast: &'a Cast,
    vault: TestVault,
    heads: TestHeads,
}

/// Which head an entry names.
#[derive(Debug, Clone, Copy)]
enum Named {
    /// The newest.
    Newest,
    /// The one whose place the newest says that it takes.
    Replaced,
}

/// What a member does who means no good.
#[derive(Debug, Clone, Copy)]
enum Move {
    Head,
    /// A head that says that it takes the place of one that never was.
    HeadInstead,
    /// Bob begins an epoch.
    Rotate(Named),
    /// Carol leaves: a rotation is due.
    Leave(Named),
}

const MOVES: [Move; 6] = [
    Move::Head,
    Move::HeadInstead,
    Move::Rotate(Named::Newest),
    Move::Rotate(Named::Replaced),
    Move::Leave(Named::Newest),
    Move::Leave(Named::Replaced),
];

impl<'a> Shelf<'a> {
    fn new(cast: &'a Cast) -> Self {
        let mut vault = TestVault::new(VaultKind::Storage, &cast.alice);
        vault.join(&cast.alice, &cast.bob, Role::Writer, &cast.logs);
        vault.join(&cast.alice, &cast.carol, Role::Reader, &cast.logs);
        Self {
            cast,
            vault,
            heads: TestHeads::default(),
        }
    }

    fn newest(&self) -> Option<&Head> {
        self.heads.heads.last().map(UnverifiedHead::claims)
    }

    fn seen(&self) -> SeenHeads {
        self.heads.heads.last().map_or(SeenHeads::none(), |newest| {
            let hash_at = |seq| Some(self.heads.at(seq).hash());
            SeenHeads::collect(&newest.to_bytes(), hash_at).unwrap()
        })
    }

    fn named(&self, named: Named) -> Option<HeadPosition> {
        match named {
            Named::Newest => self.newest().map(Head::position),
            Named::Replaced => self.newest().and_then(Head::replaced),
        }
    }

    fn members(&self) -> Vec<&'a TestAccount> {
        let cast = self.cast;
        let all = [&cast.alice, &cast.bob, &cast.carol];
        let is_member = |account: &&TestAccount| self.vault.log.member(&account.id()).is_some();
        all.into_iter().filter(is_member).collect()
    }

    fn commit(
        &mut self,
        author: &TestAccount,
        reconciled: Option<HeadHash>,
    ) -> Result<(), HeadError> {
        let head = Head {
            reconciled,
            ..self.heads.draft(&self.vault, author)
        };
        let head = signed_head(head, &author.machine);
        head.clone().verify(&HeadContext {
            vault_log: &self.vault.log,
            account_logs: &self.cast.logs,
            previous: PreviousHeads::Next(&self.seen()),
        })?;
        self.heads.heads.push(head);
        Ok(())
    }

    /// Whether the entry stands now. A hoster asks that it names a head that is
    /// there, beside all that a log asks.
    fn append(&mut self, author: &TestAccount, named: Option<HeadPosition>, body: Body) -> bool {
        let there = [Named::Newest, Named::Replaced].map(|which| self.named(which));
        let is_there = match named {
            Some(_) => there.contains(&named),
            None => self.newest().is_none(),
        };
        let may_stand = is_head_for_entry(&self.vault.log, self.newest(), named);
        self.vault.head = named;
        let entry = signed_vault(&self.vault.draft(author, body), &author.machine);
        let appended = self.vault.log.clone().append(&entry, &self.cast.logs);
        if may_stand {
            assert!(is_there);
        } else {
            assert!(!is_there || appended.is_err());
        }
        if is_there && appended.is_ok() {
            self.vault.log.append(&entry, &self.cast.logs).unwrap();
            return true;
        }
        false
    }

    fn play(&mut self, step: Move) -> bool {
        let cast = self.cast;
        let lost = filler_32(&format!("lost {}", self.heads.heads.len()));
        let lost = HeadHash::from_array(lost);
        match step {
            Move::Head => self.commit(&cast.bob, None).is_ok(),
            Move::HeadInstead => self.commit(&cast.bob, Some(lost)).is_ok(),
            Move::Rotate(named) => {
                let rotate = self.vault.rotate(&self.members());
                self.append(&cast.bob, self.named(named), rotate)
            }
            Move::Leave(named) => self.append(&cast.carol, self.named(named), TestVault::leave()),
        }
    }

    /// Alice puts Bob out, changes the keys and commits, as if nothing had been.
    fn go_on(mut self) {
        let cast = self.cast;
        let entry = |shelf: &mut Self, body| {
            let named = head_for_entry(&shelf.vault.log, shelf.newest());
            assert!(is_head_for_entry(&shelf.vault.log, shelf.newest(), named));
            assert!(shelf.append(&cast.alice, named, body));
        };
        entry(&mut self, TestVault::remove(&cast.bob));
        let rotate = self.vault.rotate(&self.members());
        entry(&mut self, rotate);
        self.commit(&cast.alice, None).unwrap();
        entry(&mut self, TestVault::add(&cast.bob, Role::Reader));
        self.commit(&cast.alice, None).unwrap();
        // Whoever sees the vault for the first time verifies all of it.
        let path = skip_path(self.heads.heads.len() as u64, 0);
        let path = SeenHeads::none().follow(self.heads.take(&path)).unwrap();
        let newest = path.newest().clone().verify(&HeadContext {
            vault_log: &self.vault.log,
            account_logs: &cast.logs,
            previous: PreviousHeads::Path(&path),
        });
        newest.unwrap();
    }

    /// Every sequence of so many moves.
    fn explore(&self, moves: usize) -> usize {
        self.clone().go_on();
        let mut explored = 1;
        for step in MOVES.iter().filter(|_| moves > 0) {
            let mut after = self.clone();
            if after.play(*step) {
                explored += after.explore(moves - 1);
            }
        }
        explored
    }
}

/// The shortest that stopped everybody: a head in the place of one that never was,
/// and an entry that names that and makes a rotation due.
#[test]
fn nothing_that_a_writer_does_stops_a_manager() {
    let cast = Cast::new();
    let explored = Shelf::new(&cast).explore(4);
    assert!(explored > 100, "{explored}");
}

#[test]
fn an_entry_names_what_the_one_before_names() {
    let cast = Cast::new();
    let mut shelf = Shelf::new(&cast);
    assert_eq!(head_for_entry(&shelf.vault.log, None), None);
    assert!(is_head_for_entry(&shelf.vault.log, None, None));
    assert!(shelf.play(Move::HeadInstead));
    let (newest, replaced) = (shelf.named(Named::Newest), shelf.named(Named::Replaced));
    assert!(newest.is_some() && replaced.is_some());
    // Where no head is seen there is none to name, and none that is named already.
    assert!(!is_head_for_entry(&shelf.vault.log, None, newest));
    // Nothing is pinned there yet: both will do, and authors name the newest.
    let may_name =
        |shelf: &Shelf<'_>, named| is_head_for_entry(&shelf.vault.log, shelf.newest(), named);
    assert_eq!(head_for_entry(&shelf.vault.log, shelf.newest()), newest);
    assert!(may_name(&shelf, newest) && may_name(&shelf, replaced));
    assert!(!may_name(&shelf, None));
    for (named, other) in [(newest, replaced), (replaced, newest)] {
        let mut shelf = shelf.clone();
        let rotate = shelf.vault.rotate(&shelf.members());
        assert!(shelf.append(&cast.bob, named, rotate));
        assert_eq!(head_for_entry(&shelf.vault.log, shelf.newest()), named);
        assert!(!is_head_for_entry(&shelf.vault.log, None, None));
        assert!(may_name(&shelf, named) && !may_name(&shelf, other));
        // The next head is named by itself.
        assert!(shelf.play(Move::Head));
        let next = shelf.named(Named::Newest);
        assert_eq!(head_for_entry(&shelf.vault.log, shelf.newest()), next);
        assert!(may_name(&shelf, next) && !may_name(&shelf, named));
    }
}
