import Files

/// The boundaries of records in a text file.
///
/// A record is a line; in CSV it may contain line breaks between quotes. Lines of only white space
/// are not records.
struct TextBlocks {
  struct Block: Equatable {
    var offset: Int
    var byteCount: Int
    var rowCount: Int
    /// The number of line breaks, outside quotes, before it.
    var lineCount = 0
  }

  static let rowLimit = 500
  static let byteLimit = 32 << 20
  static let recordByteLimit = 256 << 20

  /// Divides a file into blocks of at most 500 records, fewer if they are long.
  static func blocks(of file: RegularFile, hasQuotes: Bool) throws -> [Block] {
    var blocks: [Block] = []
    let begin = try file.startBehindMark()
    var block = Block(offset: begin, byteCount: 0, rowCount: 0)
    var splitter = RecordSplitter(hasQuotes: hasQuotes)
    var recordStart = begin
    var lineCount = 0
    for start in stride(from: begin, to: file.size, by: 1 << 20) {
      let chunk = try file.read(at: start, count: min(1 << 20, file.size - start))
      splitter.feed(chunk) { end, isRecord in
        recordStart = start + end
        lineCount += 1
        if isRecord { block.rowCount += 1 }
        let byteCount = recordStart - block.offset
        guard block.rowCount >= rowLimit || byteCount >= byteLimit else { return }
        block.byteCount = byteCount
        blocks.append(block)
        block = Block(offset: recordStart, byteCount: 0, rowCount: 0, lineCount: lineCount)
      }
      guard start + chunk.count - recordStart <= recordByteLimit else {
        throw SourceError.malformed(
          path: file.path,
          reason: "the record at byte \(recordStart) has more than \(recordByteLimit) bytes"
            + (hasQuotes ? "; is a quote missing?" : ""))
      }
    }
    if splitter.isInRecord { block.rowCount += 1 }
    block.byteCount = file.size - block.offset
    if block.rowCount > 0 { blocks.append(block) }
    return blocks
  }

  /// Returns the records of a block's bytes.
  static func records(in bytes: [UInt8], hasQuotes: Bool) -> [ArraySlice<UInt8>] {
    var records: [ArraySlice<UInt8>] = []
    var splitter = RecordSplitter(hasQuotes: hasQuotes)
    var start = 0
    splitter.feed(bytes) { end, isRecord in
      if isRecord { records.append(bytes[start..<end]) }
      start = end
    }
    if splitter.isInRecord { records.append(bytes[start...]) }
    return records
  }
}

extension RegularFile {
  /// Returns the start of the text, after a byte order mark if there is one.
  ///
  /// - Throws: `SourceError.malformed` for the mark of UTF-16, which is not supported
  fileprivate func startBehindMark() throws -> Int {
    let head = try read(at: 0, count: min(size, 3))
    guard !head.starts(with: [0xff, 0xfe]), !head.starts(with: [0xfe, 0xff]) else {
      throw SourceError.malformed(
        path: path,
        reason: "text in UTF-16, expected UTF-8; convert it, for example: "
          + "iconv -f UTF-16 -t UTF-8 IN > OUT")
    }
    return head == [0xef, 0xbb, 0xbf] ? 3 : 0
  }
}

/// Finds record boundaries in bytes that arrive in chunks.
private struct RecordSplitter {
  let hasQuotes: Bool
  private var isQuoted = false
  /// Whether anything but white space has come since the last boundary.
  private(set) var isInRecord = false

  init(hasQuotes: Bool) { self.hasQuotes = hasQuotes }

  /// Calls `body` with the offset after each line break outside quotes, and whether a record ends
  /// there.
  mutating func feed(_ bytes: [UInt8], _ body: (_ end: Int, _ isRecord: Bool) -> Void) {
    for (index, byte) in bytes.enumerated() {
      switch byte {
      case UInt8(ascii: "\n") where !isQuoted:
        body(index + 1, isInRecord)
        isInRecord = false
      case UInt8(ascii: "\""):
        if hasQuotes { isQuoted.toggle() }
        isInRecord = true
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): break
      default: isInRecord = true
      }
    }
  }
}

/// Splits one record into fields at commas (RFC 4180) or tabs; nil if a quotation mark is not
/// closed.
func delimitedFields(_ record: ArraySlice<UInt8>, separator: UInt8) -> [String]? {
  let quote = UInt8(ascii: "\"")
  var line = record
  while let last = line.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") {
    line.removeLast()
  }
  var fields: [String] = []
  var position = line.startIndex
  while true {
    var field: [UInt8] = []
    if position < line.endIndex, line[position] == quote {
      position += 1
      while true {
        guard let end = line[position...].firstIndex(of: quote) else { return nil }
        field += line[position..<end]
        position = end + 1
        guard position < line.endIndex, line[position] == quote else { break }
        field.append(quote)
        position += 1
      }
      guard position == line.endIndex || line[position] == separator else { return nil }
    } else {
      let end = line[position...].firstIndex(of: separator) ?? line.endIndex
      field += line[position..<end]
      position = end
    }
    guard let text = String(validating: field, as: UTF8.self) else { return nil }
    fields.append(text)
    guard position < line.endIndex else { return fields }
    position += 1
  }
}
