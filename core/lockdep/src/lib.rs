//! A lock validator with the semantics of Linux 6.12's lockdep.
