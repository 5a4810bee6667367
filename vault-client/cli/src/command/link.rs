//! `coffre link create`, `list`, `revoke` and `get`.

use std::io::{self, IsTerminal};
use std::num::NonZeroU32;

use serde::Serialize;
use vault_client::link::{
    self, GetError, GetOptions, GetReport, LinkDownload, LinkOptions, LinkState, LinkSummary,
    LinkUrl, Password,
};
use vault_client::platform::{Clock, SystemClock};
use vault_core::links::OpenLinkError;
use vault_proto::ids::LinkId;

use super::restore::overwrite;
use crate::args::{LinkCreate, LinkGet, LinkRevoke, WhichVault};
use crate::document::{LeftOutEntry, PathText, TrafficFields};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say, words};
use crate::message::both;
use crate::progress::{DOWNLOADED, READ};
use crate::session::{Context, VaultFields};
use crate::show::{Count, Noun, Size, counted, duration};
use crate::table::Table;
use crate::{input, interrupt, qr, show};

/// What every link begins with.
const SCHEME: &str = "coffre://";
/// The most bytes of a link.
const MAX_LINK_BYTES: usize = 2_048;

#[derive(Serialize)]
struct CreateFields {
    vault: VaultFields,
    /// Whoever has it has what it leads to: as secret as that is.
    url: String,
    id: String,
    snapshot: String,
    #[serde(flatten)]
    path: PathText,
    files: u64,
    bytes: u64,
    expires: String,
    max_downloads: Option<u32>,
    password: bool,
    #[serde(flatten)]
    traffic: TrafficFields,
    seconds: f64,
    left_out: usize,
    left_out_entries: Vec<LeftOutEntry>,
}

#[derive(Serialize)]
struct ListFields {
    vault: VaultFields,
    links: Vec<LinkFields>,
    /// Links that the hoster serves and that are not on the vault's list.
    unlisted: Vec<String>,
}

#[derive(Serialize)]
struct LinkFields {
    id: String,
    url: String,
    snapshot: String,
    #[serde(flatten)]
    path: PathText,
    account: String,
    created: String,
    expires: Option<String>,
    max_downloads: Option<u32>,
    downloads: Option<u32>,
    password: bool,
    /// `live`, `differs` (not until when or as often as was asked for) or `over`.
    state: &'static str,
}

#[derive(Serialize)]
struct RevokeFields {
    id: String,
}

#[derive(Serialize)]
struct GetFields {
    target: String,
    files: u64,
    bytes: u64,
    directories: u64,
    symlinks: u64,
    kept: u64,
    lost_by_hoster: u64,
    /// Who says that he made it.
    maker: String,
    created: String,
    #[serde(flatten)]
    traffic: TrafficFields,
    seconds: f64,
    left_out: usize,
    left_out_entries: Vec<LeftOutEntry>,
}

pub(super) fn create(options: &LinkCreate, context: &Context) -> Result<Exit, Failure> {
    let Some(path) = options.what.path.as_deref() else {
        let message = both!(
            "a link leads to one file or folder",
            "un lien mène à un fichier ou à un dossier"
        );
        return Err(Failure::usage(message).with_hint(words(
            "SNAPSHOT:PATH, such as latest:/home/me/Photos",
            "INSTANTANÉ:CHEMIN, par exemple latest:/home/moi/Photos",
        )));
    };
    let password = if options.password {
        let prompt = say!("password", "mot de passe");
        let again = say!("once more", "encore une fois");
        Some(Password::new(
            input::password(&prompt, Some(&again))?.to_string(),
        ))
    } else {
        None
    };
    let session = context.session()?;
    let (mut vault, contents) = session.contents(&options.which.vault)?;
    let named = contents.snapshot(
        options.what.snapshot.as_str(),
        options.which.series.as_deref(),
    )?;
    drop(contents);
    let hoster = session.account.hoster_of(&vault)?;
    let expires = SystemClock.unix_seconds().saturating_add(options.expires.0);
    let has_password = password.is_some();
    let how = LinkOptions {
        expires: Some(expires),
        max_downloads: options.max_downloads.and_then(NonZeroU32::new),
        password,
        ..LinkOptions::default()
    };
    let cancellation = interrupt::cancellation(vault.remote(), &context.output)?;
    let showing = context.progress(READ);
    let created = link::create(
        &mut vault,
        &hoster,
        &named,
        path,
        &how,
        showing.listener(),
        &cancellation,
    );
    drop(showing);
    let created = created?;
    context.output.left_out(&created.left_out);
    let url = created.url.to_url();
    let fields = CreateFields {
        vault: VaultFields::of(&vault),
        id: created.id().to_string(),
        snapshot: named.id.to_string(),
        path: PathText::new(path),
        files: created.totals.files,
        bytes: created.totals.bytes,
        expires: show::rfc3339_seconds(expires),
        max_downloads: options.max_downloads,
        password: has_password,
        traffic: created.traffic.into(),
        seconds: created.elapsed.as_secs_f64(),
        left_out: created.left_out.len(),
        left_out_entries: LeftOutEntry::all(&created.left_out),
        url,
    };
    context.output.result(&fields, |out| {
        writeln!(out, "{}", fields.url)?;
        qr::draw(out, &fields.url)
    })?;
    let (files, bytes) = (counted(fields.files, Noun::File), Size(fields.bytes));
    context.output.note(&say!(
        "{files}, {bytes}; whoever has the link has them. `coffre link revoke {}` ends it.",
        "{files}, {bytes} ; qui a le lien les a. `coffre link revoke {}` y met fin.",
        &fields.id[..8],
    ));
    Ok(if fields.left_out == 0 {
        Exit::Done
    } else {
        Exit::Partly
    })
}

