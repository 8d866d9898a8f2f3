//! The file system as a seam.
