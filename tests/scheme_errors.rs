//! What a user sees when a program fails: the place in the file, the cause, and the exit status.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pagemark_workspace::scheme;

/// Writes the files into a folder of their own and runs the last one in it.
fn run(folder: &str, files: &[(&str, &str)]) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scheme_errors").join(folder);
    std::fs::create_dir_all(&folder).expect("the target directory is writable");
    let mut last = PathBuf::new();
    for (name, text) in files {
        last = folder.join(name);
        std::fs::write(&last, text).expect("writable");
    }
    scheme::run(&last, &[], "mechanism=auto")
}

/// Runs the files and checks that standard error is one line: the folder, then `expected`.
fn fails(folder: &str, files: &[(&str, &str)], expected: &str) {
    let output = run(folder, files);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = errors.find(&format!("scheme_errors/{folder}/")).unwrap_or_else(|| panic!("no place in {errors}"));
    let said = &errors[place..];
    assert_eq!(said.trim_end(), format!("scheme_errors/{folder}/{expected}"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_error_names_file_line_and_column() {
    let inner = "(define (f x)\n  (+ 1\n     (car x)))\n(define (g) (list (f 5)))\n(g)\n";
    fails("primitive", &[("a.scm", inner)], "a.scm:3:6: car: argument 1 is not a pair: 5");
    fails("unbound", &[("a.scm", "(define (f)\n   (no-such 3))\n(f)\n")], "a.scm:2:4: unbound variable: no-such");
    fails(
        "count",
        &[("a.scm", "(define (f a b) a)\n(display\n  (f 1))\n")],
        "a.scm:3:3: f: wrong number of arguments: 1, wants 2",
    );
    fails("error", &[("a.scm", "\n (error \"bad:\" 'a \"b\" 3.5)")], "a.scm:2:2: bad: a \"b\" 3.5");
    fails("raised", &[("a.scm", "(list 1)\n(raise 'boom)")], "a.scm:2:1: uncaught exception: boom");
    let called = "(for-each (lambda (x)\n            (car x)) '(1 2))";
    fails("called", &[("a.scm", called)], "a.scm:2:13: car: argument 1 is not a pair: 1");
    let thread = "(thread-join! (thread-start! (make-thread (lambda ()\n   (car 5)))))";
    let output = run("thread", &[("a.scm", thread)]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("a.scm:2:4: car: argument 1 is not a pair: 5"), "{errors}");
}

#[test]
fn a_call_with_too_many_arguments_names_the_limit() {
    let most = "(define l (iota 32768))\n(display (length (apply list l)))\n(apply list 0 l)\n";
    let said = "a.scm:3:1: apply: 32769 arguments, and a call takes at most 32768";
    fails("arguments", &[("a.scm", most)], said);
    assert_eq!(run("arguments", &[("a.scm", most)]).stdout, b"32768");
}

#[test]
fn reader_and_expander_name_the_place() {
    fails("reader", &[("a.scm", "(display \"a\")\n  )")], "a.scm:2:4: unexpected )");
    fails("character", &[("a.scm", "(define x #\\foo)")], "a.scm:1:16: unknown character #\\foo");
    fails("binding", &[("a.scm", "1\n  (let ((x 1) (y)) x)")], "a.scm:2:15: bad binding");
    fails("syntax", &[("a.scm", "(list\n (if))")], "a.scm:2:2: bad syntax: if");
    fails("library", &[("a.scm", "(import (scheme nonsense))")], "a.scm:1:9: unknown library (scheme nonsense)");
    let rule = "(define-syntax m (syntax-rules () ((_ a b) a)))\n(m 5)";
    fails("rule", &[("a.scm", rule)], "a.scm:2:1: no rule of the macro matches the form");
}

#[test]
fn the_place_is_in_the_file_that_was_included_or_imported() {
    let part = ("part.scm", "(define (f x)\n  (car x))\n");
    let car = "car: argument 1 is not a pair: 5";
    fails("include", &[part, ("a.scm", "(include \"part.scm\")\n(list (f 5))")], &format!("part.scm:2:3: {car}"));
    let library = "(define-library (part)\n (import (scheme base)) (export f)\n (begin (define (f x)\n  (car x))))";
    fails(
        "import",
        &[("part.sld", library), ("a.scm", "(import (part))\n(list (f 5))")],
        &format!("part.sld:4:3: {car}"),
    );
}

#[test]
fn the_place_is_in_the_file_that_was_loaded() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scheme_errors/load/part.scm");
    let load = format!("(load {:?})", folder.to_str().expect("a path in UTF-8"));
    let part = ("part.scm", "(display \"loaded\")\n  (car 5)\n");
    fails("load", &[part, ("a.scm", &load)], "part.scm:2:3: car: argument 1 is not a pair: 5");
    let output = run("load", &[("a.scm", &load)]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "loaded");
}

#[test]
fn the_exit_status_is_what_the_program_says() {
    let status = |name: &str, text: &str| run(name, &[("a.scm", text)]).status.code();
    assert_eq!(status("exit-none", "(exit)"), Some(0));
    assert_eq!(status("exit-true", "(exit #t)"), Some(0));
    assert_eq!(status("exit-false", "(exit #f)"), Some(1));
    assert_eq!(status("exit-number", "(exit 7)"), Some(7));
    assert_eq!(status("emergency", "(dynamic-wind list (lambda () (emergency-exit 3)) (lambda () (exit 4)))"), Some(3));
    assert_eq!(status("end", "(define x 1)"), Some(0));
    let winds = "(dynamic-wind list (lambda () (exit 5)) (lambda () (display \"left\")))";
    let output = run("exit-winds", &[("a.scm", winds)]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(5), &b"left"[..]));
}

#[test]
fn what_is_nested_too_deeply_is_refused_with_its_place() {
    for (name, mark) in
        [("list", "("), ("quote", "'"), ("unquote", ","), ("comment", "#;"), ("label", "#1="), ("vector", "#(")]
    {
        let output = run(&format!("deep-{name}"), &[("a.scm", &mark.repeat(300_000))]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("a.scm:1:") && errors.contains("data nested too deeply"), "{name}: {errors}");
        assert_eq!(output.status.code(), Some(1), "{name}");
    }
}

/// The command, with 400 MB of addresses.
fn limited(command: &mut Command) -> &mut Command {
    let limit = libc::rlimit { rlim_cur: 400 << 20, rlim_max: 400 << 20 };
    // SAFETY: between fork and exec, one system call and nothing else.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_AS, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    }
}

#[test]
fn a_limit_that_leaves_no_room_for_the_interpreter_is_named() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scheme_errors-limit.scm");
    std::fs::write(&program, "(display 1)").expect("writable");
    let mut command = Command::new(scheme::binary());
    let output = limited(command.arg(&program).env_remove("PAGEMARK_GC")).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("cannot start the interpreter's thread") && errors.contains("RLIMIT_AS"), "{errors}");
    assert_eq!(output.status.code(), Some(2));
}
