use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn all_problems_are_listed_in_the_order_of_their_lines() {
    let text = "\
[pool]
listen = '0.0.0.0:0'
weigth = 3
servers = [
    { domain = 'a.test', port = 0 },
    { domain = 'not a name' },
]
";
    let read = |root: &Section<'_>| {
        let pool = root.required_section("pool")?;
        for server in pool.sections("servers") {
            server.required::<Host>("domain");
            server.required::<Port>("port");
        }
        pool.number("weight", 1, 0..=1000, "");
        pool.required::<ListenAddress>("listen");
        pool.required_path("private-key-path");
        Some(())
    };
    assert_eq!(
        problems(text, read),
        [
            "error: c.toml:1: pool.private-key-path: missing; add `private-key-path = …` to this \
             section",
            "error: c.toml:2: pool.listen = '0.0.0.0:0': port 0 means any port, so nobody would \
             find it; write the port to listen on, like 4460 for NTS-KE or 123 for NTP",
            "error: c.toml:3: pool.weigth: unknown key; did you mean `weight`?",
            "error: c.toml:5: pool.servers[1].port = 0: no such port; write a number from 1 to \
             65535",
            "error: c.toml:6: pool.servers[2].domain = 'not a name': neither a DNS name nor an IP \
             address; write a name like `time.example.org` (letters, digits, `-`, `.`) or an \
             address like `192.0.2.1` or `2001:db8::1`",
            "error: c.toml:6: pool.servers[2].port: missing; add `port = …` to this section",
        ]
    );
}

#[test]
fn places_of_tables_in_all_spellings() {
    let text = "top = 1\n[[source]]\nx = 1\n\n[[source]]\nx = 2\n[a.b]\nx = 3\n";
    let read = |root: &Section<'_>| {
        root.optional::<u8>("top");
        for source in root.sections("source") {
            source.error("x", "bad");
            source.error("y", "absent");
        }
        let a = root.section("a")?;
        let b = a.section("b")?;
        b.error("x", "bad");
        b.warning("y", "absent");
        Some(())
    };
    assert_eq!(
        problems(text, read),
        [
            "error: c.toml:2: source[1].y: absent",
            "error: c.toml:3: source[1].x = 1: bad",
            "error: c.toml:5: source[2].y: absent",
            "error: c.toml:6: source[2].x = 2: bad",
            "warning: c.toml:7: a.b.y: absent",
            "error: c.toml:8: a.b.x = 3: bad",
        ]
    );
}

#[test]
fn syntax_errors_name_their_lines_and_hide_the_text() {
    let text = "a = 1\nauth-token = 'open\nb = \nc = 2\na = 3\n";
    let lines = problems(text, |_| Some(()));
    assert!(lines.iter().all(|line| !line.contains("open")), "{lines:?}");
    assert!(
        lines.iter().all(|line| line.starts_with("error: c.toml:")),
        "{lines:?}"
    );
    for line in [2, 3, 5] {
        let start = format!("error: c.toml:{line}: not TOML: ");
        assert!(
            lines.iter().any(|it| it.starts_with(&start)),
            "{line}: {lines:?}"
        );
    }
}

#[test]
fn a_secret_is_never_shown() {
    let text = "token = 'hunter2'\ntokens = ['hunter2', 5]\nother = 2\ntokn = 'hunter2'\n";
    let read = |root: &Section<'_>| {
        let token = root.secret("token")?;
        assert_eq!(token.expose(), "hunter2");
        assert_eq!(format!("{:?}", *token), "<redacted>");
        root.error("token", "too short");
        let tokens = root.secrets("tokens")?;
        assert_eq!(tokens.len(), 1);
        root.warning("tokens", "too few");
        root.secret("other");
        Some(())
    };
    assert_eq!(
        problems(text, read),
        [
            "error: c.toml:1: token: too short",
            "error: c.toml:2: tokens[2]: a whole number where a text belongs; write it in quotes",
            "warning: c.toml:2: tokens: too few",
            "error: c.toml:3: other: a whole number where a text belongs; write it in quotes",
            "error: c.toml:4: tokn: unknown key; take it out, or see the manual for the keys of \
             this section",
        ]
    );
}

