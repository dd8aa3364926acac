//! Many datagrams in one system call, in (`recvmmsg`) and out (`sendmmsg`).
//!
//! Everything is allocated when a thread starts. Answers leave from the address that was asked
//! (protocol.md's "from the address and port that were asked"): where the socket listens on every
//! address they are sent in runs that have that address in common. What never happens here:
//! looking into a datagram.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, MultiResults, SockaddrIn,
    SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg,
};
use nix::sys::time::TimeSpec;

use super::socket::ServerSocket;

/// Datagrams in one system call.
pub(super) const BATCH: usize = 32;

/// The longest request that is read. One with NTS and 8 cookies of the longest kind has 1500.
pub(super) const LONGEST: usize = 2048;

type Buffers = Box<[[u8; LONGEST]; BATCH]>;

fn buffers() -> Buffers {
    Box::new([[0; LONGEST]; BATCH])
}

/// Addresses of one family, as the kernel writes them.
pub(super) trait Address: SockaddrLike + Copy + Into<SocketAddr> {
    /// Control data that names an address of ours.
    fn control_space() -> Vec<u8>;
}

impl Address for SockaddrIn {
    fn control_space() -> Vec<u8> {
        cmsg_space!(in_pktinfo)
    }
}

impl Address for SockaddrIn6 {
    fn control_space() -> Vec<u8> {
        cmsg_space!(in6_pktinfo)
    }
}

/// The address of ours that a datagram was sent to, and for IPv6 the interface.
#[derive(Clone, Copy, Debug)]
pub(super) enum LocalAddress {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl LocalAddress {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::V4(a), Self::V4(b)) => a.ipi_spec_dst.s_addr == b.ipi_spec_dst.s_addr,
            (Self::V6(a), Self::V6(b)) => {
                (a.ipi6_addr.s6_addr, a.ipi6_ifindex) == (b.ipi6_addr.s6_addr, b.ipi6_ifindex)
            }
            _ => false,
        }
    }

    fn control(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

/// A datagram as it was received.
#[derive(Debug)]
pub(super) struct Datagram<'a, A> {
    /// Its octets, as far as they were read.
    pub(super) octets: &'a [u8],
    /// Whether it was longer.
    pub(super) truncated: bool,
    /// When the kernel received it, if it says so (`CLOCK_REALTIME`).
    pub(super) received: Option<TimeSpec>,
    /// Where the answer goes.
    pub(super) sender: Sender<A>,
}

/// Who sent a datagram, and to which address of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<A> {
    pub(super) from: A,
    to: Option<LocalAddress>,
}

/// Room for a batch of requests.
#[derive(Debug)]
pub(super) struct Inbox<A> {
    headers: MultiHeaders<A>,
    buffers: Buffers,
}

impl<A: Address> Inbox<A> {
    pub(super) fn new() -> Self {
        let control = cmsg_space!(TimeSpec, in6_pktinfo);
        Self {
            headers: MultiHeaders::preallocate(BATCH, Some(control)),
            buffers: buffers(),
        }
    }

    /// Waits for a datagram, and gives `handle` those that are there.
    ///
    /// # Errors
    /// What the kernel reports; `EAGAIN` and `EINTR` are a wait that ended without a datagram.
    pub(super) fn receive<T>(
        &mut self,
        socket: &ServerSocket,
        handle: impl FnOnce(Batch<'_, A>) -> T,
    ) -> Result<T, Errno> {
        let mut slices = self.buffers.each_mut().map(|it| [IoSliceMut::new(it)]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let results = recvmmsg(
            socket.raw(),
            &mut self.headers,
            slices.iter_mut(),
            flags,
            None,
        )?;
        Ok(handle(Batch(results)))
    }
}

/// The datagrams of one system call.
pub(super) struct Batch<'a, A>(MultiResults<'a, A>);

impl<'a, A: Address> Iterator for Batch<'a, A> {
    type Item = Datagram<'a, A>;

