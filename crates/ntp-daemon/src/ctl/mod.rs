//! What `ntp-ctl` does: `validate` and `status`.
