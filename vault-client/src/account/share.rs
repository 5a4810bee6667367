//! Sharing vaults with other members.
//!
//! ```text
//! share:  find the member ─▶ his log to the vault's hoster ─▶ add_member ─▶ offer ─▶ his box
//! accept: open the offer ─▶ find its sender ─▶ fetch the vault ─▶ verify all ─▶ accept entry
//! ```
//!
//! What is in a member's box proves nothing: the vault's log does. A vault that a
//! hoster lists, and that the account did neither make nor accept, is none of the
//! account's.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use vault_core::keys::AccountSecrets;
use vault_core::offer::{Offer, OfferError, SealedOffer, UnverifiedOffer};
use vault_core::settings::{AccountSettings, Contact, KnownHoster, KnownVault};
use vault_proto::account_log::AccountLog;
use vault_proto::address::Address;
use vault_proto::ids::{AccountId, OfferHash, VaultId};
use vault_proto::origin::Origin;
use vault_proto::position::LogPosition;
use vault_proto::vault_log::{Role, VaultLog};
use vault_proto::wire::{self, vault_entry::Body};

use super::contacts::check_name_free;
use super::vaults::rows;
use super::{Account, AccountError};
use crate::remote::{HosterAddress, RemoteError};
use crate::vault::{Member, Upkeep, Vault, put_log};

/// A member of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberSummary {
    /// His account.
    pub account: AccountId,
    /// What he may do.
    pub role: Role,
    /// Whether he took up the membership that he was offered.
    pub accepted: bool,
    /// His address as this account knows it; `None` for a stranger.
    pub address: Option<Address>,
    /// Whether the two members compared their number.
    pub is_verified: bool,
    /// Whether it is this account.
    pub is_self: bool,
}

/// What came of sharing, beyond the entry that makes the member.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Shared {
    /// Who it was shared with, as a contact.
    pub contact: Contact,
    /// What he may do.
    pub role: Role,
    /// The offer as text, to be handed over by other ways.
    pub offer: String,
    /// Whether his hoster took the offer.
    pub delivered: Result<(), Arc<RemoteError>>,
}

/// An offer that waits for this account.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OfferSummary {
    /// By which it is accepted or declined.
    pub id: OfferHash,
    /// The vault.
    pub vault: VaultId,
    /// What its sender calls it.
    pub vault_name: String,
    /// Where it is kept, as the sender says.
    pub home: HosterAddress,
    /// As what the account would become a member.
    pub role: Role,
    /// Who says that he sent it.
    pub sender: Address,
    /// When, by his clock, in seconds since 1970.
    pub created: u64,
    /// Whether he is a contact.
    pub is_contact: bool,
    /// Whether his account's log says that he sent it; `None` where nobody was asked.
    /// Accepting asks, and looks at the vault besides.
    pub checked: Option<Result<(), Arc<AccountError>>>,
}

/// What waits for this account.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Offers {
    /// Those that can be read, the oldest first.
    pub offers: Vec<OfferSummary>,
    /// Those that cannot: somebody wrote them who did not know how, or whom the
    /// account would not believe.
    pub unreadable: Vec<OfferHash>,
}

/// Which offer is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OfferSelector {
    /// One that the hoster keeps.
    Id(OfferHash),
    /// One that was handed over as text.
    Text(String),
}

