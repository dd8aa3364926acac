//! The cookie keys in use, their rotation and their file.
