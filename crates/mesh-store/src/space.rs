//! The catalogue of all key spaces.
//!
//! Every key that a MESH server stores lives in exactly one of these spaces. Integers in keys are big-endian, so that byte order is
//! numeric order. A number, once used, is never used for anything else: it is part of the stored format.

/// Declares the spaces once: the enum, the list and the stable names come from the same lines.
macro_rules! spaces {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $label:literal;)*) => {
        /// One ordered key space. See each variant for its key and value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Space { $($(#[$doc])* $name = $number,)* }

        impl Space {
            /// All spaces, in the order of their numbers.
            pub const ALL: &'static [Space] = &[$(Space::$name),*];

            /// The stable name, used for files on disk and in messages.
            pub const fn name(self) -> &'static str { match self { $(Space::$name => $label),* } }
        }
    };
}

spaces! {
    /// Facts about the store itself. `name` → bytes.
    Meta = 0, "meta";
}
