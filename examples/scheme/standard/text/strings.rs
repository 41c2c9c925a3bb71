//! Making, measuring, copying and changing strings.

use crate::error::SchemeError;
use crate::heap::{is_string, str_len, str_ref, str_to_rust};
use crate::prims::{ANY, Answer, Registry};
use crate::standard::args;
use crate::value::Value;
use crate::vm::{Stores, Vm};

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("string?", 1, 1, |_, a| Ok(Value::bool(is_string(a[0]))));
    r.add("make-string", 1, 2, |vm, a| {
        let n = args::length("make-string", a, 0)?;
        let fill = if a.len() > 1 { args::char("make-string", a, 1)? } else { ' ' };
        vm.string_filled(n, fill)
    });
    r.add("string", 0, ANY, |vm, a| {
        let mut text = String::with_capacity(a.len());
        for i in 0..a.len() {
            text.push(args::char("string", a, i)?);
        }
        vm.string_from(&text)
    });
    r.add("string-length", 1, 1, |_, a| Ok(Value::fixnum(str_len(args::string("string-length", a, 0)?) as i64)));
    r.add("string-ref", 2, 2, |_, a| {
        let s = args::string("string-ref", a, 0)?;
        let i = args::index("string-ref", a, 1, str_len(s))?;
        Ok(Value::char(str_ref(s, i)))
    });
    r.add("string-set!", 3, 3, |vm, a| {
        let s = args::string("string-set!", a, 0)?;
        let i = args::index("string-set!", a, 1, str_len(s))?;
        vm.str_set(s, i, args::char("string-set!", a, 2)?)?;
        Ok(Value::UNSPECIFIED)
    });
    for name in ["substring", "string-copy"] {
        r.add(name, 1, 3, |vm, a| {
            let s = args::string("string-copy", a, 0)?;
            let (start, end) = args::range("string-copy", a, 1, str_len(s))?;
            vm.string_of_parts(&[(s, start, end)])
        });
    }
    r.add("string-append", 0, ANY, |vm, a| append(vm, "string-append", a));
    r.add("string-concatenate", 1, 1, |vm, a| {
        let parts = args::list("string-concatenate", a, 0)?;
        append(vm, "string-concatenate", &parts)
    });
    r.add("string-copy!", 3, 5, |vm, a| {
        let (to, from) = (args::string("string-copy!", a, 0)?, args::string("string-copy!", a, 2)?);
        let at = args::index("string-copy!", a, 1, str_len(to) + 1)?;
        let (start, end) = args::range("string-copy!", a, 3, str_len(from))?;
        if end - start > str_len(to) - at {
            return Err(SchemeError::range("string-copy!", 2, a[1]));
        }
        let copy: Vec<char> = (start..end).map(|i| str_ref(from, i)).collect();
        // Only a character past Latin-1 can make the string allocate. The first such goes first, so that an exhausted
        // heap is noticed before anything has changed: from then on the ranges may no longer be read again.
        if let Some(i) = copy.iter().position(|c| *c as u32 > 255) {
            vm.str_set(to, at + i, copy[i])?;
        }
        for (i, c) in copy.into_iter().enumerate() {
            vm.str_set(to, at + i, c)?;
        }
        Ok(Value::UNSPECIFIED)
    });
    r.add("string-fill!", 2, 4, |vm, a| {
        let s = args::string("string-fill!", a, 0)?;
        let c = args::char("string-fill!", a, 1)?;
        let (start, end) = args::range("string-fill!", a, 2, str_len(s))?;
        for i in start..end {
            vm.str_set(s, i, c)?;
        }
        Ok(Value::UNSPECIFIED)
    });
    r.add("string-reverse", 1, 1, |vm, a| {
        let text: String = str_to_rust(args::string("string-reverse", a, 0)?).chars().rev().collect();
        vm.string_from(&text)
    });
}

fn append<S: Stores>(vm: &mut Vm<S>, who: &str, strings: &[Value]) -> Answer {
    let whole = |i| args::string(who, strings, i).map(|s| (s, 0, str_len(s)));
    let parts = (0..strings.len()).map(whole).collect::<Result<Vec<_>, _>>()?;
    vm.string_of_parts(&parts)
}
