//! Every slug of the HTTP contract has a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The contract's table of errors. Stable: clients branch on them.
const SLUGS: &str = "
    malformed-json invalid-value malformed-id invalid-parameter
    unauthenticated not-the-author
    unknown-route post-not-found comment-not-found author-not-found method-not-allowed post-deleted
    request-timeout body-too-large unsupported-media-type
    already-exists handle-taken in-progress conflict version-mismatch key-reused
    overloaded behind store-unavailable
";

/// Tests that see an answer over a socket.
const TESTS: [&str; 3] = [
    "../social/tests/it",
    "tests/it",
    "../../infra/http/tests/it",
];

fn sources(path: &Path) -> Vec<String> {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|file| !file.ends_with("slugs.rs"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

#[test]
fn every_slug_of_the_contract_is_expected_by_a_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests: String = TESTS
        .iter()
        .flat_map(|path| sources(&here.join(path)))
        .collect();
    let named: BTreeSet<&str> = tests.split('"').collect();
    let missing: Vec<_> = SLUGS
        .split_whitespace()
        .filter(|slug| !named.contains(slug))
        .collect();
    assert!(missing.is_empty(), "without a test: {missing:?}");
}

/// The other way round: what the code can answer stands in the contract.
#[test]
fn no_slug_is_answered_that_the_contract_does_not_know() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeSet<&str> = SLUGS.split_whitespace().collect();
    let mut answered = 0;
    for file in ["src/problems.rs", "../../infra/http/src/problem.rs"] {
        let source = fs::read_to_string(here.join(file)).unwrap();
        for after in source
            .split("Problem::new(")
            .chain(source.split("Self::new("))
            .skip(1)
        {
            let Some(slug) = after.trim_start().strip_prefix('"') else {
                continue;
            };
            let slug = slug.split('"').next().unwrap();
            assert!(known.contains(slug), "`{slug}` in {file}");
            answered += 1;
        }
    }
    assert!(answered >= known.len(), "only {answered} were found");
}
