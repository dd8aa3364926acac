//! What a connection costs before its peer has said anything.

use super::super::farewell::Farewell;
use super::super::life::Newcomer;
use super::*;

#[tokio::test]
async fn a_silent_connection_costs_neither_its_handler_nor_the_buffer_of_a_header() {
    let ((stream, peer), _user) = pair().await;
    let (_trigger, shutdown) = shutdown::channel();
    let gate = gate();
    let accepted = Instant::now();
    let admitted = gate.admit(peer.ip(), accepted).unwrap();
    let newcomer = Newcomer {
        stream,
        peer,
        accepted,
        limits: with_first_byte(),
        shutdown: shutdown.clone(),
        cut: shutdown,
        farewell: Farewell::behind(gate),
    };
    let handler = |_| async {
        let buffer = [0_u8; 10_000];
        pending::<()>().await;
        std::hint::black_box(buffer);
    };
    let life = newcomer.serve(admitted, &handler);
    let octets = std::mem::size_of_val(&life);
    assert!(octets < 2048, "{octets} octets");
}