impl Account {
    /// The members of a vault, invited ones included, ordered by account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn members(&self, vault: &mut Vault) -> Result<Vec<MemberSummary>, AccountError> {
        vault.refresh()?;
        let settings = self.settings()?;
        let members = vault.log().members().map(|(account, state)| {
            let contact = settings.contact(&account);
            MemberSummary {
                account,
                role: state.role,
                accepted: state.accepted,
                address: contact.map(|contact| contact.address.clone()),
                is_verified: contact.is_some_and(|contact| contact.is_verified),
                is_self: account == self.row.account,
            }
        });
        Ok(members.collect())
    }

    /// Shares a vault with the member behind an address, who then reads all of
    /// its history. Repeating it offers the vault anew; with another role it
    /// changes that first. Without a role whoever is new becomes a reader, and whoever
    /// is a member stays what he is.
    ///
    /// # Errors
    /// [`AccountError::NoName`], [`AccountError::OwnAddress`],
    /// [`AccountError::ContactLog`], and the others; [`AccountError::MemberAlready`]
    /// where another has made him a member, who stays what he is. An offer that could
    /// not be delivered is no error: it is in the answer, as text.
    pub fn share(
        &self,
        vault: &mut Vault,
        address: &Address,
        role: impl Into<Option<Role>>,
    ) -> Result<Shared, AccountError> {
        let asked = role.into();
        let settings = self.settings()?;
        let name = settings.name().ok_or(AccountError::NoName)?;
        let sender = Address::new(name, self.row.origin.clone(), self.row.account)?;
        let recipient = address.account();
        let found = self.find_member(address, settings.contact(&recipient))?;
        let contact = self.remember(address, &found)?;

        let _lock = vault.lock()?;
        vault.prepare()?;
        let home = self.home_of(vault, &settings)?;
        if found.home.hoster != home.hoster {
            put_log(&*vault.remote(), &recipient, found.log.entries())?;
        }
        let own = vault.newest_own_log()?;
        let logs = [found.log.clone(), own.clone()];
        let account = self.row.account;
        vault.append(&logs, |author, keys, rng| {
            match (author.log.member(&recipient), asked) {
                (None, _) => {
                    let role = asked.unwrap_or(Role::Reader);
                    author.add_member(keys?, &recipient, role, rng).map(Some)
                }
                (Some(member), Some(role))
                    if member.role != role
                        && membership(author.log, &recipient, &account).is_some() =>
                {
                    author.change_role(&recipient, role).map(Some)
                }
                (Some(_), _) => Ok(None),
            }
        })?;
        let entry = membership(vault.log(), &recipient, &account);
        let entry = entry.ok_or(AccountError::MemberAlready)?;
        let now = vault.log().member(&recipient);
        let role = now.ok_or(AccountError::NoSuchMember)?.role;
        let offer = Offer {
            vault: vault.id(),
            hoster: home.hoster,
            origin: home.origin,
            tls: home.tls,
            vault_name: vault.name().unwrap_or("?").to_owned(),
            role,
            sender,
            sender_device: self.row.device,
            sender_position: own.position(),
            recipient,
            entry,
            head: vault.head(),
            created: u64::try_from(self.member.now().seconds()).unwrap_or(0),
        };
        let sealed = offer.seal(&found.log, &self.member.device, &mut self.member.rng())?;
        let delivered = found.visitor.put_offer(&recipient, sealed.as_bytes());
        Ok(Shared {
            contact,
            role,
            offer: sealed.to_text(),
            delivered: delivered.map_err(Arc::new),
        })
    }

    /// Ends a membership, and changes the vault's keys, so that nothing that is
    /// written from now on can be read by who was removed. What he could read he
    /// may have kept.
    ///
    /// # Errors
    /// [`AccountError::NoSuchMember`], and the others.
    pub fn unshare(&self, vault: &mut Vault, member: &AccountId) -> Result<Upkeep, AccountError> {
        let _lock = vault.lock()?;
        vault.refresh()?;
        if vault.log().member(member).is_none() {
            // An earlier call may have been interrupted before the keys changed.
            return match vault.keep_up()? {
                Upkeep::Nothing => Err(AccountError::NoSuchMember),
                done => Ok(done),
            };
        }
        vault.append(&[], |author, _, _| match author.log.member(member) {
            Some(_) => author.remove_member(member).map(Some),
            None => Ok(None),
        })?;
        Ok(vault.keep_up()?)
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// [`AccountError::NoSuchMember`], and the others.
    pub fn change_role(
        &self,
        vault: &mut Vault,
        member: &AccountId,
        role: Role,
    ) -> Result<(), AccountError> {
        let _lock = vault.lock()?;
        vault.refresh()?;
        if vault.log().member(member).is_none() {
            return Err(AccountError::NoSuchMember);
        }
        vault.append(&[], |author, _, _| match author.log.member(member) {
            Some(now) if now.role != role => author.change_role(member, role).map(Some),
            _ => Ok(None),
        })?;
        Ok(())
    }

    /// The offers that wait for this account at its hoster. Nobody else is asked.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn offers(&self) -> Result<Offers, AccountError> {
        self.list_offers(false)
    }

    /// Likewise. About those in the name of a contact his hoster is asked, once for
    /// each contact; about others nobody is: where a stranger claims to be at home is
    /// a place that whoever left the offer has chosen.
    ///
    /// # Errors
    /// [`AccountError`]. That a contact cannot be asked about is in the answer.
    pub fn checked_offers(&self) -> Result<Offers, AccountError> {
        self.list_offers(true)
    }

    fn list_offers(&self, check: bool) -> Result<Offers, AccountError> {
        let settings = self.settings()?;
        let own = self.account_vault()?.newest_own_log()?;
        let secrets = AccountSecrets::open(&own, &self.member.device)?;
        let mut found = Offers {
            offers: Vec::new(),
            unreadable: Vec::new(),
        };
        let mut logs = BTreeMap::new();
        for bytes in self.member.remote.list_offers()? {
            let id = OfferHash::of(&bytes);
            let opened = SealedOffer::from_slice(&bytes).and_then(|sealed| sealed.open(&secrets));
            match opened {
                Ok(opened) => {
                    let sender = opened.claims().sender.account();
                    let contact = settings.contact(&sender);
                    let checked = match contact {
                        Some(contact) if check => {
                            let log = logs.entry(sender);
                            let log = log.or_insert_with(|| self.log_of(contact).map_err(Arc::new));
                            Some(check_sender(&opened, log))
                        }
                        _ => None,
                    };
                    let summary = summary(id, opened.claims(), contact, checked);
                    found.offers.push(summary);
                }
                Err(_) => found.unreadable.push(id),
            }
        }
        Ok(found)
    }

    /// A contact's log, from where he was seen to be at home.
    fn log_of(&self, contact: &Contact) -> Result<AccountLog, AccountError> {
        Ok(self.find_member(&contact.address, Some(contact))?.log)
    }

    /// Takes up an offer, once it is verified that its sender made it, and that
    /// the vault's log says the same. The vault is called `name`, or else as its
    /// sender calls it; the sender becomes a contact.
    ///
    /// # Errors
    /// [`AccountError::NoSuchOffer`], [`AccountError::Offer`],
    /// [`AccountError::NameTaken`], and the others.
    pub fn accept_offer(
        &self,
        selector: &OfferSelector,
        name: Option<&str>,
    ) -> Result<Vault, AccountError> {
        let sealed = self.sealed_offer(selector)?;
        let _lock = self.member.state.home().lock_account()?;
        let settings = self.settings()?;
        let own = self.account_vault()?.newest_own_log()?;
        let opened = sealed.open(&AccountSecrets::open(&own, &self.member.device)?)?;
        let claims = opened.claims().clone();
        let name = name.unwrap_or(&claims.vault_name);
        let mut others = settings.vaults().iter();
        let taken = |known: &&KnownVault| {
            !known.deleted && known.name == name && known.vault != claims.vault
        };
        if let Some(taken) = others.find(taken) {
            return Err(AccountError::NameTaken(taken.vault));
        }

        let pinned = settings.contact(&claims.sender.account());
        let found = self.find_member(&claims.sender, pinned)?;
        // Before anything is signed.
        check_name_free(&settings, &claims.sender)?;
        opened.verify_sender(&found.log)?;
        let member = self.member_on_trial(home_in(&claims));
        let mut vault = Vault::open_on_trial(member, claims.vault, Some(name.to_owned()))?;
        let _vault_lock = vault.lock()?;
        if !vault.is_on_trial() {
            vault.refresh()?;
        }
        let offer = opened.verify(&found.log, vault.log())?;
        vault.check_reaches(offer.entry, offer.head)?;
        vault.keep()?;
        let account = self.row.account;
        vault.append(&[own], |author, _, _| match author.log.member(&account) {
            Some(member) if !member.accepted => author.accept().map(Some),
            _ => Ok(None),
        })?;
        if vault
            .log()
            .member(&account)
            .is_none_or(|member| !member.accepted)
        {
            return Err(AccountError::Offer(OfferError::Over));
        }

        self.remember(&offer.sender, &found)?;
        let settings = self.change_settings(|settings| {
            if settings.hoster(offer.hoster).is_none() {
                settings.set_hoster(KnownHoster {
                    hoster: offer.hoster,
                    origin: offer.origin.to_string(),
                    tls: offer.tls,
                })?;
            }
            settings.set_vault(KnownVault {
                vault: offer.vault,
                hoster: offer.hoster,
                name: name.to_owned(),
                deleted: false,
                shared_by: Some(offer.sender.clone()),
            })
        })?;
        self.member.state.set_vaults(&rows(&settings))?;
        self.member
            .remote
            .drop_offer(&OfferHash::of(sealed.as_bytes()))?;
        Ok(vault)
    }

    /// Turns an offer down: it is dropped at the hoster, so that no device of the
    /// account sees it again. Its sender is told nothing.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn decline_offer(&self, offer: &OfferHash) -> Result<(), AccountError> {
        Ok(self.member.remote.drop_offer(offer)?)
    }

    fn sealed_offer(&self, selector: &OfferSelector) -> Result<SealedOffer, AccountError> {
        let id = match selector {
            OfferSelector::Text(text) => return Ok(SealedOffer::parse(text)?),
            OfferSelector::Id(id) => id,
        };
        let listed = self.member.remote.list_offers()?;
        let found = listed.iter().find(|bytes| OfferHash::of(bytes) == *id);
        let found = found.ok_or(AccountError::NoSuchOffer)?;
        Ok(SealedOffer::from_slice(found)?)
    }

    /// The member with a line to a hoster that the settings do not name yet.
    fn member_on_trial(&self, home: HosterAddress) -> Arc<Member> {
        if home.hoster == self.row.hoster {
            return self.member.clone();
        }
        self.guest_at(home)
    }

    /// Where a vault's home is dialled, and how to know it.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn hoster_of(&self, vault: &Vault) -> Result<HosterAddress, AccountError> {
        self.home_of(vault, &self.settings()?)
    }

    fn home_of(
        &self,
        vault: &Vault,
        settings: &AccountSettings,
    ) -> Result<HosterAddress, AccountError> {
        let hoster = vault.log().home();
        if hoster == self.row.hoster {
            return Ok(HosterAddress {
                origin: self.row.origin.clone(),
                hoster,
                tls: self.row.tls,
            });
        }
        let known = settings.hoster(hoster).ok_or(AccountError::NoSuchVault)?;
        let origin = Origin::parse(&known.origin).map_err(|_| AccountError::SettingsUnreadable)?;
        Ok(HosterAddress {
            origin,
            hoster,
            tls: known.tls,
        })
    }
}

