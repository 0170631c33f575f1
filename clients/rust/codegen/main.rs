//! Generates messages and methods from the contract.

mod calls;
mod comments;
mod reasons;

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let includes = contract(&folder);
    for include in &includes {
        println!("cargo:rerun-if-changed={}", include.display());
    }
    println!("cargo:rerun-if-changed=codegen");

    let mut protos = Vec::new();
    for include in &includes {
        find_protos(include, &mut protos)?;
    }
    let mut config = prost_build::Config::new();
    config.protoc_executable(protoc_bin_vendored::protoc_bin_path()?).bytes(["."]).include_file("messages.rs");
    let mut search = includes.clone();
    search.push(protoc_bin_vendored::include_path()?);
    let mut files = config.load_fds(&protos, &search)?;
    comments::fence_examples(&mut files);

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("calls.rs"), calls::render(&files))?;
    fs::write(out.join("reasons.rs"), reasons::render(&files))?;
    config.compile_fds(files)?;

    fs::write(out.join("readme.md"), readme(&folder)?)?;

    println!("cargo:rustc-env=TRIVIUM_RUST_VERSION={}", rust_version()?);
    Ok(())
}

/// The folders of the contract: those in a published crate, else those of the repository.
fn contract(folder: &Path) -> Vec<PathBuf> {
    let packaged = folder.join("proto");
    if packaged.is_dir() {
        return vec![packaged];
    }
    let repository = folder.join("../..");
    vec![repository.join("proto"), repository.join("third_party")]
}

fn find_protos(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension() == Some(OsStr::new("proto")) {
            found.push(path);
        }
    }
    Ok(())
}

/// The README, whose snippets run, in a clone, where there is a server to run them on.
fn readme(folder: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(folder.join("README.md"))?;
    if folder.join("proto").is_dir() {
        return Ok(text);
    }
    println!("cargo:rerun-if-changed=README.md");
    println!("cargo:rerun-if-env-changed=TRIVIUM_TARGET");
    let has_server = env::var_os("TRIVIUM_TARGET").is_some();
    Ok(if has_server { text.replace("```rust,no_run", "```rust") } else { text })
}

/// The version of the compiler, such as `1.95.0`.
fn rust_version() -> Result<String, Box<dyn Error>> {
    let compiler = env::var_os("RUSTC").ok_or("cargo names no compiler")?;
    let output = String::from_utf8(Command::new(compiler).arg("--version").output()?.stdout)?;
    let version = output.split_whitespace().nth(1).ok_or("the compiler has no version")?;
    Ok(version.to_owned())
}
