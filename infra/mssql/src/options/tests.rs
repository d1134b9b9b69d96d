use super::*;

const URL: &str = "mssql://app:p%40ss:w%25rd@db.example:1444/social";

#[test]
fn a_url_and_a_connection_string_say_the_same() {
    let url = MssqlOptions::parse(URL).unwrap();
    for text in [
        "Server=tcp:db.example,1444;Database=social;User Id=app;Password=p@ss:w%rd",
        "data source=db.example,1444; initial catalog=social ;UID=app;PWD='p@ss:w%rd';encrypt=yes;",
        r#"Server=db.example,1444;Database=social;User=app;Password="p@ss:w%rd";TrustServerCertificate=False;Persist Security Info=False;"#,
    ] {
        let options = MssqlOptions::parse(text).unwrap();
        assert!(options == url, "{text}");
    }
    assert_eq!((url.host.as_str(), url.port), ("db.example", 1444));
    assert_eq!(url.password, "p@ss:w%rd");
    assert_eq!(url.schema.as_str(), "cqrs_ledger");
}

#[test]
fn tls_is_on_and_certificates_are_checked_unless_told() {
    let read = |text: &str| {
        let options = MssqlOptions::parse(text).unwrap();
        (options.encrypt, options.trust)
    };
    assert_eq!(read(URL), (Encrypt::All, Trust::System));
    let url = |query: &str| read(&format!("{URL}?{query}"));
    assert_eq!(url("encrypt=off"), (Encrypt::Nothing, Trust::System));
    assert_eq!(
        url("encrypt=login&trust=any"),
        (Encrypt::Login, Trust::Anyone)
    );
    let roots = Trust::Roots("a b.pem".into());
    assert_eq!(
        url("trust=a%20b.pem&encrypt=on"),
        (Encrypt::All, roots.clone())
    );
    let ado = |rest: &str| read(&format!("Server=h;User Id=u;Password=p;{rest}"));
    assert_eq!(ado(""), (Encrypt::All, Trust::System));
    assert_eq!(ado("Encrypt=false"), (Encrypt::Login, Trust::System));
    assert_eq!(
        ado("Encrypt=DANGER_PLAINTEXT;TrustServerCertificate=true"),
        (Encrypt::Nothing, Trust::Anyone)
    );
    assert_eq!(
        ado("TrustServerCertificateCA=a b.pem"),
        (Encrypt::All, roots)
    );
}

#[test]
fn quotes_keep_what_would_end_a_value() {
    for (quoted, plain) in [
        ("'a;b=''c'", "a;b='c"),
        (r#""a;""b""#, "a;\"b"),
        ("{a;'b}", "a;'b"),
        ("ab==", "ab=="),
        ("' é '", " é "),
    ] {
        let text = format!("Server=.;User Id=u;Password={quoted};Database=d");
        let options = MssqlOptions::parse(&text).unwrap();
        assert_eq!(options.password, plain);
        assert_eq!((options.host.as_str(), options.port), ("localhost", 1433));
    }
}

#[test]
fn what_is_wrong_is_named_and_no_value_is_shown() {
    for (text, told) in [
        ("secret", "neither an"),
        ("postgres://u:secret@h/d", "neither an"),
        ("mssql://u:secret@h:secret/d", "`port`"),
        ("mssql://u:secret%zz@h/d", "`password`"),
        ("mssql://u:secret@/d", "`host`"),
        ("mssql://h/d", "`user`"),
        ("mssql://u@h/d", "`password`"),
        ("mssql://u:secret@h/d?encrypt=secret", "`encrypt`"),
        ("mssql://u:secret@h/d?trust=", "`trust`"),
        ("mssql://u:secret@h/d?schema=Secret", "`schema`"),
        ("mssql://u:secret@h/d?encrypt=on&secret=1", "key 2"),
        ("Server=h;User Id=u;Password=a;secret=b", "key 4"),
        ("Server=h;User Id=u;Password='secret", "neither an"),
        ("Server=h;User Id=u;Password='a'secret", "neither an"),
        ("Server=h;User Id=u", "`password`"),
        ("Server=h\\secret;User Id=u;Password=a", "`Server`"),
        ("Server=h;Encrypt=secret", "`Encrypt`"),
        (
            "Server=h;TrustServerCertificate=secret",
            "`TrustServerCertificate`",
        ),
        (
            "TrustServerCertificate=true;TrustServerCertificateCA=secret",
            "`TrustServerCertificate`",
        ),
        ("Server=h;Connect Timeout=secret", "`Connect Timeout`"),
    ] {
        let error = MssqlOptions::parse(text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(told), "{text}: {shown}");
        assert!(!shown.to_lowercase().contains("secret"), "{text}: {shown}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let options = MssqlOptions::parse("mssql://app:secret@h/d").unwrap();
    assert!(!format!("{options:?}").contains("secret"));
    assert!(!format!("{:?}", options.driver()).contains("secret"));
}

#[test]
fn addresses_of_version_six_stand_in_brackets() {
    let options = MssqlOptions::parse("mssql://u:p@[::1]:1444/d").unwrap();
    assert_eq!((options.host.as_str(), options.port), ("::1", 1444));
    let options = MssqlOptions::parse("mssql://u:p@[::1]").unwrap();
    assert_eq!((options.host.as_str(), options.port), ("::1", 1433));
}
