//! Strings to and from lists, vectors, symbols and UTF-8.

use crate::heap::{bytes_of, field, size, str_len, str_ref, symbol_name};
use crate::prims::{ANY, Registry};
use crate::standard::args;
use crate::value::Value;
use crate::vm::Stores;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATED: AtomicU64 = AtomicU64::new(1);

pub fn install<S: Stores>(r: &mut Registry<S>) {
    r.add("string->list", 1, 3, |vm, a| {
        let s = args::string("string->list", a, 0)?;
        let (start, end) = args::range("string->list", a, 1, str_len(s))?;
        (start..end).rev().try_fold(Value::NIL, |l, i| vm.cons(Value::char(str_ref(s, i)), l))
    });
    r.add("list->string", 1, 1, |vm, a| {
        let items = args::list("list->string", a, 0)?;
        let text = (0..items.len()).map(|i| args::char("list->string", &items, i)).collect::<Result<String, _>>()?;
        vm.string_from(&text)
    });
    r.add("string->vector", 1, 3, |vm, a| {
        let s = args::string("string->vector", a, 0)?;
        let (start, end) = args::range("string->vector", a, 1, str_len(s))?;
        let items: Vec<Value> = (start..end).map(|i| Value::char(str_ref(s, i))).collect();
        vm.vector(&items)
    });
    r.add("vector->string", 1, 3, |vm, a| {
        let v = args::vector("vector->string", a, 0)?;
        let (start, end) = args::range("vector->string", a, 1, size(v))?;
        let items: Vec<Value> = (start..end).map(|i| field(v, i)).collect();
        let text = (0..items.len()).map(|i| args::char("vector->string", &items, i)).collect::<Result<String, _>>()?;
        vm.string_from(&text)
    });
    r.add("symbol->string", 1, 1, |vm, a| {
        let name = symbol_name(args::symbol("symbol->string", a, 0)?);
        vm.string_from(&name)
    });
    for name in ["string->symbol", "intern"] {
        r.add(name, 1, 1, |vm, a| {
            let name = args::text("string->symbol", a, 0)?;
            vm.intern(&name)
        });
    }
    r.add("symbol-append", 0, ANY, |vm, a| {
        let mut name = String::new();
        for i in 0..a.len() {
            name += &symbol_name(args::symbol("symbol-append", a, i)?);
        }
        vm.intern(&name)
    });
    // The name can be typed, so unlike an uninterned symbol it is unique only by convention.
    for name in ["gensym", "generate-symbol"] {
        r.add(name, 0, 1, |vm, _| {
            let n = GENERATED.fetch_add(1, Ordering::Relaxed);
            vm.intern(&format!(" g{n}"))
        });
    }
    r.add("string->utf8", 1, 3, |vm, a| {
        let s = args::string("string->utf8", a, 0)?;
        let (start, end) = args::range("string->utf8", a, 1, str_len(s))?;
        let text: String = (start..end).map(|i| str_ref(s, i)).collect();
        vm.bytevector(text.as_bytes())
    });
    r.add("utf8->string", 1, 3, |vm, a| {
        let b = args::bytevector("utf8->string", a, 0)?;
        let (start, end) = args::range("utf8->string", a, 1, size(b))?;
        let bytes = bytes_of(b, start, end);
        vm.string_from(&String::from_utf8_lossy(&bytes))
    });
}
