//! `pagemark semantics` as its users call it.

use std::process::{Command, Output};

fn semantics(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagemark")).arg("semantics").args(arguments).output().expect("the tool runs")
}

fn rows(arguments: &[&str]) -> Vec<serde_json::Value> {
    let output = semantics(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON list")
}

/// Patience for a machine that does other things too.
const PATIENT: [&str; 2] = ["--patience", "20"];

#[test]
fn the_first_write_to_an_armed_page_is_seen_wherever_the_kernel_can_arm() {
    let rows = rows(&[&["--json", "--case", "write-armed"], &PATIENT[..]].concat());
    assert_eq!(rows.len(), 7 * 5, "each backing in each mode");
    for row in &rows {
        assert!(["as-expected", "unsupported"].contains(&row["verdict"].as_str().unwrap()), "{row}");
    }
}

#[test]
fn rows_have_the_documented_keys_and_no_others() {
    for row in rows(&[&["--json", "--case", "second-uffd"], &PATIENT[..]].concat()) {
        let keys: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
        let mut documented = ["case", "backing", "mode", "observed", "expected", "verdict", "means"];
        documented.sort();
        let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        keys.sort();
        assert_eq!(keys, documented);
        assert!(documented.iter().all(|key| row[key].is_string()));
    }
}

#[test]
fn an_unknown_case_is_an_error_that_names_it() {
    let output = semantics(&["--case", "no-such-case"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-case"));
}

#[test]
fn a_folder_without_a_table_of_this_kernel_is_no_failure() {
    let folder = std::env::temp_dir().join(format!("pagemark-no-tables-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = semantics(&["--check", folder.to_str().unwrap()]);
    std::fs::remove_dir(&folder).unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("no table"));
}

#[test]
fn the_page_in_docs_is_what_the_tables_in_docs_give() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut tables: Vec<_> =
        std::fs::read_dir(docs.join("semantics")).unwrap().map(|entry| entry.unwrap().path()).collect();
    tables.sort();
    assert!(tables.len() >= 4, "four kernels and more");
    let mut arguments = vec!["--markdown", "--kernel", "6.18", "--from"];
    arguments.extend(tables.iter().map(|path| path.to_str().unwrap()));
    let output = semantics(&arguments);
    assert!(output.status.success());
    let page = std::fs::read_to_string(docs.join("semantics.md")).unwrap();
    assert!(page.as_bytes() == output.stdout, "docs/semantics.md is stale: tests/kernels/run says how it is made");
}
