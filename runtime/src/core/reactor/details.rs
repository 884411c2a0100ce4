//! What people want to know of a source: its descriptor and its addresses.
//!
//! Facts. The loop knows a source by a number, and a person knows a socket by its peer. To ask the kernel for an address is
//! a system call, and to keep it takes memory. So a source is asked only in a loop that is watched.
//!
//! What it does not know: sockets.

/// What a source says of itself, for traces and other views of the loop. What is not known is left out.
///
/// ```
/// let details = roundel::source::Details { descriptor: Some(9), ..Default::default() };
/// assert_eq!(details.peer, None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The number of its descriptor.
    pub descriptor: Option<i32>,
    /// Its own address.
    pub local: Option<String>,
    /// The address of its peer.
    pub peer: Option<String>,
}
