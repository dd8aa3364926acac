//! Headers of the PROXY protocol: never an octet too many is read, and nothing makes it wait for what
//! is there.
#![no_main]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use nts_service::proxy_protocol::{MAX_LENGTH, UniqueId, read_header};

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let outcome = {
        let reading = pin!(read_header(&mut rest));
        match reading.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("all octets were there"),
        }
    };
    let read = data.len() - rest.len();
    assert!(read <= 16 + MAX_LENGTH);
    let Ok(forwarded) = outcome else {
        return;
    };
    let length = usize::from(u16::from_be_bytes([data[14], data[15]]));
    assert_eq!(read, 16 + length);
    if forwarded.health_check {
        assert!(forwarded.user.is_none() && forwarded.unique_id.is_none());
    }
    if let Some(id) = forwarded.unique_id {
        let shown = id.to_string();
        assert!(shown.len() <= 2 * UniqueId::MAX_LENGTH && shown.is_ascii());
    }
});
