/// Reads column chunks, page by page, in steps of at most a thousand values.
///
/// A step decodes the levels of some entries (`nextEntries`), then, in one or more calls, the
/// values of those that are not null (`nextValues`). Memory: a window of the file, one decompressed
/// page, the chunk's dictionary. Byte arrays of uncompressed pages are never held as a page.
final class ColumnReader {
  let file: ParquetFile
  let column: LeafColumn
  private(set) var rowGroup = 0
  /// Entries of the step, nulls included.
  private(set) var entryCount = 0
  /// One level per entry; an entry has a value if it equals the column's maximum.
  let definitionLevels: UnsafeMutablePointer<UInt8>
  let repetitionLevels: UnsafeMutablePointer<UInt8>
  /// Values of the step that are not yet decoded.
  private(set) var pendingValues = 0
  let batch = ValueBatch()

  let input: ChunkInput
  let pageBytes = ByteBuffer()
  let dictionaryBytes = ByteBuffer()
  let definitionBytes = ByteBuffer()
  let repetitionBytes = ByteBuffer()
  var dictionary: ValueDictionary?
  /// The current page, its number in the chunk, and its beginning and end in the file.
  var header = PageHeader()
  var pageIndex = -1
  var pageOffset = 0
  var pageEnd = 0
  var definitions = LevelDecoder.none
  var repetitions = LevelDecoder.none
  var decoder: (any ValueDecoder)?
  /// Entries of the page whose levels are not yet decoded.
  var entriesLeftInPage = 0
  /// Entries of the chunk's pages that are not yet opened.
  var entriesLeftInChunk = 0
  /// Rows that began before the current step.
  private var rowsBefore = 0
  private var rowsInStep = 0

  init(_ file: ParquetFile, _ column: LeafColumn) {
    self.file = file
    self.column = column
    input = ChunkInput(file.file)
    definitionLevels = .allocate(capacity: ValueBatch.capacity)
    definitionLevels.initialize(repeating: 0, count: ValueBatch.capacity)
    repetitionLevels = .allocate(capacity: ValueBatch.capacity)
    repetitionLevels.initialize(repeating: 0, count: ValueBatch.capacity)
  }

  deinit {
    definitionLevels.deallocate()
    repetitionLevels.deallocate()
  }

  var chunk: ColumnChunk { file.rowGroups[rowGroup].chunks[column.index] }

  /// Begins at the first row of a row group.
  func open(rowGroup: Int) throws(ParquetError) {
    precondition(file.rowGroups.indices.contains(rowGroup), "no row group \(rowGroup)")
    self.rowGroup = rowGroup
    let group = file.rowGroups[rowGroup]
    if let obstacle = chunk.obstacle { throw unsupported(obstacle) }
    if let obstacle = chunk.codec.obstacle(path: file.path) { throw unsupported(obstacle) }
    guard column.isRepeated || chunk.valueCount == group.rowCount else {
      throw .chunk(
        path: file.path, rowGroup: rowGroup, column: column.name,
        reason: "\(chunk.valueCount) values in a row group of \(group.rowCount) rows")
    }
    input.open(chunk.offset..<chunk.offset + chunk.byteCount + chunk.slack)
    dictionary = nil
    decoder = nil
    pageIndex = -1
    pageOffset = chunk.offset
    entryCount = 0
    pendingValues = 0
    entriesLeftInPage = 0
    entriesLeftInChunk = chunk.valueCount
    (rowsBefore, rowsInStep) = (0, 0)
  }

  /// Decodes the levels of the next entries; returns how many, 0 at the end of the chunk.
  func nextEntries(limit: Int = ValueBatch.capacity) throws(ParquetError) -> Int {
    do throws(Fault) {
      if pendingValues > 0 { try skipValues(pendingValues) }
      rowsBefore += rowsInStep
      rowsInStep = 0
      entryCount = 0
      while entriesLeftInPage == 0 {
        try finishPage()
        guard entriesLeftInChunk > 0 else {
          try checkRowCount()
          return 0
        }
        try openPage()
      }
      try readLevels(min(limit, entriesLeftInPage, ValueBatch.capacity))
      return entryCount
    } catch {
      throw located(error)
    }
  }

  /// Decodes some of the pending values into `batch`; returns how many.
  func nextValues() throws(ParquetError) -> Int {
    do throws(Fault) {
      guard let decoder, pendingValues > 0 else { return 0 }
      let count = try decoder.next(min(pendingValues, ValueBatch.capacity), into: batch)
      pendingValues -= count
      return count
    } catch {
      throw located(error)
    }
  }

  /// Skips pending values.
  func skipPending(_ count: Int) throws(ParquetError) {
    do throws(Fault) { try skipValues(count) } catch { throw located(error) }
  }

  /// Skips entries that no step has reached, whole pages by their headers alone.
  ///
  /// The column does not repeat, so entries are rows.
  func skipEntries(_ count: Int) throws(ParquetError) {
    var left = count
    while left > 0 {
      do throws(Fault) {
        if pendingValues > 0 { try skipValues(pendingValues) }
        if entriesLeftInPage == 0 {
          try finishPage()
          left -= try skipPages(entries: left)
        }
      } catch {
        throw located(error)
      }
      if left > 0 {
        let passed = try nextEntries(limit: left)
        guard passed > 0 else { return }
        left -= passed
      }
    }
  }

