//! `coffre vault` and what it can do.

use serde::Serialize;
use vault_client::account::{Account, MemberSummary, Standing, VaultSummary};
use vault_client::reconcile::reconcile as bring_forward;
use vault_client::vault::Vault;

use super::share::role_name;
use crate::args::{
    NamedVault, VaultConfirm, VaultCreate, VaultDelete, VaultHead, VaultReconcile, VaultRename,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say, words};
use crate::session::{Context, VaultFields};
use crate::show;
use crate::table::Table;
use crate::{input, interrupt};

#[derive(Serialize)]
struct CreateFields {
    vault: VaultFields,
}

#[derive(Serialize)]
struct ListFields {
    vaults: Vec<ListedFields>,
}

#[derive(Serialize)]
struct ListedFields {
    #[serde(flatten)]
    vault: VaultFields,
    hoster: String,
    /// What the hoster says of it: `listed`, `hidden` from its owner, or kept
    /// `elsewhere`.
    standing: &'static str,
}

#[derive(Serialize)]
struct MembersFields {
    vault: VaultFields,
    /// Whether the keys have to be changed before anything is written.
    rotation_due: bool,
    members: Vec<MemberFields>,
}

#[derive(Serialize)]
struct MemberFields {
    account: String,
    /// As this account knows it; none of a stranger.
    address: Option<String>,
    role: &'static str,
    accepted: bool,
    verified: bool,
    this_account: bool,
}

impl From<&MemberSummary> for MemberFields {
    fn from(member: &MemberSummary) -> Self {
        Self {
            account: member.account.to_string(),
            address: member.address.as_ref().map(ToString::to_string),
            role: role_name(member.role),
            accepted: member.accepted,
            verified: member.is_verified,
            this_account: member.is_self,
        }
    }
}

#[derive(Serialize)]
struct DeleteFields {
    vault: VaultFields,
    /// Whether it lives on for others.
    left: bool,
}

#[derive(Serialize)]
struct ReconcileFields {
    vault: VaultFields,
    /// The hoster's head before, the newest that it had lost, and the newest now.
    from: u64,
    lost: u64,
    head: u64,
    /// Entries of the vault's log that were sent again.
    entries: u64,
    uploaded_packs: usize,
    gone_packs: Vec<String>,
    contents_lost: bool,
    /// How many of the heads that were lost had a list that is gone.
    heads_not_brought_back: u64,
    /// Nothing was lost: what the hoster had more was fetched.
    refreshed: bool,
    /// Another device had brought the vault forward, and this one has followed.
    taken_over: bool,
    /// Somebody who may write has to go on.
    under_way: bool,
}

#[derive(Serialize)]
struct HeadFields {
    /// Without a name, the account's own.
    vault: VaultFields,
    /// None while nothing was saved.
    head: Option<String>,
}

impl HeadFields {
    fn of(vault: &Vault) -> Self {
        Self {
            vault: VaultFields::of(vault),
            head: vault.printed_head(),
        }
    }

    fn of_account(account: &Account) -> Result<Self, Failure> {
        Ok(Self {
            vault: VaultFields {
                id: account.own_vault().to_string(),
                name: None,
            },
            head: account.printed_head()?,
        })
    }
}

pub(super) fn create(options: &VaultCreate, context: &Context) -> Result<Exit, Failure> {
    let vault = context.session()?.account.create_vault(&options.name)?;
    let name = show::printable(&options.name);
    let text = say!("vault {name} is ready", "le coffre {name} est prêt");
    context.output.summary(
        &CreateFields {
            vault: VaultFields::of(&vault),
        },
        &text,
    )?;
    Ok(Exit::Done)
}

pub(super) fn list(context: &Context) -> Result<Exit, Failure> {
    let vaults = context.session()?.account.vaults()?;
    let fields = ListFields {
        vaults: vaults.iter().map(ListedFields::from).collect(),
    };
    context.output.result(&fields, |out| {
        if fields.vaults.is_empty() {
            return writeln!(out, "{}", none_yet());
        }
        let mut table = Table::new(match language() {
            Language::English => &["VAULT", "ID", ""],
            Language::French => &["COFFRE", "ID", ""],
        });
        for listed in &fields.vaults {
            let name = match &listed.vault.name {
                Some(name) => show::printable(name),
                None => say!("(no name)", "(sans nom)"),
            };
            let remark = match listed.standing {
                "listed" => String::new(),
                "hidden" => say!("(hidden)", "(caché)"),
                "elsewhere" => say!("(elsewhere)", "(ailleurs)"),
                other => format!("({other})"),
            };
            table.row(vec![name, listed.vault.id.clone(), remark]);
        }
        table.write(out)
    })?;
    if vaults
        .iter()
        .all(|vault| vault.standing != Standing::Hidden)
    {
        return Ok(Exit::Done);
    }
    context.output.warn(&say!(
        "the hoster hides a vault that this account has",
        "l’hébergeur cache un coffre que ce compte possède",
    ));
    Ok(Exit::HosterMisbehaved)
}

