import Glibc

/// Ends the process for lack of memory, as ``exitImmediately(_:)`` does.
///
/// - Parameter purpose: such as `a tensor`
public func exitForLackOfMemory(_ byteCount: Int, for purpose: String) -> Never {
  let limit = MemoryLimit.current
  exitImmediately(
    "out of memory: the system refused \(ByteCount.text(byteCount)) for \(purpose)"
      + "\(limit.note); use smaller batches or images, "
      + (limit.source == .machine ? "or use a machine with more memory" : "or raise the limit")
      + "; finished work is saved", .space)
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
