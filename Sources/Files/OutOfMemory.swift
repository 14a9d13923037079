#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Ends the process with one line and the exit code of ``FailureKind/space``.
///
/// For places that cannot throw: tensors are allocated inside of every operation, and an operation
/// without memory has no result. What is on disk stays sound, as after a kill at the same moment: a file
/// gets its name when it is complete, a row when its transaction is. The same command goes on from
/// there.
///
/// - Parameter purpose: such as `a tensor`
public func exitForLackOfMemory(_ byteCount: Int, for purpose: String) -> Never {
  let limit = MemoryLimit.current
  let line =
    "error: no memory: the system refused \(ByteCount.text(byteCount)) for \(purpose)"
    + "\(limit.note); take less at a time (smaller batches or images), "
    + (limit.source == .machine ? "or use a machine with more memory" : "or raise the limit")
    + "; what is done is saved\n"
  _ = Array(line.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  _exit(FailureKind.space.rawValue)
}

/// Throws if the system refuses `byteCount` more bytes.
///
/// Swift's arrays end the program where they get no memory. Asking first costs a microsecond, as nothing
/// is touched.
package func requireMemory(_ byteCount: Int, for path: String) throws(FileError) {
  // Smaller requests than these are mostly met from what the process has already.
  guard byteCount >= 1 << 20 else { return }
  guard let memory = malloc(byteCount) else {
    throw .system(
      operation: "get \(ByteCount.text(byteCount)) of memory for", path: path, code: ENOMEM)
  }
  free(memory)
}
