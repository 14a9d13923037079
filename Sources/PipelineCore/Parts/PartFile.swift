import Files

/// A part's file, read without trusting any byte of it.
package struct PartFile {
  package let path: String
  package let header: PartHeader
  /// The complete records, in the order in which they were written.
  package let entries: [PartEntry]
  /// Whether the part has finished all its items.
  package let isComplete: Bool

  /// Nil if its writer was killed before the header was written.
  ///
  /// A partial record that a killed writer left at the end of the file is ignored.
  ///
  /// - Throws: ``PartError/damaged(path:offset:reason:)``, ``PartError/notFile(path:)``
  package init?(path: String) throws {
    guard PathKind(of: path) == .file else { throw PartError.notFile(path: path) }
    let file = try RegularFile(path: path)
    let hasEnd = try Self.hasEnd(file)
    guard let (header, start) = try Self.header(of: file, isComplete: hasEnd) else { return nil }
    self.path = path
    self.header = header
    isComplete = hasEnd
    entries = try hasEnd ? Self.index(of: file, from: start) : Self.scan(file, from: start)
  }

  /// Whether it begins like a part's file, however short it is.
  static func isPart(_ path: String) -> Bool {
    guard let file = try? RegularFile(path: path),
      let start = try? file.read(at: 0, count: min(file.size, PartFormat.magic.count))
    else { return false }
    return start.elementsEqual(PartFormat.magic.prefix(start.count))
  }

  private static func hasEnd(_ file: RegularFile) throws -> Bool {
    guard file.size >= PartFormat.trailerSize else { return false }
    let count = PartFormat.end.count
    return try file.read(at: file.size - count, count: count) == PartFormat.end
  }

  /// Returns the header and the offset of the first record.
  private static func header(
    of file: RegularFile, isComplete: Bool
  ) throws -> (header: PartHeader, start: Int)? {
    func damaged(_ reason: String) -> PartError {
      .damaged(path: file.path, offset: 0, reason: reason)
    }
    let fixed = PartFormat.magic.count + 4
    guard file.size >= fixed else {
      // Only the beginning of a header.
      let start = try file.readAll()
      guard start.prefix(8).elementsEqual(PartFormat.magic.prefix(start.count)) else {
        throw damaged("not a part file")
      }
      return nil
    }
    var reader = ByteReader(try file.read(at: 0, count: fixed))
    guard try Array(reader.take(PartFormat.magic.count)) == PartFormat.magic else {
      throw damaged("not a part file")
    }
    let count = Int(try reader.take(UInt32.self))
    guard count <= PartFormat.maximumHeaderSize else {
      throw damaged("a header of \(count) bytes")
    }
    let start = fixed + count + PartFormat.digestSize
    guard start <= file.size else {
      guard !isComplete else { throw damaged("a header of \(count) bytes, more than the file has") }
      return nil
    }
    let bytes = try file.read(at: 0, count: fixed + count)
    guard
      try file.read(at: fixed + count, count: PartFormat.digestSize) == SHA256.digest(of: bytes)
    else { throw damaged("the header's checksum does not match") }
    do {
      let text = String(decoding: bytes.dropFirst(fixed), as: UTF8.self)
      return (try PartHeader(JSONReader(JSON(parsing: text), path: file.path)), start)
    } catch { throw damaged("\(error)") }
  }

  /// Returns the records of a complete part, from its index.
  private static func index(of file: RegularFile, from start: Int) throws -> [PartEntry] {
    let trailer = file.size - PartFormat.trailerSize
    func damaged(_ offset: Int, _ reason: String) -> PartError {
      .damaged(path: file.path, offset: offset, reason: reason)
    }
    var reader = ByteReader(try file.read(at: trailer, count: 8))
    guard let offset = Int(exactly: try reader.take(UInt64.self)), offset >= start,
      offset <= trailer - PartFormat.headSize, let index = try entry(of: file, at: offset),
      index.kind == .index, index.byteCount == trailer - PartFormat.headSize - offset
    else { throw damaged(trailer, "the index position is damaged") }
    guard let list = try verifiedOutput(of: index, in: file) else {
      throw damaged(offset, "the index's checksum does not match")
    }
    var entries: [PartEntry] = []
    entries.reserveCapacity(list.count / PartFormat.indexEntrySize)
    var heads = ByteReader(list)
    while heads.position < list.count {
      guard let place = (try? heads.take(UInt64.self)).flatMap(Int.init(exactly:)),
        let head = try? heads.take(PartFormat.headSize),
        let entry = PartEntry(head: Array(head), at: place), entry.kind != .index, place >= start,
        place <= offset - PartFormat.headSize,
        entry.byteCount <= offset - PartFormat.headSize - place
      else { throw damaged(offset, "the index lists an impossible record") }
      entries.append(entry)
    }
    return entries
  }

  /// Scans the complete records of an unfinished part.
  private static func scan(_ file: RegularFile, from start: Int) throws -> [PartEntry] {
    var entries: [PartEntry] = []
    var offset = start
    func damaged(_ reason: String) -> PartError {
      .damaged(path: file.path, offset: offset, reason: reason)
    }
    while offset <= file.size - PartFormat.headSize {
      guard let entry = try entry(of: file, at: offset) else {
        // Zeros that a file system allocated and never filled.
        if try file.read(at: offset, count: 4).allSatisfy({ $0 == 0 }) { break }
        throw damaged("no record starts here")
      }
      guard entry.byteCount <= file.size - PartFormat.headSize - offset else { break }
      guard try hasItsDigest(entry, in: file) else {
        if entry.end == file.size { break }
        throw damaged("the record's checksum does not match")
      }
      offset = entry.end
      guard entry.kind != .index else {
        guard file.size - offset < PartFormat.trailerSize else {
          throw damaged("the end of the file is damaged")
        }
        break
      }
      entries.append(entry)
    }
    return entries
  }

  /// Reads every record.
  ///
  /// - Throws: `PartError.damaged` if one differs from what was written
  func verify() throws {
    let file = try RegularFile(path: path)
    for entry in entries where try !Self.hasItsDigest(entry, in: file) {
      throw PartError.damaged(
        path: path, offset: entry.offset, reason: "the record's checksum does not match")
    }
  }

  private static func entry(of file: RegularFile, at offset: Int) throws -> PartEntry? {
    PartEntry(head: try file.read(at: offset, count: PartFormat.headSize), at: offset)
  }

  private static let digestedHeadSize = PartFormat.headSize - PartFormat.digestSize

  private static func hasItsDigest(_ entry: PartEntry, in file: RegularFile) throws -> Bool {
    var hash = SHA256()
    hash.update(try file.read(at: entry.offset, count: digestedHeadSize))
    var position = entry.offset + PartFormat.headSize
    while position < entry.end {
      let bytes = try file.read(at: position, count: min(1 << 20, entry.end - position))
      hash.update(bytes)
      position += bytes.count
    }
    return try hash.finalize()
      == file.read(at: entry.offset + digestedHeadSize, count: PartFormat.digestSize)
  }

  /// Returns the output of a record, or nil if the record does not match `entry`.
  fileprivate static func verifiedOutput(
    of entry: PartEntry, in file: RegularFile
  ) throws -> [UInt8]? {
    guard try Self.entry(of: file, at: entry.offset) == entry else { return nil }
    let output = try file.read(at: entry.offset + PartFormat.headSize, count: entry.byteCount)
    var hash = SHA256()
    hash.update(try file.read(at: entry.offset, count: digestedHeadSize))
    hash.update(output)
    return try hash.finalize()
      == file.read(at: entry.offset + digestedHeadSize, count: PartFormat.digestSize)
      ? output : nil
  }

  /// Returns the output of a record in an open file.
  ///
  /// - Throws: ``PartError/damaged(path:offset:reason:)``
  static func output(of entry: PartEntry, in file: RegularFile) throws -> [UInt8] {
    guard let output = try verifiedOutput(of: entry, in: file) else {
      throw PartError.damaged(
        path: file.path, offset: entry.offset, reason: "the record's checksum does not match")
    }
    return output
  }
}
