//! How the programs end: exit codes after sysexits(3), as unit files refer to them.

use std::process;

/// Why a program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// All went well.
    Success = 0,
    /// A check found a problem, or a service could not be reached.
    Failure = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// Something that cannot be recovered from: a socket, the clock, a defect.
    Software = 70,
    /// The configuration is missing or cannot be used.
    Config = 78,
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        process::ExitCode::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;
    use std::process;

    #[test]
    fn codes_are_those_of_sysexits() {
        let code = |code: ExitCode| format!("{:?}", process::ExitCode::from(code));
        assert_eq!(
            code(ExitCode::Software),
            format!("{:?}", process::ExitCode::from(70))
        );
        assert_eq!(
            code(ExitCode::Config),
            format!("{:?}", process::ExitCode::from(78))
        );
    }
}
