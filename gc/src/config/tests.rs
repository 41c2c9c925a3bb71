//! What must hold of the text form and of the builder.

use super::error::edit_distance;
use super::sizes::{parse_size, size_text};
use super::*;
use crate::cycle::phase::Phase;

fn error(text: &str) -> ConfigError {
    Config::parse(text).expect_err(text)
}

fn bad(text: &str) -> (&'static str, String) {
    match error(text) {
        ConfigError::BadValue { key, value, .. } => (key, value),
        other => panic!("{text}: {other}"),
    }
}

#[test]
fn nothing_asked_for_is_the_default() {
    let default = Config::default();
    for text in ["", "   ", ",", " , ,"] {
        assert_eq!(Config::parse(text).unwrap(), default, "{text:?}");
    }
    assert_eq!(Config::builder().build().unwrap(), default);
    assert_eq!(default.mechanism(), Mechanism::Auto);
    assert_eq!(default.backing(), Backing::Anon);
    assert_eq!(default.limit(), None);
    assert_eq!(default.heap(), 32 << 20);
    assert_eq!(default.growth(), 2.0);
    assert!(MARKERS.contains(&default.markers()));
    assert_eq!(default.rounds(), 16);
    assert_eq!((default.log(), default.verify(), default.zeal()), (Log::Off, Verify::Off, Zeal::Off));
    assert!(!default.summary());
    assert_eq!(default.trace(), None);
    assert_eq!(default.name(), "heap");
}

#[test]
fn every_key_reaches_its_field_however_it_is_set() {
    let parsed = Config::parse(
        "mechanism=sigbus, backing = shmem ,limit=1G,heap=64M,growth=1.5,markers=3,\n rounds=2,log=gc,summary,trace=/tmp/a b-%p.json,\
         verify=mark,zeal=alloc:100,name=my heap=1",
    )
    .unwrap();
    let built = Config::builder()
        .mechanism(Mechanism::Sigbus)
        .backing(Backing::Shmem)
        .limit(1 << 30)
        .heap(64 << 20)
        .growth(1.5)
        .markers(3)
        .rounds(2)
        .log(Log::Gc)
        .summary(true)
        .trace("/tmp/a b-%p.json".to_string())
        .verify(Verify::Mark)
        .zeal(Zeal::Alloc(100))
        .name("my heap=1")
        .build()
        .unwrap();
    assert_eq!(parsed, built);
    assert_eq!(built.mechanism(), Mechanism::Sigbus);
    assert_eq!(built.backing(), Backing::Shmem);
    assert_eq!((built.limit(), built.heap()), (Some(1 << 30), 64 << 20));
    assert_eq!((built.growth(), built.markers(), built.rounds()), (1.5, 3, 2));
    assert_eq!((built.log(), built.summary(), built.trace()), (Log::Gc, true, Some("/tmp/a b-%p.json")));
    assert_eq!((built.verify(), built.zeal(), built.name()), (Verify::Mark, Zeal::Alloc(100), "my heap=1"));
    assert_eq!(built.to_builder().build().unwrap(), built);
}

#[test]
fn what_is_printed_parses_back() {
    let mut configs = vec![Config::default()];
    for mechanism in Mechanism::ALL.iter().copied() {
        configs.push(Config::builder().mechanism(mechanism).build().unwrap());
    }
    for backing in Backing::ALL.iter().copied() {
        configs.push(Config::builder().backing(backing).build().unwrap());
    }
    for log in Log::ALL {
        configs.push(Config::builder().log(log).build().unwrap());
    }
    for verify in Verify::ALL {
        configs.push(Config::builder().verify(verify).summary(true).build().unwrap());
    }
    let phases = Phase::ALL.map(Zeal::Phase);
    for zeal in [Zeal::Off, Zeal::Alloc(1), Zeal::Safepoint(u64::MAX)].into_iter().chain(phases) {
        configs.push(Config::builder().zeal(zeal).name("größe 7 :=").build().unwrap());
    }
    for bytes in [4 << 20, (4 << 20) + 1, (1 << 30) + 1024, 3 << 29, 1 << 40, 4 << 40] {
        configs.push(Config::builder().limit(bytes).build().unwrap());
        configs.push(Config::builder().heap(bytes).build().unwrap());
    }
    configs.push(Config::builder().heap(u64::MAX).build().unwrap());
    for growth in [1.1, 1.0 + 1.0 / 3.0, 100.0, 1e300] {
        configs.push(Config::builder().growth(growth).heap(0).rounds(0).markers(64).build().unwrap());
    }
    for config in configs {
        let text = config.to_string();
        assert_eq!(Config::parse(&text).unwrap(), config, "{text}");
        assert_eq!(text.parse::<Config>().unwrap().to_string(), text);
    }
}