fn check_sender(
    opened: &UnverifiedOffer,
    log: &Result<AccountLog, Arc<AccountError>>,
) -> Result<(), Arc<AccountError>> {
    let log = log.as_ref().map_err(Arc::clone)?;
    let checked = opened.verify_sender(log).map_err(AccountError::from);
    checked.map_err(Arc::new)
}

fn home_in(offer: &Offer) -> HosterAddress {
    HosterAddress {
        origin: offer.origin.clone(),
        hoster: offer.hoster,
        tls: offer.tls,
    }
}

fn summary(
    id: OfferHash,
    offer: &Offer,
    contact: Option<&Contact>,
    checked: Option<Result<(), Arc<AccountError>>>,
) -> OfferSummary {
    OfferSummary {
        id,
        vault: offer.vault,
        vault_name: offer.vault_name.clone(),
        home: home_in(offer),
        role: offer.role,
        sender: offer.sender.clone(),
        created: offer.created,
        is_contact: contact.is_some(),
        checked,
    }
}

/// The newest entry by which `by` made this account a member; `None` if it was
/// another who did.
fn membership(log: &VaultLog, member: &AccountId, by: &AccountId) -> Option<LogPosition> {
    let newest = log.position().seq;
    for (entry, seq) in log.entries().iter().rev().zip((1..=newest).rev()) {
        let entry = wire::VaultEntry::decode(&*entry.payload).ok()?;
        let Some(Body::AddMember(add)) = &entry.body else {
            continue;
        };
        let added = add.r#box.as_ref().and_then(|added| added.member.as_ref());
        if added.is_none_or(|added| added.account != member.as_bytes()) {
            continue;
        }
        let author = entry.author.as_ref()?;
        let hash = log.hash_at(seq)?;
        return (author.account == by.as_bytes()).then_some(LogPosition { seq, hash });
    }
    None
}