  // MARK: - Pages

  /// Opens the next data page and the dictionary before it.
  private func openPage() throws(Fault) {
    repeat { try readHeader() } while try !isDataPage()
    try loadPage()
  }

  /// Skips data pages that lie entirely within the next `entries`; returns their number of entries.
  private func skipPages(entries: Int) throws(Fault) -> Int {
    var skipped = 0
    while entriesLeftInChunk > 0 {
      try readHeader()
      guard try isDataPage() else { continue }
      guard header.valueCount <= entries - skipped else {
        try loadPage()
        break
      }
      skipped += header.valueCount
      rowsBefore += header.valueCount
      entriesLeftInChunk -= header.valueCount
      input.skip(header.byteCount)
    }
    return skipped
  }

  /// Whether the current page contains entries; any other page is read or skipped.
  private func isDataPage() throws(Fault) -> Bool {
    switch header.kind {
    case .data, .dataV2:
      guard header.valueCount <= entriesLeftInChunk else {
        throw .malformed(
          "the page claims \(header.valueCount) values, "
            + "but the column chunk has \(entriesLeftInChunk) left")
      }
      if header.valueCount > 0 { return true }
      input.skip(header.byteCount)
      return false
    case .dictionary:
      try loadDictionary()
      return false
    case .other:
      input.skip(header.byteCount)
      return false
    }
  }

  private func readHeader() throws(Fault) {
    pageIndex += 1
    pageOffset = input.offset
    guard input.remaining > 0 else {
      throw .malformed("the column chunk ends with \(entriesLeftInChunk) values missing")
    }
    header = try PageHeader.read(from: input)
    guard header.byteCount <= input.remaining else {
      throw .malformed(
        "the page claims \(header.byteCount) bytes, "
          + "but the column chunk has \(input.remaining) left")
    }
    pageEnd = input.offset + header.byteCount
  }

  private func finishPage() throws(Fault) {
    guard let decoder else { return }
    try decoder.finish()
    self.decoder = nil
    input.skip(pageEnd - input.offset)
  }

  private func checkRowCount() throws(Fault) {
    let expected = file.rowGroups[rowGroup].rowCount
    guard rowsBefore == expected else {
      throw .malformed("the column has \(rowsBefore) rows, the row group \(expected)")
    }
  }

  // MARK: - Levels

  private func readLevels(_ count: Int) throws(Fault) {
    rowsInStep = count
    if column.isRepeated {
      try repetitions.read(count, into: repetitionLevels)
      rowsInStep = try countRows(count)
    }
    var present = count
    if column.isOptional {
      try definitions.read(count, into: definitionLevels)
      present = try countPresent(count)
    }
    entryCount = count
    pendingValues = present
    entriesLeftInPage -= count
  }

  private func countPresent(_ count: Int) throws(Fault) -> Int {
    let maximum = UInt8(column.maximumDefinitionLevel)
    var present = 0
    var largest: UInt8 = 0
    for index in 0..<count {
      present += definitionLevels[index] == maximum ? 1 : 0
      largest = max(largest, definitionLevels[index])
    }
    guard largest <= maximum else {
      throw .malformed("definition level \(largest), but \(maximum) is the column's highest")
    }
    return present
  }

  private func countRows(_ count: Int) throws(Fault) -> Int {
    let maximum = UInt8(column.maximumRepetitionLevel)
    if rowsBefore == 0, repetitionLevels[0] != 0 {
      throw .malformed("the column chunk begins inside a list")
    }
    var rows = 0
    for index in 0..<count {
      let level = repetitionLevels[index]
      guard level <= maximum else {
        throw .malformed("repetition level \(level), but \(maximum) is the column's highest")
      }
      rows += level == 0 ? 1 : 0
    }
    return rows
  }

  private func skipValues(_ count: Int) throws(Fault) {
    try decoder?.skip(count, using: batch)
    pendingValues -= count
  }

  // MARK: - Errors

  private func unsupported(_ reason: String) -> ParquetError {
    .unsupported(path: file.path, rowGroup: rowGroup, column: column.name, reason: reason)
  }

  private func located(_ fault: Fault) -> ParquetError {
    switch fault {
    case .file(let error): return .file(error)
    case .unsupported(let reason): return unsupported(reason)
    case .malformed(let reason):
      return .page(
        path: file.path, rowGroup: rowGroup, column: column.name, page: max(pageIndex, 0),
        offset: pageOffset, reason: (rowOfFault.map { "row \($0): " } ?? "") + reason)
    }
  }

  /// The row of the first value that could not be decoded.
  private var rowOfFault: Int? {
    guard !column.isRepeated, pendingValues > 0 else { return nil }
    guard column.isOptional else { return rowsBefore + entryCount - pendingValues }
    var left = pendingValues
    for index in stride(from: entryCount - 1, through: 0, by: -1)
    where Int(definitionLevels[index]) == column.maximumDefinitionLevel {
      left -= 1
      if left == 0 { return rowsBefore + index }
    }
    return nil
  }
}
