//! Writes a packet into a lent buffer, from front to back, and never past its end.

use super::extension::FIELD_HEADER_LENGTH;
use super::header::{HEADER_LENGTH, Header};
use crate::code_points::ExtensionFieldType;

/// The packet does not fit the buffer, or a field does not fit its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packet does not fit")]
pub(crate) struct NoRoom;

/// A packet in the making. The header's place is kept free from the start and filled in when
/// [`PacketWriter::set_header`] is called.
pub(crate) struct PacketWriter<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> PacketWriter<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Result<Self, NoRoom> {
        if buffer.len() < HEADER_LENGTH {
            return Err(NoRoom);
        }
        Ok(Self {
            buffer,
            length: HEADER_LENGTH,
        })
    }

    /// Octets written so far, the header included.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Octets that can still be written.
    pub(crate) fn room(&self) -> usize {
        self.buffer.len() - self.length
    }

    pub(crate) fn set_header(&mut self, header: &Header) {
        if let Some(place) = self.buffer.first_chunk_mut() {
            *place = header.to_bytes();
        }
    }

    /// The next `count` octets, to be filled by the caller. What stands there is arbitrary.
    pub(crate) fn claim(&mut self, count: usize) -> Result<&mut [u8], NoRoom> {
        let end = self.length.checked_add(count).ok_or(NoRoom)?;
        let place = self.buffer.get_mut(self.length..end).ok_or(NoRoom)?;
        self.length = end;
        Ok(place)
    }

    /// Appends octets.
    pub(crate) fn put(&mut self, octets: &[u8]) -> Result<(), NoRoom> {
        self.claim(octets.len())?.copy_from_slice(octets);
        Ok(())
    }

    /// Starts a field whose value has `length` octets after padding; the caller writes them.
    pub(crate) fn put_field_header(
        &mut self,
        field_type: ExtensionFieldType,
        value_length: usize,
    ) -> Result<(), NoRoom> {
        let length = u16::try_from(FIELD_HEADER_LENGTH + value_length).map_err(|_| NoRoom)?;
        self.put(&field_type.code().to_be_bytes())?;
        self.put(&length.to_be_bytes())
    }

    /// Appends a field, padded with zeros to a multiple of 4.
    pub(crate) fn put_field(
        &mut self,
        field_type: ExtensionFieldType,
        value: &[u8],
    ) -> Result<(), NoRoom> {
        let padded = value.len().next_multiple_of(4);
        self.put_field_header(field_type, padded)?;
        self.put(value)?;
        self.claim(padded - value.len())?.fill(0);
        Ok(())
    }

    /// Splits what is written into the octets before `position` and those from there on.
    pub(crate) fn split_written(&mut self, position: usize) -> Option<(&mut [u8], &mut [u8])> {
        self.buffer
            .get_mut(..self.length)?
            .split_at_mut_checked(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::NtpTimestamp;

    #[test]
    fn fields_are_padded_with_zeros() {
        let mut buffer = [0xff; 64];
        let mut writer = PacketWriter::new(&mut buffer).unwrap();
        writer
            .put_field(ExtensionFieldType::NtsCookie, &[1, 2, 3, 4, 5])
            .unwrap();
        assert_eq!((writer.len(), writer.room()), (60, 4));
        assert_eq!(buffer[48..60], [0x02, 0x04, 0, 12, 1, 2, 3, 4, 5, 0, 0, 0]);
    }

    #[test]
    fn nothing_is_written_past_the_end() {
        assert_eq!(PacketWriter::new(&mut [0; 47]).err(), Some(NoRoom));
        let mut buffer = [0; 52];
        let mut writer = PacketWriter::new(&mut buffer).unwrap();
        assert_eq!(writer.put(&[0; 5]), Err(NoRoom));
        assert_eq!(writer.claim(usize::MAX).err(), Some(NoRoom));
        assert_eq!(writer.put(&[1; 4]), Ok(()));
        assert_eq!(
            writer.put_field_header(ExtensionFieldType::NtsCookie, 0x1_0000),
            Err(NoRoom)
        );
        assert_eq!(writer.len(), 52);
    }

    #[test]
    fn the_header_goes_to_the_front() {
        let mut buffer = [0xff; 52];
        let mut writer = PacketWriter::new(&mut buffer).unwrap();
        writer.put(&[1; 4]).unwrap();
        let header = Header::request(NtpTimestamp::from_bits(5));
        writer.set_header(&header);
        assert_eq!(buffer[..48], header.to_bytes());
        assert_eq!(buffer[48..], [1; 4]);
    }
}
