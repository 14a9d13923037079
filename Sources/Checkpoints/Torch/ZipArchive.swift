import CZlib
import Files

/// The entries of a zip archive that are stored without compression, with the 64-bit extension.
///
/// Compressed or encrypted entries, several disks and names that occur twice are refused.
///
/// Source: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3
struct ZipArchive {
  struct Entry {
    /// The file offset of the content.
    let offset: Int
    let size: Int
    let checksum: UInt32
  }

  private static let maximumContentSize = 256 << 20
  let file: RegularFile
  private(set) var entries: [String: Entry] = [:]

  init(_ file: RegularFile) throws {
    self.file = file
    do {
      let directory = try Self.findDirectory(file)
      var reader = ByteReader(try file.read(at: directory.lowerBound, count: directory.count))
      while reader.position < reader.bytes.count {
        let (name, listed) = try Self.takeEntry(&reader)
        let entry = try Self.locate(listed, in: file, before: directory.lowerBound)
        guard entries.updateValue(entry, forKey: name) == nil else {
          throw Damage(problem: "duplicate entry \(name)")
        }
      }
    } catch let damage as Damage {
      throw CheckpointError.malformed(path: file.path, problem: "zip archive: \(damage.problem)")
    } catch is ByteReader.EndOfBytes {
      throw CheckpointError.malformed(
        path: file.path, problem: "zip archive: the directory ends within an entry")
    }
  }

  /// The content of a small entry, its checksum verified.
  func content(of name: String) throws -> [UInt8]? {
    guard let entry = entries[name] else { return nil }
    guard entry.size <= Self.maximumContentSize else {
      throw CheckpointError.malformed(
        path: file.path, problem: "zip archive: \(name) has \(entry.size) bytes, too many to trust")
    }
    let bytes = try file.read(at: entry.offset, count: entry.size)
    guard crc32(bytes) == entry.checksum else {
      throw CheckpointError.malformed(
        path: file.path, problem: "zip archive: the checksum of \(name) is wrong")
    }
    return bytes
  }

  private struct Damage: Error {
    let problem: String
  }

  // MARK: - Directory

