//! What crate `userfaultfd` 0.9 needs of `<linux/userfaultfd.h>`.
//!
//! The crate of this name as published runs bindgen on the header of the machine that builds it, so it wants libclang
//! and a C compiler, and its contents depend on how old that header is. This one takes the same structures from
//! `linux-raw-sys`, which carries them generated, and gives the constants the integer types the original's
//! bindgen callbacks give them: `userfaultfd` matches on events as `u8` and combines features and modes as `u64`.
//!
//! The cargo features are the original's. They say which kernel's header an item came with; an item of a later
//! kernel is absent unless its feature is on, so that a program which builds here builds with the original too.
//!
//! Only 64-bit Linux is meant: `uffd_msg` is 32 bytes there, and the ioctl numbers, which contain sizes, are those the
//! tests below write out.

#![no_std]
#![allow(non_upper_case_globals)]

use linux_raw_sys::{general, ioctl};

#[cfg(feature = "linux5_13")]
pub use general::uffdio_continue;
#[cfg(feature = "linux5_7")]
pub use general::uffdio_writeprotect;
pub use general::{
    uffd_msg, uffdio_api, uffdio_copy, uffdio_range, uffdio_register, uffdio_zeropage, UFFD_USER_MODE_ONLY,
    USERFAULTFD_IOC,
};
#[cfg(feature = "linux5_13")]
pub use ioctl::UFFDIO_CONTINUE;
#[cfg(feature = "linux5_7")]
pub use ioctl::UFFDIO_WRITEPROTECT;
pub use ioctl::{UFFDIO_API, UFFDIO_COPY, UFFDIO_REGISTER, UFFDIO_UNREGISTER, UFFDIO_WAKE, UFFDIO_ZEROPAGE};

