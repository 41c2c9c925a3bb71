//! Programs in parts: `include`, `cond-expand`, `import` and `define-library`.
//!
//! The standard libraries all stand for the system environment. A library that is not defined yet is looked for in a
//! file: `(a b c)` in `a/b/c.sld`, from the directory of the importing file and from the current one.

use super::*;
use crate::reader::{Reader, Text};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

type Exports = HashMap<Name, Binding>;

/// What `cond-expand` and `(features)` know.
pub const FEATURES: &[&str] =
    &["r7rs", "exact-closed", "exact-complex", "ieee-float", "ratios", "full-unicode", "pagemark", "threads"];

/// The libraries that stand for the system environment. The SRFIs are those whose procedures it has.
const STANDARD: &[&str] = &[
    "scheme/base",
    "scheme/case-lambda",
    "scheme/char",
    "scheme/complex",
    "scheme/cxr",
    "scheme/eval",
    "scheme/file",
    "scheme/inexact",
    "scheme/lazy",
    "scheme/load",
    "scheme/process-context",
    "scheme/r5rs",
    "scheme/read",
    "scheme/repl",
    "scheme/time",
    "scheme/write",
    "pagemark",
    "pagemark/gc",
];
const SRFIS: &[&str] = &["0", "1", "6", "8", "9", "11", "16", "18", "23", "28", "30", "39", "62", "69", "87", "98"];

/// All data of a file.
pub fn read_file(path: &Path) -> Expand<Vec<Syntax>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| SchemeError::file(format!("cannot open {}: {e}", path.display()), &[]))?;
    read_text(&text, &path.display().to_string())
}

pub fn read_text(text: &str, file: &str) -> Expand<Vec<Syntax>> {
    let mut source = Text::new(text);
    let mut reader = Reader::new(&mut source, file);
    let mut forms = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(form)) => forms.push(form),
            Ok(None) => return Ok(forms),
            Err(e) => {
                let message = format!("{file}:{}:{}: {}", e.line, e.column, e.message);
                return Err(SchemeError::read(message));
            }
        }
    }
}

fn library_key(name: &Syntax) -> String {
    let part = |s: &Syntax| match s.node() {
        Node::Id(id) => id.name().text().to_string(),
        Node::Number(n) => n.to_string(),
        _ => "?".into(),
    };
    name.items().map_or_else(String::new, |i| i.iter().map(part).collect::<Vec<_>>().join("/"))
}