pub(super) fn list(options: &WhichVault, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let mut vault = session.vault(options)?;
    let hoster = session.account.hoster_of(&vault)?;
    let found = link::list(&mut vault, &hoster)?;
    let fields = ListFields {
        vault: VaultFields::of(&vault),
        links: found.links.iter().map(LinkFields::from).collect(),
        unlisted: found
            .unlisted
            .iter()
            .map(|status| status.link.to_string())
            .collect(),
    };
    context.output.result(&fields, |out| {
        if found.links.is_empty() {
            let none = say!("no links", "pas de lien");
            return writeln!(out, "{none}");
        }
        let mut table = Table::new(match language() {
            Language::English => &["LINK", "PATH", "UNTIL", "FETCHED", ""],
            Language::French => &["LIEN", "CHEMIN", "JUSQU’À", "RÉCUPÉRÉ", ""],
        });
        for link in &found.links {
            table.row(vec![
                link.id.to_string()[..8].to_owned(),
                show::path(&link.path),
                link.expires.map(show::unix_seconds).unwrap_or_default(),
                fetched(link),
                match link.state {
                    LinkState::Live => String::new(),
                    LinkState::Differs => {
                        say!("the hoster says otherwise", "l’hébergeur dit autre chose")
                    }
                    _ => say!("over", "terminé"),
                },
            ]);
        }
        table.write(out)
    })?;
    for id in &fields.unlisted {
        let id = &id[..8];
        context.output.warn(&say!(
            "the hoster serves link {id}, which is not on the vault's list; `coffre link revoke {id}` ends it",
            "l’hébergeur sert le lien {id}, qui n’est pas dans la liste du coffre ; `coffre link revoke {id}` y met fin",
        ));
    }
    Ok(Exit::Done)
}

pub(super) fn revoke(options: &LinkRevoke, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let mut vault = session.vault(&options.vault)?;
    let hoster = session.account.hoster_of(&vault)?;
    let found = link::list(&mut vault, &hoster)?;
    let prefix = options.link.to_ascii_lowercase();
    let listed = found.links.iter().map(|link| link.id);
    let mut ids: Vec<LinkId> = listed
        .chain(found.unlisted.iter().map(|status| status.link))
        .filter(|id| prefix.len() >= 4 && id.to_string().starts_with(&prefix))
        .collect();
    ids.dedup();
    let hint = words(
        "`coffre link list` shows them; at least four digits of an id name one",
        "`coffre link list` les montre ; quatre chiffres d’un identifiant au moins en désignent un",
    );
    let id = match ids[..] {
        [only] => only,
        [] => {
            let message = both!("no such link", "ce lien n’existe pas");
            return Err(Failure::usage(message).with_hint(hint));
        }
        _ => {
            let message = both!(
                "more than one link begins so",
                "plusieurs liens commencent ainsi"
            );
            return Err(Failure::usage(message).with_hint(hint));
        }
    };
    link::revoke(&mut vault, &id)?;
    context.output.summary(
        &RevokeFields { id: id.to_string() },
        &say!(
            "the link is over; what was fetched stays fetched",
            "le lien est terminé ; ce qui a été récupéré le reste"
        ),
    )?;
    Ok(Exit::Done)
}

