//! `coffre vault reconcile`: the account first, then vaults.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use vault_client::account::{Account, AccountError, VaultSelector};
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, ReconcileError, Reconciled, reconcile, reconcile_account};
use vault_client::remote::Remote;
use vault_client::vault::{Vault, VaultError};

use crate::args::VaultReconcile;
use crate::exit::Exit;
use crate::failure::{Failure, went_back};
use crate::language::{say, words};
use crate::message::Message;
use crate::session::{Context, Session, VaultFields};
use crate::show::{self, Noun, counted};
use crate::{input, interrupt};

#[derive(Serialize)]
struct ReconcileFields {
    /// The vault that was named, or the only one there is.
    #[serde(flatten)]
    only: Option<BroughtFields>,
    /// What the account's devices agree on.
    account: BroughtFields,
    vaults: Vec<BroughtFields>,
    /// Those that could not be brought forward.
    left_out: Vec<LeftOutFields>,
}

#[derive(Clone, Serialize)]
struct BroughtFields {
    vault: VaultFields,
    /// The hoster's head before, the newest that it had lost, and the newest now.
    from: u64,
    lost: u64,
    head: u64,
    /// Entries of the vault's log that were sent again.
    entries: u64,
    /// Entries of members' own logs that were sent again.
    account_entries: u64,
    uploaded_packs: usize,
    gone_packs: Vec<String>,
    contents_lost: bool,
    /// How many of the heads that were lost had a list that is gone.
    heads_not_brought_back: u64,
    /// Links that were lost and are not on the list: their capsules are gone.
    links_taken_off: u64,
    /// Links on the list that the hoster does not serve any more.
    links_not_served: u64,
    /// Links that it serves and that are not on the list.
    links_unlisted: u64,
    /// Nothing was lost: what the hoster had more was fetched.
    refreshed: bool,
    /// Another device had brought the vault forward, and this one has followed.
    taken_over: bool,
    /// The hoster's history parted from what this device had seen, and both were joined.
    joined: bool,
    /// Somebody who may write has to go on.
    under_way: bool,
}

#[derive(Serialize)]
struct LeftOutFields {
    vault: VaultFields,
    code: &'static str,
    message: Message,
}

pub(super) fn bring_forward(options: &VaultReconcile, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    if !options.yes {
        for told in foreseen(options, &session) {
            context.output.warn(&told);
        }
        ask(options)?;
    }
    let current = Arc::new(Mutex::new(session.account.remote()));
    let steps = Steps {
        cancellation: interrupt::cancellation_of(current.clone(), &context.output)?,
        current,
        parted: match options.join {
            true => Parted::Join,
            false => Parted::Refuse,
        },
    };
    let account = steps.account(&session.account)?;
    let (vaults, left_out) = match &options.vault {
        // Only now: this device may not know it yet.
        Some(name) => (vec![steps.one(session.vault_named(name)?)?], Vec::new()),
        None => steps.all(&session)?,
    };
    let only = match &vaults[..] {
        [only] if left_out.is_empty() => Some(only.clone()),
        _ => None,
    };
    let fields = ReconcileFields {
        only,
        account,
        vaults,
        left_out,
    };
    context.output.summary(&fields, &fields.told())?;
    Ok(fields.warn(context))
}

/// What the hoster shows and what this device has seen, of the account and of each vault
/// of which that differs: the dates are what the hoster's word is held against. Whatever
/// cannot be asked is not foreseen.
fn foreseen(options: &VaultReconcile, session: &Session) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |name: String, error: &VaultError| {
        told.extend(went_back(error).map(|it| say!("{name}: {it}", "{name} : {it}")));
    };
    if let Err(AccountError::Vault(error)) = session.account.vaults() {
        tell(say!("the account", "le compte"), &error);
    }
    for (id, name) in session.account.known_vaults().unwrap_or_default() {
        let is_asked = |name: Option<&str>| match &options.vault {
            Some(wanted) => name == Some(wanted) || id.to_string() == *wanted,
            None => true,
        };
        if !is_asked(name.as_deref()) {
            continue;
        }
        let opened = session.account.open_vault(&VaultSelector::Id(id));
        let Ok(mut vault) = opened else { continue };
        if let Err(error) = vault.refresh() {
            tell(VaultFields::of(&vault).shown_name(), &error);
        }
    }
    told
}

