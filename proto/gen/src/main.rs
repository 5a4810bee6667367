//! Writes the Rust code for the schemas in `proto/coffre/`, which is committed.
//!
//! `cargo run -p vault-proto-gen` writes it; with `--check` nothing is written
//! and the exit code is 1 if what is committed is not what would be written.
#![allow(clippy::print_stderr, reason = "this is a program")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};

/// A target of the generator: some schemas, and the folder their code goes to.
struct Output {
    schemas: &'static [&'static str],
    folder: &'static str,
    services: bool,
}

const OUTPUTS: [Output; 2] = [
    Output {
        schemas: &[
            "coffre/v1/log.proto",
            "coffre/v1/sealed.proto",
            "coffre/v1/invitation.proto",
            "coffre/v1/exchange.proto",
            "coffre/v1/link.proto",
        ],
        folder: "src/generated",
        services: false,
    },
    Output {
        schemas: &["coffre/rpc/v1/hoster.proto", "coffre/admin/v1/admin.proto"],
        folder: "rpc/src/generated",
        services: true,
    },
];

fn main() -> Result<ExitCode> {
    let check = std::env::args().any(|argument| argument == "--check");
    let proto = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the generator stands inside proto/")?;
    let mut stale = Vec::new();
    for output in &OUTPUTS {
        let folder = proto.join(output.folder);
        let wanted = generate(proto, output)?;
        if check {
            stale.extend(differences(&folder, &wanted)?);
        } else {
            write(&folder, &wanted)?;
        }
    }
    for path in &stale {
        eprintln!("out of date: {}", path.display());
    }
    Ok(if stale.is_empty() {
        ExitCode::SUCCESS
    } else {
        eprintln!("run: cargo run -p vault-proto-gen");
        ExitCode::FAILURE
    })
}

/// The files of one output, by name.
fn generate(proto: &Path, output: &Output) -> Result<BTreeMap<String, Vec<u8>>> {
    let scratch = tempfile::tempdir()?;
    let descriptors = protox::compile(output.schemas, [proto])?;
    let mut files = BTreeMap::new();
    if output.services {
        files.insert(
            "descriptors.bin".into(),
            prost::Message::encode_to_vec(&descriptors),
        );
        tonic_prost_build::configure()
            .out_dir(scratch.path())
            .emit_rerun_if_changed(false)
            .extern_path(".coffre.v1", "::vault_proto::wire")
            .bytes(".coffre.rpc.v1.PutPackRequest.bytes")
            .bytes(".coffre.rpc.v1.ReadPacksResponse.bytes")
            .bytes(".coffre.rpc.v1.ReadLinkResponse.bytes")
            .compile_fds(descriptors)?;
    } else {
        prost_build::Config::new()
            .out_dir(scratch.path())
            .compile_fds(descriptors)?;
    }
    for entry in fs::read_dir(scratch.path())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // The messages of a package that `extern_path` names are generated elsewhere.
        if output.services && name == "coffre.v1.rs" {
            continue;
        }
        files.insert(name, fs::read(entry.path())?);
    }
    Ok(files)
}

fn differences(folder: &Path, wanted: &BTreeMap<String, Vec<u8>>) -> Result<Vec<PathBuf>> {
    let mut stale = Vec::new();
    for (name, content) in wanted {
        let path = folder.join(name);
        if fs::read(&path).ok().as_ref() != Some(content) {
            stale.push(path);
        }
    }
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if !wanted.contains_key(&*entry.file_name().to_string_lossy()) {
            stale.push(entry.path());
        }
    }
    Ok(stale)
}

fn write(folder: &Path, wanted: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    fs::create_dir_all(folder)?;
    for stale in differences(folder, wanted)? {
        if stale.exists() {
            fs::remove_file(stale)?;
        }
    }
    for (name, content) in wanted {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}