    fn next(&mut self) -> Option<Datagram<'a, A>> {
        let message = self.0.next()?;
        let (mut received, mut to) = (None, None);
        // Control data that was cut can only be missing data.
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::ScmTimestampns(time) => received = Some(time),
                ControlMessageOwned::Ipv4PacketInfo(mut info) => {
                    // The way back may be another interface.
                    info.ipi_ifindex = 0;
                    to = Some(LocalAddress::V4(info));
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => to = Some(LocalAddress::V6(info)),
                _ => {}
            }
        }
        Some(Datagram {
            octets: message.iovs().next().unwrap_or_default(),
            truncated: message.flags.contains(MsgFlags::MSG_TRUNC),
            received,
            sender: Sender {
                from: message.address?,
                to,
            },
        })
    }
}

/// Answers that are ready to be sent.
#[derive(Debug)]
pub(super) struct Outbox<A> {
    /// For answers from an address that must be named.
    named: MultiHeaders<A>,
    /// For answers from the only address that the socket has.
    unnamed: MultiHeaders<A>,
    buffers: Buffers,
    lengths: [usize; BATCH],
    recipients: [Option<A>; BATCH],
    from: Option<LocalAddress>,
    waiting: usize,
}

impl<A: Address> Outbox<A> {
    pub(super) fn new() -> Self {
        Self {
            named: MultiHeaders::preallocate(BATCH, Some(A::control_space())),
            unnamed: MultiHeaders::preallocate(BATCH, None),
            buffers: buffers(),
            lengths: [0; BATCH],
            recipients: [None; BATCH],
            from: None,
            waiting: 0,
        }
    }

    /// Whether an answer to `sender` can wait together with those that wait.
    pub(super) fn fits(&self, sender: &Sender<A>) -> bool {
        let same = match (&self.from, &sender.to) {
            (Some(a), Some(b)) => a.is(b),
            (None, None) => true,
            _ => false,
        };
        self.waiting == 0 || (same && self.waiting < BATCH)
    }

    /// Lets `write` write an answer to `sender`, which must [fit](Self::fits), and give its length.
    pub(super) fn put(
        &mut self,
        sender: &Sender<A>,
        write: impl FnOnce(&mut [u8; LONGEST]) -> Option<usize>,
    ) {
        let Some(buffer) = self.buffers.get_mut(self.waiting) else {
            return;
        };
        let Some(length) = write(buffer) else { return };
        if let Some(place) = self.lengths.get_mut(self.waiting) {
            *place = length;
        }
        if let Some(place) = self.recipients.get_mut(self.waiting) {
            *place = Some(sender.from);
        }
        self.from = sender.to;
        self.waiting += 1;
    }

    /// Sends what waits; nothing waits for a kernel that is busy. Gives the number of answers that
    /// it did not take, with the last reason.
    pub(super) fn send(&mut self, socket: &ServerSocket) -> (u64, Option<Errno>) {
        let (mut failed, mut reason) = (0, None);
        let mut next = 0;
        while next < self.waiting {
            match self.send_from(socket, next) {
                Ok(sent) => next += sent.max(1),
                Err(error) => {
                    (failed, reason) = (failed + 1, Some(error));
                    next += 1;
                }
            }
        }
        self.waiting = 0;
        (failed, reason)
    }

    /// Sends from the given answer on, up to the first that the kernel does not take.
    fn send_from(&mut self, socket: &ServerSocket, first: usize) -> Result<usize, Errno> {
        let mut lengths = self.lengths.iter();
        let slices = self.buffers.each_ref().map(|buffer| {
            let length = lengths.next().copied().unwrap_or_default();
            [IoSlice::new(buffer.get(..length).unwrap_or_default())]
        });
        let range = first..self.waiting;
        let (slices, recipients) = (
            slices.get(range.clone()).unwrap_or_default(),
            self.recipients.get(range).unwrap_or_default(),
        );
        let control = self.from.as_ref().map(LocalAddress::control);
        let headers = match control {
            Some(_) => &mut self.named,
            None => &mut self.unnamed,
        };
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(
            socket.raw(),
            headers,
            slices,
            recipients,
            control.as_slice(),
            flags,
        )?;
        Ok(sent.count())
    }
}

#[cfg(test)]
mod tests;
