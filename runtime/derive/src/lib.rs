//! `#[derive(Trace)]`: how a type of the embedder's tells the collector where its references are.
//!
//! `Trace` is an unsafe trait. Its contract is short (visit every reference the value holds, touch nothing else) but
//! a forgotten field is a use after free, so nobody should write it by hand. The derive visits every field, and
//! refuses the types for which visiting every field is not enough:
//!
//! - **Enums with fields.** The collector reads a value while mutators write it. Between its reading the discriminant
//!   and its reading the fields, a mutator may have stored another variant, and then it takes a number for a
//!   reference. A struct whose references may be empty has no such moment. Enums without fields hold no references
//!   and are fine.
//! - **Unions.** Nobody knows which field is the live one.
//! - **Packed structs.** Their fields cannot be borrowed, and a reference in one could straddle two words, which a
//!   mutator does not store in one piece.
//! - **Types with a `Drop` of their own.** What is found dead is swept without running code. The derive implements the
//!   marker `MustNotImplDrop`, which every type that implements `Drop` implements already: the conflict is the error.
//!   (A field's own `Drop` is that field type's `Trace` implementation to answer for.)
//!
//! For everything else it writes this, with `T: Trace` added for every type parameter:
//!
//! ```text
//! unsafe impl<T: Trace> Trace for Pair<T> {
//!     const MAY_HOLD_REFERENCES: bool = false || <Field<T> as Trace>::MAY_HOLD_REFERENCES || ...;
//!     fn trace(&self, tracer: &mut Tracer<'_>) { Trace::trace(&self.first, tracer); ... }
//! }
//! ```
//!
//! The constant decides, when the program is compiled, whether objects of the type go to leaf blocks, which are never
//! armed and never scanned. A type that refers to itself does so through a reference type whose constant is `true`
//! without asking what it refers to; otherwise the constant would be defined by itself, which the compiler reports.
//!
//! Each piece of the expansion that the compiler may reject carries the span of the field it is about. The expansion is
//! a function from tokens to tokens, so that the tests below need no compiler.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Index, parse_quote};

/// Implements `pagemark::Trace` by tracing every field.
///
/// Works for structs of any shape, generic ones included (each type parameter `T` gets the bound `T: Trace`), and for
/// enums without fields. A compile error for enums with fields, unions, packed structs, and types that
/// implement `Drop`; the message says what to do instead.
#[proc_macro_derive(Trace)]
pub fn derive_trace(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(input.into()).into()
}

/// The whole derive, errors included: they become `compile_error!` at the span they are about.
fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input).and_then(implement).unwrap_or_else(Error::into_compile_error)
}

