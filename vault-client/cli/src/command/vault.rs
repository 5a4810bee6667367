//! `coffre vault create` and `coffre vault list`.

use serde::Serialize;
use vault_client::account::{Standing, VaultSummary};

use crate::args::VaultCreate;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say};
use crate::session::{Context, VaultFields};
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
    /// `elsewhere`.
    standing: &'static str,
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
