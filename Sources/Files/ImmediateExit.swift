import Glibc

/// Ends the process with an error's line and its exit code.
///
/// For places that cannot throw: tensors are allocated inside of every operation, and an operation
/// without memory has no result. What is on disk stays sound, as after a kill at the same moment: a file
/// gets its name when it is complete, a row when its transaction is. The same command continues from
/// there.
public func exitImmediately(_ error: some ClassifiedError & CustomStringConvertible) -> Never {
  exitImmediately("\(error)", error.kind)
}

func exitImmediately(_ message: String, _ kind: FailureKind) -> Never {
  let line = "error: \(message)\n"
  _ = Array(line.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  _exit(kind.rawValue)
}
