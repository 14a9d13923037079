import Glibc

/// The entropy-coded bytes of one scan, without stuffed zeros, split at the restart markers.
struct EntropyCodedData {
  /// More than the longest MCU can need (10 blocks of 64 codes of at most 31 bits), so that a
  /// reader may check only once per MCU that it has not passed the end.
  private static let padding = 4096

  /// All intervals one after another, then ``padding`` zeros.
  private(set) var bytes: [UInt8] = []
  /// The range of each restart interval in ``bytes``.
  private(set) var intervals: [Range<Int>] = []

  /// Reads the data that begins at `offset` and advances `offset` to the marker that ends it.
  init(_ file: UnsafeBufferPointer<UInt8>, offset: inout Int) throws(ImageError) {
    bytes.reserveCapacity(file.count - offset + Self.padding)
    var intervalStart = 0
    while true {
      guard let found = file.firstIndexOfMarkerPrefix(from: offset) else {
        throw .truncated(.jpeg, "the file ends inside a scan")
      }
      bytes.append(contentsOf: file[offset..<found])
      var code = found + 1
      while code < file.count, file[code] == 0xff { code += 1 }
      guard code < file.count else { throw .truncated(.jpeg, "the file ends inside a scan") }
      switch file[code] {
      case 0:
        guard code == found + 1 else {
          throw .damaged(.jpeg, "fill bytes inside a scan (byte \(found))")
        }
        bytes.append(0xff)
      case 0xd0...0xd7:
        guard Int(file[code] & 7) == intervals.count & 7 else {
          throw .damaged(.jpeg, "restart marker \(file[code] & 7) out of order (byte \(found))")
        }
        intervals.append(intervalStart..<bytes.count)
        intervalStart = bytes.count
      default:
        intervals.append(intervalStart..<bytes.count)
        bytes.append(contentsOf: repeatElement(0, count: Self.padding))
        offset = found
        return
      }
      offset = code + 1
    }
  }
}

extension UnsafeBufferPointer<UInt8> {
  /// Offset of the first 0xff at or after `offset`.
  fileprivate func firstIndexOfMarkerPrefix(from offset: Int) -> Int? {
    guard let base = baseAddress, offset < count,
      let found = memchr(base + offset, 0xff, count - offset)
    else { return nil }
    return UnsafeRawPointer(found) - UnsafeRawPointer(base)
  }
}
