import Glibc

/// Exits the process for lack of memory, like ``exitImmediately(_:)``.
///
/// - Parameter purpose: the purpose, such as `a tensor`
public func exitForLackOfMemory(_ byteCount: Int, for purpose: String) -> Never {
  let limit = MemoryLimit.current
  exitImmediately(
    "out of memory: the system refused \(ByteCount.text(byteCount)) for \(purpose)"
      + "\(limit.note); use smaller batches or images, "
      + (limit.source == .machine ? "or use a machine with more memory" : "or raise the limit")
      + "; finished work is saved", .space)
}

/// Throws if the system cannot provide `byteCount` more bytes.
///
/// Swift's arrays crash the program if an allocation fails. Checking first costs a microsecond,
/// since nothing is touched.
package func requireMemory(_ byteCount: Int, for path: String) throws(FileError) {
  // Smaller allocations are mostly served from memory that the process already has.
  guard byteCount >= 1 << 20 else { return }
  guard let memory = malloc(byteCount) else {
    throw .system(
      operation: "get \(ByteCount.text(byteCount)) of memory for", path: path, code: ENOMEM)
  }
  free(memory)
}
