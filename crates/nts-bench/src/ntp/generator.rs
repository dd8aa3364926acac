//! One thread of load: sockets, requests out, answers in.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};

use super::requests::{Fault, Requests};

/// Datagrams in one system call.
const BATCH: usize = 64;

/// Longest answer that is read.
const LONGEST: usize = 2048;

/// After so long without an answer, those that are missing are taken for lost.
const PATIENCE: Duration = Duration::from_millis(100);

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many are on their way per socket; each answer lets the next one go.
    Closed(usize),
    /// One after the other with this time between them, whatever comes back.
    Every(Duration),
}

/// What a thread saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) wrong: u64,
    /// One of the things that were wrong.
    pub(super) fault: Option<Fault>,
}

impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.wrong += other.wrong;
        self.fault = self.fault.or(other.fault);
    }
}

/// One thread's sockets, each connected to the server from a port of its own.
pub(super) struct Generator<'r> {
    requests: &'r Requests,
    verify_every: u64,
    sockets: Vec<UdpSocket>,
    inbox: MultiHeaders<()>,
    outbox: MultiHeaders<()>,
    buffers: Box<[[u8; LONGEST]; BATCH]>,
    next: usize,
    seen: Seen,
}

impl<'r> Generator<'r> {
    /// Opens the sockets. Of the answers each `verify_every`th is verified with NTS and all, the
    /// others by their header.
    ///
    /// # Errors
    /// If a socket cannot be had.
    pub(super) fn new(
        requests: &'r Requests,
        server: SocketAddr,
        sockets: usize,
        verify_every: u64,
    ) -> std::io::Result<Self> {
        let open = || {
            let any: SocketAddr = match server {
                SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                SocketAddr::V6(_) => ([0; 16], 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        };
        Ok(Self {
            requests,
            verify_every,
            sockets: (0..sockets)
                .map(|_| open())
                .collect::<std::io::Result<_>>()?,
            inbox: MultiHeaders::preallocate(BATCH, None),
            outbox: MultiHeaders::preallocate(BATCH, None),
            buffers: Box::new([[0; LONGEST]; BATCH]),
            next: 0,
            seen: Seen::default(),
        })
    }

    /// Makes load until `end`, then waits for the last answers.
    ///
    /// # Errors
    /// What the kernel says, but for servers that are not there.
    pub(super) fn run(&mut self, pace: Pace, end: Instant) -> Result<Seen, Errno> {
        match pace {
            Pace::Closed(window) => self.closed(window.min(BATCH), end)?,
            Pace::Every(pause) => self.paced(pause, end)?,
        }
        self.last_answers()?;
        Ok(std::mem::take(&mut self.seen))
    }

    fn closed(&mut self, window: usize, end: Instant) -> Result<(), Errno> {
        let mut missing = vec![window; self.sockets.len()];
        while Instant::now() < end {
            for (socket, missing) in missing.iter_mut().enumerate() {
                self.send(socket, *missing)?;
            }
            for (socket, missing) in missing.iter_mut().enumerate() {
                // None within the time: all that were on their way are lost.
                *missing = self.receive(socket, MsgFlags::MSG_WAITFORONE)?;
                if *missing == 0 {
                    *missing = window;
                }
            }
        }
        Ok(())
    }

    fn paced(&mut self, pause: Duration, end: Instant) -> Result<(), Errno> {
        let mut due = Instant::now();
        let mut socket = 0;
        while due < end {
            // Sleeping would bunch the requests together.
            while Instant::now() < due {
                self.receive(socket, MsgFlags::MSG_DONTWAIT)?;
            }
            self.send(socket, 1)?;
            socket = (socket + 1) % self.sockets.len();
            due += pause;
        }
        Ok(())
    }

    /// Waits for what is still missing.
    fn last_answers(&mut self) -> Result<(), Errno> {
        let patience = Instant::now() + PATIENCE;
        while self.seen.sent > self.seen.answered + self.seen.wrong && Instant::now() < patience {
            for socket in 0..self.sockets.len() {
                self.receive(socket, MsgFlags::MSG_DONTWAIT)?;
            }
        }
        Ok(())
    }

    /// Sends so many requests from a socket.
    fn send(&mut self, socket: usize, count: usize) -> Result<(), Errno> {
        let (requests, first) = (self.requests, self.next);
        let slices: [[IoSlice<'_>; 1]; BATCH] =
            std::array::from_fn(|i| [IoSlice::new(requests.datagram(first + i))]);
        let fd = self.sockets[socket].as_raw_fd();
        let flags = MsgFlags::empty();
        let slices = slices[..count].iter();
        let sent = match sendmmsg(fd, &mut self.outbox, slices, [None; BATCH], [], flags) {
            Ok(sent) => sent.count(),
            Err(Errno::ECONNREFUSED | Errno::EINTR) => 0,
            Err(error) => return Err(error),
        };
        self.next += sent;
        self.seen.sent += sent as u64;
        Ok(())
    }

    /// Receives what is there and judges it; gives the number of datagrams.
    fn receive(&mut self, socket: usize, flags: MsgFlags) -> Result<usize, Errno> {
        let fd = self.sockets[socket].as_raw_fd();
        let mut slices = self.buffers.each_mut().map(|it| [IoSliceMut::new(it)]);
        let results = match recvmmsg(fd, &mut self.inbox, slices.iter_mut(), flags, None) {
            Ok(results) => results,
            Err(Errno::EAGAIN | Errno::ECONNREFUSED | Errno::EINTR) => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut count = 0;
        for message in results {
            count += 1;
            let answer = message.iovs().next().unwrap_or_default();
            let thoroughly = self.seen.answered.is_multiple_of(self.verify_every);
            match self.requests.judge(answer, thoroughly) {
                Ok(()) => self.seen.answered += 1,
                Err(fault) => {
                    self.seen.wrong += 1;
                    self.seen.fault = Some(fault);
                }
            }
        }
        Ok(count)
    }
}
