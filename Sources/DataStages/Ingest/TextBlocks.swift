import Files
import PipelineCore

/// The boundaries of records in a text file.
///
/// A record is a line; one of separated fields may contain line breaks in quoted fields. Lines of only
/// white space are not records.
struct TextBlocks {
  struct Block: Equatable {
    var offset: Int
    var byteCount: Int
    var rowCount: Int
    /// The number of line breaks, outside quotes, before it.
    var lineCount = 0
    /// Where records end whatever their quotation marks say, after the block's beginning.
    var forcedEnds: [Int] = []
  }

  static let rowLimit = 500
  static let byteLimit = 32 << 20
  static let recordByteLimit = 256 << 20
  /// What may be read in vain, for quoted fields that prove not to be closed, beyond the file's size.
  static let vainByteLimit = 64 << 20

  /// Divides a file into blocks of at most 500 records, fewer if they are long.
  ///
  /// A quoted field that is not closed properly ends with its line, and does not take other records
  /// with it.
  ///
  /// - Parameter separator: between fields, which may be quoted; nil: a line is one value
  static func blocks(of file: RegularFile, separator: UInt8?) throws -> [Block] {
    var scan = BlockScan(file, separator: separator, begin: try file.startBehindMark())
    while try !scan.readToEnd() {
      if let interruption = Interruption.pending { throw interruption }
      try scan.endOpenRecord()
    }
    return scan.finish()
  }

  /// Returns the records of a block's bytes.
  static func records(
    in bytes: [UInt8], separator: UInt8?, forcedEnds: [Int] = []
  ) -> [ArraySlice<UInt8>] {
    var records: [ArraySlice<UInt8>] = []
    var start = 0
    for forcedEnd in forcedEnds + [bytes.count] {
      var splitter = RecordSplitter(separator: separator)
      _ = splitter.feed(bytes[start..<forcedEnd]) { end, isRecord in
        if isRecord { records.append(bytes[start..<end]) }
        start = end
      }
      if splitter.isInRecord { records.append(bytes[start..<forcedEnd]) }
      start = forcedEnd
    }
    return records
  }

  /// Returns the first record of a file's first megabyte.
  static func firstRecord(of file: RegularFile, separator: UInt8) throws -> ArraySlice<UInt8> {
    let begin = try file.startBehindMark()
    let bytes = try file.read(at: begin, count: min(1 << 20, file.size - begin))
    return records(in: bytes, separator: separator).first ?? []
  }
}

/// Collects blocks while a file is read from its beginning.
private struct BlockScan {
  private let file: RegularFile
  private let separator: UInt8?
  private var splitter: RecordSplitter
  private var blocks: [TextBlocks.Block] = []
  private var block: TextBlocks.Block
  private var lineCount = 0
  private var recordStart: Int
  /// What was read last, and where it begins.
  private var chunk: (start: Int, bytes: [UInt8]) = (0, [])
  /// How far records were read, and how many bytes of that again.
  private var furthest: Int
  private var vainByteCount = 0

  init(_ file: RegularFile, separator: UInt8?, begin: Int) {
    self.file = file
    self.separator = separator
    splitter = RecordSplitter(separator: separator)
    block = TextBlocks.Block(offset: begin, byteCount: 0, rowCount: 0)
    recordStart = begin
    furthest = begin
  }

  /// Returns some of the bytes from an offset on.
  private mutating func bytes(from offset: Int) throws -> ArraySlice<UInt8> {
    if !(chunk.start..<chunk.start + chunk.bytes.count).contains(offset) {
      chunk = (offset, try file.read(at: offset, count: min(1 << 20, file.size - offset)))
    }
    return chunk.bytes[(offset - chunk.start)...]
  }

