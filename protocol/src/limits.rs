//! Every limit of this crate, each with its reason.

/// How deep structures may nest. The deepest message of the specification needs 9; a recursion of 32 is
/// far from any stack's end.
pub const DEPTH: u8 = 32;

/// How many fields of one structure may stand out of the specification's order. Some clients swap a few;
/// looking them up costs time in the square of their number.
pub const OUT_OF_ORDER: usize = 16;

/// The longest message that a peer has to take, in bytes: a batch of 1,000 decryptions is half of it.
pub const MESSAGE: usize = 1 << 20;

/// How much of a name that means nothing an error repeats, in characters.
pub const NAME_SHOWN: usize = 60;

/// The most batch items in one message.
pub const BATCH: usize = 1_000;