fn ask(options: &VaultReconcile) -> Result<(), Failure> {
    let what = match options.vault.as_deref() {
        Some(name) => show::printable(name),
        None => say!("your vaults", "vos coffres"),
    };
    let question = match options.join {
        false => say!(
            "Has the hoster told you that it restored an old backup? Only then bring {what} forward from what this device has.",
            "L’hébergeur vous a-t-il dit avoir restauré une ancienne sauvegarde ? Alors seulement, ramener {what} en avant depuis cet appareil.",
        ),
        true => say!(
            "Has the hoster told you that it restored an old backup, and has one of the devices saved to it since? Only then join in {what} what the hoster has and what this device has.",
            "L’hébergeur vous a-t-il dit avoir restauré une ancienne sauvegarde, et un des appareils y a-t-il sauvegardé depuis ? Alors seulement, réunir dans {what} ce qu’a l’hébergeur et ce qu’a cet appareil.",
        ),
    };
    let instead = words(
        "--yes goes on without asking",
        "--yes continue sans demander",
    );
    input::agree(&question, instead)
}

/// What is done in turn, and how it is broken off.
struct Steps {
    cancellation: Cancellation,
    /// The hoster that it is at.
    current: Arc<Mutex<Arc<dyn Remote>>>,
    parted: Parted,
}

impl Steps {
    fn account(&self, account: &Account) -> Result<BroughtFields, Failure> {
        let (done, head) = reconcile_account(account, self.parted, &self.cancellation)?;
        let vault = VaultFields::of_account(account);
        Ok(BroughtFields::of(vault, &done, head))
    }

    fn one(&self, mut vault: Vault) -> Result<BroughtFields, ReconcileError> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = vault.remote();
        let done = reconcile(&mut vault, self.parted, &self.cancellation)?;
        let head = vault.head().map_or(0, |head| head.seq);
        Ok(BroughtFields::of(VaultFields::of(&vault), &done, head))
    }

    /// One that cannot be brought forward keeps none of the others from it.
    fn all(&self, session: &Session) -> Result<(Vec<BroughtFields>, Vec<LeftOutFields>), Failure> {
        let (mut vaults, mut left_out) = (Vec::new(), Vec::new());
        for summary in session.account.vaults()? {
            let opened = session.account.open_vault(&VaultSelector::Id(summary.id));
            let brought = match opened {
                Ok(vault) => self
                    .one(vault)
                    .map_err(|error| (error.code(), Message::of(&error))),
                Err(error) => Err((error.code(), Message::of(&error))),
            };
            match brought {
                Ok(brought) => vaults.push(brought),
                Err((code, message)) if self.cancellation.is_cancelled() => {
                    return Err(Failure::new(code, message));
                }
                Err((code, message)) => left_out.push(LeftOutFields {
                    vault: VaultFields {
                        id: summary.id.to_string(),
                        name: summary.name,
                    },
                    code: code.as_str(),
                    message,
                }),
            }
        }
        Ok((vaults, left_out))
    }
}

impl BroughtFields {
    fn of(vault: VaultFields, done: &Reconciled, head: u64) -> Self {
        Self {
            vault,
            from: done.from,
            lost: done.lost,
            head,
            entries: done.entries,
            account_entries: done.account_entries,
            uploaded_packs: done.uploaded.len(),
            gone_packs: done.gone.iter().map(ToString::to_string).collect(),
            contents_lost: done.contents_lost,
            heads_not_brought_back: done.heads_not_brought_back,
            links_taken_off: done.links_taken_off,
            links_not_served: done.links_not_served,
            links_unlisted: done.links_unlisted,
            refreshed: done.refreshed,
            taken_over: done.taken_over,
            joined: done.joined,
            under_way: done.under_way,
        }
    }

    fn told(&self, name: &str) -> String {
        let (from, lost, head) = (self.from, self.lost, self.head);
        let (gone, uploaded) = (self.gone_packs.len(), self.uploaded_packs);
        if self.refreshed {
            say!(
                "{name}: nothing was lost; refreshed up to head {head}",
                "{name} : rien n’a été perdu ; à jour jusqu’à la tête {head}"
            )
        } else if self.taken_over {
            say!(
                "{name}: another device had brought it forward to head {from}; followed, up to head {head}; {uploaded} packs were sent again, {gone} are gone",
                "{name} : un autre appareil l’avait ramené à la tête {from} ; suivi, jusqu’à la tête {head} ; {uploaded} paquets renvoyés, {gone} perdus",
            )
        } else if self.joined {
            say!(
                "{name}: the hoster's history up to head {from} and this device's up to head {lost} are joined; {uploaded} packs were sent again, {gone} are gone",
                "{name} : l’histoire de l’hébergeur jusqu’à la tête {from} et celle de cet appareil jusqu’à la tête {lost} sont réunies ; {uploaded} paquets renvoyés, {gone} perdus",
            )
        } else if from < lost {
            say!(
                "{name}: the hoster had gone back from head {lost} to {from}; {uploaded} packs were sent again, {gone} are gone",
                "{name} : l’hébergeur était revenu de la tête {lost} à {from} ; {uploaded} paquets renvoyés, {gone} perdus",
            )
        } else if from < head || self.entries + self.account_entries > 0 {
            say!(
                "{name} is brought forward up to head {head}; {uploaded} packs were sent again, {gone} are gone",
                "{name} est ramené en avant jusqu’à la tête {head} ; {uploaded} paquets renvoyés, {gone} perdus",
            )
        } else {
            say!(
                "{name} is not behind: nothing to do",
                "{name} n’est pas en retard : rien à faire"
            )
        }
    }

