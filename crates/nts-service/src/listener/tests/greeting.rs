//! Peers that have sent something, but not what makes users of them.

use super::*;

#[tokio::test]
async fn who_does_not_complete_his_greeting_makes_room() {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let stats = stats();
    let alive = Arc::new(AtomicUsize::new(0));
    let (begin, mut begun) = mpsc::unbounded_channel();
    let handler = {
        let alive = alive.clone();
        move |mut connection: Connection| {
            let (alive, begin) = (Alive::new(&alive), begin.clone());
            async move {
                let _alive = alive;
                connection.lease.await_greeting();
                begin.send(()).unwrap();
                connection.stream.read_exact(&mut [0; 2]).await.unwrap();
                assert!(connection.lease.greeted());
                connection.stream.write_all(b"hello").await.unwrap();
                connection.stream.read_exact(&mut [0]).await.unwrap();
                connection.stream.write_all(b"bye").await.unwrap();
            }
        }
    };
    let limits = with_first_byte();
    let serving = serve(listener, gate(), limits, shutdown, stats.clone(), handler);
    let served = tokio::spawn(serving);
    let mut greeted = TcpStream::connect(address).await.unwrap();
    greeted.write_all(b"ab").await.unwrap();
    greeted.read_exact(&mut [0; 5]).await.unwrap();
    begun.recv().await.unwrap();
    // One octet and nothing more: each newcomer takes the place of the one before him.
    let mut hesitant = None;
    for _ in 0..10 {
        let mut newcomer = TcpStream::connect(address).await.unwrap();
        newcomer.write_all(b"a").await.unwrap();
        begun.recv().await.unwrap();
        if let Some(mut before) = hesitant.replace(newcomer) {
            assert_eq!(before.read(&mut [0]).await.unwrap(), 0);
        }
    }
    assert_eq!(stats.limited(LimitReason::Global).get(), 9);
    greeted.write_all(b"x").await.unwrap();
    greeted.read_exact(&mut [0; 3]).await.unwrap();
    drop(hesitant);
    trigger.fire();
    served.await.unwrap();
    assert_eq!((alive.load(SeqCst), open(&stats)), (0, 0.0));
}
