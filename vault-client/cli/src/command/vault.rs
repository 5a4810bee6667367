//! `coffre vault create` and `coffre vault list`.

use serde::Serialize;
use vault_client::account::{Standing, VaultSummary};

use crate::args::VaultCreate;
use crate::exit::Exit;
use crate::failure::Failure;
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
    let text = format!("vault {} is ready", show::printable(&options.name));
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
            return writeln!(out, "no vaults yet; `coffre vault create NAME` makes one");
        }
        let mut table = Table::new(&["VAULT", "ID", ""]);
        for listed in &fields.vaults {
            let name = listed.vault.name.as_deref().unwrap_or("(no name)");
            let remark = match listed.standing {
                "listed" => String::new(),
                other => format!("({other})"),
            };
            table.row(vec![show::printable(name), listed.vault.id.clone(), remark]);
        }
        table.write(out)
    })?;
    if vaults
        .iter()
        .all(|vault| vault.standing != Standing::Hidden)
    {
        return Ok(Exit::Done);
    }
    context
        .output
        .warn("the hoster hides a vault that this account has");
    Ok(Exit::HosterMisbehaved)
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