pub(super) fn members(options: &NamedVault, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let mut vault = session.vault_named(&options.vault)?;
    let members = session.account.members(&mut vault)?;
    let fields = MembersFields {
        vault: VaultFields::of(&vault),
        rotation_due: vault.log().rotation_due(),
        members: members.iter().map(MemberFields::from).collect(),
    };
    context.output.result(&fields, |out| {
        let mut table = Table::new(match language() {
            Language::English => &["MEMBER", "ROLE", "ACCOUNT", "", ""],
            Language::French => &["MEMBRE", "RÔLE", "COMPTE", "", ""],
        });
        for member in &members {
            let name = match &member.address {
                _ if member.is_self => say!("(you)", "(vous)"),
                Some(address) => show::printable(address.name()),
                None => say!("(no contact of yours)", "(pas un de vos contacts)"),
            };
            let accepted = match member.accepted {
                true => String::new(),
                false => say!("not accepted yet", "pas encore accepté"),
            };
            let verified = match member.is_verified {
                true => say!("verified", "vérifié"),
                false => String::new(),
            };
            table.row(vec![
                name,
                role_name(member.role).to_owned(),
                member.account.to_string()[..8].to_owned(),
                accepted,
                verified,
            ]);
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}

pub(super) fn rename(options: &VaultRename, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let vault = session.vault_named(&options.vault)?;
    session.account.rename_vault(&vault.id(), &options.name)?;
    let name = show::printable(&options.name);
    context.output.summary(
        &CreateFields {
            vault: VaultFields {
                id: vault.id().to_string(),
                name: Some(options.name.clone()),
            },
        },
        &say!("it is called {name} now", "il s’appelle désormais {name}"),
    )?;
    Ok(Exit::Done)
}

pub(super) fn delete(options: &VaultDelete, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let mut vault = session.vault_named(&options.vault)?;
    let fields = VaultFields::of(&vault);
    let name = fields.shown_name();
    // Where the hoster does not show it any more, what this device saw last decides, and
    // what comes next says why.
    let refreshed = vault.refresh();
    let me = session.account.id();
    let others = vault.log().members().filter(|(member, _)| *member != me);
    let others = others.count();
    if !options.yes {
        let question = if others > 0 {
            say!(
                "{name} is shared with {others} more. Leave it? It lives on for them, with all its snapshots.",
                "{name} est partagé avec {others} autres. Le quitter ? Il continue pour eux, avec tous ses instantanés.",
            )
        } else {
            say!(
                "Delete {name}, with all its snapshots?",
                "Supprimer {name}, avec tous ses instantanés ?"
            )
        };
        let instead = words(
            "--yes goes on without asking",
            "--yes continue sans demander",
        );
        input::agree(&question, instead)?;
    }
    // What was asked, and nothing else: who is in it may have changed meanwhile.
    let has_left = others > 0;
    if has_left {
        session.account.leave_vault(&vault.id())?;
    } else {
        refreshed?;
        session.account.delete_vault(&vault.id())?;
    }
    let text = if has_left {
        say!(
            "you are no member of {name} any more; it lives on for the others",
            "vous n’êtes plus membre de {name} ; il continue pour les autres"
        )
    } else {
        say!(
            "{name} is deleted; the hoster keeps what was in it for some weeks, then it is gone",
            "{name} est supprimé ; l’hébergeur garde son contenu quelques semaines, puis il disparaît"
        )
    };
    let fields = DeleteFields {
        vault: fields,
        left: has_left,
    };
    context.output.summary(&fields, &text)?;
    Ok(Exit::Done)
}

pub(super) fn reconcile(options: &VaultReconcile, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let mut vault = session.vault_named(&options.vault)?;
    let name = VaultFields::of(&vault).shown_name();
    if !options.yes {
        let question = say!(
            "Has the hoster told you that it restored an old backup? Only then bring {name} forward from what this device has.",
            "L’hébergeur vous a-t-il dit avoir restauré une ancienne sauvegarde ? Alors seulement, ramener {name} en avant depuis cet appareil.",
        );
        let instead = words(
            "--yes goes on without asking",
            "--yes continue sans demander",
        );
        input::agree(&question, instead)?;
    }
    let cancellation = interrupt::cancellation(vault.remote(), &context.output)?;
    let done = bring_forward(&mut vault, &cancellation)?;
    let fields = ReconcileFields {
        vault: VaultFields::of(&vault),
        from: done.from,
        lost: done.lost,
        head: vault.head().map_or(0, |head| head.seq),
        entries: done.entries,
        uploaded_packs: done.uploaded.len(),
        gone_packs: done.gone.iter().map(ToString::to_string).collect(),
        contents_lost: done.contents_lost,
        heads_not_brought_back: done.heads_not_brought_back,
        refreshed: done.refreshed,
        taken_over: done.taken_over,
        under_way: done.under_way,
    };
    context.output.summary(&fields, &fields.told(&name))?;
    fields.warn(context);
    let is_whole = fields.gone_packs.is_empty() && !fields.contents_lost && !fields.under_way;
    Ok(if is_whole { Exit::Done } else { Exit::Partly })
}

impl ReconcileFields {
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
        } else if from < lost {
            say!(
                "{name}: the hoster had gone back from head {lost} to {from}; {uploaded} packs were sent again, {gone} are gone",
                "{name} : l’hébergeur était revenu de la tête {lost} à {from} ; {uploaded} paquets renvoyés, {gone} perdus",
            )
        } else if from < head || self.entries > 0 {
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

    fn warn(&self, context: &Context) {
        if self.contents_lost {
            let heads = self.heads_not_brought_back;
            context.output.warn(&say!(
                "the list of what was in the vault at the last {heads} heads is gone itself: it is again what it was before, or what others have saved since",
                "la liste du contenu du coffre aux {heads} dernières têtes est elle-même perdue : elle est de nouveau celle d’avant, ou ce que d’autres ont sauvegardé depuis",
            ));
        }
        if self.under_way {
            context.output.warn(&say!(
                "not all of it stands again: somebody who may write to the vault has to run this, too",
                "tout n’est pas encore revenu : quelqu’un qui peut écrire dans le coffre doit aussi lancer cette commande",
            ));
        }
        if !self.gone_packs.is_empty() {
            context.output.warn(&say!(
                "the next backup of the same files stores again what is gone; `coffre check` shows which snapshots miss something",
                "la prochaine sauvegarde des mêmes fichiers renverra ce qui manque ; `coffre check` montre quels instantanés sont incomplets",
            ));
        }
    }
}

pub(super) fn head(options: &VaultHead, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let fields = match &options.vault {
        Some(name) => {
            let mut vault = session.vault_named(name)?;
            vault.refresh()?;
            HeadFields::of(&vault)
        }
        None => HeadFields::of_account(&session.account)?,
    };
    context.output.result(&fields, |out| match &fields.head {
        Some(head) => writeln!(out, "{head}"),
        None => {
            let none = say!(
                "nothing was saved in it yet",
                "rien n’y a encore été sauvegardé"
            );
            writeln!(out, "{none}")
        }
    })?;
    Ok(Exit::Done)
}

pub(super) fn confirm(options: &VaultConfirm, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let (fields, name) = match &options.vault {
        Some(name) => {
            let mut vault = session.vault_named(name)?;
            vault.confirm(&options.head)?;
            let fields = HeadFields::of(&vault);
            let name = fields.vault.shown_name();
            (fields, name)
        }
        None => {
            session.account.confirm(&options.head)?;
            let name = say!("the account", "le compte");
            (HeadFields::of_account(&session.account)?, name)
        }
    };
    context.output.summary(
        &fields,
        &say!(
            "{name} is as new as that head, or newer",
            "{name} est aussi récent que cette tête, ou plus récent"
        ),
    )?;
    Ok(Exit::Done)
}

pub(super) fn none_yet() -> String {
    say!(
        "no vaults yet; `coffre vault create NAME` makes one",
        "pas encore de coffre ; `coffre vault create NOM` en crée un",
    )
}

impl From<&VaultSummary> for ListedFields {
    fn from(summary: &VaultSummary) -> Self {
        Self {
            vault: VaultFields {
                id: summary.id.to_string(),
                name: summary.name.clone(),
            },
            hoster: summary.hoster.to_string(),
            standing: match summary.standing {
                Standing::Listed => "listed",
                Standing::Hidden => "hidden",
                Standing::Elsewhere => "elsewhere",
                _ => "unknown",
            },
        }
    }
}