fn implement(mut input: DeriveInput) -> Result<TokenStream, Error> {
    let no_fields = Fields::Unit;
    let fields = match &input.data {
        Data::Struct(data) => {
            refuse_packed(&input)?;
            &data.fields
        }
        Data::Enum(data) => {
            if let Some(variant) = data.variants.iter().find(|variant| !variant.fields.is_empty()) {
                let message = format!(
                    "`Trace` cannot be derived for an enum with fields: while the collector reads `{}::{}`, a mutator \
                     may store another variant, and its fields would be taken for references; use a struct whose \
                     references may be empty, with a field-less enum or a number that tells the cases apart",
                    input.ident, variant.ident,
                );
                return Err(Error::new_spanned(variant, message));
            }
            &no_fields
        }
        Data::Union(data) => {
            let message =
                "`Trace` cannot be derived for a union: nothing tells which of its fields is live; use a struct";
            return Err(Error::new(data.union_token.span, message));
        }
    };

    let may_hold = fields.iter().map(|field| {
        let ty = &field.ty;
        quote_spanned! { ty.span()=> <#ty as ::pagemark::Trace>::MAY_HOLD_REFERENCES }
    });
    let visits = fields.iter().enumerate().map(|(index, field)| {
        let span = field.ty.span();
        match &field.ident {
            Some(name) => quote_spanned! { span=> ::pagemark::Trace::trace(&self.#name, tracer); },
            None => {
                let index = Index { index: u32::try_from(index).unwrap_or(u32::MAX), span };
                quote_spanned! { span=> ::pagemark::Trace::trace(&self.#index, tracer); }
            }
        }
    });
    let tracer = if fields.is_empty() {
        quote! { _tracer }
    } else {
        quote! { tracer }
    };
    let body = quote! {
        const MAY_HOLD_REFERENCES: bool = false #(|| #may_hold)*;

        #[inline]
        fn trace(&self, #tracer: &mut ::pagemark::Tracer<'_>) {
            #(#visits)*
        }
    };

    let name = &input.ident;
    for parameter in input.generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(::pagemark::Trace));
    }
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    // Sound, because every field is visited, in a type that is neither an enum with fields nor a union nor packed.
    let trace = quote! {
        #[automatically_derived]
        #[allow(clippy::nonminimal_bool)]
        unsafe impl #impl_generics ::pagemark::Trace for #name #ty_generics #where_clause {
            #body
        }
    };
    let marker = quote_spanned! { name.span()=>
        #[automatically_derived]
        impl #impl_generics ::pagemark::__private::MustNotImplDrop for #name #ty_generics #where_clause {}
    };
    Ok(quote! { #trace #marker })
}

/// Fails at the word `packed` in any `#[repr(...)]`.
fn refuse_packed(input: &DeriveInput) -> Result<(), Error> {
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("repr")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("packed") {
                let message = "`Trace` cannot be derived for a packed struct: its references could straddle two words, \
                               which no mutator stores in one piece; remove `packed`";
                return Err(Error::new_spanned(&meta.path, message));
            }
            // `align(16)` and its like: what is in the parentheses is the compiler's to check.
            if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                content.parse::<TokenStream>()?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the expansion with the two implementations it must consist of, apart from the attributes all share.
    fn assert_expands(input: TokenStream, trace: TokenStream, marker: TokenStream) {
        let expected = quote! {
            #[automatically_derived]
            #[allow(clippy::nonminimal_bool)]
            #trace
            #[automatically_derived]
            #marker
        };
        assert_eq!(expand(input).to_string(), expected.to_string());
    }

    /// The expansion of something that is not refused.
    fn accepted(input: TokenStream) -> String {
        let expansion = expand(input).to_string();
        assert!(!expansion.contains("compile_error"), "{expansion}");
        expansion
    }

    /// The message of the one `compile_error!` the expansion consists of.
    fn refusal(input: TokenStream) -> String {
        let expansion = expand(input).to_string();
        assert!(expansion.contains("compile_error"), "{expansion}");
        assert!(!expansion.contains("impl"), "{expansion}");
        expansion
    }

    #[test]
    fn every_named_field_is_visited_in_order() {
        assert_expands(
            quote! {
                pub struct Pair { pub first: Field<Node>, count: u64 }
            },
            quote! {
                unsafe impl ::pagemark::Trace for Pair {
                    const MAY_HOLD_REFERENCES: bool = false
                        || <Field<Node> as ::pagemark::Trace>::MAY_HOLD_REFERENCES
                        || <u64 as ::pagemark::Trace>::MAY_HOLD_REFERENCES;
                    #[inline]
                    fn trace(&self, tracer: &mut ::pagemark::Tracer<'_>) {
                        ::pagemark::Trace::trace(&self.first, tracer);
                        ::pagemark::Trace::trace(&self.count, tracer);
                    }
                }
            },
            quote! { impl ::pagemark::__private::MustNotImplDrop for Pair {} },
        );
    }

    #[test]
    fn every_positional_field_is_visited_in_order() {
        assert_expands(
            quote! { struct Two(Field<A>, [Field<B>; 4]); },
            quote! {
                unsafe impl ::pagemark::Trace for Two {
                    const MAY_HOLD_REFERENCES: bool = false
                        || <Field<A> as ::pagemark::Trace>::MAY_HOLD_REFERENCES
                        || <[Field<B>; 4] as ::pagemark::Trace>::MAY_HOLD_REFERENCES;
                    #[inline]
                    fn trace(&self, tracer: &mut ::pagemark::Tracer<'_>) {
                        ::pagemark::Trace::trace(&self.0, tracer);
                        ::pagemark::Trace::trace(&self.1, tracer);
                    }
                }
            },
            quote! { impl ::pagemark::__private::MustNotImplDrop for Two {} },
        );
    }

    #[test]
    fn what_has_no_fields_holds_no_references() {
        for (item, name) in [
            (quote! { struct X; }, quote!(X)),
            (quote! { struct X {} }, quote!(X)),
            (quote! { struct X(); }, quote!(X)),
            (quote! { #[repr(u8)] enum X { A = 1, B, C } }, quote!(X)),
            (quote! { enum X { A(), B {} } }, quote!(X)),
            (quote! { enum X {} }, quote!(X)),
        ] {
            assert_expands(
                item,
                quote! {
                    unsafe impl ::pagemark::Trace for #name {
                        const MAY_HOLD_REFERENCES: bool = false;
                        #[inline]
                    fn trace(&self, _tracer: &mut ::pagemark::Tracer<'_>) {}
                    }
                },
                quote! { impl ::pagemark::__private::MustNotImplDrop for #name {} },
            );
        }
    }

    #[test]
    fn type_parameters_are_bounded_and_everything_else_about_generics_is_kept() {
        assert_expands(
            quote! {
                struct G<'a, T: Copy = u8, U, const N: usize>(Field<T>, [U; N], PhantomData<&'a ()>) where U: Clone;
            },
            quote! {
                unsafe impl<'a, T: Copy + ::pagemark::Trace, U: ::pagemark::Trace, const N: usize> ::pagemark::Trace
                    for G<'a, T, U, N> where U: Clone
                {
                    const MAY_HOLD_REFERENCES: bool = false
                        || <Field<T> as ::pagemark::Trace>::MAY_HOLD_REFERENCES
                        || <[U; N] as ::pagemark::Trace>::MAY_HOLD_REFERENCES
                        || <PhantomData<&'a ()> as ::pagemark::Trace>::MAY_HOLD_REFERENCES;
                    #[inline]
                    fn trace(&self, tracer: &mut ::pagemark::Tracer<'_>) {
                        ::pagemark::Trace::trace(&self.0, tracer);
                        ::pagemark::Trace::trace(&self.1, tracer);
                        ::pagemark::Trace::trace(&self.2, tracer);
                    }
                }
            },
            quote! {
                impl<'a, T: Copy + ::pagemark::Trace, U: ::pagemark::Trace, const N: usize>
                    ::pagemark::__private::MustNotImplDrop for G<'a, T, U, N> where U: Clone {}
            },
        );
    }

    #[test]
    fn raw_names_stay_raw() {
        let text = accepted(quote! { struct r#Type { r#type: u8 } });
        assert!(text.contains("for r#Type") && text.contains("self . r#type"), "{text}");
    }

    #[test]
    fn an_enum_with_fields_is_refused_by_its_first_such_variant() {
        for variant in [quote! { Cons(Field<A>) }, quote! { Cons { head: u8 } }] {
            let message = refusal(quote! { enum List { Nil, #variant, Other(u8) } });
            assert!(message.contains("enum with fields") && message.contains("List::Cons"), "{message}");
            assert!(message.contains("use a struct"), "{message}");
        }
    }

    #[test]
    fn a_union_is_refused() {
        let message = refusal(quote! { union U { a: u8, b: u16 } });
        assert!(message.contains("derived for a union"), "{message}");
    }

    #[test]
    fn a_packed_struct_is_refused_and_other_representations_are_not() {
        for repr in [quote!(packed), quote!(packed(2)), quote!(C, packed), quote!(align(16), packed)] {
            let message = refusal(quote! { #[repr(#repr)] struct P { a: u8 } });
            assert!(message.contains("packed struct"), "{message}");
        }
        for repr in [quote!(C), quote!(transparent), quote!(C, align(16)), quote!(align(8), C)] {
            accepted(quote! { #[repr(#repr)] struct P { a: u8 } });
        }
    }

    #[test]
    fn what_is_not_a_type_is_refused() {
        refusal(quote! { fn f() {} });
        refusal(quote! {});
    }
}
