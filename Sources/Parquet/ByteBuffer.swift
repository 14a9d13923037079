import Glibc

/// Raw memory that is reused from page to page.
///
/// `slack` bytes after the capacity may be read and written, so that loops over packed bits and
/// short copies can work on whole words.
final class ByteBuffer {
  static let slack = 64

  private(set) var base: UnsafeMutableRawPointer
  private(set) var capacity = 0

  init() { base = .allocate(byteCount: Self.slack, alignment: 16) }

  deinit { release() }

  /// Makes room for `count` bytes; the first `kept` bytes keep their contents.
  func reserve(_ count: Int, keeping kept: Int = 0) throws(Fault) {
    guard count > capacity else { return }
    let rounded = max(count, min(capacity * 2, count + (1 << 20)))
    guard let larger = malloc(rounded + Self.slack) else {
      throw .malformed("\(count) bytes are needed at once, more than the available memory")
    }
    if kept > 0 { memcpy(larger, base, kept) }
    release()
    base = larger
    capacity = rounded
  }

  private func release() {
    if capacity == 0 { base.deallocate() } else { free(base) }
  }
}
