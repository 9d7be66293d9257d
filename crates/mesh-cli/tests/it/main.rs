//! The program as a whole, without any network: help, completions, manual, usage errors.

use std::process::{Command, Output};

fn mesh(arguments: &[&str]) -> Output {
    let home = std::env::temp_dir().join("mesh-nobody");
    Command::new(env!("CARGO_BIN_EXE_mesh")).args(arguments).env("MESH_HOME", home).output().expect("the program runs")
}

#[test]
fn help_names_the_exit_codes() {
    let help = mesh(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("Exit codes: 0 done"));
}

#[test]
fn completions_and_manual_are_data_on_stdout() {
    for arguments in [&["completions", "bash"][..], &["completions", "fish"], &["man"]] {
        let output = mesh(arguments);
        assert!(output.status.success() && output.stdout.len() > 500 && output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn unknown_command_is_a_usage_error_and_nobody_is_not_found() {
    assert_eq!(mesh(&["frobnicate"]).status.code(), Some(2));
    let nobody = mesh(&["feed"]);
    assert_eq!(nobody.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("next: mesh init"));
}
