//! The Scheme's interactive loop: from a pipe, and at a terminal, where lines are edited.
//!
//! The terminal is a pseudo-terminal whose other end this test holds: it types when the prompt is there and reads what a person would see, control
//! sequences included.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pagemark_workspace::{Watchdog, scheme};

fn repl() -> Command {
    let mut command = Command::new(scheme::binary());
    command.env_remove("PAGEMARK_GC").env("TERM", "xterm");
    command
}

/// What the loop says to these lines.
fn piped(keys: &str, text: &str) -> Output {
    let mut command = repl();
    command.args(["--gc", keys]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the example runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn each_form_is_answered_and_an_error_does_not_end_the_loop() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let text = "(+ 1 2)\n(define (f x)\n  (* x 2))\n(f 21)\n(car 5)\n\"two\nlines\"\n)\n(raise 'boom)\n(no-such)\n\
                (begin (display \"shown\") (newline))\n'(a . b) 'c\n(exit 4)\n(+ 2 2)\n";
    let output = piped("mechanism=auto", text);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n42\n\"two\\nlines\"\nshown\n(a . b)\nc\n");
    let errors = String::from_utf8_lossy(&output.stderr);
    let expected = [
        "repl:1:1: car: argument 1 is not a pair: 5",
        "repl:1:2: unexpected )",
        "repl:1:1: uncaught exception: boom",
        "repl:1:1: unbound variable: no-such",
    ];
    assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn what_was_defined_survives_cycles_and_an_error_leaves_what_it_was_in() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let text = "(define kept (iota 1000))\n(define p (make-parameter 'outside))\n\
                (parameterize ((p 'inside)) (dynamic-wind list (lambda () (car 5)) list))\n(p)\n\
                (define (waste n) (if (> n 0) (begin (make-vector 100 n) (if (= (modulo n 5000) 0) (gc)) (waste (- n 1)))))\n(waste 20000)\n\
                (apply + kept)\n(guard (e (#t (list 'caught e))) (raise 1))\n(call/cc (lambda (k) (define again k) (k 7)))\n";
    let output = piped("mechanism=auto,zeal=alloc:10,verify=mark,summary", text);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "outside\n499500\n(caught 1)\n7\n");
    // The end of the input is a way to leave.
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(scheme::summary(&output, "verify_failures"), 0);
    // Those that the program asks for. How many more there are, a busy machine decides.
    assert!(scheme::summary(&output, "cycles") >= 4);
}

/// The loop at a terminal.
struct Terminal {
    loop_: Child,
    screen: File,
    /// What came and nobody looked for yet.
    unseen: String,
}

impl Terminal {
    fn new() -> Terminal {
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut ours, mut its) = (0, 0);
        // SAFETY: two numbers that the call fills; no name, no settings.
        let opened = unsafe { libc::openpty(&mut ours, &mut its, std::ptr::null_mut(), std::ptr::null(), &size) };
        assert_eq!(opened, 0, "{}", std::io::Error::last_os_error());
        // SAFETY: the kernel just made these descriptors for us, nobody else owns them.
        let (screen, its) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(its)) };
        let end = || Stdio::from(its.try_clone().expect("a descriptor"));
        let loop_ = repl().stdin(end()).stdout(end()).stderr(end()).spawn().expect("the example runs");
        Terminal { loop_, screen, unseen: String::new() }
    }

    /// More of what it writes; false when it has ended.
    fn look(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.screen.read(&mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.unseen.push_str(&String::from_utf8_lossy(&bytes[..read]));
                true
            }
            // The last user of the other end is gone.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until `text` is on the screen.
    fn sees(&mut self, text: &str) {
        while !self.unseen.contains(text) {
            assert!(self.look(), "no {text:?} but {:?}", self.unseen);
        }
        let behind = self.unseen.find(text).expect("just seen") + text.len();
        self.unseen.drain(..behind);
    }

    /// Types at the prompt: before, what is typed may be lost.
    fn types(&mut self, prompt: &str, keys: &str) {
        self.sees(prompt);
        self.screen.write_all(keys.as_bytes()).expect("it reads");
    }

    fn ends(mut self) -> Option<i32> {
        while self.look() {}
        self.loop_.wait().expect("it ends").code()
    }
}

#[test]
fn lines_are_edited_continued_and_remembered_at_a_terminal() {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let mut terminal = Terminal::new();
    // The 3 is taken back.
    terminal.types("> ", "(* 6 3\x7f7)\r");
    terminal.sees("\n42\r\n");
    // Until the form is complete the prompt is another.
    terminal.types("> ", "(define (twice x)\r");
    terminal.types("\x1b[K  ", "  (* 2 x))\r");
    terminal.types("> ", "(twice 50)\r");
    terminal.sees("\n100\r\n");
    // The line before, by cursor up.
    terminal.types("> ", "\x1b[A\r");
    terminal.sees("\n100\r\n");
    // An interrupt drops what was begun.
    terminal.types("> ", "(begun\r");
    terminal.types("\x1b[K  ", "\x03");
    terminal.types("> ", "(twice 4)\r");
    terminal.sees("\n8\r\n");
    terminal.types("> ", "(car '())\r");
    terminal.sees("car: argument 1 is not a pair: ()");
    // The end of the input.
    terminal.types("> ", "\x04");
    assert_eq!(terminal.ends(), Some(0));
}
