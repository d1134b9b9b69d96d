//! The binaries under test: built once, beside this test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of a binary. The first call builds all of them with the `cargo` that runs this test, so that none is stale.
///
/// `SOCIAL_E2E_BINARIES` names a folder of binaries to take as they are.
pub(crate) fn path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let file = FOLDER.get_or_init(folder).join(name);
    assert!(file.is_file(), "no binary {}", file.display());
    file
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("SOCIAL_E2E_BINARIES") {
        return folder.into();
    }
    // target/PROFILE/deps/it-HASH
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    build(profile);
    profile.to_owned()
}

fn build(profile: &Path) {
    let cargo =
        std::env::var_os("CARGO").expect("cargo runs this test, or SOCIAL_E2E_BINARIES is set");
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} is no folder of a profile", profile.display()),
    };
    // The selection and the features of `cargo test --workspace --all-features`: where that was run, nothing is compiled again.
    let built = Command::new(cargo)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--all-features",
            "--bins",
            "--test",
            "e2e",
        ])
        .args(["--profile", name, "--target-dir"])
        .arg(profile.parent().unwrap())
        .status();
    assert!(built.unwrap().success(), "the services do not build");
}