impl<S: Stores> Expander<'_, S> {
    pub(super) fn include(&mut self, form: &Syntax, files: &[Syntax]) -> Expand<Vec<Syntax>> {
        let mut out = Vec::new();
        for f in files {
            let Node::Str(name) = f.node() else { return syntax_error(f, "include wants a file name") };
            let beside = Path::new(form.pos().file.text()).with_file_name(&**name);
            out.extend(read_file(if beside.exists() { &beside } else { Path::new(&**name) })?);
        }
        Ok(out)
    }

    pub(super) fn cond_expand(&self, clauses: &[Syntax]) -> Expand<Vec<Syntax>> {
        for c in clauses {
            let Some([requirement, body @ ..]) = c.items() else { return syntax_error(c, "bad cond-expand clause") };
            if self.feature(requirement) {
                return Ok(body.to_vec());
            }
        }
        Ok(Vec::new())
    }

    fn feature(&self, r: &Syntax) -> bool {
        if let Some(id) = r.ident() {
            let name = id.name().text();
            return name == "else" || FEATURES.contains(&name);
        }
        let Some([head, rest @ ..]) = r.items() else { return false };
        match head.ident().map(|i| i.name().text()) {
            Some("and") => rest.iter().all(|r| self.feature(r)),
            Some("or") => rest.iter().any(|r| self.feature(r)),
            Some("not") => rest.iter().all(|r| !self.feature(r)),
            Some("library") => rest.iter().all(|r| {
                let key = library_key(r);
                Self::is_standard(&key)
                    || self.vm.shared.envs.lock().libraries.contains_key(&key)
                    || Self::find_library(&key, r).is_some()
            }),
            _ => false,
        }
    }

    fn is_standard(key: &str) -> bool {
        match key.strip_prefix("srfi/") {
            Some(n) => SRFIS.contains(&n.trim_start_matches("srfi-")),
            None => STANDARD.contains(&key),
        }
    }

    fn find_library(key: &str, at: &Syntax) -> Option<PathBuf> {
        let beside = Path::new(at.pos().file.text()).parent().unwrap_or(Path::new("")).to_path_buf();
        let tries = [beside, PathBuf::new()].into_iter().map(|d| d.join(format!("{key}.sld")));
        tries.into_iter().find(|p| p.exists())
    }

    /// The bindings of an import set, and code to run first (the body of a library read just now).
    fn import_set(&mut self, set: &Syntax, code: &mut Vec<Expr>) -> Expand<Exports> {
        let items = set.items().unwrap_or(&[]);
        let word = items.first().and_then(Syntax::ident).map_or("", |i| i.name().text());
        let nested = items.get(1).is_some_and(|i| i.items().is_some());
        let missing = |s: &Syntax| syntax_error(s, "the library does not export this name");
        let name_of = |s: &Syntax| match s.ident() {
            Some(id) => Ok(id.name()),
            None => syntax_error(s, "expected a name"),
        };
        match (word, items) {
            ("only", [_, inner, names @ ..]) if nested => {
                let all = self.import_set(inner, code)?;
                let mut out = Exports::new();
                for n in names {
                    match all.get(&name_of(n)?) {
                        Some(b) => out.insert(name_of(n)?, b.clone()),
                        None => return missing(n),
                    };
                }
                Ok(out)
            }
            ("except", [_, inner, names @ ..]) if nested => {
                let mut all = self.import_set(inner, code)?;
                for n in names {
                    if all.remove(&name_of(n)?).is_none() {
                        return missing(n);
                    }
                }
                Ok(all)
            }
            ("prefix", [_, inner, prefix]) if nested => {
                let prefix = name_of(prefix)?;
                let all = self.import_set(inner, code)?;
                let renamed = |(n, b): (Name, Binding)| (Name::new(&format!("{}{}", prefix.text(), n.text())), b);
                Ok(all.into_iter().map(renamed).collect())
            }
            ("rename", [_, inner, pairs @ ..]) if nested => {
                let mut all = self.import_set(inner, code)?;
                let mut moved = Vec::new();
                for p in pairs {
                    let Some([from, to]) = p.items() else { return syntax_error(p, "bad rename") };
                    match all.remove(&name_of(from)?) {
                        Some(b) => moved.push((name_of(to)?, b)),
                        None => return missing(from),
                    }
                }
                all.extend(moved);
                Ok(all)
            }
            _ => self.library(set, code),
        }
    }

    fn library(&mut self, name: &Syntax, code: &mut Vec<Expr>) -> Expand<Exports> {
        let key = library_key(name);
        if let Some(exports) = self.vm.shared.envs.lock().libraries.get(&key) {
            return Ok(exports.clone());
        }
        if let Some(path) = Self::find_library(&key, name) {
            for form in read_file(&path)? {
                code.push(self.expr(&form, &top_scope(crate::env::PROGRAM))?);
            }
            if let Some(exports) = self.vm.shared.envs.lock().libraries.get(&key) {
                return Ok(exports.clone());
            }
        }
        if Self::is_standard(&key) {
            let envs = self.vm.shared.envs.lock();
            return Ok(envs.envs[SYSTEM].table.iter().map(|(n, b)| (*n, b.clone())).collect());
        }
        syntax_error(name, format!("unknown library ({})", key.replace('/', " ")))
    }

    pub(super) fn import(&mut self, sets: &[Syntax], scope: &Scope) -> Expand<Expr> {
        let mut code = Vec::new();
        for set in sets {
            let whole = self.import_whole(set);
            let open = self.vm.shared.envs.lock().envs[scope.env].open;
            if whole && open {
                // The environment already falls back to it.
                continue;
            }
            let exports = self.import_set(set, &mut code)?;
            self.vm.shared.envs.lock().envs[scope.env].table.extend(exports);
        }
        Ok(Expr::seq(code))
    }
    fn import_whole(&self, set: &Syntax) -> bool {
        let key = library_key(set);
        Self::is_standard(&key)
            && !self.vm.shared.envs.lock().libraries.contains_key(&key)
            && Self::find_library(&key, set).is_none()
    }

    pub(super) fn define_library(&mut self, name: &Syntax, declarations: &[Syntax]) -> Expand<Expr> {
        let env = self.vm.new_env(false);
        let scope = top_scope(env);
        let (mut exports, mut code, mut body) = (Vec::new(), Vec::new(), Vec::new());
        self.declarations(declarations, &scope, &mut exports, &mut code, &mut body)?;
        self.vm.prescan(&body, env)?;
        for form in &body {
            code.push(self.expr(form, &scope)?);
        }
        let mut table = Exports::new();
        for (inner, outer) in exports {
            table.insert(outer, self.vm.reference(env, inner)?);
        }
        self.vm.shared.envs.lock().libraries.insert(library_key(name), table);
        Ok(Expr::seq(code))
    }

    fn declarations(
        &mut self,
        declarations: &[Syntax],
        scope: &Scope,
        exports: &mut Vec<(Name, Name)>,
        code: &mut Vec<Expr>,
        body: &mut Vec<Syntax>,
    ) -> Expand<()> {
        for d in declarations {
            let Some([head, rest @ ..]) = d.items() else { return syntax_error(d, "bad library declaration") };
            match head.ident().map_or("", |i| i.name().text()) {
                "export" => {
                    for e in rest {
                        match (e.ident(), e.items()) {
                            (Some(id), _) => exports.push((id.name(), id.name())),
                            (_, Some([_, from, to])) => match (from.ident(), to.ident()) {
                                (Some(f), Some(t)) => exports.push((f.name(), t.name())),
                                _ => return syntax_error(e, "bad export"),
                            },
                            _ => return syntax_error(e, "bad export"),
                        }
                    }
                }
                "import" => code.push(self.import(rest, scope)?),
                "begin" => body.extend(rest.iter().cloned()),
                "include" | "include-ci" => body.extend(self.include(d, rest)?),
                "include-library-declarations" => {
                    let more = self.include(d, rest)?;
                    self.declarations(&more, scope, exports, code, body)?;
                }
                "cond-expand" => {
                    let more = self.cond_expand(rest)?;
                    self.declarations(&more, scope, exports, code, body)?;
                }
                _ => return syntax_error(d, "unknown library declaration"),
            }
        }
        Ok(())
    }
}