pub(super) fn get(options: &LinkGet, context: &Context) -> Result<Exit, Failure> {
    if options.url == "-" && io::stdin().is_terminal() {
        context.output.warn(&say!("The link:", "Le lien :"));
    }
    let is_whole = |url: &str| !url.starts_with(SCHEME) || LinkUrl::parse(url).is_ok();
    let text = input::pasted(&options.url, MAX_LINK_BYTES, is_whole)?;
    let url = LinkUrl::parse(&text).map_err(|error| {
        let message = both!(
            "this is no link: {error}",
            "ce n’est pas un lien : {error}";
            error
        );
        Failure::usage(message).with_hint(words(
            "a link is one line that begins with coffre://; copy all of it, with what follows the #",
            "un lien est une ligne qui commence par coffre:// ; copiez-le en entier, avec ce qui suit le #",
        ))
    })?;
    let setup = context.setup()?;
    let password = if url.password.is_some() {
        let prompt = say!("password", "mot de passe");
        Some(Password::new(input::password(&prompt, None)?.to_string()))
    } else {
        None
    };
    let cancellation = interrupt::visiting(&context.output)?;
    let download = LinkDownload::begin(&*setup.connect, &url, &cancellation)?;
    let mut opened = download.open(password.as_ref());
    // Another try with the same capsule, where somebody is there to type.
    while opened.as_ref().is_err_and(is_wrong_password)
        && io::stdin().is_terminal()
        && !cancellation.is_cancelled()
    {
        let prompt = say!("wrong; the password", "faux ; le mot de passe");
        let password = Password::new(input::password(&prompt, None)?.to_string());
        opened = download.open(Some(&password));
    }
    let opened = opened?;
    let mut how = GetOptions::default();
    how.overwrite = overwrite(options.overwrite);
    let showing = context.progress(DOWNLOADED);
    let report = opened.save(&options.to, &how, showing.listener(), &cancellation);
    drop(showing);
    let report = report?;
    context.output.left_out(&report.left_out);
    let fields = GetFields {
        target: options.to.display().to_string(),
        files: report.files,
        bytes: report.bytes,
        directories: report.directories,
        symlinks: report.symlinks,
        kept: report.kept,
        lost_by_hoster: report.lost_by_hoster,
        maker: opened.maker().0.to_string(),
        created: show::rfc3339(opened.created()),
        traffic: report.traffic.into(),
        seconds: report.elapsed.as_secs_f64(),
        left_out: report.left_out.len(),
        left_out_entries: LeftOutEntry::all(&report.left_out),
    };
    let exit = if report.lost_by_hoster > 0 {
        Exit::HosterMisbehaved
    } else if report.left_out.is_empty() {
        Exit::Done
    } else {
        Exit::Partly
    };
    context.output.conclude(&fields, &sentence(&report), exit)
}

fn is_wrong_password(error: &GetError) -> bool {
    matches!(error, GetError::Open(OpenLinkError::WrongPassword))
}

fn sentence(report: &GetReport) -> String {
    let (files, bytes) = (counted(report.files, Noun::File), Size(report.bytes));
    let mut text = say!("fetched {files}, {bytes}", "{files} récupérés, {bytes}");
    if report.kept > 0 {
        text.push_str(&say!(", {} kept", ", {} gardés", Count(report.kept)));
    }
    let elapsed = duration(report.elapsed);
    text.push_str(&say!("; {elapsed}", " ; {elapsed}"));
    if !report.left_out.is_empty() {
        let left_out = report.left_out.len();
        text.push_str(&say!("; {left_out} left out", " ; {left_out} omis"));
    }
    text
}

fn fetched(link: &LinkSummary) -> String {
    match (link.downloads, link.max_downloads) {
        (None, _) => String::new(),
        (Some(times), None) => times.to_string(),
        (Some(times), Some(most)) => say!("{times} of {most}", "{times} sur {most}"),
    }
}

impl From<&LinkSummary> for LinkFields {
    fn from(link: &LinkSummary) -> Self {
        Self {
            id: link.id.to_string(),
            url: link.url.to_url().to_string(),
            snapshot: link.snapshot.to_string(),
            path: PathText::new(&link.path),
            account: link.account.to_string(),
            created: show::rfc3339(link.created),
            expires: link.expires.map(show::rfc3339_seconds),
            max_downloads: link.max_downloads.map(NonZeroU32::get),
            downloads: link.downloads,
            password: link.has_password,
            state: match link.state {
                LinkState::Live => "live",
                LinkState::Differs => "differs",
                _ => "over",
            },
        }
    }
}
