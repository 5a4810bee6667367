//! Account entries that break exactly one rule each.

mod bodies;
mod entries;
mod genesis;

use crate::account_log::{AccountLogError as E, genesis_entry};
use crate::entry::FieldError;
use crate::testing::{TestAccount, TestDevice, hoster, in_order, signed_account};
use crate::wire::{self, SignedEntry, account_entry::Body};

/// An entry that is refused after some log, and why.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many entries of [`Cast::log`] stand before it.
    pub(crate) after: usize,
    pub(crate) entry: SignedEntry,
    pub(crate) error: E,
}

/// An account whose machine added a laptop, removed it, and added a phone.
pub(crate) struct Cast {
    pub(crate) account: TestAccount,
    pub(crate) laptop: TestDevice,
    pub(crate) phone: TestDevice,
    /// Was never in the log.
    pub(crate) tablet: TestDevice,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let mut account = TestAccount::new("alice");
        let laptop = TestDevice::machine("laptop");
        let phone = TestDevice::machine("phone");
        account.append(account.add(&laptop), &[&laptop]);
        account.append(account.remove(&laptop), &[]);
        account.append(account.add(&phone), &[&phone]);
        Self {
            account,
            laptop,
            phone,
            tablet: TestDevice::machine("tablet"),
        }
    }

    pub(crate) fn log(&self) -> &[SignedEntry] {
        self.account.log.entries()
    }

    /// The next entry, changed and then signed by the machine and `with`.
    fn next(
        &self,
        body: Body,
        with: &[&TestDevice],
        change: impl FnOnce(&mut wire::AccountEntry),
    ) -> SignedEntry {
        let mut entry = self.account.draft(body);
        change(&mut entry);
        let signers = [&[&self.account.machine], with].concat();
        signed_account(&entry, &signers)
    }

    fn rename(&self, change: impl FnOnce(&mut wire::AccountEntry)) -> SignedEntry {
        self.next(self.account.rename(&self.phone), &[], change)
    }

    fn add(&self, change: impl FnOnce(&mut wire::AddDevice)) -> SignedEntry {
        let body = self.account.add(&self.tablet);
        self.next(body, &[&self.tablet], |entry| match &mut entry.body {
            Some(Body::AddDevice(add)) => change(add),
            _ => unreachable!(),
        })
    }

    fn remove(&self, change: impl FnOnce(&mut wire::RemoveDevice)) -> SignedEntry {
        let body = self.account.remove(&self.phone);
        self.next(body, &[], |entry| match &mut entry.body {
            Some(Body::RemoveDevice(remove)) => change(remove),
            _ => unreachable!(),
        })
    }

    fn moved(&self, home: &str, origin: &str) -> SignedEntry {
        let body = Body::Moved(wire::AccountMoved {
            home: hoster(home).to_vec(),
            origin: origin.to_owned(),
        });
        let paper = &self.account.paper;
        signed_account(&self.account.paper_draft(body), &[paper])
    }

    /// A genesis of machine and paper, changed and then signed by both.
    fn genesis(
        &self,
        change: impl FnOnce(&mut wire::AccountEntry, &mut wire::AccountGenesis),
    ) -> SignedEntry {
        let devices = [&self.account.machine, &self.account.paper];
        signed_account(&self.genesis_of(&devices, change), &in_order(&devices))
    }

    fn genesis_of(
        &self,
        devices: &[&TestDevice],
        change: impl FnOnce(&mut wire::AccountEntry, &mut wire::AccountGenesis),
    ) -> wire::AccountEntry {
        let mut genesis = TestAccount::genesis("alice", devices);
        let author = self.account.machine.id();
        let mut entry = genesis_entry(author, genesis.clone());
        change(&mut entry, &mut genesis);
        if matches!(entry.body, Some(Body::Genesis(_))) {
            entry.body = Some(Body::Genesis(genesis));
        }
        entry
    }
}

/// An account with four papers: one in the genesis, one that it added, one that
/// the machine added, and one that this one added.
pub(crate) struct PaperCast {
    pub(crate) account: TestAccount,
    pub(crate) rooted: TestDevice,
    pub(crate) of_machine: TestDevice,
    pub(crate) of_that: TestDevice,
}

impl PaperCast {
    pub(crate) fn new() -> Self {
        let mut account = TestAccount::new("paula");
        let [rooted, of_machine, of_that] =
            ["rooted paper", "paper of a machine", "paper of that paper"].map(TestDevice::paper);
        for (author, added) in [
            (account.paper.clone(), &rooted),
            (account.machine.clone(), &of_machine),
            (of_machine.clone(), &of_that),
        ] {
            let entry = account.log.next_entry(author.id(), account.add(added));
            let entry = signed_account(&entry, &[&author, added]);
            account.log.append(&entry).unwrap();
        }
        Self {
            account,
            rooted,
            of_machine,
            of_that,
        }
    }

    /// Removals and moves that are refused after the whole log.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let Self {
            account,
            rooted,
            of_machine,
            of_that,
        } = self;
        let by = |author: &TestDevice, body| {
            let entry = account.log.next_entry(author.id(), body);
            signed_account(&entry, &[author])
        };
        let remove = |author, removed| by(author, account.remove(removed));
        let all = [
            (
                "a paper of a machine removed by the machine",
                remove(&account.machine, of_machine),
                E::PaperNeeded,
            ),
            (
                "the first paper removed by a paper of a machine",
                remove(of_machine, &account.paper),
                E::PaperNotRooted,
            ),
            (
                "a rooted paper removed by a paper that a paper of a machine added",
                remove(of_that, rooted),
                E::PaperNotRooted,
            ),
            (
                "a paper of a machine removed by the paper that it added",
                remove(of_that, of_machine),
                E::PaperNotRooted,
            ),
            (
                "a move by a paper of a machine",
                by(of_machine, account.moved()),
                E::PaperNotRooted,
            ),
            (
                "a move by a paper that a paper of a machine added",
                by(of_that, account.moved()),
                E::PaperNotRooted,
            ),
        ];
        named(4, all)
    }
}

fn field<T: From<FieldError>>(name: &'static str) -> T {
    FieldError::new(name).into()
}

/// Every case, in the order of the rules.
pub(crate) fn cases() -> Vec<Case> {
    let cast = Cast::new();
    [
        genesis::genesis_cases(&cast),
        entries::chain_cases(&cast),
        entries::signature_cases(&cast),
        bodies::add_cases(&cast),
        bodies::remove_cases(&cast),
        bodies::other_cases(&cast),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn named(
    after: usize,
    cases: impl IntoIterator<Item = (&'static str, SignedEntry, E)>,
) -> Vec<Case> {
    let cases = cases.into_iter();
    cases
        .map(|(name, entry, error)| Case {
            name,
            after,
            entry,
            error,
        })
        .collect()
}