#[test]
fn keys_and_values_that_need_a_feature_name_it() {
    let text = "mode = 'nts-pool'\ntokens = ['hunter2']\n";
    let read = |root: &Section<'_>| {
        root.optional::<String>("mode");
        root.value_needs_feature("mode", "unstable_nts-pool");
        root.needs_feature("tokens", "unstable_nts-pool");
        root.needs_feature("certificates", "unstable_nts-pool");
        Some(())
    };
    let cure = "this program was built without the feature `unstable_nts-pool`; build it with \
                `cargo build --release --features unstable_nts-pool` or take this out";
    assert_eq!(
        problems(text, read),
        [
            format!("error: c.toml:1: mode = 'nts-pool': {cure}"),
            format!("error: c.toml:2: tokens: {cure}"),
        ]
    );
}

#[test]
fn numbers_and_durations_keep_to_their_ranges() {
    let second = Duration::from_secs(1);
    let read = |root: &Section<'_>| {
        let range = Duration::from_millis(1)..=second * 60;
        assert_eq!(root.number("weight", 7, 0..=1000, ""), 7);
        assert_eq!(root.number("small", 7_u32, 0..=1000, ""), 7);
        assert_eq!(root.milliseconds("a-ms", second, range.clone()), second);
        assert_eq!(root.milliseconds("b-ms", second, range.clone()), second);
        assert_eq!(
            root.milliseconds("c-ms", second, range.clone()),
            second * 60
        );
        assert_eq!(root.milliseconds("absent-ms", second, range), second);
        Some(())
    };
    let text = "weight = 1001\na-ms = -1\nb-ms = 0\nc-ms = 60000\nsmall = -1\n";
    assert_eq!(
        problems(text, read),
        [
            "error: c.toml:1: weight = 1001: out of range; write a number from 0 to 1000",
            "error: c.toml:2: a-ms = -1: out of range; write a number from 1 to 60000 milliseconds",
            "error: c.toml:3: b-ms = 0: out of range; write a number from 1 to 60000 milliseconds",
            "error: c.toml:5: small = -1: out of range; write a number from 0 to 1000",
        ]
    );
}

#[test]
fn wrong_types_say_what_belongs_there() {
    let text = "a = 'x'\nb = 1\nc = [1]\nd = { e = 1 }\nf = 1.5\n";
    let read = |root: &Section<'_>| {
        root.optional::<u16>("a");
        root.list::<u16>("b");
        root.section("c");
        root.optional::<String>("d");
        root.sections("f");
        Some(())
    };
    let lines = problems(text, read);
    assert!(
        lines[0].ends_with("a = 'x': wrong type; write a whole number from 0 to 65535"),
        "{}",
        lines[0]
    );
    assert_eq!(
        lines[1],
        "error: c.toml:2: b = 1: a whole number where a list belongs; write `[ … ]`"
    );
    assert_eq!(
        lines[2],
        "error: c.toml:3: c: a list where a table belongs; write `{ key = value }`"
    );
    assert!(
        lines[3].ends_with("d = …: wrong type; write a text in quotes"),
        "{}",
        lines[3]
    );
    assert_eq!(
        lines[4],
        "error: c.toml:5: f = 1.5: a number where a list belongs; write `[ … ]`"
    );
}

#[test]
fn lists_keep_good_entries_and_tell_the_places_of_bad_ones() {
    let text = "listen = [\n  '0.0.0.0:1',\n  'x',\n  '[::]:2',\n]\n";
    let read = |root: &Section<'_>| {
        let list = root.one_or_many::<ListenAddress>("listen")?;
        assert_eq!(list.len(), 2);
        assert_eq!(list[1].place().line(), Some(4));
        assert_eq!(list[1].place().key(), Some("listen[3]"));
        Some(())
    };
    let lines = problems(text, read);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("error: c.toml:3: listen[2] = 'x': no socket address"));
}

