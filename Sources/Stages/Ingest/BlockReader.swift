import Catalog

/// Turns one block of a source into what the catalog records.
///
/// Rows are collected until their images fill a few megabytes, then the images are hashed and checked
/// together, while the next rows are read: a row group of gigabytes passes through in bounded memory.
struct BlockReader {
  static let batchByteCount = 8 << 20
  private static let batchRowCount = 256

  let settings: IngestSettings
  let names: ColumnNames
  let split: String
  let hasUIDs: Bool
  let hasImages: Bool
  private(set) var contents: RowGroupContents
  private var waiting: [(row: Int, record: ComparisonRecord)] = []
  private var waitingByteCount = 0
  /// The batch before, and what is found out about its images.
  private var inspected: (rows: [(row: Int, record: ComparisonRecord)], images: Inspection)?

  /// Reads block `ordinal` of `file`.
  ///
  /// - Parameter observe: is told of every batch of rows that is done; a throw ends the work
  static func read(
    _ file: any RecordFile, block ordinal: Int, split: String, settings: IngestSettings,
    names: ColumnNames, inspector: ImageInspector, observe: (_ rows: Int) throws -> Void
  ) throws -> RowGroupContents {
    var reader = BlockReader(
      settings: settings, names: names, split: split, hasUIDs: file.hasUIDs,
      hasImages: file.hasImages,
      contents: RowGroupContents(ordinal: ordinal, rowCount: file.blockRowCounts[ordinal]))
    let isPromptList = file.isPromptList
    var row = file.blockStarts[ordinal]
    var observedRow = row
    try file.forEachRow(inBlock: ordinal) { values in
      do {
        let values = try values.get()
        if isPromptList {
          try reader.addPrompt(values, row: row)
        } else {
          try reader.addComparison(values, row: row)
        }
      } catch let fault as RowFault {
        reader.reject(row, fault)
      }
      row += 1
      guard reader.isFull else { return }
      reader.inspectWaiting(inspector)
      try observe(row - observedRow)
      observedRow = row
    }
    reader.inspectWaiting(inspector)
    reader.finishInspected()
    reader.contents.rejects.sort { $0.row < $1.row }
    return reader.contents
  }

  private var isFull: Bool {
    waiting.count >= Self.batchRowCount || waitingByteCount >= Self.batchByteCount
  }

  private mutating func addPrompt(_ values: some RowValues, row: Int) throws {
    contents.prompts.append(
      .init(row: row, text: try ComparisonRecord.caption(values), split: split))
  }

  private mutating func addComparison(_ values: some RowValues, row: Int) throws {
    let record = try ComparisonRecord(values, hasUIDs: hasUIDs, hasImages: hasImages) {
      try settings.filter($0, split: split)
    }
    waiting.append((row, record))
    for case .bytes(let bytes) in [record.image0, record.image1] { waitingByteCount += bytes.count }
  }

  private mutating func reject(_ row: Int, _ fault: RowFault) {
    contents.rejects.append(
      .init(
        row: row, column: fault.field.map(names.name), code: fault.code, reason: fault.reason))
  }

  private mutating func inspectWaiting(_ inspector: ImageInspector) {
    finishInspected()
    var tasks: [ImageInspector.Task] = []
    for (_, record) in waiting {
      for (image, field) in [(record.image0, RecordField.image0), (record.image1, .image1)] {
        guard let image else { continue }
        tasks.append(.init(image: image, field: field, column: names.name(of: field)))
      }
    }
    inspected = (waiting, Inspection(of: tasks, by: inspector))
    waiting.removeAll()
    waitingByteCount = 0
  }

  private mutating func finishInspected() {
    guard let (rows, images) = inspected else { return }
    inspected = nil
    let outcomes = images.outcomes()
    for (index, (row, record)) in rows.enumerated() {
      do {
        let first = hasImages ? try outcomes[2 * index].get() : nil
        let second = hasImages ? try outcomes[2 * index + 1].get() : nil
        contents.pairs.append(pair(row, record, first, second))
      } catch {
        reject(row, error)
      }
    }
  }

  private func pair(
    _ row: Int, _ record: ComparisonRecord, _ first: RowGroupContents.Image.Content?,
    _ second: RowGroupContents.Image.Content?
  ) -> RowGroupContents.Pair {
    var pair = RowGroupContents.Pair(
      row: row, prompt: record.caption,
      image0: .init(uid: record.image0UID ?? first?.sha256 ?? "", content: first),
      image1: .init(uid: record.image1UID ?? second?.sha256 ?? "", content: second),
      label0: record.label0,
      label1: record.label1, weight: record.weight, split: split)
    pair.provenance = record.provenance
    return pair
  }
}