/// Re-exports constants of `linux-raw-sys`, which types every one `u32`, with the type the original crate gives them.
macro_rules! typed {
    ($ty:ty: $($(#[$attr:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$attr])*
            #[doc = concat!("`", stringify!($name), "` of `<linux/userfaultfd.h>`.")]
            pub const $name: $ty = general::$name as $ty;
        )+
    };
}

typed!(u8: UFFDIO, UFFD_EVENT_PAGEFAULT, UFFD_EVENT_FORK, UFFD_EVENT_REMAP, UFFD_EVENT_REMOVE, UFFD_EVENT_UNMAP);

typed!(u64:
    UFFD_API,
    _UFFDIO_REGISTER,
    _UFFDIO_UNREGISTER,
    _UFFDIO_WAKE,
    _UFFDIO_COPY,
    _UFFDIO_ZEROPAGE,
    _UFFDIO_API,
    #[cfg(feature = "linux5_7")]
    _UFFDIO_WRITEPROTECT,
    #[cfg(feature = "linux5_13")]
    _UFFDIO_CONTINUE,
    UFFD_PAGEFAULT_FLAG_WRITE,
    UFFD_PAGEFAULT_FLAG_WP,
    #[cfg(feature = "linux5_13")]
    UFFD_PAGEFAULT_FLAG_MINOR,
    UFFD_FEATURE_PAGEFAULT_FLAG_WP,
    UFFD_FEATURE_EVENT_FORK,
    UFFD_FEATURE_EVENT_REMAP,
    UFFD_FEATURE_EVENT_REMOVE,
    UFFD_FEATURE_MISSING_HUGETLBFS,
    UFFD_FEATURE_MISSING_SHMEM,
    UFFD_FEATURE_EVENT_UNMAP,
    #[cfg(feature = "linux4_14")]
    UFFD_FEATURE_SIGBUS,
    #[cfg(feature = "linux4_14")]
    UFFD_FEATURE_THREAD_ID,
    UFFDIO_REGISTER_MODE_MISSING,
    UFFDIO_REGISTER_MODE_WP,
    #[cfg(feature = "linux5_13")]
    UFFDIO_REGISTER_MODE_MINOR,
    UFFDIO_COPY_MODE_DONTWAKE,
    UFFDIO_COPY_MODE_WP,
    UFFDIO_ZEROPAGE_MODE_DONTWAKE,
);

/// Protects the range; without it the ioctl removes the protection. (`linux-raw-sys` lacks the modes of this ioctl
/// and the next, whose values the header casts.)
#[cfg(feature = "linux5_7")]
pub const UFFDIO_WRITEPROTECT_MODE_WP: u64 = 1 << 0;
/// Leaves threads that wait on the range asleep.
#[cfg(feature = "linux5_7")]
pub const UFFDIO_WRITEPROTECT_MODE_DONTWAKE: u64 = 1 << 1;
/// Leaves threads that wait on the range asleep.
#[cfg(feature = "linux5_13")]
pub const UFFDIO_CONTINUE_MODE_DONTWAKE: u64 = 1 << 0;

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{offset_of, size_of};

    #[test]
    fn structures_have_the_sizes_the_kernel_reads_and_writes() {
        assert_eq!(size_of::<uffd_msg>(), 32);
        assert_eq!(size_of::<uffdio_api>(), 24);
        assert_eq!(size_of::<uffdio_range>(), 16);
        assert_eq!(size_of::<uffdio_register>(), 32);
        assert_eq!(size_of::<uffdio_copy>(), 40);
        assert_eq!(size_of::<uffdio_zeropage>(), 32);
        #[cfg(feature = "linux5_7")]
        assert_eq!(size_of::<uffdio_writeprotect>(), 24);
        #[cfg(feature = "linux5_13")]
        assert_eq!(size_of::<uffdio_continue>(), 32);
    }

    #[test]
    fn a_message_is_read_where_the_kernel_put_it() {
        assert_eq!(offset_of!(uffd_msg, event), 0);
        assert_eq!(offset_of!(uffd_msg, arg), 8);
        let mut bytes = [0u8; 32];
        bytes[0] = 0x12;
        bytes[8..16].copy_from_slice(&3u64.to_ne_bytes());
        bytes[16..24].copy_from_slice(&0x7000_1000u64.to_ne_bytes());
        bytes[24..28].copy_from_slice(&4711u32.to_ne_bytes());
        // SAFETY: uffd_msg is 32 bytes of integers, valid for every bit pattern.
        let msg: uffd_msg = unsafe { core::mem::transmute(bytes) };
        assert_eq!(msg.event, UFFD_EVENT_PAGEFAULT);
        // SAFETY: every member of the union is made of integers, valid for every bit pattern.
        let pagefault = unsafe { msg.arg.pagefault };
        assert_eq!(pagefault.flags, UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
        assert_eq!(pagefault.address, 0x7000_1000);
        // SAFETY: as above.
        assert_eq!(unsafe { pagefault.feat.ptid }, 4711);
        // SAFETY: as above.
        assert_eq!(unsafe { msg.arg.remap.to }, 0x7000_1000);
        // SAFETY: as above.
        assert_eq!(unsafe { msg.arg.fork.ufd }, 3);
        // SAFETY: as above.
        assert_eq!(unsafe { msg.arg.remove.end }, 0x7000_1000);
    }

    #[test]
    fn ioctl_numbers_are_those_of_the_header() {
        assert_eq!(UFFDIO_API, 0xc018_aa3f);
        assert_eq!(UFFDIO_REGISTER, 0xc020_aa00);
        assert_eq!(UFFDIO_UNREGISTER, 0x8010_aa01);
        assert_eq!(UFFDIO_WAKE, 0x8010_aa02);
        assert_eq!(UFFDIO_COPY, 0xc028_aa03);
        assert_eq!(UFFDIO_ZEROPAGE, 0xc020_aa04);
        #[cfg(feature = "linux5_7")]
        assert_eq!(UFFDIO_WRITEPROTECT, 0xc018_aa06);
        #[cfg(feature = "linux5_13")]
        assert_eq!(UFFDIO_CONTINUE, 0xc020_aa07);
    }

    #[test]
    fn constants_have_the_values_and_types_of_the_original_crate() {
        let bytes: [(u8, u8); 6] = [
            (UFFDIO, 0xaa),
            (UFFD_EVENT_PAGEFAULT, 0x12),
            (UFFD_EVENT_FORK, 0x13),
            (UFFD_EVENT_REMAP, 0x14),
            (UFFD_EVENT_REMOVE, 0x15),
            (UFFD_EVENT_UNMAP, 0x16),
        ];
        let words: [(u64, u64); 21] = [
            (UFFD_API, 0xaa),
            (_UFFDIO_REGISTER, 0),
            (_UFFDIO_UNREGISTER, 1),
            (_UFFDIO_WAKE, 2),
            (_UFFDIO_COPY, 3),
            (_UFFDIO_ZEROPAGE, 4),
            (_UFFDIO_API, 0x3f),
            (UFFD_PAGEFAULT_FLAG_WRITE, 1),
            (UFFD_PAGEFAULT_FLAG_WP, 2),
            (UFFD_FEATURE_PAGEFAULT_FLAG_WP, 1),
            (UFFD_FEATURE_EVENT_FORK, 1 << 1),
            (UFFD_FEATURE_EVENT_REMAP, 1 << 2),
            (UFFD_FEATURE_EVENT_REMOVE, 1 << 3),
            (UFFD_FEATURE_MISSING_HUGETLBFS, 1 << 4),
            (UFFD_FEATURE_MISSING_SHMEM, 1 << 5),
            (UFFD_FEATURE_EVENT_UNMAP, 1 << 6),
            (UFFDIO_REGISTER_MODE_MISSING, 1),
            (UFFDIO_REGISTER_MODE_WP, 2),
            (UFFDIO_COPY_MODE_DONTWAKE, 1),
            (UFFDIO_COPY_MODE_WP, 2),
            (UFFDIO_ZEROPAGE_MODE_DONTWAKE, 1),
        ];
        assert!(bytes.iter().all(|(is, must)| is == must));
        assert!(words.iter().all(|(is, must)| is == must));
        assert_eq!(USERFAULTFD_IOC, 0xaau32);
        assert_eq!(UFFD_USER_MODE_ONLY, 1u32);
    }

    #[test]
    #[cfg(feature = "linux5_13")]
    fn constants_of_later_kernels_have_their_values() {
        let words: [(u64, u64); 9] = [
            (UFFD_FEATURE_SIGBUS, 1 << 7),
            (UFFD_FEATURE_THREAD_ID, 1 << 8),
            (_UFFDIO_WRITEPROTECT, 6),
            (UFFDIO_WRITEPROTECT_MODE_WP, 1),
            (UFFDIO_WRITEPROTECT_MODE_DONTWAKE, 2),
            (_UFFDIO_CONTINUE, 7),
            (UFFDIO_REGISTER_MODE_MINOR, 4),
            (UFFDIO_CONTINUE_MODE_DONTWAKE, 1),
            (UFFD_PAGEFAULT_FLAG_MINOR, 4),
        ];
        assert!(words.iter().all(|(is, must)| is == must));
    }
}