#[test]
fn what_is_missing_or_wrong_with_whole_sections() {
    let text = "[server]\nlisten = 1\n[a]\nlist = []\nservers = { x = 1 }\n";
    let read = |root: &Section<'_>| {
        root.required_section("pool");
        assert!(root.sections("server").is_empty());
        let a = root.section("a")?;
        a.error("list", "empty");
        a.required_section("b");
        assert!(a.sections("servers").is_empty());
        Some(())
    };
    assert_eq!(
        problems(text, read),
        [
            "error: c.toml:1: pool: missing; add a section `[pool]`",
            "error: c.toml:1: server = …: one table where a list of tables belongs; write \
             `[[server]]`, or `[ { … } ]`",
            "error: c.toml:3: a.b: missing; add a section `[a.b]`",
            "error: c.toml:4: a.list = []: empty",
            "error: c.toml:5: a.servers = …: one table where a list of tables belongs; write \
             `[[a.servers]]`, or `[ { … } ]`",
        ]
    );
}

#[test]
fn one_value_counts_as_a_list_of_one() {
    let list = good("listen = '[::]:4460'", |root| {
        root.one_or_many::<ListenAddress>("listen")
    });
    assert_eq!(list.len(), 1);
}

#[test]
fn a_key_that_does_not_belong_here_is_refused_with_the_reason() {
    let text = "count = 4\n";
    let read = |root: &Section<'_>| {
        root.refuse("count", "only for pools; take it out");
        root.refuse("ignore", "only for pools; take it out");
        Some(())
    };
    assert_eq!(
        problems(text, read),
        ["error: c.toml:1: count: only for pools; take it out"]
    );
}

#[test]
fn a_reader_that_gives_up_silently_is_a_reported_defect() {
    let lines = problems("", |_| None::<()>);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("please report it"), "{}", lines[0]);
}

#[test]
fn warnings_alone_let_the_configuration_through() {
    let loaded = parse("c.toml", "a = 1", |root| {
        root.warning("a", "odd");
        root.optional::<u8>("a")
    });
    let loaded = loaded.unwrap();
    assert_eq!(loaded.value, 1);
    assert_eq!(loaded.warnings.to_string(), "warning: c.toml:1: a = 1: odd");
}

#[test]
fn long_values_are_cut_and_stay_on_one_line() {
    let text = format!("a = '''{}\nend'''", "é".repeat(100));
    let lines = problems(&text, |root| root.optional::<Host>("a"));
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with(&format!("error: c.toml:1: a = '''{}…: ", "é".repeat(57))));
}

#[test]
fn the_kind_of_a_value_can_be_asked_for() {
    good("a = { b = 1 }\nc = 1\ne = []", |root| {
        assert!(root.is_table("a") && !root.is_table("c") && !root.is_table("d"));
        assert!(root.has("c") && !root.has("d"));
        assert!(root.is_empty_list("e") && !root.is_empty_list("c"));
        root.section("a")?.optional::<u8>("b")
    });
}

/// Reads everything in every way.
fn read_all(section: &Section<'_>) -> Option<()> {
    for key in ["a", "b"] {
        section.optional::<String>(key);
        section.optional::<Address>(key);
        section.optional::<Port>(key);
        section.number(key, 1, 0..=9, "s");
        section.secret(key);
        section.secrets(key);
        section.path(key);
        section.one_or_many::<Host>(key);
        section.error(key, "x");
        section.section(key).as_ref().and_then(read_all);
        for inner in section.sections(key) {
            read_all(&inner);
        }
    }
    Some(())
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "([ab] ?[=.] ?|[ab\\[\\]{}=.,'\"\n #0-9:é-]){0,40}") {
        let _ = parse("c.toml", &text, read_all).map(|_| ());
    }

    #[test]
    fn every_problem_takes_one_line(text in "[ab] = '''[a-z\n'\"]{0,9}'''") {
        if let Err(problems) = parse("c.toml", &text, read_all) {
            let lines = problems.to_string().lines().count();
            prop_assert_eq!(lines, problems.into_vec().len());
        }
    }
}