  /// Finds the directory, from the record at the end of the file.
  private static func findDirectory(_ file: RegularFile) throws -> Range<Int> {
    let tailCount = min(file.size, 22 + 0xFFFF)
    let tailOffset = file.size - tailCount
    let tail = try file.read(at: tailOffset, count: tailCount)
    let signature: [UInt8] = [0x50, 0x4B, 5, 6]
    let candidates = stride(from: tailCount - 22, through: 0, by: -1)
    // The record ends with a comment that reaches to the end of the file.
    guard
      let start = candidates.first(where: { start in
        tail[start..<start + 4].elementsEqual(signature)
          && start + 22 + Int(tail[start + 20]) + Int(tail[start + 21]) << 8 == tailCount
      })
    else { throw Damage(problem: "its end is missing; the file is truncated or not a ZIP archive") }
    var reader = ByteReader(Array(tail[start...]))
    _ = try reader.take(12)
    var size = UInt64(try reader.take(UInt32.self))
    var offset = UInt64(try reader.take(UInt32.self))
    var end = tailOffset + start
    if size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
      (size, offset, end) = try findLargeDirectory(file, before: end)
    }
    guard offset <= end, size <= UInt64(end) - offset else {
      throw Damage(problem: "its directory is outside the file")
    }
    return Int(offset)..<Int(offset + size)
  }

  /// The 64-bit form of the record at the end, which a locator of 20 bytes points at.
  private static func findLargeDirectory(
    _ file: RegularFile, before end: Int
  ) throws -> (size: UInt64, offset: UInt64, end: Int) {
    guard end >= 20 else { throw Damage(problem: "its 64-bit directory is missing") }
    var locator = ByteReader(try file.read(at: end - 20, count: 20))
    guard try locator.take(UInt32.self) == 0x0706_4B50, try locator.take(UInt32.self) == 0,
      let place = Int(exactly: try locator.take(UInt64.self)), place <= end - 20 - 56
    else { throw Damage(problem: "its 64-bit directory is missing") }
    var record = ByteReader(try file.read(at: place, count: 56))
    guard try record.take(UInt32.self) == 0x0606_4B50 else {
      throw Damage(problem: "its 64-bit directory is missing")
    }
    _ = try record.take(36)
    let size = try record.take(UInt64.self)
    return (size, try record.take(UInt64.self), place)
  }

  /// The directory's information about an entry.
  private struct Listing {
    let headerOffset: UInt64
    let size: UInt64
    let checksum: UInt32
  }

  private static func takeEntry(_ reader: inout ByteReader) throws -> (String, Listing) {
    guard try reader.take(UInt32.self) == 0x0201_4B50 else {
      throw Damage(problem: "an entry of its directory is damaged")
    }
    _ = try reader.take(4)
    let flags = try reader.take(UInt16.self)
    let method = try reader.take(UInt16.self)
    _ = try reader.take(4)
    let checksum = try reader.take(UInt32.self)
    var storedSize = UInt64(try reader.take(UInt32.self))
    var size = UInt64(try reader.take(UInt32.self))
    let nameCount = Int(try reader.take(UInt16.self))
    let extraCount = Int(try reader.take(UInt16.self))
    let commentCount = Int(try reader.take(UInt16.self))
    _ = try reader.take(8)
    var offset = UInt64(try reader.take(UInt32.self))
    let name = String(decoding: try reader.take(nameCount), as: UTF8.self)
    var extra = ByteReader(Array(try reader.take(extraCount)))
    _ = try reader.take(commentCount)
    // Numbers that do not fit 32 bits stand in an extra field, in this order.
    if var large = try takeLargeNumbers(&extra) {
      if size == 0xFFFF_FFFF { size = try large.take(UInt64.self) }
      if storedSize == 0xFFFF_FFFF { storedSize = try large.take(UInt64.self) }
      if offset == 0xFFFF_FFFF { offset = try large.take(UInt64.self) }
    }
    guard flags & 1 == 0, method == 0, storedSize == size else {
      throw Damage(problem: "the entry \(name) is compressed or encrypted")
    }
    return (name, Listing(headerOffset: offset, size: size, checksum: checksum))
  }

  /// The content of the extra field of the 64-bit extension.
  private static func takeLargeNumbers(_ extra: inout ByteReader) throws -> ByteReader? {
    while extra.bytes.count - extra.position >= 4 {
      let identifier = try extra.take(UInt16.self)
      let content = try extra.take(Int(try extra.take(UInt16.self)))
      if identifier == 1 { return ByteReader(Array(content)) }
    }
    return nil
  }

  /// Finds an entry's content, after its own header, whose length only that header gives.
  private static func locate(
    _ listing: Listing, in file: RegularFile, before end: Int
  ) throws -> Entry {
    guard let headerOffset = Int(exactly: listing.headerOffset), headerOffset <= end - 30 else {
      throw Damage(problem: "an entry is outside the file")
    }
    var header = ByteReader(try file.read(at: headerOffset, count: 30))
    guard try header.take(UInt32.self) == 0x0403_4B50 else {
      throw Damage(problem: "an entry's header is damaged")
    }
    _ = try header.take(22)
    let nameCount = Int(try header.take(UInt16.self))
    let offset = headerOffset + 30 + nameCount + Int(try header.take(UInt16.self))
    guard offset <= end, listing.size <= UInt64(end - offset) else {
      throw Damage(problem: "an entry is outside the file")
    }
    return Entry(offset: offset, size: Int(listing.size), checksum: listing.checksum)
  }
}

extension RegularFile {
  /// The checksum of zip archives over a part of the file, which is read in pieces.
  func crc32(of range: Range<Int>) throws -> UInt32 {
    var checksum: UInt32 = 0
    for start in stride(from: range.lowerBound, to: range.upperBound, by: 1 << 20) {
      let count = min(1 << 20, range.upperBound - start)
      checksum = Checkpoints.crc32(try read(at: start, count: count), from: checksum)
    }
    return checksum
  }
}

/// The checksum of zip archives.
///
/// - Parameter checksum: of the bytes before these
package func crc32(_ bytes: [UInt8], from checksum: UInt32 = 0) -> UInt32 {
  UInt32(truncatingIfNeeded: CZlib.crc32(UInt(checksum), bytes, UInt32(bytes.count)))
}