  /// Reads records up to the end of the file; returns whether none is open there, or badly closed before it.
  mutating func readToEnd() throws -> Bool {
    var position = recordStart
    while position < file.size {
      let bytes = try bytes(from: position)
      let start = position - bytes.startIndex
      var splitter = splitter
      let stop = splitter.feed(bytes) { end, isRecord in endRecord(at: start + end, isRecord) }
      self.splitter = splitter
      position += bytes.count
      furthest = stop.map { start + $0 } ?? position
      guard stop == nil else { return false }
      guard position - recordStart <= TextBlocks.recordByteLimit else {
        if splitter.isQuoted { return false }
        throw SourceError.malformed(
          path: file.path,
          reason: "the record at byte \(recordStart) has more than "
            + "\(TextBlocks.recordByteLimit) bytes")
      }
    }
    return !splitter.isQuoted
  }

  private mutating func endRecord(at end: Int, _ isRecord: Bool) {
    recordStart = end
    lineCount += 1
    if isRecord { block.rowCount += 1 }
    let byteCount = recordStart - block.offset
    guard block.rowCount >= TextBlocks.rowLimit || byteCount >= TextBlocks.byteLimit else { return }
    endBlock()
  }

  private mutating func endBlock() {
    block.byteCount = recordStart - block.offset
    blocks.append(block)
    block = TextBlocks.Block(offset: recordStart, byteCount: 0, rowCount: 0, lineCount: lineCount)
  }

  /// Ends the present record with its first line.
  mutating func endOpenRecord() throws {
    var end = recordStart
    while end < file.size {
      let bytes = try bytes(from: end)
      if let lineBreak = bytes.firstIndex(of: UInt8(ascii: "\n")) {
        end += lineBreak + 1 - bytes.startIndex
        break
      }
      end += bytes.count
    }
    vainByteCount += furthest - end
    guard vainByteCount <= file.size + TextBlocks.vainByteLimit else {
      throw SourceError.malformed(
        path: file.path,
        reason: "too many quotation marks are not closed, the last one in the record at byte "
          + "\(recordStart); are fields separated by something else?")
    }
    block.forcedEnds.append(end - block.offset)
    endRecord(at: end, true)
    splitter = RecordSplitter(separator: separator)
  }

  mutating func finish() -> [TextBlocks.Block] {
    if splitter.isInRecord { block.rowCount += 1 }
    recordStart = file.size
    if block.rowCount > 0 { endBlock() }
    return blocks
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
  /// Between fields; nil: quotation marks mean nothing.
  private let separator: UInt8?
  private(set) var isQuoted = false
  /// Whether the next byte begins a field: elsewhere a quotation mark is an ordinary character.
  private var isAtField = true
  /// Whether the last byte closed a quoted field, unless another quotation mark follows.
  private var isAtClose = false
  /// Whether the record has a line break so far, within quotes, and a quoted field that something other
  /// than a separator follows.
  private var (hasLineBreak, isBadlyClosed) = (false, false)
  /// Whether anything but white space has come since the last boundary.
  private(set) var isInRecord = false

  init(separator: UInt8?) { self.separator = separator }

  /// Calls `body` with the index after each line break outside quotes, and whether a record ends
  /// there.
  ///
  /// - Returns: the index at which a record of several lines proves to have a badly closed field: its
  ///   quotation marks do not tell where it ends; nil: all is read
  mutating func feed(
    _ bytes: ArraySlice<UInt8>, _ body: (_ end: Int, _ isRecord: Bool) -> Void
  ) -> Int? {
    for index in bytes.indices {
      let byte = bytes[index]
      let (mayOpen, wasAtClose) = (isAtField || isAtClose, isAtClose)
      isAtClose = false
      switch byte {
      case UInt8(ascii: "\n") where !isQuoted:
        body(index + 1, isInRecord)
        (isInRecord, isAtField) = (false, true)
        (hasLineBreak, isBadlyClosed) = (false, false)
        continue
      case UInt8(ascii: "\"") where separator != nil && (isQuoted || mayOpen):
        isAtClose = isQuoted
        isQuoted.toggle()
        isInRecord = true
      case UInt8(ascii: "\n"): hasLineBreak = true
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): break
      default: isInRecord = true
      }
      if wasAtClose, !isQuoted, byte != separator, byte != UInt8(ascii: "\r") {
        isBadlyClosed = true
      }
      if hasLineBreak, isBadlyClosed { return index }
      isAtField = !isQuoted && byte == separator
    }
    return nil
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