#[test]
fn the_canonical_text_names_every_key_once() {
    let config = Config::parse("markers=2,assists=0,limit=1536M,zeal=safepoint:7,summary").unwrap();
    assert_eq!(
        config.to_string(),
        "mechanism=auto,backing=anon,limit=1536M,heap=auto,growth=2.0,markers=2,assists=0,rounds=16,sticky=auto,disarm=auto,log=off,summary=true,\
         trace=off,verify=off,zeal=safepoint:7,oracle=false,poison=false,name=heap"
    );
}

#[test]
fn the_table_says_what_the_enums_know() {
    let allowed = |name| KEYS.iter().find(|key| key.name == name).unwrap().allowed;
    let joined = |names: Vec<&str>| names.join("|");
    assert_eq!(allowed("mechanism"), joined(Mechanism::ALL.iter().map(|m| m.name()).collect()));
    assert_eq!(allowed("backing"), joined(Backing::ALL.iter().map(|b| b.name()).collect()));
    assert_eq!(allowed("sticky"), joined(Sticky::ALL.iter().map(|s| s.name()).collect()));
    assert_eq!(allowed("disarm"), joined(Disarm::ALL.iter().map(|d| d.name()).collect()));
    assert_eq!(allowed("log"), joined(Log::ALL.iter().map(|l| l.name()).collect()));
    assert_eq!(allowed("verify"), joined(Verify::ALL.iter().map(|v| v.name()).collect()));
    assert!(allowed("markers").contains("1 to 64") && MARKERS == (1..=64));
    assert!(allowed("rounds").contains("0 to 100") && ROUNDS == (0..=100));
}

#[test]
fn help_explains_every_key() {
    let help = Config::help();
    for key in &KEYS {
        assert!(help.contains(&format!("{}={}", key.name, key.allowed)), "{help}");
        assert!(help.contains(key.doc), "{help}");
    }
    assert!(help.contains("(default: auto)") && !help.ends_with('\n'), "{help}");
}

