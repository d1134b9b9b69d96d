//! By TLS, to a server whose certificate comes from an authority of its own.

use cqrs_postgres::PgOptions;

/// The address, with everything behind the database replaced by `query`.
fn url(query: &str) -> String {
    let url = std::env::var("POSTGRES_TLS_URL").unwrap();
    let (base, _) = url.split_once('?').unwrap();
    format!("{base}?{query}")
}

/// Whether the connection is encrypted, as the server sees it.
async fn is_encrypted(url: &str) -> Result<bool, String> {
    let pool = PgOptions::parse(url).unwrap().pool().unwrap();
    let client = pool.get().await.map_err(|error| format!("{error:?}"))?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.unwrap().get(0))
}

#[tokio::test]
#[ignore = "needs POSTGRES_TLS_URL"]
async fn a_trusted_authority_is_enough_and_each_mode_does_what_it_says() {
    let trusted = std::env::var("POSTGRES_TLS_URL").unwrap();
    for (url, encrypted) in [
        (trusted.clone(), true),
        (trusted.replace("verify-full", "require"), true),
        (url("sslmode=require"), true),
        (url("sslmode=prefer"), true),
        (url("sslmode=disable"), false),
    ] {
        let found = is_encrypted(&url).await;
        assert_eq!(found, Ok(encrypted), "{url}");
    }
}

#[tokio::test]
#[ignore = "needs POSTGRES_TLS_URL"]
async fn an_unknown_authority_is_refused() {
    let refused = is_encrypted(&url("sslmode=verify-full")).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
}

#[tokio::test]
#[ignore = "needs POSTGRES_TLS_URL"]
async fn a_certificate_of_another_host_is_refused() {
    let trusted = std::env::var("POSTGRES_TLS_URL").unwrap();
    // The address is looked at before the name, which is what is checked.
    let other = trusted.replace("@localhost:", "@elsewhere.example:") + "&hostaddr=127.0.0.1";
    let refused = is_encrypted(&other).await.unwrap_err();
    assert!(refused.contains("NotValidForName"), "{refused}");
}
