public import Files

/// A parquet file open for reading: schema, row groups, metadata.
///
/// Opening reads the footer and checks every number in it against the file's size. The values are
/// read by ``ColumnCursor`` and ``RowCursor``, page by page. Several of them may read one file
/// from different threads.
public final class ParquetFile: Sendable {
  public var path: String { file.path }
  public let rowCount: Int
  public let columns: [LeafColumn]
  public let rowGroups: [RowGroup]
  /// The file's own metadata, such as `huggingface` or `ARROW:schema`.
  public let keyValues: [KeyValue]
  /// The program that wrote the file, as it identifies itself.
  public let createdBy: String
  let file: RegularFile

  static let maximumFooterByteCount = 1 << 27

  public convenience init(path: String) throws(ParquetError) {
    let file: RegularFile
    do throws(FileError) { file = try RegularFile(path: path) } catch { throw .file(error) }
    try self.init(file: file)
  }

  public init(file: RegularFile) throws(ParquetError) {
    do throws(Fault) {
      let footer = try Self.footerRange(of: file)
      let buffer = ByteBuffer()
      try buffer.reserve(footer.count)
      let bytes = UnsafeMutableRawBufferPointer(start: buffer.base, count: footer.count)
      try file.readOrFault(at: footer.lowerBound, into: bytes)
      let metadata = try FileMetadata(
        UnsafeRawBufferPointer(bytes), dataEnd: footer.lowerBound)
      self.file = file
      rowCount = metadata.rowCount
      columns = metadata.leaves
      rowGroups = metadata.rowGroups
      keyValues = metadata.keyValues
      createdBy = metadata.createdBy
    } catch {
      if case .file(let error) = error { throw .file(error) }
      throw .metadata(path: file.path, reason: error.reason)
    }
  }

  /// The leaf with this dotted path, if there is one.
  public func column(named name: String) -> LeafColumn? {
    columns.first { $0.name == name }
  }

  /// The leaf with this dotted path.
  public func requiredColumn(named name: String) throws(ParquetError) -> LeafColumn {
    guard let column = column(named: name) else {
      throw .missingColumn(path: path, name: name, available: columns.map(\.name))
    }
    return column
  }

  /// Rejects a column whose chunks are encrypted or cannot be decompressed here.
  public func requireReadable(_ column: LeafColumn) throws(ParquetError) {
    for (index, group) in rowGroups.enumerated() {
      let chunk = group.chunks[column.index]
      guard let obstacle = chunk.obstacle ?? chunk.codec.obstacle(path: path) else { continue }
      throw .unsupported(path: path, rowGroup: index, column: column.name, reason: obstacle)
    }
  }

  /// The value of the first pair of the metadata with this key.
  public func metadata(for key: String) -> String? {
    keyValues.first { $0.key == key }?.value
  }

  /// Finds the footer: the file ends with its length (4 bytes) and the magic `PAR1`.
  private static func footerRange(of file: RegularFile) throws(Fault) -> Range<Int> {
    guard file.size >= 12 else {
      try file.requireParquet()
      throw .malformed("not a parquet file: \(file.size) bytes, fewer than the minimum of 12")
    }
    let head = try magic(file, at: 0)
    let tail = try magic(file, at: file.size - 4)
    if tail == "PARE" {
      throw .unsupported("the footer is encrypted, which is not supported")
    }
    guard head == "PAR1" || tail == "PAR1" else {
      try file.requireParquet()
      throw .malformed("not a parquet file: PAR1 is neither at its start nor at its end")
    }
    guard head == "PAR1" else {
      try file.requireParquet()
      throw .malformed("not a parquet file: PAR1 is at its end, but not at its start")
    }
    guard tail == "PAR1" else {
      throw .malformed("the file does not end with PAR1; was it truncated?")
    }
    let word = try file.readOrFault(at: file.size - 8, count: 4)
    let count = word.reversed().reduce(0) { $0 << 8 | Int($1) }
    guard count > 0, count <= file.size - 12 else {
      throw .malformed(
        "the footer claims \(count) bytes, expected 1 to \(file.size - 12)")
    }
    guard count <= maximumFooterByteCount else {
      throw .malformed(
        "the footer has \(count) bytes, more than the limit of \(maximumFooterByteCount)")
    }
    let end = file.size - 8
    return end - count..<end
  }

  private static func magic(_ file: RegularFile, at offset: Int) throws(Fault) -> String {
    String(decoding: try file.readOrFault(at: offset, count: 4), as: UTF8.self)
  }
}

extension RegularFile {
  func readOrFault(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Fault) {
    do throws(FileError) { try read(at: offset, into: buffer) } catch { throw .file(error) }
  }

  func readOrFault(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
    do throws(FileError) {
      return try read(at: offset, count: count)
    } catch {
      throw .file(error)
    }
  }
}

extension RegularFile {
  /// Throws if the file is recognizably of another kind.
  fileprivate func requireParquet() throws(Fault) {
    do throws(FileError) { try requireNoMistake(expected: "a parquet file") } catch {
      throw .file(error)
    }
  }
}