#[test]
fn sizes_are_powers_of_1024_with_decimals() {
    let sizes = [
        ("0", 0),
        ("4096", 4096),
        ("1K", 1 << 10),
        ("1k", 1 << 10),
        ("3M", 3 << 20),
        ("2G", 2 << 30),
        ("1KiB", 1 << 10),
        ("1 MiB", 1 << 20),
        ("1gib", 1 << 30),
        ("1.5G", 3 << 29),
        ("4T", 4 << 40),
        ("0.5TiB", 1 << 39),
        ("16777215T", u64::MAX - (1 << 40) + 1),
        ("0.25M", 1 << 18),
        ("0.1K", 102),
        ("1.0000000000000001M", 1 << 20),
        ("17179869183G", u64::MAX - (1 << 30) + 1),
        ("18446744073709551615", u64::MAX),
    ];
    for (text, bytes) in sizes {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    let impossible = [
        "",
        "K",
        "1.5",
        "1.",
        ".5G",
        "1.G",
        "1..5G",
        "1.5.0G",
        "-1",
        "+1",
        "1e3",
        "1_000",
        "1P",
        "16777216T",
        "18446744073709551615T",
        "18446744073709551615.9999999999999T",
        "1KB",
        "1 0",
        "17179869184G",
        "18446744073709551616",
        "99999999999999999999G",
        "٣M",
        "1.٣M",
    ];
    for text in impossible {
        assert_eq!(parse_size(text), None, "{text}");
    }
}

#[test]
fn sizes_print_in_the_largest_exact_unit() {
    let sizes = [(0, "0"), (1, "1"), (1023, "1023"), (1536, "1536"), (2048, "2K"), (3 << 29, "1536M"), (1 << 40, "1T")];
    for (bytes, text) in sizes {
        assert_eq!(size_text(bytes), text);
        assert_eq!(parse_size(text), Some(bytes));
    }
}

#[test]
fn an_unknown_key_lists_the_keys_and_suggests_the_nearest() {
    for (written, meant) in
        [("grwoth", "growth"), ("limt", "limit"), ("HEAP", "heap"), ("marker", "markers"), ("logs", "log")]
    {
        let error = error(&format!("{written}=1"));
        assert_eq!(error, ConfigError::UnknownKey { key: written.to_string(), suggestion: Some(meant) });
        let message = error.to_string();
        assert!(message.contains(&format!("did you mean `{meant}`?")), "{message}");
        for key in &KEYS {
            assert!(message.contains(key.name), "{message}");
        }
    }
    let error = error("generational");
    assert_eq!(error, ConfigError::UnknownKey { key: "generational".to_string(), suggestion: None });
    assert!(!error.to_string().contains("did you mean"), "{error}");
    assert!(matches!(self::error("=1"), ConfigError::UnknownKey { key, .. } if key.is_empty()));
}

#[test]
fn a_bad_value_says_what_is_allowed() {
    let cases = [
        ("mechanism=magic", "mechanism"),
        ("mechanism=ASYNC", "mechanism"),
        ("backing=file", "backing"),
        ("limit=lots", "limit"),
        ("limit=3M", "limit"),
        ("limit=0", "limit"),
        ("limit=4194303", "limit"),
        ("limit=4398046511105", "limit"),
        ("limit=4.1T", "limit"),
        ("limit=999999T", "limit"),
        ("heap=-1", "heap"),
        ("heap=1.5", "heap"),
        ("growth=fast", "growth"),
        ("growth=1.09", "growth"),
        ("growth=0", "growth"),
        ("growth=-2", "growth"),
        ("growth=inf", "growth"),
        ("growth=NaN", "growth"),
        ("markers=0", "markers"),
        ("markers=65", "markers"),
        ("markers=+4", "markers"),
        ("markers=two", "markers"),
        ("markers=99999999999999999999999", "markers"),
        ("rounds=101", "rounds"),
        ("rounds=-1", "rounds"),
        ("rounds=4294967296", "rounds"),
        ("log=gc:2", "log"),
        ("summary=yes", "summary"),
        ("trace=a\tb", "trace"),
        ("verify=on", "verify"),
        ("zeal=on", "zeal"),
        ("zeal=alloc", "zeal"),
        ("zeal=alloc:", "zeal"),
        ("zeal=alloc:0", "zeal"),
        ("zeal=safepoint:0", "zeal"),
        ("zeal=safepoint:-1", "zeal"),
        ("zeal=store:1", "zeal"),
        ("name=a[0]", "name"),
        ("name=a\tb", "name"),
    ];
    for (text, key) in cases {
        let (named, value) = bad(text);
        assert_eq!(named, key, "{text}");
        let message = error(text).to_string();
        let allowed = KEYS.iter().find(|row| row.name == key).unwrap().allowed;
        assert!(message.contains(allowed) && message.contains(&format!("`{key}={value}`")), "{message}");
    }
    assert_eq!(bad("markers=65").1, "65");
    assert_eq!(bad("limit=lots").1, "lots");
    assert_eq!(bad(&format!("name={}", "x".repeat(65))).0, "name");
}

#[test]
fn a_value_cannot_be_left_out_except_of_a_flag() {
    for key in &KEYS {
        for text in [format!("{}=", key.name), format!(" {} = ", key.name)] {
            assert_eq!(error(&text), ConfigError::MissingValue { key: key.name, allowed: key.allowed });
        }
        if key.bare {
            assert!(Config::parse(key.name).is_ok());
        } else {
            let message = error(key.name).to_string();
            assert!(message.contains("needs a value") && message.contains(key.allowed), "{message}");
        }
    }
    assert!(Config::parse("summary").unwrap().summary());
    assert!(!Config::parse("summary=false").unwrap().summary());
}

#[test]
fn a_key_given_twice_is_refused_by_name() {
    let twice = error("heap=8M, log=gc, heap=8M");
    assert_eq!(twice, ConfigError::DuplicateKey { key: "heap" });
    assert_eq!(twice.to_string(), "`heap` is given twice");
    assert_eq!(error("summary,summary=true"), ConfigError::DuplicateKey { key: "summary" });
}

#[test]
fn a_given_heap_stays_below_a_given_limit_and_the_default_follows_it() {
    let above = error("heap=64M,limit=32M");
    assert_eq!(above, ConfigError::HeapAboveLimit { heap: 64 << 20, limit: 32 << 20 });
    assert!(above.to_string().contains("`heap=64M` is above `limit=32M`"), "{above}");
    assert!(Config::parse("heap=32M,limit=32M").is_ok());
    assert_eq!(Config::parse("limit=16M").unwrap().heap(), 16 << 20);
    assert_eq!(Config::parse("limit=1G").unwrap().heap(), 32 << 20);

    let mut config = Config::parse("heap=64M").unwrap();
    assert!(matches!(config.apply("limit=32M"), Err(ConfigError::HeapAboveLimit { .. })));
    config.apply("limit=32M,heap=auto").unwrap();
    assert_eq!(config.heap(), 32 << 20);
    config.apply("limit=auto").unwrap();
    assert_eq!(config.limit(), None);
}

#[test]
fn a_builder_refuses_what_the_text_refuses() {
    let builders = [
        (Config::builder().limit(1 << 20), "limit"),
        (Config::builder().growth(f64::NAN), "growth"),
        (Config::builder().growth(1.0), "growth"),
        (Config::builder().markers(0), "markers"),
        (Config::builder().rounds(101), "rounds"),
        (Config::builder().trace("a,b".to_string()), "trace"),
        (Config::builder().trace(" a".to_string()), "trace"),
        (Config::builder().trace(String::new()), "trace"),
        (Config::builder().trace("off".to_string()), "trace"),
        (Config::builder().zeal(Zeal::Alloc(0)), "zeal"),
        (Config::builder().zeal(Zeal::Safepoint(0)), "zeal"),
        (Config::builder().name(""), "name"),
        (Config::builder().name("a,b"), "name"),
        (Config::builder().name(" a"), "name"),
        (Config::builder().name("a\n"), "name"),
    ];
    for (builder, key) in builders {
        match builder.build() {
            Err(ConfigError::BadValue { key: named, .. }) => assert_eq!(named, key),
            other => panic!("{key}: {other:?}"),
        }
    }
    let above = Config::builder().heap(8 << 20).limit(4 << 20).build();
    assert_eq!(above, Err(ConfigError::HeapAboveLimit { heap: 8 << 20, limit: 4 << 20 }));
}

#[test]
fn a_text_that_fails_changes_nothing() {
    let mut config = Config::parse("growth=3,name=kept").unwrap();
    let before = config.clone();
    for text in ["growth=4,nonsense", "name=new,growth=1", "log=gc,log=gc", "heap=8M,limit=4M", "rounds=1,markers"] {
        assert!(config.apply(text).is_err(), "{text}");
        assert_eq!(config, before, "{text}");
    }
    config.apply("rounds=1").unwrap();
    assert_eq!((config.growth(), config.rounds(), config.name()), (3.0, 1, "kept"));
}

#[test]
fn the_environment_is_applied_on_top_and_named_in_its_errors() {
    use std::os::unix::ffi::OsStringExt;

    let mut config = Config::parse("growth=3").unwrap();
    config.apply_variable(None).unwrap();
    config.apply_variable(Some(OsString::new())).unwrap();
    assert_eq!(config, Config::parse("growth=3").unwrap());
    config.apply_variable(Some("log=gc".into())).unwrap();
    assert_eq!((config.growth(), config.log()), (3.0, Log::Gc));

    let before = config.clone();
    let error = config.apply_variable(Some("rounds=2,lgo=gc".into())).unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("in the environment variable PAGEMARK_GC: unknown key `lgo`"), "{message}");
    assert!(std::error::Error::source(&error).is_some());
    let error = config.apply_variable(Some(OsString::from_vec(vec![b'a', 0xff]))).unwrap_err();
    assert_eq!(error, ConfigError::Environment { source: Box::new(ConfigError::NotText) });
    assert!(error.to_string().contains("UTF-8"));
    assert_eq!(config, before);
}

#[test]
fn edit_distance_counts_single_character_edits() {
    for (a, b, distance) in
        [("", "", 0), ("", "log", 3), ("heap", "heap", 0), ("haep", "heap", 2), ("kitten", "sitting", 3)]
    {
        assert_eq!(edit_distance(a, b), distance);
        assert_eq!(edit_distance(b, a), distance);
    }
}
