//! Which crate may lean on which, read from the manifests.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate of the workspace may depend on, of the workspace, in its own code.
const MAY: &[(&str, &[&str])] = &[
    ("cqrs-core", &[]),
    ("social-domain", &["cqrs-core"]),
    ("cqrs-sqlite", &["cqrs-core"]),
    ("cqrs-mongo", &["cqrs-core"]),
    ("cqrs-kafka", &["cqrs-core"]),
    ("cqrs-postgres", &["cqrs-core"]),
    ("cqrs-mssql", &["cqrs-core"]),
    ("http-kit", &[]),
    (
        "social-read-model",
        &["cqrs-core", "social-domain", "cqrs-sqlite", "cqrs-postgres"],
    ),
    (
        "social-api",
        &[
            "cqrs-core",
            "social-domain",
            "social-read-model",
            "http-kit",
        ],
    ),
    (
        "social-service",
        &["cqrs-core", "social-read-model", "social-api", "http-kit"],
    ),
    ("social-test-kit", &[]),
    (
        "projector",
        &[
            "cqrs-core",
            "cqrs-kafka",
            "cqrs-mongo",
            "cqrs-postgres",
            "http-kit",
            "social-api",
            "social-read-model",
            "social-service",
        ],
    ),
    (
        "query-api",
        &[
            "cqrs-postgres",
            "http-kit",
            "social-api",
            "social-read-model",
            "social-service",
        ],
    ),
    // Knows the events, and nothing of the social read model.
    (
        "activity",
        &[
            "cqrs-core",
            "cqrs-kafka",
            "cqrs-postgres",
            "http-kit",
            "social-api",
            "social-domain",
            "social-service",
        ],
    ),
    (
        "replay",
        &[
            "cqrs-core",
            "social-read-model",
            "social-api",
            "social-service",
            "cqrs-mongo",
            "cqrs-kafka",
            "cqrs-postgres",
            "http-kit",
        ],
    ),
    (
        "social",
        &[
            "cqrs-core",
            "social-domain",
            "social-read-model",
            "social-api",
            "social-service",
            "cqrs-sqlite",
            "http-kit",
        ],
    ),
    (
        "command-api",
        &[
            "cqrs-core",
            "social-api",
            "social-service",
            "cqrs-mongo",
            "cqrs-mssql",
            "cqrs-postgres",
            "cqrs-kafka",
            "http-kit",
        ],
    ),
    // The distributed system's processes again, over simulated engines.
    ("simulation", &["cqrs-core", "cqrs-mongo", "social-domain"]),
    (
        "relay",
        &[
            "cqrs-core",
            "social-api",
            "social-service",
            "cqrs-mongo",
            "cqrs-kafka",
            "http-kit",
        ],
    ),
];

/// What no crate may have, however far down.
const NOWHERE: &[&str] = &[
    "axum",
    "actix-web",
    "warp",
    "rocket",
    "poem",
    "tide",
    "salvo",
    "tonic",
    "tower-web",
    "diesel",
    "sea-orm",
    "sqlx",
];

/// What no crate of ours may name. Drivers may.
const NOT_OURS: &[&str] = &["async-trait"];

/// What the library and the domain may not name: engines, HTTP, runtimes that spawn.
const NOT_IN_THE_MIDDLE: &[&str] = &[
    "rusqlite",
    "mongodb",
    "rdkafka",
    "tokio-postgres",
    "tiberius",
    "hyper",
    "http",
];

fn own_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata runs");
    let packages = metadata.packages.iter().map(|package| {
        let own = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .map(|dependency| dependency.name.clone());
        (package.name.to_string(), own.collect())
    });
    packages.collect()
}

#[test]
fn dependencies_point_one_way() {
    let dependencies = own_dependencies();
    let workspace: BTreeSet<&String> = dependencies.keys().collect();
    for (name, own) in &dependencies {
        // The benches and the tests of the whole may see everything; nothing sees them.
        if ["benches", "e2e"].contains(&name.as_str()) {
            continue;
        }
        let Some((_, may)) = MAY.iter().find(|(known, _)| known == name) else {
            panic!("`{name}` is new: say here what it may depend on");
        };
        for other in own.iter().filter(|other| workspace.contains(other)) {
            assert!(
                may.contains(&other.as_str()),
                "`{name}` may not depend on `{other}`"
            );
        }
    }
}

#[test]
fn library_and_domain_name_no_engine_and_no_http() {
    let dependencies = own_dependencies();
    for name in ["cqrs-core", "social-domain"] {
        for other in NOT_IN_THE_MIDDLE {
            assert!(
                !dependencies[name].contains(*other),
                "`{name}` may not depend on `{other}`"
            );
        }
    }
}

#[test]
fn there_is_no_framework_anywhere() {
    let metadata = MetadataCommand::new().exec().unwrap();
    for package in &metadata.packages {
        assert!(
            !NOWHERE.contains(&package.name.as_str()),
            "`{}` has found its way in",
            package.name
        );
    }
    for (name, own) in own_dependencies() {
        for other in NOT_OURS {
            assert!(!own.contains(*other), "`{name}` may not name `{other}`");
        }
    }
}