    fn is_whole(&self) -> bool {
        self.gone_packs.is_empty() && !self.contents_lost && !self.under_way
    }

    fn warn(&self, context: &Context, name: &str) {
        if self.contents_lost {
            let heads = self.heads_not_brought_back;
            context.output.warn(&say!(
                "{name}: the list of what was in it at the last {heads} heads is gone itself: it is again what it was before, or what others have saved since",
                "{name} : la liste de son contenu aux {heads} dernières têtes est elle-même perdue : elle est de nouveau celle d’avant, ou ce que d’autres ont sauvegardé depuis",
            ));
        }
        self.warn_of_links(context, name);
        if self.under_way {
            context.output.warn(&say!(
                "{name}: not all of it stands again: somebody who may write to it has to run this, too",
                "{name} : tout n’est pas encore revenu : quelqu’un qui peut y écrire doit aussi lancer cette commande",
            ));
        }
    }
}

impl BroughtFields {
    fn warn_of_links(&self, context: &Context, name: &str) {
        if self.links_not_served > 0 {
            let links = counted(self.links_not_served, Noun::Link);
            context.output.warn(&say!(
                "{name}: not served any more: {links}; revoke them, or make them again (`coffre link list` shows them)",
                "{name} : plus servis : {links} ; mettez-y fin, ou refaites-les (`coffre link list` les montre)",
            ));
        }
        if self.links_taken_off > 0 {
            let links = counted(self.links_taken_off, Noun::Link);
            context.output.warn(&say!(
                "{name}: lost, and not on the list any more: {links}; make them again",
                "{name} : perdus, et absents de la liste : {links} ; refaites-les",
            ));
        }
        if self.links_unlisted > 0 {
            let links = counted(self.links_unlisted, Noun::Link);
            context.output.warn(&say!(
                "{name}: served, and not on the list, maybe because they had been revoked: {links}; `coffre link list` shows them, `coffre link revoke` ends them",
                "{name} : servis, et absents de la liste, peut-être parce qu’on y avait mis fin : {links} ; `coffre link list` les montre, `coffre link revoke` y met fin",
            ));
        }
    }
}

impl ReconcileFields {
    fn told(&self) -> String {
        let account = say!("the account", "le compte");
        let vaults = self.vaults.iter();
        let vaults = vaults.map(|brought| brought.told(&brought.vault.shown_name()));
        let lines: Vec<_> = [self.account.told(&account)]
            .into_iter()
            .chain(vaults)
            .collect();
        lines.join("\n")
    }

    fn warn(&self, context: &Context) -> Exit {
        let account = say!("the account", "le compte");
        self.account.warn(context, &account);
        if !self.account.gone_packs.is_empty() {
            context.output.warn(&say!(
                "{account}: its newest settings are gone: names of vaults, contacts and links are as they were before",
                "{account} : ses derniers réglages sont perdus : noms des coffres, contacts et liens sont ceux d’avant",
            ));
        }
        for brought in &self.vaults {
            brought.warn(context, &brought.vault.shown_name());
        }
        if self
            .vaults
            .iter()
            .any(|brought| !brought.gone_packs.is_empty())
        {
            context.output.warn(&say!(
                "the next backup of the same files stores again what is gone; `coffre check` shows which snapshots miss something",
                "la prochaine sauvegarde des mêmes fichiers renverra ce qui manque ; `coffre check` montre quels instantanés sont incomplets",
            ));
        }
        for left_out in &self.left_out {
            let name = left_out.vault.shown_name();
            context.output.warn(&say!(
                "{name} could not be brought forward: {}",
                "{name} n’a pas pu être ramené en avant : {}",
                left_out.message.shown()
            ));
        }
        let mut all = self.vaults.iter().chain([&self.account]);
        match self.left_out.is_empty() && all.all(BroughtFields::is_whole) {
            true => Exit::Done,
            false => Exit::Partly,
        }
    }
}
