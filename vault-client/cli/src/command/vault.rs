//! `coffre vault` and what it can do.

use serde::Serialize;
use vault_client::account::{Account, MemberSummary, Standing, VaultSummary};
use vault_client::vault::Vault;

use super::share::role_name;
use crate::args::{
    NamedVault, VaultConfirm, VaultCreate, VaultDelete, VaultHead, VaultList, VaultRename,
};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::language::{Language, language, say, words};
use crate::session::{Context, Session, VaultFields};
use crate::show;
use crate::table::Table;

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
    /// `elsewhere`; the account is `out`, or it is `gone` without a proof of that; the
    /// account has `deleted` it.
    standing: &'static str,
    /// Who has put the account out; itself where it has left.
    ended_by: Option<String>,
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
            vault: VaultFields::of_account(account),
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

pub(super) fn list(options: &VaultList, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    if options.deleted {
        return list_deleted(&session, context);
    }
    let vaults = session.account.vaults()?;
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
                "out" => say!(
                    "(you are not a member any more)",
                    "(vous n’en êtes plus membre)"
                ),
                "gone" => say!("(not shown any more)", "(n’est plus montré)"),
                "elsewhere" => say!("(elsewhere)", "(ailleurs)"),
                other => format!("({other})"),
            };
            table.row(vec![name, listed.vault.id.clone(), remark]);
        }
        table.write(out)
    })?;
    for vault in &vaults {
        if let Some(remark) = no_member_any_more(&session, vault)? {
            context.output.warn(&remark);
        }
    }
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

fn list_deleted(session: &Session, context: &Context) -> Result<Exit, Failure> {
    let deleted = session.account.deleted_vaults()?;
    let fields = ListFields {
        vaults: deleted.iter().map(ListedFields::from).collect(),
    };
    context.output.result(&fields, |out| {
        let mut table = Table::new(match language() {
            Language::English => &["VAULT", "ID"],
            Language::French => &["COFFRE", "ID"],
        });
        for ListedFields { vault, .. } in &fields.vaults {
            table.row(vec![vault.shown_name(), vault.id.clone()]);
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}

/// What is to be said of a vault that is not shown to this account any more.
fn no_member_any_more(session: &Session, vault: &VaultSummary) -> Result<Option<String>, Failure> {
    let name = match &vault.name {
        Some(name) => show::printable(name),
        None => vault.id.to_string(),
    };
    Ok(match vault.standing {
        Standing::PutOut(by) if by == session.account.id() => Some(say!(
            "you have left {name}; `coffre vault delete` takes it off this list",
            "vous avez quitté {name} ; `coffre vault delete` l’ôte de cette liste",
        )),
        Standing::PutOut(by) => {
            let by = session.name_of(&by)?;
            Some(say!(
                "{by} has taken you out of {name}, and signed for it; `coffre vault delete` takes it off this list",
                "{by} vous a retiré de {name}, et l’a signé ; `coffre vault delete` l’ôte de cette liste",
            ))
        }
        Standing::Gone => Some(say!(
            "{name} is not shown to you any more, and nothing proves that somebody has taken you out: ask who shares it with you",
            "{name} ne vous est plus montré, et rien ne prouve que quelqu’un vous en ait retiré : demandez à qui le partage avec vous",
        )),
        _ => None,
    })
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
            "{name} is deleted; the hoster keeps what was in it for some weeks, then it is gone. Until then `coffre vault undelete` brings it back",
            "{name} est supprimé ; l’hébergeur garde son contenu quelques semaines, puis il disparaît. D’ici là, `coffre vault undelete` le ramène"
        )
    };
    let fields = DeleteFields {
        vault: fields,
        left: has_left,
    };
    context.output.summary(&fields, &text)?;
    Ok(Exit::Done)
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
                Standing::PutOut(_) => "out",
                Standing::Gone => "gone",
                Standing::Deleted => "deleted",
                _ => "unknown",
            },
            ended_by: match summary.standing {
                Standing::PutOut(by) => Some(by.to_string()),
                _ => None,
            },
        }
    }
}