impl<S: Stores> Vm<S> {
    /// Creates the variables that a program defines before any of it is compiled, so that earlier uses of a name mean
    /// the program's own and not a standard procedure of the same name.
    pub fn prescan(&mut self, forms: &[Syntax], env: EnvId) -> Expand<()> {
        for form in forms {
            let Some([head, rest @ ..]) = form.items() else { continue };
            let Some(Ident::Plain(word)) = head.ident() else { continue };
            let mut names: Vec<Syntax> = Vec::new();
            match word.text() {
                "begin" => self.prescan(rest, env)?,
                "define" => {
                    let mut target = rest.first().cloned();
                    while let Some(t) = target.take() {
                        match t.items_or_dotted().and_then(|i| i.first()) {
                            Some(inner) => target = Some(inner.clone()),
                            None => names.push(t),
                        }
                    }
                }
                "define-values" => match rest.first().map(Syntax::node) {
                    Some(Node::List(ids, tail)) => names.extend(ids.iter().chain(tail).cloned()),
                    _ => names.extend(rest.first().cloned()),
                },
                "define-record-type" => {
                    names.extend(rest.iter().take(1).cloned());
                    names.extend(rest.get(1).and_then(|c| c.items()?.first().cloned()));
                    names.extend(rest.get(2).cloned());
                    for f in rest.iter().skip(3) {
                        names.extend(f.items().unwrap_or(&[]).iter().skip(1).cloned());
                    }
                }
                _ => {}
            }
            for n in names {
                if let Some(Ident::Plain(n)) = n.ident() {
                    self.own_global(env, *n)?;
                }
            }
        }
        Ok(())
    }
}
