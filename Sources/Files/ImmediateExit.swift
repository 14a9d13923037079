import Glibc

/// Exits the process with an error message and its exit code.
///
/// For places that cannot throw: tensors are allocated inside every operation, and an operation
/// without memory has no result. The state on disk stays consistent, as after a kill at the same
/// moment: files are renamed when complete, rows committed in transactions. The same command
/// resumes from there.
public func exitImmediately(_ error: some ClassifiedError & CustomStringConvertible) -> Never {
  exitImmediately("\(error)", error.kind)
}

func exitImmediately(_ message: String, _ kind: FailureKind) -> Never {
  let line = "error: \(message)\n"
  _ = Array(line.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  _exit(kind.rawValue)
}
